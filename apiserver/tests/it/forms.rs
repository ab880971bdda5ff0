//! A kind that is another form of one that is kept: `events.k8s.io/v1` beside `v1`.

use serde_json::{Value, json};

use crate::host::{Host, text};

const KEPT: &str = "/api/v1/namespaces/default/events";
const FORM: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

fn reported(name: &str) -> Value {
    json!({
        "metadata": {"name": name}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Starting",
        "reason": "Started", "note": "It has started", "type": "Normal", "reportingController": "example.dev/it",
        "reportingInstance": "it-1", "regarding": {"kind": "Pod", "namespace": "default", "name": "web"},
    })
}

#[tokio::test]
async fn events_are_the_same_objects_in_either_form() {
    let host = Host::start().await;
    let mut watches =
        [host.watch(&format!("{KEPT}?watch=1")).await, host.watch(&format!("{FORM}?watch=1")).await];
    let made = host.post(FORM, reported("new")).await.is(201);
    assert_eq!((text(&made["apiVersion"]), text(&made["note"])), ("events.k8s.io/v1", "It has started"));
    let old = json!({
        "metadata": {"name": "old"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "db"},
        "message": "It has ended", "reason": "Ended", "type": "Normal", "count": 3, "source": {"component": "kubelet"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
    });
    host.post(KEPT, old).await.is(201);
    for watch in &mut watches {
        assert_eq!([watch.brief().await, watch.brief().await], ["ADDED new", "ADDED old"]);
    }

    let kept = host.get(&format!("{KEPT}/new")).await.is(200);
    assert_eq!((text(&kept["apiVersion"]), text(&kept["message"])), ("v1", "It has started"));
    assert_eq!(
        (text(&kept["reportingComponent"]), text(&kept["involvedObject"]["name"])),
        ("example.dev/it", "web")
    );
    for field in ["uid", "resourceVersion"] {
        assert_eq!(kept["metadata"][field], made["metadata"][field]);
    }
    let shown = host.get(&format!("{FORM}/old")).await.is(200);
    assert_eq!(
        (&shown["deprecatedCount"], text(&shown["deprecatedSource"]["component"])),
        (&json!(3), "kubelet")
    );
    assert_eq!((text(&shown["note"]), text(&shown["regarding"]["name"])), ("It has ended", "db"));
    for (path, selector) in [(KEPT, "involvedObject.name%3Dweb"), (FORM, "regarding.name%3Dweb")] {
        let found = host.get(&format!("{path}?fieldSelector={selector}")).await.is(200);
        assert_eq!(
            (found["items"].as_array().unwrap().len(), &found["items"][0]["metadata"]["name"]),
            (1, &json!("new"))
        );
    }
    host.get(&format!("{FORM}?fieldSelector=involvedObject.name%3Dweb")).await.fails(
        400,
        "BadRequest",
        "involvedObject",
    );

    host.delete(&format!("{KEPT}/new")).await.is(200);
    host.delete(&format!("{FORM}/old")).await.is(200);
    for watch in &mut watches {
        assert_eq!([watch.brief().await, watch.brief().await], ["DELETED new", "DELETED old"]);
    }
}

#[tokio::test]
async fn an_event_goes_on_happening_in_either_form_and_nothing_else_of_it_changes() {
    let host = Host::start().await;
    host.post(FORM, reported("new")).await.is(201);
    let path = format!("{FORM}/new");
    let series =
        |count: u32| json!({"series": {"count": count, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}});
    host.merge(&path, series(2)).await.is(200);
    assert_eq!(host.get(&format!("{KEPT}/new")).await.is(200)["series"]["count"], 2);
    host.merge(&path, series(1)).await.fails(
        422,
        "Invalid",
        "series.count: Invalid value: \"\": should be at least 2",
    );
    host.merge(&path, json!({"note": "It never has"})).await.fails(422, "Invalid", "message: Invalid value");
    let mut applied = reported("new");
    applied["apiVersion"] = "events.k8s.io/v1".into();
    applied["kind"] = "Event".into();
    host.apply(&path, "one&force=true", applied).await.is(200);
    let taken = json!({"apiVersion": "v1", "kind": "Event", "message": "It never has",
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web"}});
    host.apply(&format!("{KEPT}/new"), "two", taken).await.fails(409, "Conflict", ".message");
    let mut odd = reported("odd");
    odd["deprecatedCount"] = 2.into();
    odd.as_object_mut().unwrap().remove("eventTime");
    let refused = host.post(FORM, odd).await;
    refused.fails(422, "Invalid", "eventTime: Required value, count: Invalid value: \"\": needs to be unset");
}
