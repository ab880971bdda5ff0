//! What tests over real containers share: an `orchd up` with a containerd of its own, and its pods.

use std::time::Duration;

pub(crate) use orch_tests::IMAGE;
use orch_tests::{Orchd, wait_for};
use serde_json::Value;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// `orchd up` with real containers, and the test image.
pub(crate) fn start() -> Orchd {
    Orchd::real()
}

/// The objects that `orchctl get` shows.
pub(crate) fn objects(orch: &Orchd, args: &[&str]) -> Vec<Value> {
    let list = orch.orchctl(&[&["get", "-o", "json"], args].concat()).ok();
    let list: Value = serde_json::from_str(&list).unwrap();
    list["items"].as_array().cloned().unwrap_or_else(|| vec![list])
}

/// The pods with these labels, once there are so many and all are ready.
pub(crate) fn running(orch: &Orchd, selector: &str, count: usize) -> Vec<Value> {
    wait_for(&format!("{count} ready pods of {selector}"), DEADLINE, || {
        let pods = objects(orch, &["pods", "-l", selector]);
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        if ready == count && pods.len() == count {
            Ok(pods)
        } else {
            Err(orch.orchctl(&["get", "pods"]).stdout)
        }
    })
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer} is missing in {value:#}"))
}

pub(crate) fn restarts(pod: &Value) -> i64 {
    pod.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_i64).unwrap()
}

/// A workload of pods with one container, `main`, that runs a script.
pub(crate) fn workload(name: &str, replicas: u32, script: &str) -> String {
    format!(
        "
apiVersion: orch.dev/v1
kind: Workload
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: {IMAGE}
          command: [sh, -c, {script:?}]
"
    )
}
