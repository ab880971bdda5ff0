//! The protocol's Python SDK over HTTP and its Inspector over standard input and output, unmodified.

use std::path::Path;
use std::process::Command;

use orch_tests::{Orchd, Run, binary, client};
use serde_json::Value;

/// Runs a program of `tests/clients/` with the protocol's Python SDK.
fn python(orch: &Orchd, environment: &[(&str, &str)]) -> Run {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/mcp_sdk.py");
    let interpreter = client("mcp/python/bin/python");
    let url = format!("https://{}/mcp", orch.address());
    let orchctl = binary("orchctl");
    let known = [("ORCH_MCP_URL", url.as_str()), ("ORCHCTL", orchctl.to_str().unwrap())];
    let environment: Vec<_> = known.iter().chain(environment).copied().collect();
    orch.run(&interpreter, &[program.to_str().unwrap()], "", &environment)
}

#[test]
fn the_python_sdk_works_over_http_and_stdio() {
    let tokens = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(tokens.path(), "admin-token,ann,1,\"system:masters\"\nnobody-token,nob,2,\n").unwrap();
    let orch = Orchd::start(&[
        "--runtime",
        "simulated",
        "--simulate-nodes",
        "1",
        "--token-file",
        tokens.path().to_str().unwrap(),
    ]);
    python(&orch, &[("ORCH_TOKEN", "admin-token"), ("ORCH_OTHER_TOKEN", "nobody-token")]).ok();
}

#[test]
fn the_inspector_lists_and_calls_tools() {
    let orch = Orchd::simulated(1);
    let inspect = |args: &[&str]| -> Value {
        let mut command = Command::new(client("node/bin/node"));
        // It starts what it inspects in an environment of its own.
        command
            .arg(client("mcp/node_modules/.bin/mcp-inspector"))
            .args(["--cli", "-e", &format!("KUBECONFIG={}", orch.kubeconfig().display())])
            .arg(binary("orchctl"))
            .arg("mcp")
            .args(args)
            .env("HOME", orch.data_dir());
        let said = Run::new(&mut command, "").ok();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let tools = inspect(&["--method", "tools/list"]);
    assert!(tools["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "diagnose"), "{tools}");
    let called = inspect(&["--method", "tools/call", "--tool-name", "list", "--tool-arg", "kind=nodes"]);
    assert_eq!(called["structuredContent"]["items"].as_array().unwrap().len(), 1, "{called}");
    let resources = inspect(&["--method", "resources/list"]);
    assert!(resources.to_string().contains("orch://cluster"), "{resources}");
    let prompts = inspect(&["--method", "prompts/list"]);
    assert!(prompts.to_string().contains("safe_rollout"), "{prompts}");
}
