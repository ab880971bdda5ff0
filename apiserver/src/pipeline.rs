//! The way of every request, in the order in which it happens.
//!
//! limits → authenticate → authorize → audit → dispatch → registry verb → response. Requests from within the process
//! ([`LocalClient`](crate::local::LocalClient)) enter at [`serve`]; nothing bypasses authorization or audit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use futures::FutureExt as _;
use http::{Request, Response};
use orch_api::{Reason, Status, Verb};
use orch_transport::Peer;
use tracing::{error, info};

use crate::accept;
use crate::authn::{Identity, authenticate};
use crate::registry::{Answer, Call};
use crate::respond::{self, Wish, accepts_gzip};
use crate::server::Server;
use crate::table::Include;
use crate::{endpoints, incoming, stream};

/// How long a request may take that is not a watch or a stream: Kubernetes' limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Answers an HTTP request. Never fails: failures are answers, a panic is a 500.
pub(crate) async fn handle(server: Arc<Server>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let method = request.method().clone();
    let outcome = AssertUnwindSafe(answer(&server, request)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|panic| Err(panicked(&*panic)));
    let response = outcome.unwrap_or_else(|status| respond::status(&status));
    server.metrics.observe(&method, response.status(), started.elapsed());
    response
}

async fn answer(server: &Arc<Server>, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (parts, body) = request.into_parts();
    // Limits: headers and connections are bounded below, the body where it is read.
    let _slot = server.slots.try_acquire().map_err(|_| too_many_requests())?;
    let identity = authenticate(parts.extensions.get::<Peer>(), &parts.headers, &server.tokens)?;
    authorize_path(&identity, parts.uri.path())?;
    let segments = incoming::segments(parts.uri.path())?;
    let Some(target) = incoming::target(&segments) else {
        return endpoints::serve(server, &segments, &parts).await;
    };
    if endpoints::is_review(&target) {
        return endpoints::review(&identity, &target, &parts, body).await;
    }
    let request = incoming::request(&parts, target)?;
    let mut call = server.registry.call(identity, incoming::agent(&parts.headers), request).await?;
    if call.is_stream() {
        authorize(&call)?;
        audit_stream(&call);
        return stream::forward(server, &call, Request::from_parts(parts, body)).await;
    }
    let wish = Wish {
        view: accept::view(&parts.headers)?,
        include: Include::parse(&call.params().other)?,
        gzip: accepts_gzip(&parts.headers),
        clock: server.registry.clock.clone(),
    };
    call.request.body = incoming::body(&parts.headers, body).await?;
    let answer = serve(server, &call).await?;
    respond::answer(answer, &call.kind, wish, &server.stopping).await
}

/// Carries out a call by a known caller: what HTTP and local requests share.
pub(crate) async fn serve(server: &Server, call: &Call) -> Result<Answer, Status> {
    let started = Instant::now();
    authorize(call)?;
    let outcome = tokio::time::timeout(REQUEST_TIMEOUT, server.registry.serve(call));
    let outcome = AssertUnwindSafe(outcome).catch_unwind().await;
    let outcome = match outcome {
        Ok(in_time) => in_time.unwrap_or_else(|_| Err(timed_out())),
        Err(panic) => Err(panicked(&*panic)),
    };
    audit(call, &outcome, started.elapsed());
    outcome
}

/// Who may see which path at all: everyone the paths that say how the server is, known callers all others.
fn authorize_path(identity: &Identity, path: &str) -> Result<(), Status> {
    let public = ["/livez", "/readyz", "/healthz", "/version"];
    let path = path.trim_end_matches('/');
    let is_public = public
        .iter()
        .any(|known| path == *known || path.strip_prefix(known).is_some_and(|rest| rest.starts_with('/')));
    if identity.is_anonymous() && !is_public { Err(Status::unauthorized()) } else { Ok(()) }
}

/// Who may do what: every known caller everything, until there are roles.
fn authorize(call: &Call) -> Result<(), Status> {
    if call.identity.is_anonymous() { Err(Status::unauthorized()) } else { Ok(()) }
}

/// One line for every write: who did what to what, and how it went.
fn audit(call: &Call, outcome: &Result<Answer, Status>, took: Duration) {
    if matches!(call.verb(), Verb::Get | Verb::List | Verb::Watch) {
        return;
    }
    let code = match outcome {
        Ok(Answer::Object(written)) => written.code,
        Ok(Answer::Status(status)) | Err(status) => status.code,
        Ok(Answer::List(_) | Answer::Watch(_)) => 200,
    };
    info!(
        target: "audit",
        user = call.identity.user,
        verb = call.verb().as_str(),
        resource = %call.kind.kind().resource(),
        namespace = call.namespace(),
        name = call.name(),
        subresource = call.subresource(),
        manager = call.manager(),
        dry_run = call.params().dry_run,
        code,
        reason = outcome.as_ref().err().map(|status| status.message.as_str()),
        micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    );
}

fn audit_stream(call: &Call) {
    info!(
        target: "audit",
        user = call.identity.user,
        verb = call.verb().as_str(),
        resource = %call.kind.kind().resource(),
        namespace = call.namespace(),
        name = call.name(),
        subresource = call.subresource(),
    );
}

fn too_many_requests() -> Status {
    Status::failure(Reason::TooManyRequests, "too many requests, please try again later")
        .about(orch_api::StatusDetails { retry_after_seconds: Some(1), ..Default::default() })
}

fn timed_out() -> Status {
    let message = "Timeout: request did not complete within the allotted timeout";
    Status::failure(Reason::Timeout, message)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Status {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    error!(panic = text.unwrap_or("of an unknown type"), "a request panicked");
    Status::internal("the request failed unexpectedly; the server's log says more")
}
