//! A world in, a status out.

use orch_api::ConditionStatus;
use orch_ontology::{PodPhase, PodStatus};
use serde_json::json;

use crate::{
    plan::Rejection,
    testing::{Scene, at},
};

fn status(scene: &Scene, seconds: i64) -> PodStatus {
    super::pod_status(&scene.world(), scene.pod.as_ref().unwrap(), &scene.plan(seconds), at(seconds))
}

/// The phase, then each container: `name ready? count state (last state)`.
fn words(status: &PodStatus) -> String {
    let state = |state: &orch_ontology::ContainerState| match state {
        orch_ontology::ContainerState { running: Some(_), .. } => "running".to_owned(),
        orch_ontology::ContainerState { terminated: Some(ended), .. } => {
            format!("{} {}", ended.reason, ended.exit_code)
        }
        orch_ontology::ContainerState { waiting: Some(waiting), .. } => waiting.reason.clone(),
        _ => "-".to_owned(),
    };
    let containers =
        status.init_container_statuses.iter().chain(&status.container_statuses).map(|container| {
            let (now, before) = (state(&container.state), state(&container.last_state));
            format!("{}{} {now} ({before})", container.name, container.restart_count)
        });
    let phase = status.phase.unwrap();
    std::iter::once(format!("{phase:?}")).chain(containers).collect::<Vec<_>>().join(", ")
}

#[test]
fn states_of_containers_become_a_status() {
    for (policy, seen, now, expected) in [
        ("Always", "", 0, "Pending, main0 ContainerCreating (-)"),
        ("Always", "sandbox; main#0 created", 0, "Pending, main0 ContainerCreating (-)"),
        ("Always", "sandbox; main#0 running", 0, "Running, main0 running (-)"),
        ("Always", "sandbox; main#0 exited 1 0 5", 5, "Running, main0 Error 1 (-)"),
        ("Always", "sandbox; main#0 exited 1 0 5; main#1 running", 6, "Running, main1 running (Error 1)"),
        ("Always", "sandbox; main#1 exited 1 0 5 delay 10", 6, "Running, main1 CrashLoopBackOff (Error 1)"),
        (
            "OnFailure",
            "sandbox; main#1 exited 1 0 5 delay 10",
            6,
            "Running, main1 CrashLoopBackOff (Error 1)",
        ),
        ("OnFailure", "sandbox; main#2 exited 0 0 5", 6, "Succeeded, main2 Completed 0 (-)"),
        ("Never", "sandbox; main#0 exited 0 0 5", 6, "Succeeded, main0 Completed 0 (-)"),
        ("Never", "sandbox; main#0 exited 2 0 5", 6, "Failed, main0 Error 2 (-)"),
    ] {
        let scene = Scene::new(seen).pod("spec", json!({"restartPolicy": policy}));
        assert_eq!(words(&status(&scene, now)), expected, "{policy} {seen}");
    }
}

#[test]
fn all_containers_count() {
    let two = json!({"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]});
    for (seen, phase) in [
        ("sandbox; a#0 running", PodPhase::Pending),
        ("sandbox; a#0 exited 1 0 1; b#0 running", PodPhase::Running),
        ("sandbox; a#0 exited 1 0 1; b#0 exited 0 0 1", PodPhase::Failed),
        ("sandbox; a#0 exited 0 0 1; b#0 exited 0 0 1", PodPhase::Succeeded),
    ] {
        let status = status(&Scene::new(seen).pod("spec", two.clone()), 2);
        assert_eq!(status.phase, Some(phase), "{seen}");
    }
}

#[test]
fn init_containers_decide_until_they_are_over() {
    let init = |policy| json!({"restartPolicy": policy, "initContainers": [{"name": "i", "image": "x"}]});
    for (policy, seen, expected) in [
        ("Always", "sandbox; i#0 running", "Pending, i0 running (-), main0 PodInitializing (-)"),
        ("Always", "sandbox; i#0 exited 0 0 1", "Pending, i0 Completed 0 (-), main0 ContainerCreating (-)"),
        ("Never", "sandbox; i#0 exited 1 0 1", "Failed, i0 Error 1 (-), main0 PodInitializing (-)"),
        (
            "Never",
            "sandbox; i#0 exited 0 0 1; main#0 running",
            "Running, i0 Completed 0 (-), main0 running (-)",
        ),
    ] {
        let scene = Scene::new(seen).pod("spec", init(policy));
        assert_eq!(words(&status(&scene, 2)), expected, "{policy} {seen}");
    }
}

#[test]
fn an_init_container_that_is_over_stays_so_when_its_record_is_gone() {
    let init = json!({"initContainers": [{"name": "i", "image": "x"}]});
    let mut scene = Scene::new("sandbox; i#0 exited 0 0 1; main#0 running").pod("spec", init);
    scene.pod.as_mut().unwrap().status = status(&scene, 2);
    scene.seen = Scene::new("sandbox; main#0 running").seen;
    assert_eq!(words(&status(&scene, 3)), "Running, i0 Completed 0 (-), main0 running (-)");
}

#[test]
fn conditions_say_why_and_keep_their_time() {
    let of = |status: &PodStatus, name: &str| {
        let found = status.conditions.iter().find(|condition| condition.condition_type == name).unwrap();
        (found.status, found.reason.clone(), found.last_transition_time.unwrap().timestamp())
    };
    let mut scene = Scene::new("").pod(
        "status",
        json!({"conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-31T11:00:00Z"},
            {"type": "example.com/mine", "status": "Unknown"},
        ]}),
    );
    let pending = status(&scene, 1);
    assert_eq!(of(&pending, "Ready"), (ConditionStatus::False, "ContainersNotReady".into(), at(1)));
    assert_eq!(of(&pending, "PodReadyToStartContainers").0, ConditionStatus::False);
    assert_eq!(of(&pending, "Initialized").0, ConditionStatus::True);
    assert_eq!(of(&pending, "PodScheduled").2, at(-3600));
    assert!(pending.conditions.iter().any(|condition| condition.condition_type == "example.com/mine"));
    scene.pod.as_mut().unwrap().status = pending;
    let later = status(&scene, 9);
    assert_eq!(of(&later, "Ready").2, at(1), "nothing changed, so neither did the time");
    assert_eq!(scene.pod.as_ref().unwrap().status, later, "and nothing is to be told");
    scene.seen = Scene::new("sandbox; main#0 running").seen;
    let running = status(&scene, 10);
    assert_eq!(of(&running, "Ready"), (ConditionStatus::True, String::new(), at(10)));
    scene.pod.as_mut().unwrap().status = running;
    scene = scene.pod("spec", json!({"restartPolicy": "Never"}));
    scene.seen = Scene::new("sandbox; main#0 exited 0 0 11").seen;
    assert_eq!(of(&status(&scene, 12), "Ready"), (ConditionStatus::False, "PodCompleted".into(), at(12)));
}

#[test]
fn addresses_and_identities_are_reported() {
    let image = "docker.io/library/busybox:1.36";
    let scene = Scene::new("sandbox; main#0 running")
        .pod("spec", json!({"containers": [{"name": "main", "image": image}]}));
    let told = status(&scene, 1);
    assert_eq!((told.pod_ip.as_str(), told.pod_ips.len()), ("10.1.0.2", 1));
    assert_eq!((told.host_ip.as_str(), told.host_ips.len()), ("192.0.2.1", 2));
    let main = &told.container_statuses[0];
    assert_eq!(main.image_id, "docker.io/library/busybox@sha256:00");
    assert_eq!(main.container_id, "simulated://uid-web-main-0");
    assert_eq!((main.ready, main.started), (true, Some(true)));
    let on_host = Scene::new("sandbox; main#0 running").pod("spec", json!({"hostNetwork": true}));
    assert_eq!(status(&on_host, 1).pod_ip, "192.0.2.1");
}

#[test]
fn a_deleted_pod_shows_how_it_ended_until_it_is_gone() {
    let deleted = json!({"deletionTimestamp": "2026-01-31T12:00:30Z", "deletionGracePeriodSeconds": 30});
    let mut scene = Scene::new("sandbox; main#2 running").pod("metadata", deleted);
    scene.pod.as_mut().unwrap().status = status(&scene, 1);
    scene.seen = Scene::new("sandbox; main#2 exited 143 1 5").seen;
    let stopped = status(&scene, 5);
    assert_eq!(words(&stopped), "Failed, main2 Error 143 (-)");
    scene.pod.as_mut().unwrap().status = stopped.clone();
    scene.seen = Scene::new("").seen;
    let removed = status(&scene, 6);
    assert_eq!(words(&removed), "Failed, main2 Error 143 (-)");
    assert_eq!(removed.pod_ip, "10.1.0.2");
}

#[test]
fn an_end_that_nobody_saw_is_reported_as_unknown() {
    let mut scene = Scene::new("sandbox; main#0 running");
    scene.pod.as_mut().unwrap().status = status(&scene, 1);
    scene.seen = Scene::new("sandbox").seen;
    assert_eq!(words(&status(&scene, 2)), "Running, main0 ContainerCreating (ContainerStatusUnknown 137)");
    let deleted = json!({"deletionTimestamp": "2026-01-31T12:00:30Z"});
    assert_eq!(
        words(&status(&scene.pod("metadata", deleted), 2)),
        "Failed, main0 ContainerStatusUnknown 137 (-)"
    );
}

#[test]
fn a_pod_that_may_not_run_again_fails_when_its_record_is_gone() {
    for (policy, expected) in [
        ("Never", "Failed, main0 ContainerStatusUnknown 137 (-)"),
        ("OnFailure", "Running, main0 ContainerCreating (ContainerStatusUnknown 137)"),
    ] {
        let mut scene = Scene::new("sandbox; main#0 running").pod("spec", json!({"restartPolicy": policy}));
        scene.pod.as_mut().unwrap().status = status(&scene, 1);
        scene.seen = Scene::new("sandbox").seen;
        assert_eq!(words(&status(&scene, 2)), expected, "{policy}");
    }
}

#[test]
fn a_run_that_makes_room_for_another_image_is_no_failure() {
    let scene = Scene::new("sandbox; main#0 exited 143 0 5 image old");
    let scene = scene.pod("spec", json!({"restartPolicy": "Never"}));
    assert_eq!(words(&status(&scene, 6)), "Running, main0 ContainerCreating (Error 143)");
}

#[test]
fn no_pod_is_ready_whose_runtime_is_not_there() {
    let mut scene = Scene::new("sandbox; main#0 running");
    let ready = |scene: &Scene, name: &str| {
        let status = status(scene, 9);
        let found = status.conditions.iter().find(|condition| condition.condition_type == name).unwrap();
        (found.status, found.reason.clone())
    };
    scene.is_runtime_there = false;
    assert_eq!(ready(&scene, "Ready"), (ConditionStatus::False, "NodeNotReady".into()));
    assert_eq!(ready(&scene, "ContainersReady"), (ConditionStatus::True, String::new()));
    scene.is_runtime_there = true;
    assert_eq!(ready(&scene, "Ready"), (ConditionStatus::True, String::new()));
}

#[test]
fn a_rejection_is_a_failure_with_its_reason() {
    let rejection = Rejection { reason: "OutOfcpu".into(), message: "Pod was rejected: …".into() };
    let scene = Scene::new("").memory(|memory| memory.admission = Some(Err(rejection)));
    let told = status(&scene, 1);
    assert_eq!((told.phase, told.reason.as_str()), (Some(PodPhase::Failed), "OutOfcpu"));
    assert!(told.message.starts_with("Pod was rejected"));
    assert!(told.container_statuses.is_empty());
}

#[test]
fn a_complete_pod_stays_as_it_was_told() {
    let mut scene = Scene::new("sandbox; main#0 exited 0 0 5").pod("spec", json!({"restartPolicy": "Never"}));
    scene.pod.as_mut().unwrap().status = status(&scene, 6);
    scene.seen = Scene::new("").seen;
    assert_eq!(status(&scene, 9), scene.pod.as_ref().unwrap().status);
}
