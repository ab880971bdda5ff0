//! Removes requests that are over: the certificate has been fetched long ago, or nobody has decided.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orch_controller_runtime::{Cache, Context, Controller, ObjectKey, Plan, Planner, Write};
use orch_ontology::CertificateSigningRequest as Request;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// How long requests stay that have been signed, denied or have failed.
const AFTER_DECISION: SignedDuration = SignedDuration::from_hours(1);
/// How long requests stay that nobody has decided, or nobody has signed.
const OPEN: SignedDuration = SignedDuration::from_hours(24);

/// Removes requests that are over.
struct Cleaning {
    requests: Arc<Cache<Request>>,
}

/// A request, as far as its age counts.
#[derive(Debug, Clone, Serialize)]
struct World {
    /// The request.
    request: Request,
}

impl Planner for Cleaning {
    type World = World;

    const NAME: &'static str = "certificate-cleaning-controller";

    fn observe(&self, key: &ObjectKey) -> Option<World> {
        Some(World { request: Request::clone(&*self.requests.get(key)?) })
    }

    fn plan(world: &World, now: Timestamp) -> Plan {
        let request = &world.request;
        let Some(end) = end(request).filter(|_| !request.metadata.is_terminating()) else {
            return Plan::nothing();
        };
        let left = end.duration_since(now);
        match Duration::try_from(left).ok().filter(|left| !left.is_zero()) {
            Some(left) => Plan { requeue_after: Some(left), ..Plan::nothing() },
            None => Plan { writes: vec![Write::delete(request)], ..Plan::nothing() },
        }
    }
}

/// Until when a request stays.
fn end(request: &Request) -> Option<Timestamp> {
    let status = &request.status;
    let updated = |of: &str| {
        let decided = status.conditions.iter().find(|own| own.condition_type == of);
        decided.and_then(|own| own.last_update_time).map(|at| at.timestamp())
    };
    let is_signed = status.certificate.as_ref().is_some_and(|pem| !pem.is_empty());
    let over = updated(Request::DENIED)
        .or_else(|| updated(Request::FAILED))
        .or_else(|| updated(Request::APPROVED).filter(|_| is_signed));
    match over {
        Some(at) => Some(at + AFTER_DECISION),
        None => request.metadata.creation_timestamp.map(|at| at.timestamp() + OPEN),
    }
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let planner = Cleaning { requests: context.caches.of() };
    Controller::<Request>::new(&context).run(planner, cancel).await;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(hours: i64, status: serde_json::Value) -> Plan {
        let request = json!({
            "metadata": {"name": "jane", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"request": "", "signerName": "example.com/x"}, "status": status,
        });
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = start + SignedDuration::from_hours(hours);
        Cleaning::plan(&World { request: serde_json::from_value(request).unwrap() }, now)
    }

    #[test]
    fn requests_go_an_hour_after_they_are_decided_or_a_day_after_they_were_made() {
        let decided =
            |what: &str| json!([{"type": what, "status": "True", "lastUpdateTime": "2026-01-01T03:00:00Z"}]);
        for (hours, status, gone) in [
            (23, json!({}), false),
            (24, json!({}), true),
            (23, json!({"conditions": decided("Approved")}), false),
            (3, json!({"conditions": decided("Denied")}), false),
            (4, json!({"conditions": decided("Denied")}), true),
            (4, json!({"conditions": decided("Failed")}), true),
            (4, json!({"conditions": decided("Approved"), "certificate": "eA=="}), true),
        ] {
            let plan = plan(hours, status.clone());
            assert_eq!(plan.writes.len(), usize::from(gone), "{hours} {status}");
            assert_eq!(plan.requeue_after.is_none(), gone, "somebody wakes it: {hours} {status}");
        }
    }
}
