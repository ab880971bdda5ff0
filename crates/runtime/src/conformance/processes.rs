use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Harness, exit_of, run};
use crate::{ContainerId, ExecRequest, ExecSession, Object, RuntimeError};

fn request(command: &[&str]) -> ExecRequest {
    ExecRequest { command: command.iter().map(|word| (*word).to_owned()).collect(), ..ExecRequest::default() }
}

/// Standard output and exit code.
async fn outcome(session: ExecSession) -> (String, i32) {
    let (mut stdout, mut stderr) = (session.stdout, session.stderr);
    let (mut output, mut errors) = (String::new(), String::new());
    let reading =
        async { tokio::join!(stdout.read_to_string(&mut output), stderr.read_to_string(&mut errors)) };
    let ((stdout, stderr), code) =
        tokio::time::timeout(super::DEADLINE, async { tokio::join!(reading, session.exit) }).await.unwrap();
    stdout.unwrap();
    stderr.unwrap();
    (output, code.unwrap())
}

pub async fn exec_returns_output_and_code(harness: &mut dyn Harness) {
    let spec = run(harness, "exec", &["sleep", "1000"]).await;
    let runtime = harness.runtime();
    let session = runtime.exec(&spec.id, request(&["sh", "-c", "echo hello; exit 3"])).await.unwrap();
    assert!(session.stdin.is_none());
    assert_eq!(outcome(session).await, ("hello\n".to_owned(), 3));
    let session = runtime.exec(&spec.id, request(&["true"])).await.unwrap();
    assert_eq!(outcome(session).await, (String::new(), 0));
}

pub async fn exec_reads_its_input(harness: &mut dyn Harness) {
    let spec = run(harness, "input", &["sleep", "1000"]).await;
    let request = ExecRequest { stdin: true, ..request(&["cat"]) };
    let mut session = harness.runtime().exec(&spec.id, request).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    let text = "orchestra ".repeat(20_000);
    let written = text.clone();
    tokio::spawn(async move {
        stdin.write_all(written.as_bytes()).await.unwrap();
    });
    let (output, code) = outcome(session).await;
    assert_eq!((output.len(), code), (text.len(), 0));
    assert!(output == text);
}

pub async fn exec_needs_a_running_container(harness: &mut dyn Harness) {
    let ended = run(harness, "ended", &["true"]).await;
    let runs = run(harness, "running", &["sleep", "1000"]).await;
    let runtime = harness.runtime();
    exit_of(&*runtime, &ended.id).await;
    match runtime.exec(&ended.id, request(&["true"])).await.unwrap_err() {
        RuntimeError::NotRunning { id } => assert_eq!(id, ended.id.to_string()),
        other => panic!("{other:?}"),
    }
    match runtime.exec(&ContainerId::of_pod("never-was", "main", 0), request(&["true"])).await.unwrap_err() {
        RuntimeError::NotFound { object: Object::Container, .. } => {}
        other => panic!("{other:?}"),
    }
    match runtime.exec(&runs.id, request(&["/nonexistent/program"])).await.unwrap_err() {
        RuntimeError::StartFailed { message, .. } => assert!(message.contains("no such file"), "{message}"),
        other => panic!("{other:?}"),
    }
}
