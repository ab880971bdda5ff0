//! Who is who in one process: the certificates that Orch's own authority gives out at every start.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use orch_transport::{Authority, Credentials, kubeconfig};

use super::data_dir::DataDir;

/// The common name that the API server shows to node agents.
pub(crate) const API_SERVER: &str = "system:orch-apiserver";

/// The authority, and what it has given out.
pub(crate) struct Certificates {
    authority: Authority,
    /// What the API server shows to its clients.
    pub(crate) server: Credentials,
    /// What the API server shows to node agents.
    pub(crate) api_server: Credentials,
}

impl Certificates {
    /// Opens the data directory's authority, or makes it at the first start, and issues what this process needs.
    pub(crate) fn open(data: &DataDir, address: IpAddr) -> Result<Self> {
        let authority = Authority::open_or_create(data.authority())?;
        let server = authority.issue_server(&server_names(address))?;
        let api_server = authority.issue_client(API_SERVER, &["system:masters"])?;
        Ok(Self { authority, server, api_server })
    }

    /// The authority's certificate: what everybody must trust.
    pub(crate) fn authority(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// What a node's agent shows to the API server.
    pub(crate) fn node(&self, name: &str, address: IpAddr) -> Result<Credentials> {
        Ok(self.authority.issue_server(&[name.to_owned(), address.to_string()])?)
    }

    /// A kubeconfig with the administrator's certificate.
    pub(crate) fn kubeconfig(&self, server: SocketAddr) -> Result<String> {
        let administrator = self.authority.issue_client("orch-admin", &["system:masters"])?;
        Ok(kubeconfig(&format!("https://{server}"), self.authority(), &administrator))
    }
}

fn server_names(address: IpAddr) -> Vec<String> {
    let mut names: Vec<String> =
        ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            .map(str::to_owned)
            .to_vec();
    names.extend(
        [address.to_string()].into_iter().filter(|address| !["127.0.0.1", "::1"].contains(&address.as_str())),
    );
    names.extend(super::nodes::host_name());
    names
}
