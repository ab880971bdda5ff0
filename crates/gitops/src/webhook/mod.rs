//! Pushes told by requests, so that they are noticed at once: `POST /webhooks/gitsync/NAMESPACE/NAME`.
//!
//! [`Webhook::answer`] is for callers without credentials. They prove that they know the `token` of the Secret that the
//! GitSync's `spec.webhook` names, as GitHub, Gitea and GitLab do (`proof.rs`). A push of what the GitSync follows (`event.rs`) sets
//! an annotation by which the repository is looked at, and changes nothing else: what is applied comes from the repository, never
//! from who tells of it.
//!
//! # Invariants
//!
//! - Who does not prove it learns nothing: whether there is no such GitSync, no webhook, no Secret or another token, the answer is the
//!   same, and the body is hashed for it all the same.
//! - A delivery that is sent again does no more than to have the repository looked at again: what has failed is not tried again for it.

mod event;
mod proof;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use orch_api::{Api, Client, Clock, Params, Patch, Reason, Resource as _, Status, names};
use orch_ontology::{GitSync, PolicyRule, Secret};
use serde_json::{Value, json};
use tracing::debug;

use event::{Event, Push};

/// Where deliveries are sent; the namespace and the name follow.
pub const PATH: &str = "/webhooks/gitsync";
/// The user as which deliveries are answered.
pub const USER: &str = "system:orch:webhook";
/// The name under which it writes.
const FIELD_MANAGER: &str = "orch-webhook";
/// The key of the Secret.
const TOKEN: &str = "token";
/// The longest name of a branch or tag that is kept in the history, in characters: however they are written, the server takes the
/// reason that has it.
const LONGEST_REFERENCE: usize = 200;

/// What [`USER`] must be allowed to do.
pub fn permissions() -> Vec<PolicyRule> {
    let syncs = GitSync::KIND;
    vec![
        PolicyRule::on(&["get", "patch"], &[syncs.group], &[syncs.plural]),
        PolicyRule::on(&["get"], &[Secret::KIND.group], &[Secret::KIND.plural]),
    ]
}

/// Answers deliveries.
pub struct Webhook {
    clock: Arc<dyn Clock>,
    /// How many there have been, so that no two ask in the same words.
    asked: AtomicU64,
}

/// What has become of a delivery by somebody who knows the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receipt {
    Welcome,
    Asked,
    OfNoConcern,
}

impl Webhook {
    /// One that goes by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, asked: AtomicU64::new(0) }
    }

    /// Answers a delivery. `client` is one of [`USER`]. 202: it has been taken notice of, 200: it was a ping; otherwise a
    /// [`Status`], which is 401 for all that is not right with the delivery.
    pub async fn answer(&self, client: Arc<dyn Client>, request: &Request<Bytes>) -> Response<Bytes> {
        match self.receive(client, request).await {
            Ok(receipt) => receipt.response(),
            Err(status) => refusal(&status),
        }
    }

    async fn receive(&self, client: Arc<dyn Client>, request: &Request<Bytes>) -> Result<Receipt, Status> {
        if request.method() != Method::POST {
            return Err(Status::method_not_allowed());
        }
        let (headers, body) = (request.headers(), request.body());
        let known = known(&client, request.uri().path()).await?;
        let token = known.as_ref().map(|known| proof::without_line_break(&known.token)).unwrap_or_default();
        // An unknown GitSync has the token that nobody knows.
        let is_proven = proof::is_given(headers, body, token);
        let Some(Known { sync, .. }) = known.filter(|_| is_proven) else {
            debug!(path = request.uri().path(), "a webhook was refused");
            return Err(Status::unauthorized());
        };
        match Event::of(headers, body) {
            Event::Ping => Ok(Receipt::Welcome),
            Event::Push(push) if push.concerns(sync.spec.reference.as_ref()) => {
                self.ask(client, &sync, &push).await?;
                Ok(Receipt::Asked)
            }
            Event::Push(_) | Event::Other => Ok(Receipt::OfNoConcern),
        }
    }

    async fn ask(&self, client: Arc<dyn Client>, sync: &GitSync, push: &Push) -> Result<(), Status> {
        let told = format!("{}/{}", self.clock.now(), self.asked.fetch_add(1, Ordering::Relaxed));
        let patch = Patch::Merge(json!({"metadata": {"annotations": {GitSync::PUSHED: told}}}));
        let params = Params {
            field_manager: Some(FIELD_MANAGER.into()),
            reason: Some(reason(push)),
            ..Params::default()
        };
        let namespace = sync.metadata.namespace.clone().unwrap_or_default();
        let syncs = Api::<GitSync>::namespaced(client, namespace);
        syncs.patch(&sync.metadata.name, &patch, params).await.map(drop)
    }
}

/// A GitSync that is told of pushes, and what those who tell it know.
struct Known {
    sync: GitSync,
    token: Vec<u8>,
}

/// What a path leads to; nothing if anything is missing.
async fn known(client: &Arc<dyn Client>, path: &str) -> Result<Option<Known>, Status> {
    let Some((namespace, name)) = place(path) else { return Ok(None) };
    let Some(sync) = Api::<GitSync>::namespaced(client.clone(), namespace).find(name).await? else {
        return Ok(None);
    };
    let Some(webhook) = &sync.spec.webhook else { return Ok(None) };
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let secret = secrets.find(webhook.secret_ref.name.as_str()).await?;
    let token = secret.and_then(|mut secret| secret.data.remove(TOKEN));
    Ok(token.map(|token| Known { sync, token: token.0 }))
}

/// The namespace and name in a path. Names need no escapes, and what has some is none.
fn place(path: &str) -> Option<(&str, &str)> {
    let (namespace, name) = path.strip_prefix(PATH)?.strip_prefix('/')?.split_once('/')?;
    let is_name = names::dns_label(namespace).is_empty() && names::dns_subdomain(name).is_empty();
    is_name.then_some((namespace, name))
}

/// Why the repository is looked at, for the history.
fn reason(push: &Push) -> String {
    let is_fit = |c: &char| !c.is_control() && !c.is_whitespace();
    let what: String = push.reference.iter().flat_map(|name| name.chars()).filter(is_fit).collect();
    match what.char_indices().take(LONGEST_REFERENCE).last() {
        Some((end, last)) => format!("a push of {} was told", &what[..end + last.len_utf8()]),
        None => "a push was told".to_owned(),
    }
}

impl Receipt {
    fn response(self) -> Response<Bytes> {
        let (code, message) = match self {
            Self::Welcome => (StatusCode::OK, "pushes that are told here will be noticed"),
            Self::Asked => (StatusCode::ACCEPTED, "the repository will be looked at"),
            Self::OfNoConcern => (StatusCode::ACCEPTED, "nothing that is followed has been pushed"),
        };
        let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "message": message, "code": code.as_u16()});
        json_response(code, &body)
    }
}

fn refusal(status: &Status) -> Response<Bytes> {
    let code = StatusCode::from_u16(status.http_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(code, &serde_json::to_value(status).unwrap_or_default());
    if status.is(&Reason::MethodNotAllowed) {
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    }
    response
}

fn json_response(code: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = code;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_sync_or_nothing() {
        assert_eq!(place("/webhooks/gitsync/team/web.prod"), Some(("team", "web.prod")));
        for path in [
            "/webhooks/gitsync",
            "/webhooks/gitsync/",
            "/webhooks/gitsync/team",
            "/webhooks/gitsync/team/",
            "/webhooks/gitsync//web",
            "/webhooks/gitsync/team/web/status",
            "/webhooks/gitsync/../web",
            "/webhooks/gitsync/team/..",
            "/webhooks/gitsync/team/%77eb",
            "/webhooks/gitsync/team/WEB",
            "/webhooks/gitsyncs/team/web",
        ] {
            assert_eq!(place(path), None, "{path}");
        }
    }

    #[test]
    fn the_history_says_what_was_pushed_in_one_line_of_bounded_length() {
        let pushed = |name: &str| reason(&Push { reference: Some(name.to_owned()), default_branch: None });
        assert_eq!(pushed("refs/heads/main"), "a push of refs/heads/main was told");
        assert_eq!(pushed("a\nb\u{1b}[31m c"), "a push of ab[31mc was told");
        let long = pushed(&"🦀".repeat(10_000));
        assert_eq!(long.chars().filter(|c| *c == '🦀').count(), LONGEST_REFERENCE);
        assert!(long.len() <= 1024, "the server would refuse a reason of {} bytes", long.len());
        assert_eq!(reason(&Push::default()), "a push was told");
    }
}
