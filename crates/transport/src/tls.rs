//! rustls configurations. The cryptography is always ring's, whatever the process has installed.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Credentials, TransportError};

/// A server that shows `credentials` and verifies client certificates, where offered, against `authority_pem`.
/// Speaks HTTP/2 and HTTP/1.1.
///
/// # Errors
/// If a PEM is malformed, or key and certificate do not belong together.
pub fn server_config(
    credentials: &Credentials,
    authority_pem: &str,
) -> Result<Arc<ServerConfig>, TransportError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority_pem)?), provider())
        .allow_unauthenticated()
        .build()
        .map_err(|e| TransportError::certificate("the authority", e))?;
    let (chain, key) = parse(credentials)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| TransportError::certificate("the TLS configuration", e))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|e| TransportError::certificate("the server certificate", e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A client that trusts `authority_pem` only and shows `credentials` if given. No application protocol is set: whoever
/// speaks HTTP/2 adds it.
///
/// # Errors
/// As [`server_config`].
pub fn client_config(
    authority_pem: &str,
    credentials: Option<&Credentials>,
) -> Result<ClientConfig, TransportError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| TransportError::certificate("the TLS configuration", e))?
        .with_root_certificates(roots(authority_pem)?);
    let Some(credentials) = credentials else { return Ok(builder.with_no_client_auth()) };
    let (chain, key) = parse(credentials)?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| TransportError::certificate("the client certificate", e))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(authority_pem: &str) -> Result<RootCertStore, TransportError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(authority_pem, "the authority")? {
        roots.add(certificate).map_err(|e| TransportError::certificate("the authority", e))?;
    }
    Ok(roots)
}

fn chain(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    certificates.map_err(|e| TransportError::certificate(what, e))
}

type Parsed = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn parse(credentials: &Credentials) -> Result<Parsed, TransportError> {
    let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.as_bytes())
        .map_err(|e| TransportError::certificate("the private key", e))?;
    Ok((chain(&credentials.certificate_pem, "the certificate")?, key))
}
