//! Audit: one line of JSON for every request that changes something: who, on whose behalf, what, from where, result.
//!
//! - `policy.rs`: which requests are recorded, and how much of them.
//! - `event.rs`: what is recorded, as `audit.k8s.io/v1` writes it.
//! - `log.rs`: the file, its rotation, and the thread that writes it.
//!
//! A request waits for nothing here: it fills in a [`Record`], which goes into a bounded queue when the request ends,
//! however it ends. Objects of sensitive kinds, and tokens, are recorded as metadata at most, whatever the policy says, and
//! without words that may quote them.

mod event;
mod log;
mod policy;

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use orch_api::{Action, Body, Request, Status};

pub use log::{AuditError, AuditFile, AuditLog};
pub use policy::{AuditLevel, AuditPolicy, AuditRule};

use crate::authn::Identity;
use crate::endpoints::is_review;
use crate::kinds::Kinds;
use event::Event;
pub(crate) use event::WITHHELD;

/// How audit is kept.
pub struct Audit {
    /// Where records go.
    pub log: AuditLog,
    /// Which requests are recorded.
    pub policy: AuditPolicy,
}

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The path with its query.
    pub(crate) uri: String,
    /// The address of the other end; none within the process.
    pub(crate) source: Option<IpAddr>,
    /// The program, as it calls itself.
    pub(crate) agent: String,
    /// Who really asks, if the identity of the request is one that somebody acts as.
    pub(crate) impersonator: Option<Identity>,
}

/// The record of a request under way. It is written when it is dropped: with a result if there is one, else (the client has
/// gone, the request panicked) without.
pub(crate) struct Record {
    event: Option<Box<Event>>,
    log: AuditLog,
}

impl Audit {
    /// Begins the record of a request, if it is to be recorded.
    pub(crate) fn begin(
        &self,
        kinds: &Kinds,
        identity: &Identity,
        request: &Request,
        origin: impl FnOnce() -> Origin,
        now: Timestamp,
    ) -> Option<Record> {
        let level = self.policy.level(identity, request);
        if level == AuditLevel::None {
            return None;
        }
        let is_sensitive = is_sensitive(kinds, request);
        let level = if is_sensitive { level.min(AuditLevel::Metadata) } else { level };
        let event = Box::new(Event::new((level, is_sensitive), identity, request, origin(), now));
        Some(Record { event: Some(event), log: self.log.clone() })
    }
}

/// Whether the request or its answer holds secrets.
pub(crate) fn is_sensitive(kinds: &Kinds, request: &Request) -> bool {
    let target = &request.target;
    // Reviews are of no kind that is kept: they are about tokens and about what a simulation would write.
    let Some(served) = kinds.at(target) else { return is_review(target) };
    let subresource = target.subresource.as_deref();
    let issues_tokens = served
        .entry
        .subresources
        .iter()
        .any(|known| Some(known.name) == subresource && matches!(known.action, Action::Token(_)));
    served.kind().is_sensitive || issues_tokens
}

impl Record {
    /// The body of the request, where the policy wants it.
    pub(crate) fn request_body(&mut self, body: Option<&Body>) {
        if let Some(event) = self.event.as_mut().filter(|event| event.level >= AuditLevel::Request) {
            event.request_body = body.cloned();
        }
    }

    /// The object that was answered, where the policy wants it, and otherwise what it is called.
    pub(crate) fn answered(&mut self, object: &Bytes) {
        if let Some(event) = &mut self.event {
            event.answered(object);
        }
    }

    /// What has been said about the request on its way, nothing of which quotes secrets.
    pub(crate) fn annotate(&mut self, annotations: BTreeMap<String, String>) {
        if let Some(event) = &mut self.event {
            event.annotate(annotations);
        }
    }

    /// How the request ended. `now` is when.
    pub(crate) fn end(mut self, code: u16, failure: Option<&Status>, now: Timestamp) {
        if let Some(event) = &mut self.event {
            event.end(code, failure, now);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.log.send(event);
        }
    }
}
