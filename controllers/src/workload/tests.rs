use std::time::Duration;

use orch_controller_runtime::Action;
use orch_ontology::PodPhase;
use serde_json::{Value, json};

use super::pods::{ATTEMPT, template_hash};
use super::*;

const NOW: &str = "2026-01-01T00:10:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn workload(spec: Value) -> Workload {
    let mut spec = spec;
    spec["template"] = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    });
    let mut workload: Workload = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "w", "generation": 1},
        "spec": spec,
    }))
    .unwrap();
    let hash = template_hash(&workload.spec.template);
    workload.metadata.annotations =
        [(labels::TEMPLATE_HASH.to_owned(), hash), (labels::REVISION.to_owned(), "1".to_owned())].into();
    workload
}

/// A pod of the workload's template that runs and is ready for a minute.
fn running(workload: &Workload, name: &str) -> PodView {
    PodView {
        name: name.into(),
        uid: name.into(),
        template_hash: template_hash(&workload.spec.template),
        revision: 1,
        node: format!("node-of-{name}"),
        phase: PodPhase::Running,
        ready_since: Some(now() - jiff::SignedDuration::from_secs(60)),
        created_at: now() - jiff::SignedDuration::from_secs(90),
        ..PodView::default()
    }
}

fn pending(workload: &Workload, name: &str) -> PodView {
    PodView { phase: PodPhase::Pending, ready_since: None, node: String::new(), ..running(workload, name) }
}

fn old(workload: &Workload, name: &str) -> PodView {
    PodView { template_hash: "old".into(), ..running(workload, name) }
}

fn ended(workload: &Workload, name: &str, seconds_ago: i64, attempt: u32) -> PodView {
    let ended_at = Some(now() - jiff::SignedDuration::from_secs(seconds_ago));
    PodView { phase: PodPhase::Failed, ready_since: None, ended_at, attempt, ..running(workload, name) }
}

fn plan(workload: &Workload, pods: &[PodView]) -> Plan {
    Workloads::plan(&World { workload: workload.clone(), pods: pods.to_vec() }, now())
}

fn created(plan: &Plan) -> Vec<Pod> {
    let creates = plan.writes.iter().filter_map(|write| match &write.action {
        Action::Create(pod) => Some(serde_json::from_value(pod.clone()).unwrap()),
        _ => None,
    });
    creates.collect()
}

fn deleted(plan: &Plan) -> Vec<String> {
    let deletes = plan.writes.iter().filter(|write| matches!(write.action, Action::Delete { .. }));
    deletes.map(|write| write.key().name).collect()
}

fn status(plan: &Plan) -> Value {
    match plan.status.as_ref().map(|write| &write.action) {
        Some(Action::Merge(patch)) => patch["status"].clone(),
        other => panic!("no status: {other:?}"),
    }
}

#[test]
fn missing_pods_are_made_of_the_template_and_belong_to_the_workload() {
    let workload = workload(json!({"replicas": 3}));
    let plan = plan(&workload, &[running(&workload, "web-a")]);
    let pods = created(&plan);
    assert_eq!(pods.len(), 2);
    assert_ne!(pods[0].metadata.name, pods[1].metadata.name);
    let pod = &pods[0];
    assert!(pod.metadata.name.starts_with("web-") && pod.metadata.name.len() == 9, "{}", pod.metadata.name);
    assert_eq!(pod.metadata.labels["app"], "web");
    assert_eq!(pod.metadata.labels[labels::WORKLOAD], "web");
    assert_eq!(pod.metadata.controller().unwrap().uid, "w");
    assert_eq!(pod.spec, workload.spec.template.spec);
    assert_eq!(deleted(&plan), [""; 0]);
}

#[test]
fn many_pods_are_made_step_by_step_under_names_of_their_own() {
    let workload = workload(json!({"replicas": 10_000}));
    let names = |plan: &Plan| {
        plan.writes
            .iter()
            .filter_map(|write| match &write.action {
                Action::Create(_) => Some(write.key().name),
                _ => None,
            })
            .collect::<std::collections::BTreeSet<_>>()
    };
    let first = names(&plan(&workload, &[]));
    assert_eq!(first.len(), rollout::MADE_AT_ONCE);
    let pods: Vec<_> = first.iter().map(|name| pending(&workload, name)).collect();
    let second = names(&plan(&workload, &pods));
    assert_eq!(second.len(), rollout::MADE_AT_ONCE);
    assert!(first.is_disjoint(&second));
}

#[test]
fn when_all_is_as_it_should_be_nothing_is_written() {
    let mut workload = workload(json!({"replicas": 1}));
    let pods = [running(&workload, "web-a")];
    workload.status = serde_json::from_value(status(&plan(&workload, &pods))).unwrap();
    let plan = plan(&workload, &pods);
    assert!(plan.is_empty() && plan.events.is_empty() && plan.requeue_after.is_none(), "{plan:?}");
}

#[test]
fn the_pods_that_serve_least_go_first() {
    let workload = workload(json!({"replicas": 1}));
    let unready = PodView { ready_since: None, ..running(&workload, "web-unready") };
    let younger = PodView { ready_since: Some(now()), ..running(&workload, "web-younger") };
    let pods = [running(&workload, "web-a"), pending(&workload, "web-pending"), unready, younger];
    assert_eq!(deleted(&plan(&workload, &pods)), ["web-pending", "web-unready", "web-younger"]);
}

#[test]
fn of_two_pods_on_one_node_one_goes_before_a_pod_that_is_alone() {
    let workload = workload(json!({"replicas": 2}));
    let on = |name: &str, node: &str| PodView { node: node.into(), ..running(&workload, name) };
    let pods = [on("web-a", "n1"), on("web-b", "n2"), on("web-c", "n2")];
    assert_eq!(deleted(&plan(&workload, &pods)), ["web-b"]);
}

#[test]
fn terminating_pods_are_replaced_at_once() {
    let workload = workload(json!({"replicas": 1}));
    let pods = [PodView { terminating: true, ..running(&workload, "web-a") }];
    let plan = plan(&workload, &pods);
    assert_eq!((created(&plan).len(), deleted(&plan).len()), (1, 0));
    assert_eq!(status(&plan)["replicas"], 0);
}

#[test]
fn a_new_template_is_rolled_out_one_pod_at_a_time() {
    let mut workload = workload(json!({"replicas": 2}));
    workload.metadata.annotations.insert(labels::TEMPLATE_HASH.to_owned(), "old".to_owned());
    let before = [old(&workload, "web-a"), old(&workload, "web-b")];
    let first = plan(&workload, &before);
    assert_eq!((created(&first).len(), deleted(&first).len()), (1, 0), "one more than wanted, none less");
    assert_eq!(created(&first)[0].metadata.annotations[labels::REVISION], "2");

    let waiting = plan(&workload, &[&before[..], &[pending(&workload, "web-c")]].concat());
    assert_eq!((created(&waiting).len(), deleted(&waiting).len()), (0, 0), "until the new one is available");

    let replaced = plan(&workload, &[&before[..], &[running(&workload, "web-c")]].concat());
    assert_eq!((created(&replaced).len(), deleted(&replaced).len()), (0, 1));
}

#[test]
fn without_surge_a_pod_goes_before_its_replacement_comes() {
    let workload = workload(json!({"replicas": 2, "update": {"maxSurge": 0, "maxUnavailable": 1}}));
    let plan = plan(&workload, &[old(&workload, "web-a"), old(&workload, "web-b")]);
    assert_eq!((created(&plan).len(), deleted(&plan).len()), (0, 1));
}

#[test]
fn old_pods_that_serve_nobody_are_replaced_first_and_do_not_block() {
    let workload = workload(json!({"replicas": 2}));
    let broken = PodView { ready_since: None, ..old(&workload, "web-broken") };
    let pods = [old(&workload, "web-a"), broken, running(&workload, "web-c")];
    assert_eq!(deleted(&plan(&workload, &pods)), ["web-broken"]);
}

#[test]
fn a_pod_counts_as_available_only_after_the_minimum_time() {
    let workload = workload(json!({"replicas": 1, "update": {"minReadySeconds": 90}}));
    let pods = [running(&workload, "web-a")];
    let plan = plan(&workload, &pods);
    assert_eq!(plan.requeue_after, Some(Duration::from_secs(30)));
    assert_eq!(
        (&status(&plan)["readyReplicas"], &status(&plan)["availableReplicas"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn an_ended_pod_is_replaced_after_a_pause_that_grows() {
    let workload = workload(json!({"replicas": 1}));
    let early = plan(&workload, &[ended(&workload, "web-a", 4, 0)]);
    assert_eq!((created(&early).len(), deleted(&early).len()), (0, 0));
    assert_eq!(early.requeue_after, Some(Duration::from_secs(6)));

    let due = plan(&workload, &[ended(&workload, "web-a", 11, 0)]);
    assert_eq!((created(&due).len(), deleted(&due)), (1, vec!["web-a".to_owned()]));
    assert_eq!(created(&due)[0].metadata.annotations[ATTEMPT], "1");

    let again = plan(&workload, &[ended(&workload, "web-b", 11, 1)]);
    assert_eq!(again.requeue_after, Some(Duration::from_secs(9)));
}

#[test]
fn scaling_down_does_not_wait_for_ended_pods() {
    let workload = workload(json!({"replicas": 1}));
    let pods = [running(&workload, "web-a"), ended(&workload, "web-b", 1, 0)];
    assert_eq!(deleted(&plan(&workload, &pods)), ["web-b"]);
}

#[test]
fn a_workload_that_is_being_deleted_makes_no_pods() {
    let mut workload = workload(json!({"replicas": 3}));
    workload.metadata.deletion_timestamp = Some(now().into());
    assert_eq!(plan(&workload, &[]).writes, []);
}

#[test]
fn the_revision_counts_templates_and_survives_scaling_to_zero() {
    let mut workload = workload(json!({"replicas": 0}));
    assert_eq!(status(&plan(&workload, &[]))["revision"], 1);
    workload.spec.template.spec.containers[0].image = "web:2".into();
    let changed = plan(&workload, &[]);
    assert_eq!(changed.status, None, "not together with what is recorded");
    let recorded = record(&mut workload, &changed);
    assert_eq!(recorded[labels::REVISION], "2");
    assert_eq!(status(&plan(&workload, &[]))["revision"], 2);
}

/// What a plan records of the template, in the workload as well.
fn record(workload: &mut Workload, plan: &Plan) -> Value {
    let Some(Action::Merge(patch)) = plan.writes.first().map(|write| &write.action) else {
        panic!("{plan:?}")
    };
    let annotations = patch["metadata"]["annotations"].clone();
    let all: std::collections::BTreeMap<_, _> = serde_json::from_value(annotations.clone()).unwrap();
    workload.metadata.annotations.extend(all);
    annotations
}

#[test]
fn a_revision_that_is_lost_or_is_none_is_recorded_again_and_only_once() {
    for (last, lost, again) in
        [(Some(7), None, "7"), (None, None, "1"), (Some(7), Some("-3"), "7"), (Some(7), Some("x"), "7")]
    {
        let mut workload = workload(json!({"replicas": 0}));
        workload.status.revision = last;
        workload.metadata.annotations.remove(labels::REVISION);
        let lost = lost.map(|lost: &str| (labels::REVISION.to_owned(), lost.to_owned()));
        workload.metadata.annotations.extend(lost);
        let first = plan(&workload, &[]);
        assert_eq!(record(&mut workload, &first)[labels::REVISION], again);
        workload.status = serde_json::from_value(status(&plan(&workload, &[]))).unwrap();
        assert_eq!(workload.status.revision.unwrap().to_string(), again);
        assert!(plan(&workload, &[]).is_empty());
    }
}

#[test]
fn there_is_no_revision_after_the_last() {
    let mut workload = workload(json!({"replicas": 0}));
    workload.metadata.annotations.insert(labels::REVISION.to_owned(), i64::MAX.to_string());
    workload.spec.template.spec.containers[0].image = "web:2".into();
    let changed = plan(&workload, &[]);
    assert_eq!(record(&mut workload, &changed)[labels::REVISION], i64::MAX.to_string());
}

#[test]
fn times_at_the_end_of_time_are_as_good_as_others() {
    let workload = workload(json!({"replicas": 2, "update": {"minReadySeconds": i32::MAX}}));
    let ended = PodView { ended_at: Some(Timestamp::MAX), ..ended(&workload, "web-a", 0, 9) };
    let ready = PodView { ready_since: Some(Timestamp::MAX), ..running(&workload, "web-b") };
    let plan = plan(&workload, &[ended, ready]);
    assert_eq!((created(&plan).len(), deleted(&plan).len()), (0, 0));
}

#[test]
fn failures_of_another_template_do_not_slow_down_the_present_one() {
    let workload = workload(json!({"replicas": 2}));
    let before = PodView { template_hash: "old".into(), ..ended(&workload, "web-a", 1, 9) };
    let attempts = |pods: &[PodView]| {
        let created = created(&plan(&workload, pods));
        created.iter().map(|pod| pod.metadata.annotations.get(ATTEMPT).cloned()).collect::<Vec<_>>()
    };
    assert_eq!(attempts(std::slice::from_ref(&before)), [None, None]);
    let due = ended(&workload, "web-b", 1000, 1);
    assert_eq!(attempts(&[before, due]), [Some("2".to_owned()), Some("2".to_owned())]);
}

#[test]
fn conditions_say_whether_enough_is_available_and_whether_the_rollout_is_done() {
    let workload = workload(json!({"replicas": 1}));
    let conditions = |pods: &[PodView]| {
        let status = status(&plan(&workload, pods));
        let texts = status["conditions"].as_array().unwrap().iter().map(|condition| {
            format!("{}={} {}", condition["type"], condition["status"], condition["reason"]).replace('"', "")
        });
        texts.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        conditions(&[pending(&workload, "web-a")]),
        "Available=False MinimumReplicasUnavailable, Progressing=True RollingOut"
    );
    assert_eq!(
        conditions(&[running(&workload, "web-a")]),
        "Available=True MinimumReplicasAvailable, Progressing=True RolloutComplete"
    );
}
