//! [`Door`]: the protocol over HTTP, for callers who have been found out already.
//!
//! Both ways of the protocol's revisions are served: 2026-07-28, where each request stands for itself, and those before
//! it, where a client begins a session. A session belongs to whoever began it: its id is sealed with their name.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use ring::hmac;
use rmcp::ServerHandler;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use crate::sessions::{Crowded, Sessions, visited};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The largest request: that of the API.
const MOST_BYTES: usize = 3 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Who is let in, beyond what authentication and roles say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoorOptions {
    /// The names and addresses that requests may be sent to, beside those of this machine to itself: a page that a browser
    /// shows under another name is none of ours.
    pub hosts: Vec<String>,
    /// The origins that pages may come from; a request of a browser from another is refused. Programs send none.
    pub origins: Vec<String>,
}

/// The body of answers.
pub type DoorBody = BoxBody<Bytes, std::convert::Infallible>;

/// Serves a handler of the protocol over HTTP.
pub struct Door<S> {
    service: StreamableHttpService<S, Sessions>,
    /// Seals the ids of sessions. Nobody outside of this process needs it.
    key: hmac::Key,
}

impl<S: ServerHandler + Send + 'static> Door<S> {
    /// A door to what `handler` makes: one for each session, or for each request that has none. Ends its streams when
    /// `stop` is cancelled.
    ///
    /// # Errors
    /// If the machine has no random numbers.
    pub fn new(
        handler: impl Fn() -> S + Send + Sync + 'static,
        options: &DoorOptions,
        stop: CancellationToken,
    ) -> Result<Self, std::io::Error> {
        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let config = StreamableHttpServerConfig::default()
            .with_allowed_hosts(loopback.into_iter().chain(options.hosts.iter().cloned()))
            .with_allowed_origins(options.origins.iter().cloned())
            .enforce_origin_validation()
            .with_max_request_body_bytes(MOST_BYTES)
            .with_sse_keep_alive(Some(KEEP_ALIVE))
            .with_json_response(true)
            .with_cancellation_token(stop);
        let service = StreamableHttpService::new(move || Ok(handler()), Arc::default(), config);
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new());
        let key = key.map_err(|_| std::io::Error::other("no random numbers"))?;
        Ok(Self { service, key })
    }

    /// Answers a request of a caller. What is in its extensions reaches the handler.
    pub async fn serve<B>(&self, caller: &str, mut request: Request<B>) -> Response<DoorBody>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Display,
    {
        match request.headers().get(SESSION).map(|sealed| self.open(caller, sealed)) {
            Some(Some(id)) => drop(request.headers_mut().insert(SESSION, id)),
            // Somebody else's session is no session, as one that has ended.
            Some(None) => return refused(StatusCode::NOT_FOUND, "Not Found: Session not found"),
            None => {}
        }
        let mut response = match visited(caller, self.service.handle(request)).await {
            Ok(response) => response,
            Err(crowded) => return crowded_out(crowded),
        };
        if let Some(id) = response.headers().get(SESSION)
            && let Some(sealed) = self.seal(caller, id)
        {
            response.headers_mut().insert(SESSION, sealed);
        }
        response
    }

    fn seal(&self, caller: &str, id: &HeaderValue) -> Option<HeaderValue> {
        let id = id.to_str().ok()?;
        HeaderValue::try_from(format!("{id}.{}", hex(hmac::sign(&self.key, &sealed(caller, id)).as_ref())))
            .ok()
    }

    fn open(&self, caller: &str, sealed_id: &HeaderValue) -> Option<HeaderValue> {
        let (id, seal) = sealed_id.to_str().ok()?.rsplit_once('.')?;
        let seal = unhex(seal)?;
        hmac::verify(&self.key, &sealed(caller, id), &seal).ok()?;
        HeaderValue::from_str(id).ok()
    }
}

fn sealed(caller: &str, id: &str) -> Vec<u8> {
    [id.as_bytes(), b"\0", caller.as_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

fn crowded_out(crowded: Crowded) -> Response<DoorBody> {
    let mut answer = match crowded {
        Crowded::All => refused(StatusCode::SERVICE_UNAVAILABLE, "too many sessions; try again"),
        Crowded::Caller => refused(
            StatusCode::TOO_MANY_REQUESTS,
            "you have too many sessions: end one (DELETE), or try again",
        ),
    };
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    answer
}

fn refused(code: StatusCode, why: &'static str) -> Response<DoorBody> {
    let mut response = Response::new(Full::new(Bytes::from_static(why.as_bytes())).boxed());
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData};
    use rmcp::service::{RequestContext, RoleServer};
    use serde_json::{Value, json};
    use tokio::sync::Semaphore;

    use super::*;

    /// Ends calls when it is let.
    struct Slow(Arc<Semaphore>);

    impl ServerHandler for Slow {
        async fn call_tool(
            &self,
            _: CallToolRequestParams,
            context: RequestContext<RoleServer>,
        ) -> Result<CallToolResponse, ErrorData> {
            self.0.acquire().await.unwrap().forget();
            drop(context);
            Ok(CallToolResult::success(Vec::new()).into())
        }
    }

    struct Silent;

    impl ServerHandler for Silent {}

    fn begin(revision: &str) -> Request<Full<Bytes>> {
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
        said(revision, &hello)
    }

    fn said(revision: &str, message: &Value) -> Request<Full<Bytes>> {
        Request::post("http://localhost/mcp")
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::CONTENT_TYPE, "application/json")
            .header("mcp-protocol-version", revision)
            .body(Full::new(Bytes::from(message.to_string())))
            .unwrap()
    }

    #[tokio::test]
    async fn a_call_in_a_session_keeps_its_request_until_it_has_ended() {
        let (gate, revision) = (Arc::new(Semaphore::new(0)), "2025-11-25");
        let opens = gate.clone();
        let door = Door::new(move || Slow(opens.clone()), &DoorOptions::default(), CancellationToken::new())
            .unwrap();
        let session = door.serve("ann", begin(revision)).await.headers()[SESSION].clone();
        let visit = Arc::new(());
        let send = async |message: Value| {
            let mut request = said(revision, &message);
            request.headers_mut().insert(SESSION, session.clone());
            request.extensions_mut().insert(visit.clone());
            door.serve("ann", request).await
        };
        let are_kept = async |many: usize| {
            let kept = async {
                while Arc::strong_count(&visit) != many + 1 {
                    tokio::task::yield_now().await;
                }
            };
            let in_time = tokio::time::timeout(Duration::from_secs(20), kept).await;
            in_time
                .unwrap_or_else(|_| panic!("{} are kept rather than {many}", Arc::strong_count(&visit) - 1));
        };
        send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        are_kept(0).await;
        for id in 1..=3 {
            let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "wait", "arguments": {}}});
            // Whoever asked goes away at once.
            let answer = send(call).await;
            assert_eq!(answer.status(), StatusCode::OK);
            drop(answer);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            are_kept(id).await;
        }
        gate.add_permits(1);
        are_kept(2).await;
        gate.add_permits(2);
        are_kept(0).await;
    }

    #[tokio::test]
    async fn a_caller_has_so_many_sessions_whatever_revision_they_say_that_they_speak() {
        let door = Door::new(|| Silent, &DoorOptions::default(), CancellationToken::new()).unwrap();
        for (number, revision) in ["2025-11-25", "2026-07-28"].into_iter().cycle().take(100).enumerate() {
            let answer = door.serve("ann", begin(revision)).await;
            assert_eq!(
                (answer.status(), answer.headers().contains_key(SESSION)),
                (StatusCode::OK, true),
                "{number}"
            );
        }
        for revision in ["2025-11-25", "2026-07-28"] {
            let refused = door.serve("ann", begin(revision)).await;
            assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{revision}");
            assert!(refused.headers().contains_key(header::RETRY_AFTER));
        }
        assert_eq!(door.serve("bob", begin("2025-11-25")).await.status(), StatusCode::OK);
    }
}
