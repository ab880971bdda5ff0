//! What is written into the lease: pure functions of what is there.

use std::time::Duration;

use orch_api::{Metadata, MicroTime};
use orch_ontology::{Lease, LeaseSpec};

use super::Election;

/// Whether somebody else holds it.
pub(super) fn is_of_another(lease: &Lease, identity: &str) -> bool {
    lease.spec.holder_identity.as_deref().is_some_and(|holder| !holder.is_empty() && holder != identity)
}

/// How long its holder says that it lasts.
pub(super) fn duration(lease: &Lease) -> Option<Duration> {
    let seconds = u64::try_from(lease.spec.lease_duration_seconds?).ok()?;
    Some(Duration::from_secs(seconds))
}

/// The lease as the candidate's.
pub(super) fn taken(lease: Option<&Lease>, election: &Election, now: MicroTime) -> Lease {
    let key = &election.lease;
    let mut taken = lease.cloned().unwrap_or_else(|| Lease {
        metadata: Metadata::named(key.namespace.clone(), key.name.clone()),
        ..Lease::default()
    });
    let transitions = lease.map_or(0, |lease| lease.spec.lease_transitions.unwrap_or_default() + 1);
    taken.spec = LeaseSpec {
        holder_identity: Some(election.identity.clone()),
        lease_duration_seconds: i32::try_from(election.terms.duration.as_secs()).ok(),
        acquire_time: Some(now),
        renew_time: Some(now),
        lease_transitions: Some(transitions),
    };
    taken
}

/// The holder's lease, renewed.
pub(super) fn renewed(lease: &Lease, now: MicroTime) -> Lease {
    let mut renewed = lease.clone();
    renewed.spec.renew_time = Some(now);
    renewed
}

/// The lease as nobody's.
pub(super) fn released(lease: &Lease, now: MicroTime) -> Lease {
    let mut released = renewed(lease, now);
    released.spec.holder_identity = Some(String::new());
    released.spec.lease_duration_seconds = Some(1);
    released
}
