//! Containers that end: which of them is a fault, and for how long.

use super::*;

/// What is found about a container that is, or was last, in these states.
fn found(spec: Value, restarts: u32, state: Value, last: Value) -> Vec<Finding> {
    let ready = state["running"].is_object();
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
        {"name": "web", "ready": ready, "restartCount": restarts, "state": state, "lastState": last}]});
    diagnose(&serde_json::from_value(of(pod(spec, status))).unwrap(), NOW.parse().unwrap())
}

fn terminated(code: i32, reason: &str, at: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": at}})
}

fn running() -> Value {
    json!({"running": {"startedAt": "2026-06-01T12:09:50Z"}})
}

const JUST_NOW: &str = "2026-06-01T12:09:40Z";
const LONG_AGO: &str = "2026-05-01T12:00:00Z";

#[test]
fn a_crash_loop_is_seen_while_the_container_happens_to_run() {
    let crashing = found(json!({}), 50, running(), terminated(1, "Error", JUST_NOW));
    assert_eq!(crashing[0].cause, Cause::CrashLoop);
    assert!(crashing[0].says.contains("exit code 1"), "{}", crashing[0].says);
    assert!(crashing[0].says.contains("again and again"), "{}", crashing[0].says);
    let once = found(json!({}), 1, running(), terminated(1, "Error", JUST_NOW));
    assert!(once[0].says.contains("once and runs again"), "{}", once[0].says);
    let hungry = found(json!({}), 2, running(), terminated(137, "OOMKilled", JUST_NOW));
    assert_eq!(hungry[0].cause, Cause::OutOfMemory);
}

#[test]
fn what_ended_long_ago_and_runs_since_is_forgotten() {
    for ended in [terminated(137, "OOMKilled", LONG_AGO), terminated(1, "Error", LONG_AGO)] {
        assert_eq!(found(json!({}), 3, running(), ended), []);
    }
}

#[test]
fn an_old_death_does_not_outrank_what_is_wrong_now() {
    let status = json!({"containerStatuses": [
        {"name": "web", "restartCount": 1, "ready": true, "state": running(), "lastState": terminated(137, "OOMKilled", LONG_AGO)},
        {"name": "side", "restartCount": 0, "ready": false, "state": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}}]});
    let found = first(of(pod(json!({}), status)));
    assert_eq!(found.cause, Cause::WrongImage);
}

#[test]
fn what_is_run_once_and_fails_does_not_end_again_and_again() {
    let failed = found(json!({"restartPolicy": "Never"}), 0, terminated(3, "Error", LONG_AGO), json!({}));
    assert_eq!(json!(failed[0].cause), "run_failed");
    assert!(
        failed[0].says.contains("exit code 3") && !failed[0].says.contains("again and again"),
        "{}",
        failed[0].says
    );
    let between =
        found(json!({"restartPolicy": "OnFailure"}), 4, terminated(3, "Error", JUST_NOW), json!({}));
    assert_eq!(between[0].cause, Cause::CrashLoop);
    assert_eq!(
        found(json!({"restartPolicy": "Never"}), 0, terminated(0, "Completed", JUST_NOW), json!({})),
        []
    );
}

#[test]
fn the_memory_of_an_init_container_is_raised_there() {
    let spec = json!({"initContainers": [{"name": "prepare", "image": "i", "resources": {"limits": {"memory": "16Mi"}}}]});
    let status = json!({"initContainerStatuses": [{"name": "prepare", "ready": false, "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": terminated(137, "OOMKilled", JUST_NOW)}]});
    let found = first(of(pod(spec, status)));
    let spec = &found.fix.changes[0]["patch"]["patch"]["spec"]["template"]["spec"];
    assert_eq!(spec["initContainers"][0]["resources"]["limits"]["memory"], "32Mi");
    assert_eq!(spec["containers"], Value::Null, "another container would be added");
}
