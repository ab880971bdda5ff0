//! HTTP servers on loopback, with and without TLS, and an authority that issues their certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use orch_client::{Connection, Credentials, HttpClient, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The common name in the client's certificate.
#[derive(Debug, Clone)]
pub(crate) struct Peer(pub(crate) Option<String>);

/// The name that the client has asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked(pub(crate) Option<String>);

pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn plain(router: Router) -> Self {
        Self::start("http", router, None).await
    }

    pub(crate) async fn tls(router: Router, authority: &Authority) -> Self {
        Self::start("https", router, Some(authority.acceptor())).await
    }

    async fn start(scheme: &'static str, router: Router, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, tls.clone(), router.clone()));
            }
        });
        Self { address, scheme, task }
    }

    /// A client of this server, whose connection `change` may change before.
    pub(crate) fn client(&self, change: impl FnOnce(&mut Connection)) -> HttpClient {
        let mut connection = Connection {
            server: format!("{}://{}", self.scheme, self.address),
            tls: TlsSettings { authority: Some(Authority::new().pem()), ..TlsSettings::default() },
            credentials: Credentials::None,
            namespace: "default".into(),
        };
        change(&mut connection);
        HttpClient::new(&connection).unwrap()
    }

    /// Closes the port.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        self.address
    }
}

async fn serve(tcp: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    let Some(acceptor) = tls else {
        let service = TowerToHyperService::new(router);
        Builder::new(TokioExecutor::new())
            .serve_connection_with_upgrades(TokioIo::new(tcp), service)
            .await
            .ok();
        return;
    };
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let peer = stream.get_ref().1.peer_certificates().map(|chain| common_name(&chain[0]));
    let asked = stream.get_ref().1.server_name().map(str::to_owned);
    let router = router.layer(axum::Extension(Asked(asked)));
    let service = TowerToHyperService::new(router.layer(axum::Extension(Peer(peer))));
    Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await
        .ok();
}

/// The name is the only UTF-8 string that `Authority::issue` puts into a subject.
fn common_name(certificate: &CertificateDer<'_>) -> String {
    let oid = [0x55, 0x04, 0x03];
    let after = certificate.windows(3).rposition(|window| window == oid).unwrap() + 3;
    let length = usize::from(certificate[after + 1]);
    String::from_utf8(certificate[after + 2..after + 2 + length].to_vec()).unwrap()
}

/// A name in every certificate.
pub(crate) const NAME: &str = "orch.example";

pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.pem().into_bytes()
    }

    /// A certificate and its key.
    pub(crate) fn issue(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut params = CertificateParams::new(["127.0.0.1", NAME].map(str::to_owned)).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let (certificate, key) = self.issue("server");
        let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<_, _>>().unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(&key).unwrap())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}
