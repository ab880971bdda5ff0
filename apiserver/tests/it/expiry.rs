//! Objects that are kept for a while only.

use std::time::Duration;

use serde_json::json;

use crate::host::{Host, revision};

const EVENTS: &str = "/api/v1/namespaces/default/events";

fn event(name: &str, last: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web"},
        "reason": "Tested", "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": last,
    })
}

#[tokio::test]
async fn events_go_an_hour_after_they_last_happened_and_many_at_once() {
    let host = Host::start().await;
    for name in ["a", "b", "c"] {
        host.post(EVENTS, event(name, "2026-01-01T00:00:00Z")).await.is(201);
    }
    let later = host.post(EVENTS, event("later", "2026-01-01T00:30:00Z")).await.is(201);
    let from = revision(&later);
    let query = format!("watch=true&resourceVersion={from}&timeoutSeconds=36000");
    let mut watch = host.watch(&format!("{EVENTS}?{query}")).await;
    // Until the sleeper has looked, it names no time to be woken at: time goes on until it has.
    let (mut deleted, mut passed) = (Vec::new(), Duration::ZERO);
    while deleted.len() < 3 {
        tokio::select! {
            event = watch.next() => deleted.push(event.unwrap()),
            () = tokio::time::sleep(Duration::from_millis(10)) => {
                passed += Duration::from_secs(60);
                assert!(passed < Duration::from_secs(80 * 60), "{deleted:?}");
                host.clock.advance(Duration::from_secs(60));
            }
        }
    }
    assert!(passed >= Duration::from_secs(60 * 60), "{passed:?}");
    assert!(deleted.iter().all(|event| event["type"] == "DELETED"), "{deleted:?}");
    let revisions: Vec<_> = deleted.iter().map(|event| revision(&event["object"])).collect();
    assert!(revisions.iter().all(|one| *one == revisions[0]), "in one commit: {revisions:?}");
    host.get(&format!("{EVENTS}/later")).await.is(200);
}
