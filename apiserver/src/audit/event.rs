//! What is recorded of a request, as `audit.k8s.io/v1` writes an `Event`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use orch_api::{Body, Reason, Request, Status, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditLevel, Origin};
use crate::authn::{Identity, UserInfo};
use crate::decode;

/// The longest name of a program, and the longest query, that is recorded.
const MAX_TEXT_BYTES: usize = 2_048;
/// Stands for what may quote a secret.
pub(crate) const WITHHELD: &str = "(withheld: it may quote a secret)";

/// What is known of a request. Turned into JSON by the thread that writes it.
pub(super) struct Event {
    pub(super) level: AuditLevel,
    /// The request or its answer holds secrets, of which what is said about the request may tell.
    is_sensitive: bool,
    id: uuid::Uuid,
    verb: &'static str,
    uri: String,
    agent: String,
    source: Option<IpAddr>,
    user: Identity,
    acted_as: Option<Identity>,
    target: Target,
    is_dry_run: bool,
    pub(super) request_body: Option<Body>,
    answer: Option<Bytes>,
    annotations: BTreeMap<String, String>,
    /// The name and the uid of what was answered.
    object: Option<ObjectName>,
    received: Timestamp,
    result: Option<(u16, Option<Box<Status>>, Timestamp)>,
}

#[derive(Deserialize, Default)]
struct ObjectName {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
}

impl Event {
    pub(super) fn new(
        (level, is_sensitive): (AuditLevel, bool),
        identity: &Identity,
        request: &Request,
        origin: Origin,
        received: Timestamp,
    ) -> Self {
        let (user, acted_as) = match origin.impersonator {
            Some(impersonator) => (impersonator, Some(identity.clone())),
            None => (identity.clone(), None),
        };
        Self {
            level,
            is_sensitive,
            id: uuid::Builder::from_random_bytes(rand::random()).into_uuid(),
            verb: request.verb.as_str(),
            uri: shortened(origin.uri),
            agent: shortened(origin.agent),
            source: origin.source,
            user,
            acted_as,
            target: request.target.clone(),
            is_dry_run: request.params.dry_run,
            request_body: None,
            answer: None,
            annotations: BTreeMap::new(),
            object: None,
            received,
            result: None,
        }
    }

    pub(super) fn answered(&mut self, object: &Bytes) {
        #[derive(Deserialize)]
        struct Head {
            metadata: ObjectName,
        }
        if self.target.name.is_none() {
            // The server may have chosen the name.
            self.object = serde_json::from_slice::<Head>(object).ok().map(|head| head.metadata);
        }
        if self.level >= AuditLevel::RequestResponse {
            self.answer = Some(object.clone());
        }
    }

    /// What has been said about the request on its way.
    pub(super) fn annotate(&mut self, annotations: BTreeMap<String, String>) {
        self.annotations.extend(annotations);
    }

    pub(super) fn end(&mut self, code: u16, failure: Option<&Status>, now: Timestamp) {
        let mut failure = failure.cloned().map(Box::new);
        if let Some(failure) = failure.as_mut().filter(|_| self.is_sensitive) {
            // What is wrong with a value is said by quoting it.
            WITHHELD.clone_into(&mut failure.message);
        }
        self.result = Some((code, failure, now));
    }

    /// The record as one line of JSON, without the line's end.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut id = uuid::Uuid::encode_buffer();
        let dry_run = self.is_dry_run.then_some(("orch.dev/dry-run", "true"));
        let annotations = self.annotations.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let line = Line {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: self.level,
            audit_id: self.id.hyphenated().encode_lower(&mut id),
            stage: if self.result.is_some() { "ResponseComplete" } else { "Panic" },
            request_uri: &self.uri,
            verb: self.verb,
            user: self.user.user_info(),
            impersonated_user: self.acted_as.as_ref().map(Identity::user_info),
            source_ips: self.source.into_iter().collect(),
            user_agent: &self.agent,
            object_ref: self.object_ref(),
            response_status: self
                .result
                .as_ref()
                .map(|(code, failure, _)| ResponseStatus::of(*code, failure.as_deref())),
            request_object: self.request_body.as_ref().map(readable),
            response_object: self
                .answer
                .as_ref()
                .map(|answer| serde_json::from_slice(answer).unwrap_or_default()),
            request_received_timestamp: micros(self.received),
            stage_timestamp: self.result.as_ref().map(|(.., at)| micros(*at)),
            annotations: annotations.chain(dry_run).collect(),
        };
        serde_json::to_writer(out, &line)
    }

    fn object_ref(&self) -> ObjectRef<'_> {
        let (target, object) = (&self.target, self.object.as_ref());
        ObjectRef {
            resource: &target.plural,
            namespace: target.namespace.as_deref().unwrap_or_default(),
            name: target.name.as_deref().or(object.map(|object| object.name.as_str())).unwrap_or_default(),
            uid: object.map(|object| object.uid.as_str()).unwrap_or_default(),
            api_group: &target.group,
            api_version: &target.version,
            subresource: target.subresource.as_deref().unwrap_or_default(),
        }
    }
}

/// A record as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    kind: &'a str,
    api_version: &'a str,
    level: AuditLevel,
    #[serde(rename = "auditID")]
    audit_id: &'a str,
    stage: &'a str,
    #[serde(rename = "requestURI")]
    request_uri: &'a str,
    verb: &'a str,
    user: UserInfo<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonated_user: Option<UserInfo<'a>>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    source_ips: Vec<IpAddr>,
    user_agent: &'a str,
    object_ref: ObjectRef<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<ResponseStatus<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_object: Option<Value>,
    request_received_timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage_timestamp: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

/// What a request was about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_group: &'a str,
    api_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subresource: &'a str,
}

/// How a request ended.
#[derive(Serialize)]
struct ResponseStatus<'a> {
    metadata: BTreeMap<(), ()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    code: u16,
}

impl<'a> ResponseStatus<'a> {
    fn of(code: u16, failure: Option<&'a Status>) -> Self {
        Self {
            metadata: BTreeMap::new(),
            status: failure.map(|failure| failure.status.as_str()),
            message: failure.map(|failure| failure.message.as_str()),
            reason: failure.and_then(|failure| failure.reason.clone()),
            code,
        }
    }
}

/// A body as JSON, whatever it was sent as.
fn readable(body: &Body) -> Value {
    decode::object(Some(body))
        .or_else(|_| decode::patch(body).map(|decoded| decoded.value))
        .unwrap_or_default()
}

/// As Kubernetes writes a `MicroTime`.
fn micros(at: Timestamp) -> String {
    format!("{at:.6}")
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}
