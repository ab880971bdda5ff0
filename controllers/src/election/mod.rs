//! Leader election: of several instances over one store, one acts.
//!
//! As client-go's `leaderelection` does it, on a [`Lease`]: who holds it renews it; who wants it takes it when it is released,
//! or when it has not been renewed for its whole duration, measured on the own clock from when the renewal was seen. Clocks
//! need not agree. Unlike there, those who wait ask nothing again and again: they watch the lease.
//!
//! A leader that cannot renew stops before anybody else may begin, and its [`Fenced`] clients refuse to write from that moment
//! on, also when the process was stopped meanwhile and knows nothing of it. A write that was on its way already may still be
//! carried out: updates are decided by the revision that they state, and the next leader sees what else was made or deleted as it
//! would see anybody's doing.

mod fence;
mod lease;

use std::sync::Arc;
use std::time::Duration;

use orch_api::{Api, Client, Clock, Reason, Resource, Status};
use orch_controller_runtime::{Cache, ObjectKey, Reflector};
use orch_ontology::Lease;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use fence::{Fenced, Term};

const MANAGER: &str = "leader-election";

/// How long a lease lasts, and how it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// After so long without a renewal somebody else may take the lease: the longest time without a leader.
    pub duration: Duration,
    /// A leader that has not renewed for so long is none any more. Shorter than `duration`.
    pub renew_within: Duration,
    /// How often the lease is renewed, and what failed is tried again.
    pub retry: Duration,
}

impl Default for Terms {
    /// Kubernetes' own.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { duration: seconds(15), renew_within: seconds(10), retry: seconds(2) }
    }
}

/// One candidate for the leadership that a lease stands for.
pub struct Election {
    /// The way to the server, as somebody who may read and write the lease.
    pub client: Arc<dyn Client>,
    /// For the times written into the lease, which are for people: nothing is decided by them.
    pub clock: Arc<dyn Clock>,
    /// The lease.
    pub lease: ObjectKey,
    /// Who this is: different in every process that ever ran.
    pub identity: String,
    /// How long the lease lasts.
    pub terms: Terms,
}

impl Election {
    /// Campaigns, and does `work` whenever this is the leader, until cancelled. Work must end when its [`Term`] does; only then
    /// is the lease released or campaigned for again. Failures are logged and tried again.
    pub async fn lead<F: Future<Output = ()>>(self, cancel: CancellationToken, work: impl Fn(Term) -> F) {
        let seen = self.reflect(&cancel);
        while let Some(mut held) = cancel.run_until_cancelled(self.acquire(&seen)).await {
            let term = Term::begin(cancel.child_token(), held.since + self.terms.renew_within);
            info!(lease = %self.lease, identity = self.identity, "leading");
            let renewing = async {
                if term.token().run_until_cancelled(self.renew(&mut held, &term)).await.is_some() {
                    term.lose();
                }
            };
            let working = async {
                work(term.clone()).await;
                term.token().cancel();
            };
            futures::join!(renewing, working);
            if term.holds() {
                self.release(held).await;
            }
        }
    }

    fn reflect(&self, cancel: &CancellationToken) -> Arc<Cache<Lease>> {
        let reflector = Reflector::<Lease>::new(self.client.clone(), self.clock.clone());
        let named = format!("metadata.name={}", self.lease.name);
        reflector.in_namespace(self.lease.namespace.clone()).fields(named).spawn(cancel.clone())
    }

    /// Completes once the lease is held.
    async fn acquire(&self, seen: &Cache<Lease>) -> Held {
        let mut changes = seen.changes();
        seen.synced().await;
        let mut rival = Rival::default();
        loop {
            let lease = seen.get(&self.lease);
            let mut wait = rival.time_left(lease.as_deref(), self);
            if wait.is_zero() {
                match self.take(lease.as_deref()).await {
                    Ok(held) => return held,
                    Err(status) if is_race(&status) => {
                        debug!(lease = %self.lease, "somebody else was faster")
                    }
                    Err(status) => {
                        warn!(lease = %self.lease, %status, "the lease cannot be taken, trying again")
                    }
                }
                wait = self.terms.retry;
            }
            // A cache that is gone for good is one that was cancelled, as we are then.
            drop(timeout(wait, changes.changed()).await);
        }
    }

    /// Takes a lease that nobody holds.
    async fn take(&self, lease: Option<&Lease>) -> Result<Held, Status> {
        let since = Instant::now();
        let taken = lease::taken(lease, self, self.clock.now().into());
        let api = self.api();
        let written = match lease {
            None => api.create(&taken).await,
            Some(_) => api.update(&taken).await,
        };
        written.map(|lease| Held { lease, since })
    }

    /// Renews the lease until it is lost, which is when it completes.
    async fn renew(&self, held: &mut Held, term: &Term) {
        loop {
            sleep(self.terms.retry).await;
            let (since, end) = (Instant::now(), held.since + self.terms.renew_within);
            match timeout_at(end, self.renewed(&held.lease)).await {
                Ok(Ok(lease)) => {
                    *held = Held { lease, since };
                    term.extend(since + self.terms.renew_within);
                }
                Ok(Err(status)) if is_race(&status) => {
                    return warn!(lease = %self.lease, "somebody else has the lease; leading no more");
                }
                Ok(Err(status)) if since < end => {
                    warn!(lease = %self.lease, %status, "cannot renew, trying again")
                }
                Ok(Err(_)) | Err(_) => {
                    return warn!(lease = %self.lease, "could not renew in time; leading no more");
                }
            }
        }
    }

    /// Writes a renewal. One that was written although its answer was lost is found, and renewed.
    async fn renewed(&self, lease: &Lease) -> Result<Lease, Status> {
        let api = self.api();
        let outcome = api.update(&lease::renewed(lease, self.clock.now().into())).await;
        if !outcome.as_ref().is_err_and(|status| status.is(&Reason::Conflict)) {
            return outcome;
        }
        let present = api.get(&self.lease.name).await?;
        match present.spec.holder_identity.as_ref() {
            Some(holder) if *holder == self.identity => {
                api.update(&lease::renewed(&present, self.clock.now().into())).await
            }
            _ => outcome,
        }
    }

    /// Lets others take the lease at once. If that fails, they wait until it is over.
    async fn release(&self, held: Held) {
        match self.api().update(&lease::released(&held.lease, self.clock.now().into())).await {
            Ok(_) => info!(lease = %self.lease, "leading no more: released"),
            Err(status) => warn!(lease = %self.lease, %status, "the lease cannot be released"),
        }
    }

    fn api(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), self.lease.namespace.clone()).manager(MANAGER)
    }
}

/// Our lease as we wrote it, and when we set out to write it: others count from later.
struct Held {
    lease: Lease,
    since: Instant,
}

/// Who holds the lease instead of us, and since when we know of the last renewal.
#[derive(Default)]
struct Rival {
    version: String,
    seen: Option<Instant>,
}

impl Rival {
    /// How long the lease is still somebody else's.
    fn time_left(&mut self, lease: Option<&Lease>, election: &Election) -> Duration {
        let Some(lease) = lease.filter(|lease| lease::is_of_another(lease, &election.identity)) else {
            return Duration::ZERO;
        };
        let version = &lease.metadata().resource_version;
        if *version != self.version {
            *self = Self { version: version.clone(), seen: None };
        }
        let seen = *self.seen.get_or_insert_with(Instant::now);
        let duration = lease::duration(lease).unwrap_or(election.terms.duration);
        (seen + duration).saturating_duration_since(Instant::now())
    }
}

/// Somebody else has written, or removed, the lease.
fn is_race(status: &Status) -> bool {
    [Reason::Conflict, Reason::AlreadyExists, Reason::NotFound].iter().any(|reason| status.is(reason))
}
