//! A world in, a plan out.

use serde_json::json;

use super::{Action, Failure, Memory, Outcome, Rejection, Slot, TornDown, memory::Image};
use crate::{
    spec::Lookup,
    testing::{Scene, at},
};

/// Images are present for these runs.
fn images(runs: &[(&str, u32)]) -> impl FnOnce(&mut Memory) {
    let images: Vec<_> = runs
        .iter()
        .map(|(name, attempt)| ((*name).to_owned(), Image::Present { attempt: *attempt }))
        .collect();
    move |memory| memory.images.extend(images)
}

fn failed(failures: u32, at_seconds: i64, retry_seconds: i64, reason: &'static str) -> Failure {
    Failure {
        failures,
        at: at(at_seconds),
        retry_at: at(retry_seconds),
        reason,
        message: "no route to host".into(),
    }
}

#[test]
fn a_pod_is_brought_up_step_by_step() {
    let fresh = Scene::new("").memory(|memory| memory.volumes = None);
    assert_eq!(fresh.decide(0), "volumes; main waits: ContainerCreating");
    assert_eq!(Scene::new("").decide(0), "sandbox; main waits: ContainerCreating");
    assert_eq!(Scene::new("sandbox").decide(0), "image for main#0; main waits: ContainerCreating");
    let with_image = Scene::new("sandbox").memory(images(&[("main", 0)]));
    assert_eq!(with_image.decide(0), "start main#0 (next after 0s); main waits: ContainerCreating");
    let created = Scene::new("sandbox; main#0 created").memory(images(&[("main", 0)]));
    assert_eq!(created.decide(0), "start main#0 (next after 0s)");
    assert_eq!(Scene::new("sandbox; main#0 running").decide(0), "");
}

#[test]
fn what_is_under_way_is_not_begun_again() {
    for (seen, slot) in [("", Slot::Pod), ("sandbox", Slot::Container("main".into()))] {
        let busy = Scene::new(seen).memory(|memory| memory.busy.extend([(slot, false)]));
        assert_eq!(busy.decide(0), "main waits: ContainerCreating", "{seen}");
    }
}

#[test]
fn restarts_wait_longer_each_time_and_the_first_not_at_all() {
    for (seen, now, expected) in [
        ("main#0 exited 1 0 5", 5, "start main#1 (next after 10s)"),
        ("main#1 exited 1 5 8 delay 10", 8, "main waits: CrashLoopBackOff; wake at 18"),
        ("main#1 exited 1 5 8 delay 10", 18, "start main#2 (next after 20s)"),
        ("main#5 exited 0 5 8 delay 160", 168, "start main#6 (next after 300s)"),
        ("main#9 exited 1 5 8 delay 300", 308, "start main#10 (next after 300s)"),
        // A run of more than ten minutes makes up for those before.
        ("main#9 exited 1 5 606 delay 300", 606, "start main#10 (next after 10s)"),
        ("main#9 exited 1 5 605 delay 300", 606, "main waits: CrashLoopBackOff; wake at 905"),
    ] {
        let (_, attempt) = seen.split_once('#').unwrap();
        let attempt: u32 = attempt.split(' ').next().unwrap().parse().unwrap();
        let scene = Scene::new(&format!("sandbox; {seen}")).memory(images(&[("main", attempt + 1)]));
        assert_eq!(scene.decide(now), expected, "{seen} at {now}");
    }
}

#[test]
fn the_restart_policy_decides_what_runs_again() {
    for (policy, code, expected) in [
        ("Always", 0, "image for main#1"),
        ("OnFailure", 0, ""),
        ("OnFailure", 1, "image for main#1"),
        ("Never", 0, ""),
        ("Never", 1, ""),
    ] {
        let scene = Scene::new(&format!("sandbox; main#0 exited {code} 0 5"));
        let scene = scene.pod("spec", json!({"restartPolicy": policy}));
        assert_eq!(scene.decide(6), expected, "{policy} {code}");
    }
}

#[test]
fn a_back_off_is_explained_and_told_once() {
    let scene = Scene::new("sandbox; main#1 exited 1 5 8 delay 80");
    let plan = scene.plan(9);
    let message = "back-off 1m20s restarting failed container=main pod=web_default(uid-web)";
    assert_eq!(plan.waiting["main"].message, message);
    let [(key, note)] = plan.notes.as_slice() else { panic!("{:?}", plan.notes) };
    assert_eq!(note.message, "Back-off restarting failed container main in pod web_default(uid-web)");
    let key = key.clone();
    let told = scene.memory(|memory| memory.told.extend([key]));
    assert_eq!(told.plan(9).notes, []);
}

#[test]
fn init_containers_run_one_after_the_other() {
    let init = json!({"initContainers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]});
    let waiting = "a waits: PodInitializing; b waits: PodInitializing; main waits: PodInitializing";
    for (seen, expected) in [
        ("sandbox", format!("image for a#0; {waiting}")),
        ("sandbox; a#0 running", "b waits: PodInitializing; main waits: PodInitializing".to_owned()),
        (
            "sandbox; a#0 exited 0 1 2",
            "image for b#0; b waits: PodInitializing; main waits: PodInitializing".to_owned(),
        ),
        (
            "sandbox; a#0 exited 3 1 2",
            "image for a#1; b waits: PodInitializing; main waits: PodInitializing".to_owned(),
        ),
        (
            "sandbox; a#0 exited 0 1 2; b#1 exited 0 1 2",
            "image for main#0; main waits: ContainerCreating".to_owned(),
        ),
        // Once the others run, init containers are over, even if their records are gone.
        ("sandbox; main#0 running", String::new()),
    ] {
        assert_eq!(Scene::new(seen).pod("spec", init.clone()).decide(3), expected, "{seen}");
    }
    let never = Scene::new("sandbox; a#0 exited 3 1 2")
        .pod("spec", init)
        .pod("spec", json!({"restartPolicy": "Never"}));
    assert_eq!(never.decide(3), "b waits: PodInitializing; main waits: PodInitializing");
}

#[test]
fn an_image_that_cannot_be_pulled_is_tried_later_and_later() {
    let with = |failure: Failure| {
        Scene::new("sandbox")
            .memory(|memory| drop(memory.images.insert("main".into(), Image::Failed(failure))))
    };
    let first = with(failed(1, 0, 10, "ErrImagePull"));
    assert_eq!(first.decide(0), "main waits: ErrImagePull; wake at 1");
    assert_eq!(first.decide(1), "main waits: ImagePullBackOff; wake at 10");
    assert_eq!(first.decide(10), "image for main#0; main waits: ImagePullBackOff");
    let message = "Back-off pulling image \"busybox\": ErrImagePull: no route to host";
    assert_eq!(first.plan(5).waiting["main"].message, message);
    let never = with(failed(1, 0, 10, "ErrImageNeverPull"));
    assert_eq!(never.decide(5), "main waits: ErrImageNeverPull; wake at 10");
}

#[test]
fn failures_add_up_and_success_forgets_them() {
    let mut memory = Memory::default();
    let pull = Action::EnsureImage {
        container: "main".into(),
        attempt: 0,
        image: "busybox".into(),
        policy: orch_ontology::ImagePullPolicy::Always,
    };
    let mut waits = Vec::new();
    for _ in 0..7 {
        memory.begin(&pull);
        memory.end(None, &pull, Outcome::Failed { reason: "ErrImagePull", message: String::new() }, at(0));
        let Some(Image::Failed(failure)) = memory.images.get("main") else { panic!("{memory:?}") };
        waits.push(failure.retry_at.duration_since(at(0)).as_secs());
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    memory.begin(&pull);
    memory.end(None, &pull, Outcome::Done, at(0));
    assert_eq!(memory.images["main"], Image::Present { attempt: 0 });
    assert!(memory.busy.is_empty());
}

#[test]
fn missing_configuration_is_waited_for_without_a_timer() {
    let env = json!([{"name": "main", "image": "x", "env": [
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
    ]}]);
    let mut scene =
        Scene::new("sandbox").memory(images(&[("main", 0)])).pod("spec", json!({"containers": env}));
    assert_eq!(scene.decide(0), "main waits: ContainerCreating");
    scene.sources.config_maps.insert("c".into(), Lookup::Missing);
    assert_eq!(scene.decide(0), "main waits: CreateContainerConfigError");
    assert_eq!(scene.plan(0).waiting["main"].message, "configmap \"c\" not found");
    let map = serde_json::from_value(json!({"metadata": {"name": "c"}, "data": {"k": "v"}})).unwrap();
    scene.sources.config_maps.insert("c".into(), Lookup::Found(std::sync::Arc::new(map)));
    assert_eq!(scene.decide(0), "start main#0 (next after 0s); main waits: ContainerCreating");
}

#[test]
fn volumes_follow_the_objects_that_they_show() {
    let volumes = json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]});
    let mut scene = Scene::new("").memory(|memory| memory.volumes = None).pod("spec", volumes);
    scene.sources.config_maps.insert("c".into(), Lookup::Missing);
    assert_eq!(scene.decide(0), "main waits: ContainerCreating");
    let message = scene.plan(0).notes[0].1.message.clone();
    assert_eq!(message, "MountVolume.SetUp failed for volume \"v\" : configmap \"c\" not found");
    let map = |version: &str| {
        let map = json!({"metadata": {"name": "c", "resourceVersion": version}, "data": {"k": "v"}});
        Lookup::Found(std::sync::Arc::new(serde_json::from_value(map).unwrap()))
    };
    scene.sources.config_maps.insert("c".into(), map("5"));
    assert_eq!(scene.decide(0), "volumes; main waits: ContainerCreating");
    scene.memory.volumes = Some([("v".to_owned(), "5".to_owned())].into());
    assert_eq!(scene.decide(0), "sandbox; main waits: ContainerCreating");
    // A change is shown to what runs; a loss of the object takes nothing away from it.
    scene.seen = Scene::new("sandbox; main#0 running").seen;
    scene.sources.config_maps.insert("c".into(), map("6"));
    assert_eq!(scene.decide(0), "volumes");
    scene.sources.config_maps.insert("c".into(), Lookup::Missing);
    assert_eq!(scene.decide(0), "");
}

#[test]
fn a_lost_sandbox_is_made_again_and_what_ran_in_it_too() {
    assert_eq!(Scene::new("sandbox lost; main#0 exited 255 0 5").decide(6), "sandbox");
    let half_alive = Scene::new("sandbox lost; main#0 exited 255 0 5; side#0 running")
        .pod("spec", json!({"containers": [{"name": "main", "image": "x"}, {"name": "side", "image": "x"}]}));
    assert_eq!(half_alive.decide(6), "stop side in 30s");
    // Nothing is to run in it any more.
    let done = Scene::new("sandbox lost; main#0 exited 0 0 5").pod("spec", json!({"restartPolicy": "Never"}));
    assert_eq!(done.decide(6), "");
    let failing =
        Scene::new("").memory(|memory| memory.sandbox_failure = Some(failed(2, 0, 2, "SandboxError")));
    assert_eq!(failing.decide(1), "main waits: ContainerCreating; wake at 2");
    assert_eq!(failing.decide(2), "sandbox; main waits: ContainerCreating");
}

#[test]
fn old_runs_go_and_the_last_two_stay() {
    let three = "sandbox; main#3 exited 1 0 1; main#4 exited 1 2 3; main#5 running";
    assert_eq!(Scene::new(three).decide(9), "remove main#3");
    let two = "sandbox; main#4 exited 1 2 3; main#5 running";
    assert_eq!(Scene::new(two).decide(9), "");
}

#[test]
fn an_old_run_that_cannot_be_removed_is_tried_later_and_delays_no_start() {
    let three = "sandbox; main#3 exited 1 0 1; main#4 exited 1 2 3; main#5 exited 1 4 5 delay 10";
    let remove = Scene::new(three).plan(6).actions.remove(0);
    let mut memory = Scene::new(three).memory;
    memory.begin(&remove);
    let failed = Outcome::Failed { reason: "RemoveContainerError", message: "busy".into() };
    memory.end(None, &remove, failed, at(6));
    let scene = Scene::new(three).memory(|held| *held = memory);
    assert_eq!(scene.decide(6), "main waits: CrashLoopBackOff; wake at 7");
    assert_eq!(scene.decide(8), "remove main#3; main waits: CrashLoopBackOff; wake at 15");
    let due = scene.memory(images(&[("main", 6)]));
    assert_eq!(due.decide(15), "start main#6 (next after 20s)");
    let gone = due.pod("metadata", deleted(20));
    assert_eq!(gone.decide(6), "remove sandbox", "the pod's end waits for no old run");
}

#[test]
fn another_image_is_another_run_whatever_the_policy() {
    for policy in ["Always", "OnFailure", "Never"] {
        let scene = |seen: &str| {
            Scene::new(seen).pod("spec", json!({"restartPolicy": policy})).memory(images(&[("main", 1)]))
        };
        assert_eq!(scene("sandbox; main#0 running image old").decide(6), "stop main in 30s", "{policy}");
        let stopped = scene("sandbox; main#0 exited 143 0 5 image old delay 80");
        assert_eq!(
            stopped.decide(6),
            "start main#1 (next after 0s); main waits: ContainerCreating",
            "{policy}"
        );
        assert_eq!(scene("sandbox; main#1 running").decide(6), "", "{policy}");
    }
    let id = orch_runtime::ContainerId::of_pod("uid-web", "main", 0);
    let stopping = Scene::new("sandbox; main#0 running image old");
    let stopping = stopping.memory(|memory| memory.busy.extend([(Slot::Stop(id, 30), false)]));
    assert_eq!(stopping.decide(6), "");
    let failing = Scene::new("sandbox; main#0 running image old");
    let failing = failing.memory(|memory| memory.end_failure = Some(failed(1, 0, 9, "KillContainerError")));
    assert_eq!(failing.decide(6), "wake at 9");
}

#[test]
fn init_containers_run_again_in_a_sandbox_that_was_made_anew() {
    let init = json!({"initContainers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]});
    let initialized = json!({"conditions": [
        {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-31T12:00:04Z"},
    ]});
    let before = "a#0 exited 0 1 2; b#0 exited 0 3 4; main#0 exited 255 5 6";
    for (seen, expected) in [
        (format!("sandbox lost; {before}"), "sandbox"),
        (format!("sandbox anew 10; {before}"), "image for a#1"),
        (format!("sandbox anew 10; {before}; a#1 running in 10"), ""),
        (format!("sandbox anew 10; {before}; a#1 exited 0 11 12 in 10"), "image for b#1"),
        (
            format!("sandbox anew 10; {before}; a#1 exited 0 11 12 in 10; b#1 exited 0 13 14 in 10"),
            "image for main#1",
        ),
        // Their records may go once they are behind us.
        ("sandbox anew 10; main#1 exited 1 15 16 in 10".to_owned(), "image for main#2"),
    ] {
        let scene = Scene::new(&seen).pod("spec", init.clone()).pod("status", initialized.clone());
        assert_eq!(scene.decide(20), expected, "{seen}");
    }
    let done = format!("sandbox anew 10; {before}; a#1 exited 1 11 12 in 10");
    let never = Scene::new(&done).pod("spec", init).pod("spec", json!({"restartPolicy": "Never"}));
    assert_eq!(never.decide(20), "");
}

#[test]
fn a_run_whose_record_is_gone_still_counts() {
    let told = json!([{
        "name": "main", "ready": true, "restartCount": 4, "image": "busybox", "imageID": "", "containerID": "simulated://x",
    }]);
    let scene = Scene::new("sandbox")
        .pod("status", json!({"containerStatuses": told}))
        .memory(images(&[("main", 5)]));
    assert_eq!(scene.decide(0), "start main#5 (next after 10s); main waits: ContainerCreating");
}

#[test]
fn the_restart_policy_is_asked_of_a_run_whose_record_is_gone_too() {
    let running = json!({"running": {"startedAt": "2026-01-31T12:00:01Z"}});
    let ended = |code: i32| json!({"terminated": {"exitCode": code}});
    let again = "image for main#1; main waits: ContainerCreating";
    for (policy, state, expected) in [
        ("Always", &ended(0), again),
        ("OnFailure", &ended(0), ""),
        ("OnFailure", &ended(1), again),
        ("OnFailure", &running, again),
        ("Never", &running, ""),
        ("Never", &ended(1), ""),
        // It was created and never ran.
        ("Never", &json!({"waiting": {"reason": "ContainerCreating"}}), again),
    ] {
        let told = json!([{
            "name": "main", "ready": false, "restartCount": 0, "image": "busybox", "imageID": "",
            "containerID": "simulated://x", "state": state,
        }]);
        let scene = Scene::new("sandbox")
            .pod("spec", json!({"restartPolicy": policy}))
            .pod("status", json!({"containerStatuses": told}));
        assert_eq!(scene.decide(0), expected, "{policy} {state}");
    }
}

#[test]
fn an_init_container_whose_record_is_gone_is_not_waited_for() {
    let init = json!({"initContainers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]});
    let told = json!([{
        "name": "a", "ready": false, "restartCount": 0, "image": "x", "imageID": "", "containerID": "simulated://x",
        "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-01-31T12:00:05Z"}},
    }]);
    let scene = |seen: &str| {
        Scene::new(seen)
            .pod("spec", init.clone())
            .pod("status", json!({"initContainerStatuses": told.clone()}))
    };
    let rest = "b waits: PodInitializing; main waits: PodInitializing";
    assert_eq!(scene("sandbox").decide(6), format!("image for b#0; {rest}"));
    let anew = scene("sandbox anew 10").decide(11);
    assert_eq!(anew, format!("image for a#1; a waits: PodInitializing; {rest}"));
}

fn deleted(grace_seconds: i64) -> serde_json::Value {
    json!({"deletionTimestamp": "2026-01-31T12:00:30Z", "deletionGracePeriodSeconds": grace_seconds})
}

#[test]
fn a_deleted_pod_is_stopped_removed_and_then_deleted() {
    for (seen, expected) in [
        ("sandbox; main#0 running", "stop main in 20s"),
        ("sandbox; main#0 exited 143 0 5", "remove sandbox"),
        ("main#0 exited 143 0 5", "remove main#0"),
        ("", "tear down with logs"),
    ] {
        assert_eq!(Scene::new(seen).pod("metadata", deleted(20)).decide(6), expected, "{seen}");
    }
    let clean =
        Scene::new("").pod("metadata", deleted(20)).memory(|memory| memory.torn_down = TornDown::Everything);
    assert_eq!(clean.decide(6), "delete pod");
    // Once: what holds the object now is no business of the node.
    let mut memory = clean.memory.clone();
    memory.end(clean.pod.as_ref(), &Action::DeletePod, Outcome::Done, at(6));
    let released = clean.memory(|held| *held = memory);
    assert_eq!(released.decide(6), "");
}

#[test]
fn less_grace_hurries_a_stop_and_more_does_not_prolong_it() {
    let stopping = |grace_seconds: u64| {
        let id = orch_runtime::ContainerId::of_pod("uid-web", "main", 0);
        Scene::new("sandbox; main#0 running")
            .memory(move |memory| memory.busy.extend([(Slot::Stop(id, grace_seconds), false)]))
            .pod("metadata", deleted(20))
    };
    assert_eq!(stopping(20).decide(6), "");
    assert_eq!(stopping(30).decide(6), "stop main in 20s");
}

#[test]
fn a_pull_is_given_up_when_the_pod_is_deleted() {
    let busy = |can_be_cancelled| {
        Scene::new("sandbox")
            .memory(move |memory| memory.busy.extend([(Slot::Container("main".into()), can_be_cancelled)]))
            .pod("metadata", deleted(20))
    };
    assert_eq!(busy(true).decide(0), "cancel main; remove sandbox");
    // A start is not: it would leave a container behind.
    assert_eq!(busy(false).decide(0), "");
}

#[test]
fn what_nobody_knows_is_stopped_with_the_grace_it_was_given_and_forgotten() {
    let gone = |seen: &str| {
        let mut scene = Scene::new(seen);
        scene.pod = None;
        scene
    };
    assert_eq!(gone("sandbox; main#0 running").decide(0), "stop main in 7s");
    assert_eq!(gone("main#0 running").decide(0), "stop main in 30s");
    assert_eq!(gone("sandbox; main#0 exited 0 0 1").decide(2), "remove sandbox");
    assert_eq!(gone("").decide(2), "tear down with logs");
    assert_eq!(gone("").memory(|memory| memory.torn_down = TornDown::Everything).decide(2), "finished");
}

#[test]
fn a_complete_pod_gives_back_everything_but_its_logs() {
    let complete = |seen: &str| Scene::new(seen).pod("status", json!({"phase": "Succeeded"}));
    assert_eq!(complete("sandbox; main#0 exited 0 0 1").decide(2), "remove sandbox");
    assert_eq!(complete("").decide(2), "tear down");
    let torn_down = |scene: Scene| scene.memory(|memory| memory.torn_down = TornDown::AllButLogs);
    assert_eq!(torn_down(complete("")).decide(2), "");
    assert_eq!(torn_down(complete("").pod("metadata", deleted(20))).decide(2), "tear down with logs");
}

#[test]
fn a_pod_that_was_not_taken_is_not_run() {
    let rejection = Rejection { reason: "OutOfcpu".into(), message: String::new() };
    let scene = Scene::new("").memory(|memory| {
        (memory.admission, memory.torn_down) = (Some(Err(rejection)), TornDown::AllButLogs);
    });
    assert_eq!(scene.decide(0), "");
}

#[test]
fn cleaning_up_that_fails_is_tried_again_later() {
    let scene = Scene::new("sandbox").pod("metadata", deleted(20));
    let scene = scene.memory(|memory| memory.end_failure = Some(failed(1, 0, 1, "KillPodSandboxError")));
    assert_eq!(scene.decide(0), "wake at 1");
    assert_eq!(scene.decide(1), "remove sandbox");
}
