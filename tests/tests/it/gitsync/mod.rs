//! GitSyncs: repositories, kept applied; how they are told of pushes, and how orchctl shows and steers them.

mod cli;
mod repository;
mod signed;
mod steering;
mod waiting;
mod webhook;

use std::time::Duration;

use orch_tests::Orchd;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

/// A server without controllers: what a GitSync says of itself is what the test says.
fn without_controllers() -> Orchd {
    Orchd::start(&["--runtime", "none", "--controllers", "false"])
}

/// A GitSync in the namespace `default`, as the server answers it.
fn gitsync(orch: &Orchd, name: &str) -> Value {
    let text = orch.kubectl(&["get", "gitsync", name, "-o", "json"]).ok();
    serde_json::from_str(&text).unwrap()
}

fn annotation(orch: &Orchd, name: &str, annotation: &str) -> String {
    let sync = gitsync(orch, name);
    sync["metadata"]["annotations"][annotation].as_str().unwrap_or_default().to_owned()
}
