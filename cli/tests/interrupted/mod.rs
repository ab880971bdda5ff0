//! Connections that break off, and bytes that go through as they are.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::ctl::fake::{self, Answer, list, table};
use crate::ctl::{self, Server};

fn event(object: &serde_json::Value) -> String {
    format!("{}\n", json!({"type": "MODIFIED", "object": object}))
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_goes_on_after_a_break() {
    let lists = AtomicUsize::new(0);
    let kubeconfig = fake::serve(move |asked| match asked {
        _ if asked.contains("watch=") => Answer::CutOff(String::new()),
        _ => {
            let mut pod = fake::pod("web");
            match lists.fetch_add(1, Ordering::SeqCst) {
                0 => {}
                1 => return Answer::status(503, "ServiceUnavailable", "starting"),
                _ => pod["status"]["phase"] = "Succeeded".into(),
            }
            Answer::json(&list(&[pod], "7"))
        }
    })
    .await;
    let wait = ["wait", "pod/web", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=50s"];
    let run = ctl::run(&wait, kubeconfig.path(), "").await;
    assert_eq!((run.code, run.stdout.as_str()), (0, "pod/web condition met\n"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_breaks_off_is_taken_up_where_it_ended() {
    let kubeconfig = fake::serve(|asked| match asked {
        _ if !asked.contains("watch=") => Answer::json(&table(&["listed"], "10")),
        _ if asked.contains("resourceVersion=10") => Answer::CutOff(event(&table(&["first"], "11"))),
        _ if asked.contains("resourceVersion=11") => Answer::Open(event(&table(&["second"], "12"))),
        other => Answer::status(400, "BadRequest", other),
    })
    .await;
    let mut watch = ctl::spawn(&["get", "pods", "-w"], kubeconfig.path());
    for expected in ["NAME\n", "listed\n", "first\n", "second\n"] {
        assert_eq!(watch.line().await, expected);
    }
    assert!(watch.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_there_is_watched_by_name() {
    let server = Server::start().await;
    let run = server.ctl(&["get", "pod", "typo", "-w"]).await;
    assert_eq!((run.code, run.stderr.as_str()), (1, "error: pods \"typo\" not found\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_breaks_off_does_not_wait_for_input() {
    let kubeconfig = fake::serve(|asked| match asked {
        _ if asked.contains("/exec?") => Answer::Closed,
        _ => Answer::json(&fake::pod("web")),
    })
    .await;
    let mut child = ctl::command(&["exec", "-i", "web", "--", "cat"], kubeconfig.path()).spawn().unwrap();
    // Nobody closes it.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a line\n").await.unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), child.wait_with_output());
    let output = ended.await.expect("an end in time").unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("ended before the command did"), "{told}");
    drop(input);
}

const BYTES: &str = "\u{1b}[32mgreen\u{1b}[0m \0 \u{9b}\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_containers_write_arrives_as_it_is() {
    let kubeconfig = fake::serve(|asked| match asked {
        _ if asked.contains("/log") => Answer::Whole(200, BYTES.to_owned()),
        _ => Answer::json(&fake::pod("web")),
    })
    .await;
    let logs = ctl::run(&["logs", "web"], kubeconfig.path(), "").await.succeeds();
    assert_eq!(logs, BYTES);
    let prefixed = ctl::run(&["logs", "web", "--prefix"], kubeconfig.path(), "").await.succeeds();
    assert_eq!(prefixed, format!("[pod/web/main] {BYTES}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_written_as_they_are_and_tables_are_not() {
    let server = Server::start().await;
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": BYTES}});
    server.make(&map.to_string()).await;
    let get = async |form: &str| server.ctl(&["get", "cm", "m", "-o", form]).await.succeeds();
    assert_eq!(get("jsonpath={.data.a}").await, BYTES);
    let json: serde_json::Value = serde_json::from_str(&get("json").await).unwrap();
    assert_eq!(json["data"]["a"], BYTES);
    assert_eq!(get("custom-columns=A:.data.a").await, "A\n [32mgreen [0m\n");
}
