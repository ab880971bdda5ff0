//! The protocol's own conformance suite, against what it expects of every server (`fixture.rs`), served by our door.

use std::net::TcpListener;
use std::sync::Arc;

use orch_mcp::{Door, DoorOptions};
use orch_tests::{Run, client};

use super::fixture::Fixture;

/// The number of scenarios for servers in the suite that `hack/clients` installs.
const SCENARIOS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/mcp");
    // The suite comes as a page of the server itself, which is let in, and of another, which is not.
    let options = DoorOptions { origins: vec![format!("http://{address}")], ..DoorOptions::default() };
    let door = Door::new(Fixture::default, &options, tokio_util::sync::CancellationToken::new());
    let door = Arc::new(door.unwrap());
    let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let door = door.clone();
        async move { door.serve("somebody", request).await }
    });
    let served = axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router);
    let serving = tokio::spawn(served.into_future());

    let said = tokio::task::spawn_blocking(move || {
        let script = client("mcp/node_modules/@modelcontextprotocol/conformance/dist/index.js");
        let results = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new(client("node/bin/node"));
        command.arg(script).args(["server", "--url", &url, "--suite", "all"]).current_dir(&results);
        Run::new(&mut command, "").ok()
    });
    let said = said.await.unwrap();
    serving.abort();
    let passed = said.lines().filter(|line| line.trim_start().starts_with('✓')).count();
    assert_eq!(passed, SCENARIOS, "{said}");
    assert!(said.lines().any(|line| line.starts_with("Total:") && line.ends_with(" 0 failed")), "{said}");
}
