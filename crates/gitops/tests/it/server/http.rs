//! `git http-backend` behind HTTP and HTTPS.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, DnType, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::process::Task;
use crate::repository::git;

/// Who signs certificates, for whoever trusts it.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate in PEM.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap()
    }
}

/// What is asked of callers, and what was.
struct Site {
    root: PathBuf,
    /// The `Authorization` that opens it; it asks for none if there is none.
    authorization: Option<String>,
    /// Where all is redirected to, if it is.
    moved: Option<String>,
    seen: Mutex<Vec<Seen>>,
}

/// A request, as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) authorization: Option<String>,
}

pub(crate) struct HttpServer {
    pub(crate) port: u16,
    scheme: &'static str,
    site: Arc<Site>,
    _task: Task,
}

impl HttpServer {
    pub(crate) async fn start(root: &Path) -> Self {
        Self::build(root, None, None, None).await
    }

    pub(crate) async fn with_authorization(root: &Path, authorization: &str) -> Self {
        Self::build(root, Some(authorization.to_owned()), None, None).await
    }

    pub(crate) async fn redirecting(to: &str) -> Self {
        Self::build(Path::new("/nonexistent"), None, Some(to.to_owned()), None).await
    }

    /// With a certificate for a name.
    pub(crate) async fn with_tls(root: &Path, authority: &Authority, name: &str) -> Self {
        Self::build(root, None, None, Some(authority.server(name))).await
    }

    async fn build(
        root: &Path,
        authorization: Option<String>,
        moved: Option<String>,
        tls: Option<ServerConfig>,
    ) -> Self {
        let site = Site { root: root.to_owned(), authorization, moved, seen: Mutex::default() };
        let site = Arc::new(site);
        let app = Router::new().fallback(serve).with_state(site.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let task = match tls {
            None => Task::spawn(async move { axum::serve(listener, app).await.unwrap() }),
            Some(config) => Task::spawn(serve_tls(listener, TlsAcceptor::from(Arc::new(config)), app)),
        };
        Self { port, scheme, site, _task: task }
    }

    pub(crate) fn url(&self, host: &str) -> String {
        format!("{}://{host}:{}/repository", self.scheme, self.port)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.site.seen.lock().unwrap().clone()
    }
}

async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor, app: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            // Who does not like the certificate hangs up.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let connection = auto::Builder::new(TokioExecutor::new());
            drop(connection.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await);
        });
    }
}

async fn serve(
    State(site): State<Arc<Site>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let authorization = text(header::AUTHORIZATION);
    site.seen.lock().unwrap().push(Seen { method: method.to_string(), authorization: authorization.clone() });
    let response = Response::builder();
    if let Some(to) = &site.moved {
        let to = format!("{to}{}", uri.path_and_query().unwrap());
        return response.status(StatusCode::FOUND).header(header::LOCATION, to).body(Body::empty()).unwrap();
    }
    if site.authorization.is_some() && site.authorization != authorization {
        let response = response.status(StatusCode::UNAUTHORIZED);
        return response.header(header::WWW_AUTHENTICATE, "Basic realm=\"git\"").body(Body::empty()).unwrap();
    }
    let content_type = text(header::CONTENT_TYPE).unwrap_or_default();
    backend(&site.root, &method, &uri, &content_type, &body).await
}

/// Has a request answered by git, through CGI.
async fn backend(root: &Path, method: &Method, uri: &Uri, content_type: &str, body: &[u8]) -> Response<Body> {
    let mut command = tokio::process::Command::from(git(root));
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", content_type)
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).await.unwrap();
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            name => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}
