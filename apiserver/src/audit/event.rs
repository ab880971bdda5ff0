//! What is recorded of a request, as `audit.k8s.io/v1` writes an `Event`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use orch_api::{Body, Request, Status, Target};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AuditLevel, Origin};
use crate::authn::Identity;
use crate::decode;

/// The longest name of a program, and the longest query, that is recorded.
const MAX_TEXT_BYTES: usize = 2_048;

/// What is known of a request. Turned into JSON by the thread that writes it.
pub(super) struct Event {
    pub(super) level: AuditLevel,
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
    pub(super) annotations: BTreeMap<String, String>,
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
        level: AuditLevel,
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

    pub(super) fn end(&mut self, code: u16, failure: Option<&Status>, now: Timestamp) {
        self.result = Some((code, failure.cloned().map(Box::new), now));
    }

    /// The line, without its end.
    pub(super) fn json(&self) -> Value {
        let mut event = json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self.level,
            "auditID": self.id.to_string(),
            "stage": "ResponseComplete",
            "requestURI": self.uri,
            "verb": self.verb,
            "user": self.user.user_info(),
            "userAgent": self.agent,
            "objectRef": self.object_ref(),
            "requestReceivedTimestamp": micros(self.received),
        });
        if let Some(source) = self.source {
            event["sourceIPs"] = json!([source.to_string()]);
        }
        if let Some(identity) = &self.acted_as {
            event["impersonatedUser"] = identity.user_info();
        }
        match &self.result {
            None => event["stage"] = "Panic".into(),
            Some((code, failure, at)) => {
                event["responseStatus"] = response_status(*code, failure.as_deref());
                event["stageTimestamp"] = micros(*at).into();
            }
        }
        if self.is_dry_run || !self.annotations.is_empty() {
            event["annotations"] = json!(self.annotations);
        }
        if self.is_dry_run {
            event["annotations"]["orch.dev/dry-run"] = "true".into();
        }
        if let Some(body) = &self.request_body {
            event["requestObject"] = readable(body);
        }
        if let Some(answer) = &self.answer {
            event["responseObject"] = serde_json::from_slice(answer).unwrap_or_default();
        }
        event
    }

    fn object_ref(&self) -> Value {
        let target = &self.target;
        let name = target.name.as_deref().or(self.object.as_ref().map(|object| object.name.as_str()));
        let uid = self.object.as_ref().map(|object| object.uid.as_str());
        let mut object = json!({"resource": target.plural, "apiVersion": target.version});
        for (field, value) in [
            ("apiGroup", Some(&*target.group)),
            ("namespace", target.namespace.as_deref()),
            ("name", name),
            ("uid", uid),
            ("subresource", target.subresource.as_deref()),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                object[field] = value.into();
            }
        }
        object
    }
}

fn response_status(code: u16, failure: Option<&Status>) -> Value {
    let mut status = json!({"metadata": {}, "code": code});
    if let Some(failure) = failure {
        status["status"] = failure.status.as_str().into();
        status["message"] = failure.message.as_str().into();
        status["reason"] = json!(failure.reason);
    }
    status
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
