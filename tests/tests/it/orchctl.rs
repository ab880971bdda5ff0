//! `orchctl` as people use it: what it says of mistakes, what it shows of what changes, and how it reaches into containers.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use orch_tests::{Orchd, Run, binary, kubectl_path, wait_for};
use serde_json::Value;

use crate::real::{DEADLINE, running, start, text, workload};

/// A workload as the README shows it, but for a mistake.
const MISSPELT: &str = "\
apiVersion: orch.dev/v1
kind: Workload
metadata: {name: web}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, imagee: \"registry.example/web:1\", ports: [{containerPort: 8080}]}
";

/// The revision of a workload's template of which its controller has taken note.
fn recorded(orch: &Orchd) -> String {
    let web: Value =
        serde_json::from_str(&orch.orchctl(&["get", "workload/web", "-o", "json"]).ok()).unwrap();
    web["metadata"]["annotations"]["orch.dev/revision"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_last_change_is_that_of_who_changed_and_not_of_the_controller_that_followed() {
    let orch = Orchd::simulated(1);
    let web = |image: &str| MISSPELT.replace("imagee", "image").replace("registry.example/web:1", image);
    for (image, revision) in [("a:1", "1"), ("b:1", "2")] {
        orch.orchctl_with(&["apply", "-f", "-"], &web(image)).ok();
        wait_for("the controller to take note", DEADLINE, || match recorded(&orch) {
            noted if noted == revision => Ok(()),
            noted => Err(format!("revision {noted:?}")),
        });
    }
    // It is only shown: while pods are replaced, the workload's status moves on, and a plan about it grows stale.
    let shown = orch.orchctl(&["undo", "workload/web"]).ok();
    assert!(
        shown.contains("spec.template.spec.containers[name=\"web\"].image: \"b:1\" -> \"a:1\""),
        "{shown}"
    );
    let unknown = orch.orchctl(&["plan", "--drain", "n9"]).fails();
    assert!(unknown.contains("nodes \"n9\" not found"), "{unknown}");
}

/// Runs `orchctl` in the data directory, where the test's files are.
fn orchctl_in(orch: &Orchd, args: &[&str], editor: &Path) -> Run {
    let mut command = Command::new(binary("orchctl"));
    command.args(args).env("KUBECONFIG", orch.kubeconfig()).env("KUBE_EDITOR", editor);
    Run::new(command.current_dir(orch.data_dir()), "")
}

fn file(orch: &Orchd, name: &str, content: &str) -> PathBuf {
    let path = orch.data_dir().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_mistake_is_shown_as_the_readme_says() {
    let orch = Orchd::simulated(1);
    file(&orch, "web.yaml", MISSPELT);
    let shown = orchctl_in(&orch, &["apply", "-f", "web.yaml"], Path::new("")).fails();
    assert!(shown.contains("--> web.yaml:10:23\n"), "{shown}");
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    assert!(readme.contains(&shown), "README.md does not say what is printed:\n{shown}");

    let right = MISSPELT.replace("imagee", "image");
    file(&orch, "web.yaml", &right);
    orchctl_in(&orch, &["apply", "-f", "web.yaml"], Path::new("")).ok();
    orch.orchctl(&["wait", "workload/web", "--for=condition=Available", "--timeout=60s"]).ok();
}

#[test]
fn what_is_wrong_in_a_file_does_not_keep_the_rest_from_being_applied() {
    let orch = Orchd::simulated(1);
    let documents = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: fine}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: numbers}
data: {a: 1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: lost, namespace: nowhere}
";
    let run = orch.orchctl_with(&["apply", "-f", "-"], documents);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "configmap/fine created\n"));
    assert!(run.stderr.contains("--> <stdin>:8:8\n"), "{}", run.stderr);
    let missing = "error: configmap/lost: namespaces \"nowhere\" not found\n  --> <stdin>:12:24\n";
    assert!(run.stderr.contains(missing), "{}", run.stderr);
}

#[test]
fn an_edit_is_shown_again_until_the_server_takes_it() {
    let orch = Orchd::simulated(1);
    file(&orch, "web.yaml", &MISSPELT.replace("imagee", "image"));
    orchctl_in(&orch, &["apply", "-f", "web.yaml"], Path::new("")).ok();
    let script = "\
#!/bin/sh
if grep -q 'did you mean .replicas' \"$1\"; then sed -i 's/^  replicaz: .*/  replicas: 5/' \"$1\"
else sed -i '/^spec:/,/^status:/s/^  replicas: 3/  replicaz: 5/' \"$1\"; fi
";
    let editor = file(&orch, "editor", script);
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let edited = orchctl_in(&orch, &["edit", "workload", "web"], &editor).ok();
    assert_eq!(edited, "workload.orch.dev/web edited\n");
    assert_eq!(orch.orchctl(&["get", "wl", "web", "-o", "jsonpath={.spec.replicas}"]).ok(), "5");

    let same = orchctl_in(&orch, &["edit", "workload", "web"], Path::new("true")).ok();
    assert_eq!(same, "Edit cancelled, no changes made.\n");
    let hopeless = Path::new("sed -i 's/^kind:.*/kind: a: b/'");
    let refused = orchctl_in(&orch, &["edit", "workload", "web"], hopeless).fails();
    assert!(
        refused.contains("not valid YAML") && refused.contains("hint: what you have written is in"),
        "{refused}"
    );
    let kept = refused.trim().rsplit(' ').next().unwrap();
    assert!(std::fs::read_to_string(kept).unwrap().contains("kind: a: b"), "{kept}");
    std::fs::remove_file(kept).unwrap();
}

#[test]
fn a_watch_has_the_columns_of_its_heading() {
    let orch = Orchd::simulated(2);
    orch.orchctl_with(&["apply", "-f", "-"], &workload("web", 1, "sleep 3600")).ok();
    orch.orchctl(&["wait", "workload/web", "--for=condition=Available"]).ok();
    let mut watch = orch.orchctl_spawn(&["get", "pods", "-w"]);
    let heading = watch.line_with("NAME", DEADLINE);
    let columns = |line: &str| line.split("  ").filter(|cell| !cell.trim().is_empty()).count();
    watch.line_with("Running", DEADLINE);
    orch.orchctl(&["scale", "workload/web", "--replicas=2"]).ok();
    for state in ["Pending", "Running"] {
        let line = watch.line_with(state, DEADLINE);
        assert_eq!(columns(&line), columns(&heading), "{heading}\n{line}");
    }
}

#[test]
fn logs_are_followed_and_commands_run_in_real_containers() {
    let orch = start();
    let script =
        "echo begun; while :; do if [ -e /tmp/say ]; then cat /tmp/say; rm /tmp/say; fi; sleep 0.1; done";
    orch.orchctl_with(&["apply", "-f", "-"], &workload("talk", 1, script)).ok();
    let pods = running(&orch, "app=talk", 1);
    let pod = text(&pods[0], "/metadata/name");

    let mut log = orch.orchctl_spawn(&["logs", "-f", "workload/talk"]);
    log.line_with("begun", DEADLINE);
    let said = orch.orchctl_with(
        &["exec", "-i", pod, "--", "sh", "-c", "cat >/tmp/new && mv /tmp/new /tmp/say"],
        "by hand\n",
    );
    said.ok();
    log.line_with("by hand", DEADLINE);
    assert_eq!(orch.orchctl(&["logs", pod, "main", "--tail=1"]).ok(), "by hand\n");
    assert_eq!(orch.orchctl(&["logs", "-l", "app=talk", "--tail=-1"]).ok(), "begun\nby hand\n");

    let input = "x".repeat(3 << 20);
    assert_eq!(orch.orchctl_with(&["exec", "-i", pod, "--", "wc", "-c"], &input).ok().trim(), "3145728");
    let script = "echo out; echo err >&2; exit 7";
    for run in [
        orch.orchctl(&["exec", "workload/talk", "--", "sh", "-c", script]),
        orch.kubectl(&["exec", pod, "--", "sh", "-c", script]),
    ] {
        assert_eq!((run.code, run.stdout.as_str()), (Some(7), "out\n"), "{}", run.stderr);
        assert!(run.stderr.starts_with("err\n"), "{}", run.stderr);
    }
    assert_eq!(orch.kubectl(&["exec", pod, "--", "echo", "hello"]).ok(), "hello\n");
    let unknown = orch.orchctl(&["exec", pod, "--", "no-such-command"]).fails();
    assert!(unknown.contains("no-such-command"), "{unknown}");

    // A pod that comes later is followed too.
    orch.orchctl(&["scale", "workload/talk", "--replicas=2"]).ok();
    let later = log.line_with("begun", DEADLINE);
    assert!(!later.contains(pod), "{later}");
}

#[test]
fn a_command_can_have_this_terminal() {
    let orch = start();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("term", 1, "exec sleep 3600")).ok();
    let pods = running(&orch, "app=term", 1);
    let pod = text(&pods[0], "/metadata/name");
    let sized =
        r#"test -t 0 || exit 1; until [ "$(stty size)" = "30 100" ]; do sleep 0.1; done; echo sized; exit 5"#;
    for client in [binary("orchctl"), kubectl_path()] {
        let line = format!("stty rows 30 cols 100; {} exec -it {pod} -- sh -c '{sized}'", client.display());
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &line, "/dev/null"]).env("KUBECONFIG", orch.kubeconfig());
        let run = Run::new(terminal.env("HOME", orch.data_dir()), "");
        assert_eq!(run.code, Some(5), "{line}\n{}\n{}", run.stdout, run.stderr);
        assert!(run.stdout.contains("sized\r\n"), "{:?}", run.stdout);
    }
}

#[test]
fn relations_are_shown_as_a_tree_and_as_a_graph() {
    let orch = Orchd::simulated(1);
    orch.orchctl_with(&["apply", "-f", "-"], &workload("web", 2, "sleep 3600")).ok();
    orch.orchctl(&["wait", "workload/web", "--for=condition=Available"]).ok();
    let tree = orch.orchctl(&["tree", "workload/web"]).ok();
    assert!(tree.starts_with("workload/web  ") && tree.contains("\n|-- pod/web-"), "{tree}");
    assert!(tree.contains("> node/sim-0000 (runsOn)  Ready\n"), "{tree}");
    assert!(tree.ends_with("\nA delete of workload/web would take along 2 pods.\n"), "{tree}");
    let dry = orch.orchctl(&["delete", "workload/web", "--dry-run=server"]).ok();
    assert!(dry.starts_with("workload.orch.dev \"web\" deleted (server dry run)\n  pod/web-"), "{dry}");
    assert_eq!(dry.matches(" would go along\n").count(), 2, "{dry}");
    let dry = orch.orchctl(&["delete", "workload/web", "--dry-run=server", "--cascade=orphan"]).ok();
    assert_eq!(dry.matches(" would stay without this owner\n").count(), 2, "{dry}");
    let needed = orch.orchctl(&["tree", "node/sim-0000"]).ok();
    assert!(needed.contains("< pod/web-") && needed.contains("(runsOn)"), "{needed}");
    let dot = orch.orchctl(&["graph", "workload/web", "-o", "dot"]).ok();
    assert!(dot.starts_with("digraph {") && dot.matches("label=\"owns\"").count() == 2, "{dot}");
    let none = orch.orchctl(&["tree", "workload/none"]).fails();
    assert!(none.contains("workloads.orch.dev \"none\" not found"), "{none}");
    let raw: Value = serde_json::from_str(&orch.orchctl(&["get", "--raw", "/ontology"]).ok()).unwrap();
    assert!(raw["edges"].as_array().unwrap().len() > 10, "{raw}");
    let sorted = orch.orchctl(&["get", "pods", "--sort-by=.metadata.name", "-o", "name"]).ok();
    let mut names: Vec<&str> = sorted.lines().collect();
    names.sort_unstable();
    assert_eq!(sorted.lines().collect::<Vec<_>>(), names);
}

#[test]
fn what_happens_to_a_real_pod_is_described_and_its_end_is_waited_for() {
    let orch = start();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("short", 1, "exec sleep 3600")).ok();
    let pods = running(&orch, "app=short", 1);
    let pod = text(&pods[0], "/metadata/name");
    let described = orch.orchctl(&["describe", "pod", "short-"]).ok();
    for part in ["Scheduled", "Started", "Restart Count:  0", "Controlled By:  Workload/short"] {
        assert!(described.contains(part), "{part:?} is not in:\n{described}");
    }
    let uid = text(&pods[0], "/metadata/uid");
    assert_eq!(orch.orchctl(&["delete", "pod", pod]).ok(), format!("pod \"{pod}\" deleted\n"));
    let left = orch.orchctl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]).ok();
    assert!(!left.contains(uid), "{pod} is there still: {left}");
    orch.orchctl(&["wait", &format!("pod/{pod}"), "--for=delete", "--timeout=0"]).ok();
    let late = orch.orchctl(&["wait", "pods", "-l", "app=short", "--for=condition=Nice", "--timeout=1s"]);
    let late = late.fails();
    assert!(late.starts_with("error: timed out waiting for the condition Nice of pod/short-"), "{late}");
}
