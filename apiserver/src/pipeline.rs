//! The way of every request, in the order in which it happens.
//!
//! limits → authenticate → authorize → audit → wait for a seat → dispatch → registry verb → response. Requests from within the process
//! ([`LocalClient`](crate::local::LocalClient)) enter at [`serve`]; nothing bypasses authorization or audit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use futures::{FutureExt as _, StreamExt as _};
use http::request::Parts;
use http::{HeaderMap, Request, Response, header};
use orch_api::{Attributes, Concern, Reason, Status, Verb};
use orch_transport::Peer;
use tokio::sync::SemaphorePermit;
use tracing::error;

use crate::accept::{self, Format};
use crate::audit::Record;
use crate::authn::{Identity, authenticate, impersonate};
use crate::fairness::too_many_requests;
use crate::mount::{Caller, Mount, Visit};
use crate::policies::Notices;
use crate::registry::{Answer, Call, Via};
use crate::respond::{self, Wish, accepts_gzip};
use crate::server::Server;
use crate::table::Include;
use crate::{endpoints, incoming, references, socket, stream, unread};

/// How long a request may take that is not a watch or a stream: Kubernetes' limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Answers an HTTP request. Never fails: failures are answers, a panic is a 500.
pub(crate) async fn handle(server: Arc<Server>, request: Request<Body>) -> Response<Body> {
    answered(server, None, request).await
}

/// Answers a request from within the process by a caller who is known, and who may act as another.
pub(crate) async fn handle_as(
    server: Arc<Server>,
    caller: (Identity, Option<Identity>),
    request: Request<Body>,
) -> Response<Body> {
    answered(server, Some(caller), request).await
}

async fn answered(
    server: Arc<Server>,
    caller: Option<(Identity, Option<Identity>)>,
    request: Request<Body>,
) -> Response<Body> {
    let started = Instant::now();
    let method = request.method().clone();
    let format = Format::of(request.headers(), request.uri().query());
    let notices = Arc::new(Notices::default());
    let request = request.map(unread::finish);
    let outcome = AssertUnwindSafe(answer(&server, caller, request, &notices)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|panic| Err(panicked(&*panic)));
    let mut response = outcome.unwrap_or_else(|status| respond::status(&status, format));
    notices.write(response.headers_mut());
    server.metrics.observe(&method, response.status(), started.elapsed());
    response
}

async fn answer(
    server: &Arc<Server>,
    known: Option<(Identity, Option<Identity>)>,
    request: Request<Body>,
    notices: &Arc<Notices>,
) -> Result<Response<Body>, Status> {
    let (mut parts, body) = request.into_parts();
    // Limits: headers and connections are bounded below, the body where it is read.
    let slot = server.slots.try_acquire().map_err(|_| too_many_requests())?;
    if let Some((mount, identity)) = server.open_mount(parts.uri.path()) {
        return welcome(server, mount, identity, Request::from_parts(parts, body)).await;
    }
    let (identity, impersonator) = match known {
        Some(known) => known,
        None => caller(server, &mut parts).await?,
    };
    let segments = incoming::segments(parts.uri.path())?;
    let Some(target) = incoming::target(&segments) else {
        // What is decided upon is what is served: the path as it has been read.
        let path = format!("/{}", segments.join("/"));
        server.registry.gate.check_path(&identity, incoming::path_verb(&parts.method), &path).await?;
        if let Some(mount) = server.mount(&path) {
            let visitor = (identity, impersonator);
            return visit(server, mount, visitor, slot, Request::from_parts(parts, body)).await;
        }
        let _seat = match endpoints::is_health(&segments) {
            true => None,
            false => Some(server.fairness.seat(&identity).await?),
        };
        return endpoints::serve(server, &segments, &parts).await;
    };
    if identity.is_anonymous() {
        return Err(Status::unauthorized());
    }
    let request = incoming::request(&parts, target)?;
    let via = Via {
        agent: incoming::agent(&parts.headers),
        impersonator: impersonator.as_ref().map(|caller| caller.user.clone()),
        plan: None,
    };
    let origin = || incoming::origin(&parts, impersonator);
    let mut record = server.record(&identity, &request, origin);
    let outcome = if endpoints::is_review(&request.target) {
        endpoints::review(server, &identity, request, &parts, body).await
    } else {
        let received = Request::from_parts(parts, body);
        dispatch(server, (identity, via), request, received, (notices, &mut record)).await
    };
    if let Some(mut record) = record {
        record.annotate(notices.annotations());
        let code =
            outcome.as_ref().map_or_else(|status| status.http_code(), |answer| answer.status().as_u16());
        record.end(code, outcome.as_ref().err(), server.registry.clock.now());
    }
    outcome
}

/// Who sent a request, and who acts as them if that is somebody else.
async fn caller(server: &Server, parts: &mut Parts) -> Result<(Identity, Option<Identity>), Status> {
    let caller = authenticate(server, parts.extensions.get::<Peer>(), &parts.headers).await?;
    match impersonate(&server.registry.gate, &caller, &mut parts.headers).await? {
        Some(identity) => Ok((identity, Some(caller))),
        None => Ok((caller, None)),
    }
}

/// Hands a request to a mount that strangers may come to, with its whole body. However they are answered, no more of them are
/// waited for at a time than there are seats for callers without credentials.
async fn welcome(
    server: &Arc<Server>,
    mount: &Mount,
    identity: &Identity,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let _seat = server.fairness.seat(&Identity::anonymous()).await?;
    let (parts, body) = request.into_parts();
    let bytes = incoming::strangers_body(&parts.headers, body, &*server.registry.clock).await?;
    let caller = (identity.clone(), None);
    let caller = Caller::new(server.clone(), caller, parts.extensions.get::<Peer>().cloned());
    Ok((mount.serve)(caller, Request::from_parts(parts, Body::from(bytes))).await)
}

/// Hands a request to a mount, with its whole body. It takes no seat: what the mount asks of the API does. The mount may take its
/// time, and so may the body: whoever sends many such requests waits for their own, and keeps nothing that others need. That it works
/// on one is over once that is answered and it keeps nothing of it. What is kept open then is counted as streams are.
async fn visit(
    server: &Arc<Server>,
    mount: &Mount,
    caller: (Identity, Option<Identity>),
    slot: SemaphorePermit<'_>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let visit = Visit::new(server.fairness.visit(&caller.0)?);
    let open = server.fairness.long_running(&caller.0)?;
    drop(slot);
    let (parts, body) = request.into_parts();
    let bytes = incoming::known_body(&parts.headers, body, &*server.registry.clock).await?;
    let caller = Caller::new(server.clone(), caller, parts.extensions.get::<Peer>().cloned());
    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(visit.clone());
    let response = (mount.serve)(caller, request).await;
    drop(visit);
    Ok(response.map(|body| {
        let ends = server.stopping.clone().cancelled_owned();
        let stream = body.into_data_stream().take_until(ends);
        Body::from_stream(stream.map(move |chunk| {
            let _open = &open;
            chunk
        }))
    }))
}

/// Answers a request that is about objects.
async fn dispatch(
    server: &Arc<Server>,
    (identity, via): (Identity, Via),
    request: orch_api::Request,
    received: Request<Body>,
    (notices, record): (&Arc<Notices>, &mut Option<Record>),
) -> Result<Response<Body>, Status> {
    let mut call = authorized(server, identity, via, request).await?;
    call.notices = notices.clone();
    if let Some(warning) = call.kind.entry.custom.as_ref().and_then(|custom| custom.warning.as_deref()) {
        notices.warn([warning.to_owned()]);
    }
    if call.is_stream() {
        authorize_upgrade(server, &call, received.headers()).await?;
        know_the_world(server, &call).await?;
        call.policies.connect(&call)?;
        return stream::forward(server, &call, received).await;
    }
    let (mut parts, body) = received.into_parts();
    let wish = Wish {
        view: accept::view(&parts.headers)?,
        format: Format::of(&parts.headers, parts.uri.query()),
        include: Include::parse(&call.params().other)?,
        gzip: accepts_gzip(&parts.headers),
        clock: server.registry.clock.clone(),
    };
    if call.verb() == Verb::Watch && wish.format == Format::Yaml {
        return Err(accept::not_streamed());
    }
    let socket = match call.verb() {
        Verb::Watch => socket::upgrade(&mut parts).await?,
        _ => None,
    };
    call.request.body = body_of(server, &call.identity, call.verb(), &parts.headers, body).await?;
    // A body that comes slowly keeps no seat. The seat is kept until the answer is ready to be sent.
    let _seat = server.fairness.seat(&call.identity).await?;
    let mut answer = match (serve(server, &call, record).await?, socket) {
        (Answer::Watch(mut watch), socket) => {
            watch.leave = Some(server.fairness.long_running(&call.identity)?);
            match socket {
                Some(upgrade) => return Ok(socket::watch(upgrade, watch, wish, &server.stopping)),
                None => Answer::Watch(watch),
            }
        }
        (answer, _) => answer,
    };
    references::warn(&server.registry, &call, &mut answer).await?;
    if let Answer::Object(written) = &mut answer {
        notices.warn(std::mem::take(&mut written.warnings));
    }
    respond::answer(answer, &call.kind, wish, &server.stopping).await
}

/// The body of a request by a known caller, of whom no more are waited for at a time than are allowed.
///
/// # Errors
/// As of [`incoming::body`]; 429 if too many of the caller's are on their way.
pub(crate) async fn body_of(
    server: &Server,
    identity: &Identity,
    verb: Verb,
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<orch_api::Body>, Status> {
    let _leave = (!body.is_end_stream()).then(|| server.fairness.body(identity)).transpose()?;
    incoming::body(verb, headers, body, &*server.registry.clock).await
}

/// Carries out a call by a known caller: what HTTP and local requests share.
pub(crate) async fn serve(
    server: &Server,
    call: &Call,
    record: &mut Option<Record>,
) -> Result<Answer, Status> {
    if let Some(record) = record {
        record.request_body(call.request.body.as_ref());
    }
    if call.is_write() {
        know_the_world(server, call).await?;
    }
    let outcome = in_time(server.registry.serve(call)).await;
    if let (Some(record), Ok(Answer::Object(written))) = (record, &outcome) {
        record.answered(&written.bytes);
    }
    if outcome.is_ok() && call.is_write() {
        server.registry.gate.written(call.kind.kind()).await?;
    }
    outcome
}

/// What comes of a request in the time that it may take. A panic is a failure of this request and of nothing else.
///
/// # Errors
/// Those of the work; 504 if it takes longer, 500 if it panics.
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let outcome = tokio::time::timeout(REQUEST_TIMEOUT, work);
    match AssertUnwindSafe(outcome).catch_unwind().await {
        Ok(in_time) => in_time.unwrap_or_else(|_| Err(timed_out())),
        Err(panic) => Err(panicked(&*panic)),
    }
}

/// Where policies look at more than the request, they see at least what was stored when it came.
async fn know_the_world(server: &Server, call: &Call) -> Result<(), Status> {
    match call.policies.concern(call.kind.kind()) {
        Concern::World => server.registry.cache.catch_up().await,
        Concern::Nothing | Concern::Request => Ok(()),
    }
}

/// The call that a request makes, if its caller may make it. Who may not is not told whether there is what was asked for.
///
/// # Errors
/// 403; and what [`Registry::call`](crate::registry::Registry::call) says.
pub(crate) async fn authorized(
    server: &Server,
    identity: Identity,
    via: Via,
    request: orch_api::Request,
) -> Result<Call, Status> {
    if identity.is_anonymous() {
        return Err(Status::unauthorized());
    }
    server.registry.authorized(identity, via, request).await
}

/// A stream that goes both ways does more than read, though browsers can only begin it with a `GET`.
async fn authorize_upgrade(server: &Server, call: &Call, headers: &HeaderMap) -> Result<(), Status> {
    if call.verb() != Verb::Get || !headers.contains_key(header::UPGRADE) {
        return Ok(());
    }
    let (target, create) = (&call.request.target, Verb::Create.as_str());
    server.registry.gate.check(&Attributes::on(call.identity.subject(), create, target, &call.request)).await
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
