//! Who is who in one process: the certificates that Orch's own authority gives out at every start.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use orch_controllers::certificate::{Certify, KeyUsage};
use orch_transport::{Authority, Credentials, Usage, kubeconfig};

use super::data_dir::DataDir;

/// The common name that the API server shows to node agents.
pub(crate) const API_SERVER: &str = "system:orch-apiserver";

/// Who the administrator's kubeconfig is for.
const ADMINISTRATOR: &str = "orch-admin";

/// The authority, and what it has given out.
pub(crate) struct Certificates {
    authority: Arc<Authority>,
    /// What the API server shows to its clients.
    pub(crate) server: Credentials,
    /// What the API server shows to node agents.
    pub(crate) api_server: Credentials,
}

impl Certificates {
    /// Opens the data directory's authority, or makes it at the first start, and issues what this process needs.
    pub(crate) fn open(data: &DataDir, addresses: &[IpAddr]) -> Result<Self> {
        let authority = Arc::new(Authority::open_or_create(data.authority())?);
        let server = authority.issue_server(&server_names(addresses))?;
        let api_server = authority.issue_client(API_SERVER, &["system:masters"])?;
        Ok(Self { authority, server, api_server })
    }

    /// The authority's certificate: what everybody must trust.
    pub(crate) fn authority(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// The authority as controllers see it: what everybody trusts, and how requests for certificates are signed.
    pub(crate) fn signing(&self) -> orch_controllers::Authority {
        let authority = self.authority.clone();
        let sign = move |certify: &Certify| {
            let usages: Vec<Usage> = certify.usages.iter().map(usage).collect();
            let signed = authority.sign(&certify.request_pem, &usages, certify.lifetime);
            signed.map_err(|error| error.to_string())
        };
        orch_controllers::Authority { certificate_pem: self.authority().to_owned(), signer: Arc::new(sign) }
    }

    /// What a node's agent shows to the API server: the user `system:node:NAME`, who may touch only what is the node's.
    pub(crate) fn node(&self, name: &str, address: IpAddr) -> Result<Credentials> {
        Ok(self.authority.issue_node(name, &[name.to_owned(), address.to_string()])?)
    }

    /// A kubeconfig with the administrator's certificate.
    pub(crate) fn kubeconfig(&self, server: SocketAddr) -> Result<String> {
        let administrator = self.authority.issue_client(ADMINISTRATOR, &["system:masters"])?;
        Ok(kubeconfig(&format!("https://{server}"), self.authority(), ADMINISTRATOR, &administrator))
    }
}

fn usage(usage: &KeyUsage) -> Usage {
    match usage {
        KeyUsage::DigitalSignature => Usage::DigitalSignature,
        KeyUsage::KeyEncipherment => Usage::KeyEncipherment,
        KeyUsage::ClientAuth => Usage::ClientAuth,
        KeyUsage::ServerAuth => Usage::ServerAuth,
    }
}

/// What the API is reached by: what its certificate says.
pub(crate) fn server_names(addresses: &[IpAddr]) -> Vec<String> {
    let mut names: Vec<String> =
        ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            .map(str::to_owned)
            .to_vec();
    for name in addresses.iter().map(ToString::to_string).chain(super::nodes::host_name()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
