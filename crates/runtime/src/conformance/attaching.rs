use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::{DEADLINE, Harness, container, exit_of, observed, run, sandbox};
use crate::{
    AttachSession, Connection, ContainerId, ContainerSpec, ContainerState, Object, PullOptions, Runtime,
    RuntimeError, SandboxId, Stdin,
};

/// Starts a container that writes what it reads.
async fn copying(harness: &dyn Harness, name: &str, stdin: Stdin) -> ContainerSpec {
    let runtime = harness.runtime();
    runtime.pull_image(&harness.image(), &PullOptions::default()).await.unwrap();
    let pod = sandbox(name);
    runtime.ensure_sandbox(&pod).await.unwrap();
    let mut spec = container(&pod, &harness.image(), &["cat"]);
    spec.log_path = Some(harness.log_dir().join(format!("{name}.log")));
    spec.stdin = stdin;
    runtime.create_container(&spec).await.unwrap();
    runtime.start_container(&spec.id).await.unwrap();
    spec
}

async fn say(session: &mut AttachSession, text: &str) {
    let stdin = session.stdin.as_mut().expect("an input");
    stdin.write_all(text.as_bytes()).await.unwrap();
    stdin.flush().await.unwrap();
}

/// Reads exactly this from the output.
async fn hear(session: &mut AttachSession, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(DEADLINE, session.stdout.read_exact(&mut heard)).await.expect(text).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

pub async fn those_who_attach_see_and_say_what_they_like(harness: &mut dyn Harness) {
    let spec = copying(harness, "talk", Stdin::Open).await;
    let runtime = harness.runtime();
    let mut first = runtime.attach(&spec.id, true).await.unwrap();
    let mut watching = runtime.attach(&spec.id, false).await.unwrap();
    assert!(watching.stdin.is_none() && watching.resize.is_none());
    say(&mut first, "hello\n").await;
    hear(&mut first, "hello\n").await;
    // It may have joined while the line was on its way.
    drop(first);
    let mut second = runtime.attach(&spec.id, true).await.unwrap();
    say(&mut second, "again\n").await;
    hear(&mut second, "again\n").await;
    hear(&mut watching, "hello\nagain\n").await;
    let state = observed(&*runtime, &spec.id).await.unwrap().state;
    assert!(matches!(state, ContainerState::Running { .. }), "{state:?}");
    runtime.stop_container(&spec.id, std::time::Duration::ZERO).await.unwrap();
    let mut rest = String::new();
    timeout(DEADLINE, watching.stdout.read_to_string(&mut rest)).await.unwrap().unwrap();
    timeout(DEADLINE, watching.stderr.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, "");
}

pub async fn what_is_said_once_ends_with_who_said_it(harness: &mut dyn Harness) {
    let spec = copying(harness, "once", Stdin::Once).await;
    let runtime = harness.runtime();
    let mut session = runtime.attach(&spec.id, true).await.unwrap();
    say(&mut session, "one\ntwo\n").await;
    session.stdin = None;
    let mut output = String::new();
    timeout(DEADLINE, session.stdout.read_to_string(&mut output)).await.unwrap().unwrap();
    assert_eq!(output, "one\ntwo\n");
    assert_eq!(exit_of(&*runtime, &spec.id).await.code, 0);
    let log = wait_for_log(&spec, 2).await;
    let texts: Vec<&str> = log.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    assert_eq!(texts, ["one", "two"]);
}

async fn wait_for_log(spec: &ContainerSpec, lines: usize) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let log = std::fs::read_to_string(spec.log_path.as_ref().unwrap()).unwrap_or_default();
        if log.lines().count() >= lines {
            return log;
        }
        assert!(Instant::now() < deadline, "{log:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

pub async fn a_restarted_agent_attaches_again(harness: &mut dyn Harness) {
    let spec = copying(harness, "attached", Stdin::Open).await;
    let mut before = harness.runtime().attach(&spec.id, true).await.unwrap();
    say(&mut before, "before\n").await;
    hear(&mut before, "before\n").await;
    drop(before);
    let runtime = harness.restarted().await;
    let mut after = runtime.attach(&spec.id, true).await.unwrap();
    say(&mut after, "after\n").await;
    hear(&mut after, "after\n").await;
    wait_for_log(&spec, 2).await;
}

pub async fn attaching_needs_a_running_container(harness: &mut dyn Harness) {
    let ended = run(harness, "ended", &["true"]).await;
    let runtime = harness.runtime();
    exit_of(&*runtime, &ended.id).await;
    match runtime.attach(&ended.id, true).await.unwrap_err() {
        RuntimeError::NotRunning { id } => assert_eq!(id, ended.id.to_string()),
        other => panic!("{other:?}"),
    }
    match runtime.attach(&ContainerId::of_pod("never-was", "main", 0), false).await.unwrap_err() {
        RuntimeError::NotFound { object: Object::Container, .. } => {}
        other => panic!("{other:?}"),
    }
}

pub async fn a_port_of_the_sandbox_is_connected_to(harness: &mut dyn Harness) {
    let echo = ["nc", "-ll", "-p", "7777", "-e", "cat"];
    let spec = run(harness, "served", &echo).await;
    let runtime = harness.runtime();
    let mut connection = connected(&*runtime, &spec.sandbox).await;
    let text = "orchestra ".repeat(50_000);
    let (mut reading, mut writing) = tokio::io::split(&mut connection);
    let mut echoed = String::new();
    let write = async {
        writing.write_all(text.as_bytes()).await.unwrap();
        writing.shutdown().await.unwrap();
    };
    let both = async { tokio::join!(write, reading.read_to_string(&mut echoed)) };
    timeout(DEADLINE, both).await.unwrap().1.unwrap();
    assert!(echoed == text, "{} of {} bytes came back", echoed.len(), text.len());
}

/// Connects as soon as the process listens.
async fn connected(runtime: &dyn Runtime, sandbox: &SandboxId) -> Connection {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match runtime.connect(sandbox, 7777).await {
            Ok(connection) => return connection,
            Err(RuntimeError::Refused { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub async fn a_port_that_nobody_listens_on_is_refused(harness: &mut dyn Harness) {
    let spec = run(harness, "deaf", &["sleep", "1000"]).await;
    let runtime = harness.runtime();
    let Err(error) = runtime.connect(&spec.sandbox, 7778).await else { panic!("connected") };
    let text = error.to_string();
    assert!(matches!(error, RuntimeError::Refused { port: 7778, .. }), "{error:?}");
    assert!(text.contains("localhost:7778") && text.contains("refused"), "{text}");
    match runtime.connect(&SandboxId::of_pod("never-was", 0), 1).await {
        Err(RuntimeError::NotFound { object: Object::Sandbox, .. }) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected"),
    }
}
