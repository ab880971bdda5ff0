//! Who may do what: the gate that every request passes, and what is asked of the [`Authorizer`] behind it.

use std::sync::Arc;
use std::time::Duration;

use orch_api::{
    Acknowledge, Asked, Attributes, Authorizer, Decision, Kind, MASTERS, Rights, Status, Subject,
};
use tokio::time::timeout;

use crate::authn::Identity;
use crate::cache::Cache;

/// How long a request waits for the first load of the cache, without which nothing is known of anybody.
const PATIENCE: Duration = Duration::from_secs(30);
/// Paths that say how the server is, which everybody may see: `/readyz`, `/readyz/store`.
const PUBLIC: [&str; 4] = ["/livez", "/readyz", "/healthz", "/version"];

/// Lets through what may be done.
pub(crate) struct Gate {
    authorizer: Arc<dyn Authorizer>,
    cache: Arc<Cache>,
    /// The kinds to which a write is acknowledged only once decisions know of it.
    known: Vec<Kind>,
}

impl Gate {
    /// `rules` are the kinds whose objects are rules for changes: a write to one is acknowledged once it applies, too.
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>, rules: &[Kind], cache: Arc<Cache>) -> Self {
        let follows = authorizer.follows().into_iter();
        let known = follows.filter(|(_, when)| *when == Acknowledge::Known).map(|(kind, _)| kind);
        let known = known.chain(rules.iter().copied()).collect();
        Self { authorizer, cache, known }
    }

    /// Whether something may be done. What is stored when somebody is refused counts, also if the cache does not have it yet.
    ///
    /// # Errors
    /// 503 if the cache cannot be brought up to date.
    pub(crate) async fn decide(&self, attributes: &Attributes<'_>) -> Result<Decision, Status> {
        if attributes.subject.is_in(MASTERS) {
            return Ok(Decision::allowed(""));
        }
        timeout(PATIENCE, self.cache.loaded())
            .await
            .map_err(|_| Status::unavailable("the server does not know its roles yet; try again"))?;
        let decision = self.authorizer.decide(attributes);
        if decision.allowed {
            return Ok(decision);
        }
        self.cache.catch_up().await?;
        Ok(self.authorizer.decide(attributes))
    }

    /// Refuses what may not be done.
    ///
    /// # Errors
    /// 403 in Kubernetes' words; as [`decide`](Self::decide).
    pub(crate) async fn check(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let decision = self.decide(attributes).await?;
        if decision.allowed { Ok(()) } else { Err(attributes.forbidden(&decision.reason)) }
    }

    /// Refuses a path that is not about objects.
    ///
    /// # Errors
    /// 401 for strangers, except where everybody may look; as [`check`](Self::check).
    pub(crate) async fn check_path(&self, identity: &Identity, verb: &str, path: &str) -> Result<(), Status> {
        if is_public(path) {
            return Ok(());
        }
        if identity.is_anonymous() {
            return Err(Status::unauthorized());
        }
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        self.check(&Attributes { subject: identity.subject(), verb, asked: Asked::Path(path) }).await
    }

    /// Everything that somebody may do in a namespace.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub(crate) async fn rights(&self, subject: Subject<'_>, namespace: &str) -> Result<Rights, Status> {
        self.cache.catch_up().await?;
        Ok(self.authorizer.rights(subject, namespace))
    }

    /// What says which changes may be made.
    pub(crate) fn authorizer(&self) -> &Arc<dyn Authorizer> {
        &self.authorizer
    }

    /// Waits until decisions know of a write to an object of this kind, if they depend on it.
    ///
    /// # Errors
    /// 503 if the cache does not get there in time: the write has happened.
    pub(crate) async fn written(&self, kind: &Kind) -> Result<(), Status> {
        if self.known.contains(kind) { self.cache.catch_up().await } else { Ok(()) }
    }
}

fn is_public(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let is_below =
        |known: &&str| path.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    PUBLIC.iter().any(is_below)
}
