//! What tests over real containers share: an `orchd up` with a containerd of its own, and its pods.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use orch_tests::{Orchd, Run, wait_for};
use serde_json::Value;

/// The image that [`start`] imports.
pub(crate) const IMAGE: &str = "localhost/orch/busybox:1";
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Each test's pods get addresses of their own, because they share this machine's network.
fn pod_cidr() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let third = (std::process::id() % 50) as u8 * 5 + NEXT.fetch_add(1, Ordering::Relaxed) % 5;
    format!("{}/24", Ipv4Addr::new(10, 93, third, 0))
}

/// `orchd up` with real containers, and the test image.
pub(crate) fn start() -> Orchd {
    let orch = Orchd::start(&["--containerd", "private", "--pod-cidr", &pod_cidr()]);
    let tar = orch.data_dir().join("busybox.tar");
    let maker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/busybox-image");
    Run::new(Command::new(maker).arg(&tar).arg(IMAGE), "").ok();
    orch.orchd(&[
        "image",
        "import",
        &tar.to_string_lossy(),
        "--data-dir",
        &orch.data_dir().to_string_lossy(),
    ])
    .ok();
    orch
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
