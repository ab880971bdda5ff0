use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{Instant, timeout};

use super::{DEADLINE, Harness, container, exit_of, observed, run, sandbox};
use crate::{
    ContainerId, ContainerState, Object, PullOptions, RuntimeError, RuntimeEvent, SandboxId, reason,
};

pub async fn a_container_runs_and_is_observed(harness: &mut dyn Harness) {
    let runtime = harness.runtime();
    let image = runtime.pull_image(&harness.image(), &PullOptions::default()).await.unwrap();
    let pod = sandbox("runs");
    runtime.ensure_sandbox(&pod).await.unwrap();
    let mut spec = container(&pod, &harness.image(), &["sleep", "1000"]);
    (spec.attempt, spec.log_path) = (3, Some(harness.log_dir().join("runs.log")));
    runtime.create_container(&spec).await.unwrap();
    runtime.create_container(&spec).await.unwrap();
    let created = observed(&*runtime, &spec.id).await.unwrap();
    assert_eq!(created.state, ContainerState::Created);
    runtime.start_container(&spec.id).await.unwrap();
    let running = observed(&*runtime, &spec.id).await.unwrap();
    let ContainerState::Running { started_at } = running.state else { panic!("{running:?}") };
    assert!(started_at >= running.created_at);
    assert_eq!((&running.sandbox, &running.name, running.attempt), (&pod.id, &spec.name, 3));
    assert_eq!((&running.labels, &running.annotations), (&spec.labels, &spec.annotations));
    assert_eq!((&running.image, &running.log_path), (&spec.image, &spec.log_path));
    assert_eq!((&running.image_digest, &running.image_id), (&image.digest, &image.id));
}

pub async fn an_exit_is_observed_with_its_code(harness: &mut dyn Harness) {
    for (name, script, code, why) in
        [("good", "exit 0", 0, reason::COMPLETED), ("bad", "exit 7", 7, reason::ERROR)]
    {
        let spec = run(harness, name, &["sh", "-c", script]).await;
        let exit = exit_of(&*harness.runtime(), &spec.id).await;
        assert_eq!((exit.code, exit.reason.as_str()), (code, why));
        assert!(exit.started_at.unwrap() <= exit.finished_at, "{exit:?}");
    }
}

pub async fn starting_is_idempotent_even_after_the_exit(harness: &mut dyn Harness) {
    let spec = run(harness, "once", &["sh", "-c", "exit 4"]).await;
    let runtime = harness.runtime();
    let exit = exit_of(&*runtime, &spec.id).await;
    runtime.start_container(&spec.id).await.unwrap();
    assert_eq!(observed(&*runtime, &spec.id).await.unwrap().state, ContainerState::Exited(exit));
}

pub async fn what_cannot_work_is_refused(harness: &mut dyn Harness) {
    let runtime = harness.runtime();
    runtime.pull_image(&harness.image(), &PullOptions::default()).await.unwrap();
    let pod = sandbox("refused");
    let orphan = container(&pod, &harness.image(), &["sleep", "1000"]);
    match runtime.create_container(&orphan).await.unwrap_err() {
        RuntimeError::NotFound { object: Object::Sandbox, .. } => {}
        other => panic!("{other:?}"),
    }
    runtime.ensure_sandbox(&pod).await.unwrap();
    match runtime.create_container(&container(&pod, &harness.missing_image(), &["true"])).await.unwrap_err() {
        RuntimeError::ImageNotFound { image } => assert_eq!(image, harness.missing_image()),
        other => panic!("{other:?}"),
    }
    match runtime.start_container(&orphan.id).await.unwrap_err() {
        RuntimeError::NotFound { object: Object::Container, .. } => {}
        other => panic!("{other:?}"),
    }
}

pub async fn a_missing_executable_is_a_start_error(harness: &mut dyn Harness) {
    let runtime = harness.runtime();
    runtime.pull_image(&harness.image(), &PullOptions::default()).await.unwrap();
    let pod = sandbox("absent");
    runtime.ensure_sandbox(&pod).await.unwrap();
    let spec = container(&pod, &harness.image(), &["/nonexistent/program"]);
    runtime.create_container(&spec).await.unwrap();
    match runtime.start_container(&spec.id).await.unwrap_err() {
        RuntimeError::StartFailed { message, .. } => assert!(message.contains("no such file"), "{message}"),
        other => panic!("{other:?}"),
    }
    let exit = exit_of(&*runtime, &spec.id).await;
    assert_eq!((exit.code, exit.reason.as_str(), exit.started_at), (128, reason::START_ERROR, None));
    assert!(exit.message.contains("no such file"), "{exit:?}");
    runtime.start_container(&spec.id).await.unwrap();
    assert_eq!(exit_of(&*runtime, &spec.id).await, exit);
}

pub async fn output_is_logged_in_cri_format(harness: &mut dyn Harness) {
    let runtime = harness.runtime();
    runtime.pull_image(&harness.image(), &PullOptions::default()).await.unwrap();
    let pod = sandbox("logs");
    runtime.ensure_sandbox(&pod).await.unwrap();
    let mut spec = container(&pod, &harness.image(), &["sh", "-c", "echo one; echo two words"]);
    let path = harness.log_dir().join("0.log");
    spec.log_path = Some(path.clone());
    runtime.create_container(&spec).await.unwrap();
    runtime.start_container(&spec.id).await.unwrap();
    exit_of(&*runtime, &spec.id).await;
    // A moment may pass between the exit and the last line.
    let deadline = Instant::now() + DEADLINE;
    let log = loop {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        if log.lines().count() >= 2 {
            break log;
        }
        assert!(Instant::now() < deadline, "{log:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let texts: Vec<&str> = log.lines().map(check_cri).collect();
    assert_eq!(texts, ["one", "two words"]);
}

/// The text of a complete CRI log line from standard output.
fn check_cri(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').unwrap();
    time.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(
        (time.len(), &time[time.len() - 1..]),
        ("2026-01-01T00:00:00.000000000Z".len(), "Z"),
        "{line}"
    );
    rest.strip_prefix("stdout F ").unwrap_or_else(|| panic!("{line}"))
}

pub async fn a_graceful_stop_lets_the_process_decide(harness: &mut dyn Harness) {
    let spec =
        run(harness, "graceful", &["sh", "-c", "trap 'exit 3' TERM; while true; do sleep 0.05; done"]).await;
    let runtime = harness.runtime();
    timeout(DEADLINE, runtime.stop_container(&spec.id, Duration::from_secs(600))).await.unwrap().unwrap();
    let ContainerState::Exited(exit) = observed(&*runtime, &spec.id).await.unwrap().state else {
        panic!("stop returned before the exit")
    };
    assert_ne!(exit.code, 137, "{exit:?}");
}

pub async fn a_stop_kills_what_ignores_its_signal(harness: &mut dyn Harness) {
    let spec = run(harness, "stubborn", &["sh", "-c", "trap '' TERM; sleep 1000"]).await;
    let (runtime, began, grace) = (harness.runtime(), Instant::now(), Duration::from_millis(400));
    runtime.stop_container(&spec.id, grace).await.unwrap();
    assert!(began.elapsed() >= grace);
    let ContainerState::Exited(exit) = observed(&*runtime, &spec.id).await.unwrap().state else {
        panic!("stop returned before the exit")
    };
    assert_eq!((exit.code, exit.reason.as_str()), (137, reason::ERROR));
}

pub async fn a_shorter_grace_overtakes_a_longer_one(harness: &mut dyn Harness) {
    let spec = run(harness, "overtaken", &["sh", "-c", "trap '' TERM; sleep 1000"]).await;
    let (runtime, id) = (harness.runtime(), spec.id.clone());
    let patient = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.stop_container(&id, Duration::from_secs(600)).await }
    });
    runtime.stop_container(&spec.id, Duration::ZERO).await.unwrap();
    timeout(DEADLINE, patient).await.unwrap().unwrap().unwrap();
}

pub async fn removing_a_running_container_ends_it(harness: &mut dyn Harness) {
    let spec = run(harness, "removed", &["sleep", "1000"]).await;
    let runtime = harness.runtime();
    runtime.remove_container(&spec.id).await.unwrap();
    assert_eq!(observed(&*runtime, &spec.id).await, None);
    assert_eq!(runtime.observe().await.unwrap().sandboxes.len(), 1);
    runtime.create_container(&spec).await.unwrap();
    assert_eq!(observed(&*runtime, &spec.id).await.unwrap().state, ContainerState::Created);
}

pub async fn what_is_unknown_is_already_stopped_and_removed(harness: &mut dyn Harness) {
    let (runtime, id) = (harness.runtime(), ContainerId::of_pod("never-was", "main", 0));
    runtime.stop_container(&id, Duration::from_secs(600)).await.unwrap();
    runtime.remove_container(&id).await.unwrap();
    runtime.remove_sandbox(&SandboxId::of_pod("never-was", 0)).await.unwrap();
    runtime.remove_image("localhost/never-was").await.unwrap();
}

pub async fn a_restarted_agent_finds_everything(harness: &mut dyn Harness) {
    let spec = run(harness, "found", &["sleep", "1000"]).await;
    let before = harness.runtime().observe().await.unwrap();
    let runtime = harness.restarted().await;
    assert_eq!(runtime.observe().await.unwrap(), before);
    runtime.start_container(&spec.id).await.unwrap();
    assert_eq!(runtime.observe().await.unwrap(), before);
    runtime.remove_sandbox(&spec.sandbox).await.unwrap();
    assert_eq!(runtime.observe().await.unwrap().sandboxes, []);
}

pub async fn an_exit_while_the_agent_is_away_is_not_lost(harness: &mut dyn Harness) {
    let spec = run(harness, "away", &["sh", "-c", "sleep 0.3; exit 5"]).await;
    let runtime = harness.restarted().await;
    let exit = exit_of(&*runtime, &spec.id).await;
    assert_eq!((exit.code, exit.reason.as_str()), (5, reason::ERROR));
    let runtime = harness.restarted().await;
    assert_eq!(exit_of(&*runtime, &spec.id).await, exit);
}

pub async fn an_exit_nudges(harness: &mut dyn Harness) {
    let runtime = harness.runtime();
    let mut events = runtime.events();
    assert_eq!(timeout(DEADLINE, events.next()).await.unwrap(), Some(RuntimeEvent::Resync));
    let spec = run(harness, "nudges", &["sh", "-c", "exit 9"]).await;
    let mut changes = events.filter(|event| std::future::ready(*event != RuntimeEvent::Resync));
    let expected = RuntimeEvent::ContainerExited { id: spec.id.clone(), exit_code: 9 };
    assert_eq!(timeout(DEADLINE, changes.next()).await.unwrap(), Some(expected));
    assert!(matches!(observed(&*runtime, &spec.id).await.unwrap().state, ContainerState::Exited(_)));
}

pub async fn running_containers_have_stats(harness: &mut dyn Harness) {
    let spec = run(harness, "measured", &["sleep", "1000"]).await;
    let exited = run(harness, "ended", &["true"]).await;
    let runtime = harness.runtime();
    exit_of(&*runtime, &exited.id).await;
    let stats = runtime.stats().await.unwrap();
    assert_eq!(stats.iter().map(|stats| &stats.id).collect::<Vec<_>>(), [&spec.id]);
    assert!(stats[0].pids >= 1 && stats[0].memory_bytes > 0, "{stats:?}");
    assert!(stats[0].working_set_bytes <= stats[0].memory_bytes, "{stats:?}");
}
