//! From an HTTP request to a call on the API.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use orch_api::{Body, Clock, MediaType, Params, Reason, Request, Status, Target, Verb};
use orch_transport::Peer;

use crate::audit::Origin;
use crate::authn::Identity;
use crate::mount::{MAX_STRANGERS_BODY_BYTES, STRANGERS_BODY_TIMEOUT};

/// The largest request body: Kubernetes' limit.
pub(crate) const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest program name taken from a `User-Agent`: that of a field manager.
const MAX_AGENT_BYTES: usize = 128;

/// The path, percent-decoded segment by segment.
pub(crate) fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, Status> {
    let bad = |_| Status::bad_request("the path is not valid UTF-8");
    path.split('/')
        .skip(1)
        .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8().map_err(bad))
        .collect()
}

/// What a request on a path that is not about objects does, as rules name it.
pub(crate) fn path_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "options",
    }
}

/// The resource that a path is about, if it is about one; and whether the path itself asks to watch it, which Kubernetes
/// has had no need of since 1.2 and still serves: `/api/v1/watch/pods` is `/api/v1/pods?watch=true`.
pub(crate) fn target(segments: &[Cow<'_, str>]) -> Option<(Target, bool)> {
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (root, rest) = match segments.as_slice() {
        ["api", _, "watch", rest @ ..] => (&segments[..2], rest),
        ["apis", _, _, "watch", rest @ ..] => (&segments[..3], rest),
        all => return Some((Target::parse(all.iter().copied())?, false)),
    };
    match Target::parse(root.iter().chain(rest).copied()) {
        Some(watched) => Some((watched, true)),
        None => Some((Target::parse(segments)?, false)),
    }
}

/// The request without its body.
///
/// # Errors
/// 404 for watches of what cannot be watched, 400 for parameters that cannot be read, 405 for methods that the API does not have.
pub(crate) fn request(parts: &Parts, (target, is_watched): (Target, bool)) -> Result<Request, Status> {
    let query = parts.uri.query().unwrap_or_default();
    let (watch, pairs): (Vec<_>, Vec<_>) =
        form_urlencoded::parse(query.as_bytes()).partition(|(name, _)| name == "watch");
    // As Kubernetes reads it: whatever does not say no says yes.
    let watch = watch.first().is_some_and(|(_, value)| !value.eq_ignore_ascii_case("false") && value != "0");
    let verb = match (&parts.method, target.name.is_some()) {
        (&Method::GET | &Method::HEAD, _) if is_watched && target.subresource.is_some() => {
            return Err(Status::no_such_path());
        }
        (&Method::GET | &Method::HEAD, _) if is_watched => Verb::Watch,
        _ if is_watched => return Err(Status::method_not_allowed()),
        (&Method::GET | &Method::HEAD, _) if watch && target.subresource.is_none() => Verb::Watch,
        (&Method::GET | &Method::HEAD, true) => Verb::Get,
        (&Method::GET | &Method::HEAD, false) => Verb::List,
        (&Method::POST, _) => Verb::Create,
        (&Method::PUT, _) => Verb::Update,
        (&Method::PATCH, _) => Verb::Patch,
        (&Method::DELETE, true) => Verb::Delete,
        (&Method::DELETE, false) => Verb::DeleteCollection,
        _ => return Err(Status::method_not_allowed()),
    };
    let params = Params::parse(verb, pairs)?;
    Ok(Request { verb, target, params, body: None })
}

/// The request's body. An absent media type is JSON; an absent body is none.
///
/// # Errors
/// 413 if it is too large, 415 if its media type is unknown, 400 if it does not arrive whole,
/// 408 if it has not arrived in [`BODY_TIMEOUT`]: whoever sends byte by byte holds nothing for ever.
pub(crate) async fn body(
    verb: Verb,
    headers: &HeaderMap,
    body: HttpBody,
    clock: &dyn Clock,
) -> Result<Option<Body>, Status> {
    let bytes = known_body(headers, body, clock).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let media_type = match headers.get(header::CONTENT_TYPE) {
        None => MediaType::Json,
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            MediaType::parse(text).ok_or_else(|| {
                let accepted: &[MediaType] =
                    if verb == Verb::Patch { &MediaType::PATCHES } else { &MediaType::OBJECTS };
                unknown_format(accepted, text)
            })?
        }
    };
    Ok(Some(Body { media_type, bytes }))
}

/// The body of a request by somebody who need not prove who they are before.
///
/// # Errors
/// As [`body`], sooner.
pub(crate) async fn strangers_body(
    headers: &HeaderMap,
    body: HttpBody,
    clock: &dyn Clock,
) -> Result<Bytes, Status> {
    in_time(whole(headers, body, MAX_STRANGERS_BODY_BYTES), STRANGERS_BODY_TIMEOUT, clock).await
}

/// The body of a request by somebody who is known, as it is sent.
///
/// # Errors
/// 413, 400 and 408 as [`body`].
pub(crate) async fn known_body(
    headers: &HeaderMap,
    body: HttpBody,
    clock: &dyn Clock,
) -> Result<Bytes, Status> {
    in_time(whole(headers, body, MAX_BODY_BYTES), BODY_TIMEOUT, clock).await
}

async fn in_time(
    read: impl Future<Output = Result<Bytes, Status>>,
    limit: Duration,
    clock: &dyn Clock,
) -> Result<Bytes, Status> {
    tokio::select! {
        read = read => read,
        () = clock.sleep(limit) => Err(too_slow(limit)),
    }
}

async fn whole(headers: &HeaderMap, body: HttpBody, max_bytes: usize) -> Result<Bytes, Status> {
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > max_bytes) {
        return Err(too_large(max_bytes));
    }
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(max_bytes)),
        Err(error) => Err(Status::bad_request(format!("the body did not arrive whole: {error}"))),
    }
}

/// 415, with what is understood.
pub(crate) fn unknown_format(accepted: &[MediaType], found: &str) -> Status {
    let accepted = accepted.iter().map(|accepted| accepted.as_str()).collect::<Vec<_>>().join(", ");
    Status::unsupported_media_type(format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}, not {found}"
    ))
}

fn too_slow(limit: Duration) -> Status {
    let seconds = limit.as_secs();
    let message = format!("Timeout: the body of the request did not arrive within {seconds} s");
    let mut status = Status::failure(Reason::Timeout, message);
    // It is the client that was too slow, not the server.
    status.code = 408;
    status
}

fn too_large(max_bytes: usize) -> Status {
    Status::failure(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {max_bytes}"))
}

/// Where a request comes from, for audit.
pub(crate) fn origin(parts: &Parts, impersonator: Option<Identity>) -> Origin {
    let agent = parts.headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    Origin {
        uri: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        source: parts.extensions.get::<Peer>().map(|peer| peer.address.ip()),
        agent: agent.unwrap_or_default().into_owned(),
        impersonator,
    }
}

/// The program that asks: its `User-Agent` up to the first slash.
pub(crate) fn agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    let name = text.split('/').next().unwrap_or_default();
    name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_AGENT_BYTES).collect()
}
