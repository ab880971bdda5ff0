//! What each signer of the cluster's authority signs, and for how long. Pure; the rules are Kubernetes' own.

use std::time::Duration;

use orch_ontology::{CertificateRequest, CertificateSigningRequest};

const NODE_PREFIX: &str = "system:node:";
const NODES: &str = "system:nodes";
/// No certificate is valid for longer, and none for which nobody asked otherwise.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a certificate's key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyUsage {
    /// Signing, as in every handshake.
    DigitalSignature,
    /// Encrypting keys.
    KeyEncipherment,
    /// Being a client.
    ClientAuth,
    /// Being a server.
    ServerAuth,
}

/// What is to be certified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certify {
    /// The PKCS#10 request, in PEM.
    pub request_pem: Vec<u8>,
    /// What the key is to be good for.
    pub usages: Vec<KeyUsage>,
    /// For how long.
    pub lifetime: Duration,
}

/// What is to be certified for a request. `None` if it is somebody else's to sign.
///
/// # Errors
/// Why its signer never signs it, in Kubernetes' words.
pub(super) fn terms(request: &CertificateSigningRequest) -> Option<Result<Certify, String>> {
    let rule = match request.spec.signer_name.as_str() {
        CertificateSigningRequest::CLIENT_SIGNER => client,
        CertificateSigningRequest::NODE_CLIENT_SIGNER => node_client,
        CertificateSigningRequest::NODE_SERVING_SIGNER => node_serving,
        _ => return None,
    };
    Some(certify(request, rule))
}

type Rule = fn(&CertificateRequest, &[KeyUsage]) -> Result<(), &'static str>;

fn certify(request: &CertificateSigningRequest, rule: Rule) -> Result<Certify, String> {
    let asked = CertificateRequest::parse(&request.spec.request).map_err(|error| error.to_string())?;
    let usages = request.spec.usages.iter().map(|usage| usage_of(usage)).collect::<Result<Vec<_>, _>>()?;
    rule(&asked, &usages)?;
    let wanted = request.spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let lifetime = wanted.map_or(LONGEST, Duration::from_secs).min(LONGEST);
    Ok(Certify { request_pem: request.spec.request.to_vec(), usages, lifetime })
}

fn usage_of(usage: &str) -> Result<KeyUsage, String> {
    Ok(match usage {
        "digital signature" => KeyUsage::DigitalSignature,
        "key encipherment" => KeyUsage::KeyEncipherment,
        "client auth" => KeyUsage::ClientAuth,
        "server auth" => KeyUsage::ServerAuth,
        other => return Err(format!("invalid usage for client certificate: {other}")),
    })
}

fn client(_: &CertificateRequest, usages: &[KeyUsage]) -> Result<(), &'static str> {
    if usages.contains(&KeyUsage::ServerAuth) {
        return Err("invalid usage for client certificate: server auth");
    }
    must_have(usages, KeyUsage::ClientAuth, "usages did not match [client auth]")
}

/// Whether a request is one for a node's client certificate.
pub(super) fn node_client(asked: &CertificateRequest, usages: &[KeyUsage]) -> Result<(), &'static str> {
    is_node(asked)?;
    if !asked.dns_names.is_empty() {
        return Err("DNS subjectAltNames are not allowed");
    }
    if !asked.addresses.is_empty() {
        return Err("IP subjectAltNames are not allowed");
    }
    if asked.has_other_names {
        return Err("Email and URI subjectAltNames are not allowed");
    }
    let exactly = "usages did not match [digital signature client auth], optionally with key encipherment";
    if usages.contains(&KeyUsage::ServerAuth) {
        return Err(exactly);
    }
    must_have(usages, KeyUsage::DigitalSignature, exactly)?;
    must_have(usages, KeyUsage::ClientAuth, exactly)
}

fn node_serving(asked: &CertificateRequest, usages: &[KeyUsage]) -> Result<(), &'static str> {
    is_node(asked)?;
    if asked.dns_names.is_empty() && asked.addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required");
    }
    if asked.has_other_names {
        return Err("Email and URI subjectAltNames are not allowed");
    }
    let exactly = "usages did not match [digital signature server auth], optionally with key encipherment";
    if usages.contains(&KeyUsage::ClientAuth) {
        return Err(exactly);
    }
    must_have(usages, KeyUsage::DigitalSignature, exactly)?;
    must_have(usages, KeyUsage::ServerAuth, exactly)
}

fn is_node(asked: &CertificateRequest) -> Result<(), &'static str> {
    if asked.organizations != [NODES] {
        return Err("subject organization is not system:nodes");
    }
    match asked.common_name.starts_with(NODE_PREFIX) {
        true => Ok(()),
        false => Err("subject common name does not begin with system:node:"),
    }
}

fn must_have(usages: &[KeyUsage], usage: KeyUsage, why: &'static str) -> Result<(), &'static str> {
    if usages.contains(&usage) { Ok(()) } else { Err(why) }
}

/// The usages of a request, if they are among those that the cluster's signers know.
pub(super) fn usages(request: &CertificateSigningRequest) -> Option<Vec<KeyUsage>> {
    request.spec.usages.iter().map(|usage| usage_of(usage).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(common_name: &str, organizations: &[&str], dns_names: &[&str]) -> CertificateRequest {
        CertificateRequest {
            common_name: common_name.to_owned(),
            organizations: organizations.iter().map(|name| (*name).to_owned()).collect(),
            dns_names: dns_names.iter().map(|name| (*name).to_owned()).collect(),
            ..CertificateRequest::default()
        }
    }

    #[test]
    fn each_signer_signs_only_what_it_is_for() {
        use KeyUsage::{ClientAuth, DigitalSignature, KeyEncipherment, ServerAuth};
        let own = || asked("system:node:a", &[NODES], &[]);
        let serving = || asked("system:node:a", &[NODES], &["a"]);
        for (rule, asked, usages, signed) in [
            (client as Rule, asked("jane", &["dev"], &[]), vec![DigitalSignature, ClientAuth], true),
            (client, asked("jane", &["dev"], &[]), vec![DigitalSignature], false),
            (client, asked("jane", &["dev"], &[]), vec![ClientAuth, ServerAuth], false),
            (node_client, own(), vec![DigitalSignature, ClientAuth], true),
            (node_client, own(), vec![DigitalSignature, KeyEncipherment, ClientAuth], true),
            (node_client, own(), vec![DigitalSignature, ServerAuth], false),
            (node_client, serving(), vec![DigitalSignature, ClientAuth], false),
            (node_client, asked("jane", &[NODES], &[]), vec![DigitalSignature, ClientAuth], false),
            (
                node_client,
                asked("system:node:a", &[NODES, "x"], &[]),
                vec![DigitalSignature, ClientAuth],
                false,
            ),
            (node_serving, serving(), vec![DigitalSignature, ServerAuth], true),
            (node_serving, own(), vec![DigitalSignature, ServerAuth], false),
            (node_serving, serving(), vec![DigitalSignature, ServerAuth, ClientAuth], false),
        ] {
            assert_eq!(rule(&asked, &usages).is_ok(), signed, "{asked:?} {usages:?}");
        }
    }
}
