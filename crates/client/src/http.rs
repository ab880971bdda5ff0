//! [`HttpClient`]: the [`Client`] seam over HTTP/2 and TLS, or over HTTP's requests and answers within the process.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use orch_api::{Body, Client, Reason, Request, Status, Target, Verb, WatchStream};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT, WARNING};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::ClientConfig;

use crate::{ConfigError, Connection, Credentials, sni, stream, unreachable};

/// Called with each warning that the server sends along with an answer.
pub type OnWarning = Arc<dyn Fn(&str) + Send + Sync>;

/// A server in the same process: answers requests as it would answer them over a connection.
pub type Local = Arc<
    dyn Fn(http::Request<reqwest::Body>) -> BoxFuture<'static, http::Response<reqwest::Body>> + Send + Sync,
>;

/// The form in which an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accept {
    /// Objects and lists as JSON.
    #[default]
    Json,
    /// `meta.k8s.io/v1` Tables as JSON where the server can make them.
    Table,
    /// Aggregated discovery where the server has it.
    Discovery,
    /// Any text: logs, metrics.
    Any,
}

impl Accept {
    /// The value of the `Accept` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Table => "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Self::Discovery => {
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
            }
            Self::Any => "*/*",
        }
    }
}

/// A server and who we are to it. Cheap to clone; all clones share one connection pool.
///
/// A request is sent once: what to do about a failure is the caller's decision, because a write may have happened.
#[derive(Clone)]
pub struct HttpClient {
    http: reqwest::Client,
    pub(crate) server: Arc<str>,
    /// The server's address in requests, whose host is the name that the server is asked for.
    base: Arc<str>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) way: Way,
    agent: Option<HeaderValue>,
    on_warning: OnWarning,
}

/// How a server is reached.
#[derive(Clone)]
pub(crate) enum Way {
    /// Over the network. WebSockets have a connection of their own, with this, to a server of this name, if it is not the one in
    /// its address.
    Network(Arc<ClientConfig>, Option<String>),
    /// Not at all: it is here.
    Local(Local),
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A dead server is noticed on an idle watch after so long and as long again.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
const AGENT: &str = concat!("orch/", env!("CARGO_PKG_VERSION"));
/// What a server in this process goes by.
const LOCAL: &str = "http://localhost";
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Enough for the largest page of a list to arrive without waiting for window updates.
const WINDOW_BYTES: u32 = 16 << 20;

impl HttpClient {
    /// Prepares to talk to a server. Connects at the first request. Warnings are logged; see
    /// [`HttpClient::on_warning`].
    ///
    /// # Errors
    /// The certificates and keys do not make a TLS client.
    pub fn new(connection: &Connection) -> Result<Self, ConfigError> {
        let failed = |problem: String| ConfigError::Tls { server: connection.server.clone(), problem };
        let http2 = connection.tls.client_config(&[b"h2", b"http/1.1"]).map_err(failed)?;
        let http1 = connection.tls.client_config(&[b"http/1.1"]).map_err(failed)?;
        let name = sni::other_name(connection);
        let (base, resolver) = sni::address(&connection.server, name.as_deref()).map_err(failed)?;
        let http = resolver
            .into_iter()
            .fold(reqwest::Client::builder(), |builder, resolver| builder.dns_resolver(resolver))
            .tls_backend_preconfigured(http2)
            .user_agent(AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_initial_stream_window_size(WINDOW_BYTES)
            .http2_initial_connection_window_size(WINDOW_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| failed(unreachable::root_cause(&error)))?;
        Ok(Self {
            http,
            server: connection.server.as_str().into(),
            base: base.into(),
            credentials: Arc::new(connection.credentials.clone()),
            way: Way::Network(Arc::new(http1), name),
            agent: None,
            on_warning: Arc::new(|warning| tracing::warn!("{warning}")),
        })
    }

    /// A client of a server in this process, which knows who is asking. Opens no connection and needs no credentials.
    ///
    /// # Errors
    /// If TLS, though it is not used, cannot be set up.
    pub fn local(server: Local) -> Result<Self, ConfigError> {
        Ok(Self {
            http: maker()?,
            server: LOCAL.into(),
            base: LOCAL.into(),
            credentials: Arc::new(Credentials::None),
            way: Way::Local(server),
            agent: Some(HeaderValue::from_static(AGENT)),
            on_warning: Arc::new(|warning| tracing::debug!("{warning}")),
        })
    }

    /// The same client under another name: its `User-Agent`, which is recorded with what it does. Characters that a header
    /// cannot have are left out.
    #[must_use]
    pub fn named(self, agent: &str) -> Self {
        let printable: String =
            agent.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(128).collect();
        Self { agent: HeaderValue::try_from(printable).ok(), ..self }
    }

    /// The name that it goes by.
    pub(crate) fn agent(&self) -> &str {
        self.agent.as_ref().and_then(|agent| agent.to_str().ok()).unwrap_or(AGENT)
    }

    /// The same client, handing warnings to `on_warning`.
    #[must_use]
    pub fn on_warning(self, on_warning: OnWarning) -> Self {
        Self { on_warning, ..self }
    }

    /// The server's address, without a trailing slash.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// As [`Client::send`], with the answer in the form that is wanted.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_as(&self, request: Request, accept: Accept) -> Result<Bytes, Status> {
        let response = self.answer(self.prepare(&request)?, accept).await?;
        self.whole(response).await
    }

    /// As [`Client::watch`], with the events' objects in the form that is wanted.
    ///
    /// # Errors
    /// As [`Client::watch`].
    pub async fn watch_as(&self, request: Request, accept: Accept) -> Result<WatchStream, Status> {
        let request = self.prepare(&request)?.query(&[("watch", "true")]);
        let response = self.answer(request, accept).await?;
        Ok(stream::events(response.bytes_stream(), self.server.clone()))
    }

    /// Reads a path that is not a resource, such as `/version` or `/openapi/v3`. May hold a query.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get_raw(&self, path: &str, accept: Accept) -> Result<Bytes, Status> {
        let response = self.answer(self.reading(path), accept).await?;
        self.whole(response).await
    }

    /// Reads an answer as it arrives, such as a log that is followed. Ends with an error if it is cut off.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn stream(
        &self,
        request: Request,
    ) -> Result<BoxStream<'static, Result<Bytes, Status>>, Status> {
        let response = self.answer(self.prepare(&request)?, Accept::Any).await?;
        let server = self.server.clone();
        Ok(response
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|error| unreachable::cut_off(&server, &error)))
            .boxed())
    }

    pub(crate) fn reading(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.base))
    }

    fn prepare(&self, request: &Request) -> Result<RequestBuilder, Status> {
        request.target.check()?;
        let url = format!("{}{}", self.base, request.target);
        let prepared = self.http.request(method(request.verb), url).query(&request.params.pairs());
        Ok(match &request.body {
            Some(Body { media_type, bytes }) => {
                prepared.header(CONTENT_TYPE, media_type.as_str()).body(bytes.clone())
            }
            None => prepared,
        })
    }

    /// The address of what a target names; 400 if no address can name it.
    pub(crate) fn url(&self, target: &Target) -> Result<String, Status> {
        target.check()?;
        Ok(format!("{}{target}", self.server))
    }

    /// Sends, and answers with a response whose code says success.
    pub(crate) async fn answer(&self, request: RequestBuilder, accept: Accept) -> Result<Response, Status> {
        let mut request = request.header(ACCEPT, accept.as_str());
        if let Some(authorization) = self.authorization().await? {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(agent) = &self.agent {
            request = request.header(USER_AGENT, agent);
        }
        let response =
            self.carry(request).await.map_err(|error| unreachable::status(&self.server, &error))?;
        for warning in response.headers().get_all(WARNING).iter().filter_map(warning_text) {
            (self.on_warning)(&warning);
        }
        // What has not been modified was asked for only if it has been.
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let body = self.whole(response).await?;
        Err(failure(code, &body))
    }

    async fn carry(&self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        match &self.way {
            Way::Network(..) => request.send().await,
            Way::Local(server) => Ok(server(request.build()?.try_into()?).await.into()),
        }
    }

    pub(crate) async fn authorization(&self) -> Result<Option<HeaderValue>, Status> {
        let token = match &*self.credentials {
            Credentials::None => return Ok(None),
            Credentials::Token(token) => token.clone(),
            Credentials::TokenFile(file) => tokio::fs::read_to_string(file).await.map_err(|error| {
                Status::failure(
                    Reason::Unauthorized,
                    format!("cannot read the token file {}: {error}", file.display()),
                )
            })?,
        };
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| {
            Status::failure(Reason::Unauthorized, "the token holds characters that no token has")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    pub(crate) async fn whole(&self, response: Response) -> Result<Bytes, Status> {
        response.bytes().await.map_err(|error| unreachable::cut_off(&self.server, &error))
    }
}

#[async_trait]
impl Client for HttpClient {
    async fn send(&self, request: Request) -> Result<Bytes, Status> {
        self.send_as(request, Accept::Json).await
    }

    async fn watch(&self, request: Request) -> Result<WatchStream, Status> {
        self.watch_as(request, Accept::Json).await
    }
}

/// What makes the requests to a server in this process; it sends none.
fn maker() -> Result<reqwest::Client, ConfigError> {
    static MAKER: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(maker) = MAKER.get() {
        return Ok(maker.clone());
    }
    let failed = |problem: String| ConfigError::Tls { server: LOCAL.into(), problem };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|error| failed(error.to_string()))?;
    let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let made = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build();
    let made = made.map_err(|error| failed(unreachable::root_cause(&error)))?;
    Ok(MAKER.get_or_init(|| made).clone())
}

fn method(verb: Verb) -> Method {
    match verb {
        Verb::Get | Verb::List | Verb::Watch => Method::GET,
        Verb::Create => Method::POST,
        Verb::Update => Method::PUT,
        Verb::Patch => Method::PATCH,
        Verb::Delete | Verb::DeleteCollection => Method::DELETE,
    }
}

/// The text of `299 - "text"`; other codes are about caches.
fn warning_text(header: &HeaderValue) -> Option<String> {
    let rest = header.to_str().ok()?.strip_prefix("299 ")?;
    let (_, quoted) = rest.split_once(' ')?;
    let text = quoted.trim().strip_prefix('"')?;
    let end = text.rfind('"')?;
    Some(text[..end].replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// The [`Status`] of an answer that is not a success: its body, or one made of the code where the body is something
/// else, as from a proxy.
pub(crate) fn failure(code: u16, body: &[u8]) -> Status {
    if let Ok(mut status) = serde_json::from_slice::<Status>(body)
        && status.status == "Failure"
    {
        status.code = if status.code == 0 { code } else { status.code };
        return status;
    }
    let text = String::from_utf8_lossy(body);
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let name = StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason()).unwrap_or("");
    let detail: String = first.chars().take(200).collect();
    let message =
        format!("the server answered {code} {name}{}{detail}", if detail.is_empty() { "" } else { ": " });
    let mut status = Status::failure(reason(code), message);
    status.code = code;
    status
}

fn reason(code: u16) -> Reason {
    match code {
        400 => Reason::BadRequest,
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        405 => Reason::MethodNotAllowed,
        406 => Reason::NotAcceptable,
        409 => Reason::Conflict,
        410 => Reason::Gone,
        413 => Reason::RequestEntityTooLarge,
        415 => Reason::UnsupportedMediaType,
        422 => Reason::Invalid,
        429 => Reason::TooManyRequests,
        502 | 503 => Reason::ServiceUnavailable,
        504 => Reason::Timeout,
        _ => Reason::InternalError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_sent_about_a_name_that_leads_elsewhere() {
        let asked = |_: http::Request<reqwest::Body>| -> BoxFuture<'static, http::Response<reqwest::Body>> {
            panic!("a request was sent")
        };
        let client = HttpClient::local(Arc::new(asked)).unwrap();
        const PODS: orch_api::Kind = orch_api::Kind::namespaced("", "v1", "Pod", "pods", "pod");
        for name in ["", ".", "..", "a/b", "%2E"] {
            let target = Target::in_namespace(&PODS, "default").named(name);
            let request =
                Request { verb: Verb::Delete, target, params: orch_api::Params::default(), body: None };
            assert!(client.send(request).await.unwrap_err().is(&Reason::BadRequest), "{name:?}");
        }
    }

    #[test]
    fn a_status_body_is_the_error() {
        let body = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"pods"},"code":404}"#;
        let status = failure(404, body);
        assert!(status.is(&Reason::NotFound));
        assert_eq!(status.message, "pods \"a\" not found");
        assert_eq!(status.details.unwrap().name, "a");
    }

    #[test]
    fn any_other_body_is_quoted_in_one_line() {
        let status = failure(502, b"\n<html>Bad gateway</html>\nmore");
        assert_eq!((status.code, status.is(&Reason::ServiceUnavailable)), (502, true));
        assert_eq!(status.message, "the server answered 502 Bad Gateway: <html>Bad gateway</html>");
        assert_eq!(failure(404, b"").message, "the server answered 404 Not Found");
        assert_eq!(
            failure(400, br#"{"kind":"Pod"}"#).message,
            r#"the server answered 400 Bad Request: {"kind":"Pod"}"#
        );
    }

    #[test]
    fn only_code_299_is_a_warning_for_people() {
        let text = |header: &'static str| warning_text(&HeaderValue::from_static(header));
        assert_eq!(text(r#"299 - "unknown field \"spec.x\"""#).as_deref(), Some(r#"unknown field "spec.x""#));
        assert_eq!(text(r#"110 - "stale""#), None);
        assert_eq!(text("299 -"), None);
    }
}
