//! Tokens of pods' service accounts: asked for, bound to the pod, and asked for again before they expire.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use orch_api::{Api, Resource as _, Status};
use orch_controller_runtime::Backoff;
use orch_ontology::{Pod, ServiceAccount};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use crate::spec::{IssuedToken, TokenLookup, WantedToken};

/// No token is shown for longer, whatever its lifetime.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
const RETRY: Backoff = Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(60) };

/// What is known of a token.
pub(super) type Slot = Arc<Mutex<TokenLookup>>;

/// Keeps a token fresh, for ever. `tell` is called when there is news.
pub(super) async fn keep_fresh(
    shared: Arc<Shared>,
    namespace: String,
    wanted: WantedToken,
    slot: Slot,
    tell: impl Fn(),
) {
    let (mut failures, mut version) = (0, 0);
    loop {
        let asked = shared.clock.now();
        let wait = match request(&shared, &namespace, &wanted).await {
            Ok(Issued { status }) => {
                failures = 0;
                version += 1;
                *slot.lock() = TokenLookup::Found(Arc::new(IssuedToken { text: status.token, version }));
                tell();
                refresh_after(asked, status.expiration_timestamp)
            }
            Err(status) => {
                failures += 1;
                let mut known = slot.lock();
                // One that is shown already goes on to be shown: it may still be good.
                if !matches!(*known, TokenLookup::Found(_)) {
                    *known = TokenLookup::Refused(status.message);
                    tell();
                }
                RETRY.after(failures)
            }
        };
        shared.clock.sleep(wait).await;
    }
}

/// A token is replaced when four fifths of its time are over, and after a day at the latest: as kubelet does.
fn refresh_after(asked: Timestamp, expires: Timestamp) -> Duration {
    let lifetime = expires.duration_since(asked);
    let wait = (lifetime * 4 / 5).min(LONGEST);
    Duration::try_from(wait).unwrap_or_default().max(RETRY.first)
}

#[derive(Deserialize)]
struct Issued {
    status: IssuedStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssuedStatus {
    token: String,
    expiration_timestamp: Timestamp,
}

async fn request(shared: &Shared, namespace: &str, wanted: &WantedToken) -> Result<Issued, Status> {
    let audiences: Vec<&String> =
        [&wanted.audience].into_iter().filter(|audience| !audience.is_empty()).collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": wanted.seconds,
            "boundObjectRef": {
                "apiVersion": Pod::KIND.api_version(), "kind": Pod::KIND.name,
                "name": wanted.pod, "uid": wanted.pod_uid,
            },
        },
    });
    let api = Api::<ServiceAccount>::namespaced(shared.client.clone(), namespace);
    let answer = api.post(&wanted.account, "token", &body).await?;
    serde_json::from_slice(&answer).map_err(Status::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_replaced_before_it_expires_and_after_a_day_at_the_latest() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (lifetime_seconds, after_seconds) in [(3_607, 2_885), (600, 480), (30 * 86_400, 86_400), (-5, 1)]
        {
            let expires = now + SignedDuration::from_secs(lifetime_seconds);
            assert_eq!(refresh_after(now, expires).as_secs(), after_seconds, "{lifetime_seconds}");
        }
    }
}
