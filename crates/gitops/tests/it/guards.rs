//! The process that fetches is ended when it takes too long, and refuses too much.

use std::path::Path;
use std::time::Duration;

use orch_gitops::source::{Reason, fetch_in_child};

use crate::asking::{Asking, pairs};
use crate::repository::Repository;
use crate::server::{Silent, daemon};

#[tokio::test]
async fn a_server_that_says_nothing_is_left_at_the_deadline() {
    for scheme in ["http", "https", "ssh", "git"] {
        let server = Silent::start().await;
        let mut asking = Asking::at(&format!("{scheme}://git@127.0.0.1:{}/repository", server.port));
        asking.deadline = Duration::from_secs(1);
        asking.refused(Reason::TimedOut, "spec.timeoutSeconds").await;
        server.gone().await;
    }
}

#[tokio::test]
async fn who_no_longer_waits_leaves_no_process() {
    let mut server = Silent::start().await;
    let asking = Asking::at(&format!("http://127.0.0.1:{}/repository", server.port));
    let asked = tokio::spawn(async move { asking.ask().await });
    server.came().await;
    asked.abort();
    server.gone().await;
    assert!(asked.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn what_the_process_started_ends_with_it() {
    let server = Silent::start().await;
    let mut asking = Asking::at("http://127.0.0.1/repository");
    asking.deadline = Duration::from_secs(1);
    // Its child has the connection, and it waits for its child.
    let script = format!("(exec 3<>/dev/tcp/127.0.0.1/{}; cat <&3); true", server.port);
    let error =
        fetch_in_child(Path::new("/bin/bash"), &["-c", &script], &asking.fetch, asking.deadline).await;
    assert_eq!(error.unwrap_err().reason, Reason::TimedOut);
    server.gone().await;
}

#[tokio::test]
async fn a_server_that_sends_too_much_is_cut_off() {
    let (repository, _) = Repository::with(&[("a.yaml", "a")]);
    let mut number = 1_u64;
    let noise: Vec<u8> = (0..3 << 20)
        .map(|_| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 56) as u8
        })
        .collect();
    std::fs::write(repository.path().join("noise"), noise).unwrap();
    repository.commit(&[]);
    let (url, _daemon) = daemon(&repository.root()).await;
    let asking = Asking::at(&format!("{url}/repository"));
    let asking = asking.with(|fetch| fetch.limits.received_bytes = 1 << 20);
    asking.refused(Reason::TooLarge, "sends more than 1 MiB").await;
    let asking = asking.with(|fetch| fetch.limits.received_bytes = 16 << 20);
    assert_eq!(asking.files().await, pairs(&[("a.yaml", "a")]), "the same cache serves");
}

#[tokio::test]
async fn a_process_without_memory_is_an_error_and_no_more() {
    let (repository, _) = Repository::with(&[("a.yaml", &"a".repeat(3 << 20))]);
    let asking = Asking::of(&repository).with(|fetch| fetch.limits.memory_bytes = 1 << 20);
    asking.refused(Reason::Failed, "").await;
}

#[tokio::test]
async fn a_program_that_does_not_answer_is_said() {
    let (repository, _) = Repository::with(&[("a.yaml", "a")]);
    let asking = Asking::of(&repository);
    for (program, args, reason, says) in [
        ("/bin/sh", ["-c", "echo broken >&2; exit 3"], Reason::Failed, "broken"),
        ("/bin/sh", ["-c", "kill -SEGV $$"], Reason::Failed, "SIGSEGV"),
        ("/bin/sh", ["-c", "echo not json"], Reason::Failed, "no answer"),
        ("/usr/bin/no-such-program", ["", ""], Reason::MissingTool, "cannot start /usr/bin/no-such-program"),
    ] {
        let error =
            fetch_in_child(Path::new(program), &args, &asking.fetch, asking.deadline).await.unwrap_err();
        assert!(error.reason == reason && error.message.contains(says), "{says}: {error:?}");
    }
}

#[tokio::test]
async fn the_process_sees_nothing_of_this_ones_environment() {
    let (repository, _) = Repository::with(&[("a.yaml", "a")]);
    let asking = Asking::of(&repository);
    let script = ["-c", "env | cut -d= -f1 | sort | tr '\\n' ' ' >&2; stat -c %a . >&2; pwd >&2; exit 1"];
    let error =
        fetch_in_child(Path::new("/bin/sh"), &script, &asking.fetch, asking.deadline).await.unwrap_err();
    let allowed =
        ["HOME", "LANG", "PATH", "PWD", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "SHLVL", "_", "OLDPWD"];
    let said = error.message.rsplit_once("): ").unwrap().1;
    let (names, rest) = said.rsplit_once(' ').unwrap();
    let (mode, directory) = rest.trim().split_once('\n').unwrap();
    assert_eq!(mode, "700", "{said}");
    for name in names.split_whitespace() {
        assert!(allowed.contains(&name) || name.to_lowercase().ends_with("_proxy"), "{name}: {said}");
    }
    assert!(names.contains("HOME") && directory.contains("orch-git-"), "{said}");
    assert!(!Path::new(directory.trim()).exists(), "and its directory is gone: {directory}");
}
