//! What the process tells about itself at `/metrics`.

use std::time::Duration;

use orch_tests::{Orchd, wait_for};

use crate::manifests::web;

const DEADLINE: Duration = Duration::from_secs(60);
const NOWHERE: &str = "
apiVersion: v1
kind: Pod
metadata: {name: nowhere}
spec: {nodeSelector: {there: none}, containers: [{name: a, image: 'registry.test/a:1'}]}
";

/// The value of a counter or gauge, written as Prometheus writes it.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn controllers_and_the_scheduler_are_counted_under_kubernetes_names() {
    let orch = Orchd::simulated(1);
    orch.kubectl_with(&["create", "-f", "-"], web!("{name: web, image: 'registry.test/web:1'}")).ok();
    orch.kubectl_with(&["create", "-f", "-"], NOWHERE).ok();
    let attempts = |result: &str| {
        format!("scheduler_schedule_attempts_total{{result=\"{result}\",profile=\"default-scheduler\"}}")
    };
    let at_least = [
        (attempts("scheduled"), 2.0),
        (attempts("unschedulable"), 1.0),
        ("scheduler_pending_pods{queue=\"unschedulable\"}".to_owned(), 1.0),
        ("workqueue_adds_total{name=\"workload-controller\"}".to_owned(), 1.0),
        ("workqueue_adds_total{name=\"default-scheduler\"}".to_owned(), 3.0),
        ("workqueue_queue_duration_seconds_count{name=\"default-scheduler\"}".to_owned(), 3.0),
        ("workqueue_work_duration_seconds_count{name=\"garbage-collector\"}".to_owned(), 1.0),
        ("workqueue_retries_total{name=\"workload-controller\"}".to_owned(), 0.0),
    ];
    wait_for("counters that have moved", DEADLINE, || {
        let metrics = orch.kubectl(&["get", "--raw", "/metrics"]).ok();
        let missing = at_least
            .iter()
            .find(|(series, least)| value(&metrics, series).is_none_or(|found| found < *least));
        missing.map_or(Ok(()), |(series, least)| Err(format!("{series} is not {least} in {metrics}")))
    });
    orch.kubectl(&["delete", "pod", "nowhere", "--timeout=60s"]).ok();
    wait_for("no pod that waits, and an empty queue", DEADLINE, || {
        let metrics = orch.kubectl(&["get", "--raw", "/metrics"]).ok();
        let waits = value(&metrics, "scheduler_pending_pods{queue=\"unschedulable\"}");
        let depth = value(&metrics, "workqueue_depth{name=\"default-scheduler\"}");
        if (waits, depth) == (Some(0.0), Some(0.0)) { Ok(()) } else { Err(format!("{waits:?}, {depth:?}")) }
    });
}
