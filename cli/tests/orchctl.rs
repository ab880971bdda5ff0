//! `orchctl`, the program, against a real API server on the embedded store, over TLS.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod ctl;
mod interrupted;
mod selected;

use ctl::Server;
use serde_json::json;

const SHOP: &str = "\
apiVersion: orch.dev/v1
kind: Workload
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'nginx:1'}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: shop}
data: {mode: 'no'}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
";

fn pod(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {name}}}}}, spec: {{nodeName: n1, containers: [{{name: a, image: 'b:1'}}]}}}}\n---\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_makes_changes_and_leaves_alone() {
    let server = Server::start().await;
    let outcome = |outcome: &str, web: &str| {
        format!("namespace/shop {outcome}\nconfigmap/conf {outcome}\nworkload.orch.dev/web {web}\n")
    };
    let apply = ["apply", "-f", "-"];
    assert_eq!(server.ctl_with(&apply, SHOP).await.succeeds(), outcome("created", "created"));
    assert_eq!(server.ctl_with(&apply, SHOP).await.succeeds(), outcome("unchanged", "unchanged"));

    let more = SHOP.replace("replicas: 2", "replicas: 3");
    let dry = server.ctl_with(&["apply", "-f", "-", "--dry-run=server"], &more).await.succeeds();
    assert!(dry.contains("workload.orch.dev/web configured (server dry run)"), "{dry}");
    let replicas = ["get", "wl/web", "-n", "shop", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(server.ctl(&replicas).await.succeeds(), "2");
    assert_eq!(server.ctl_with(&apply, &more).await.succeeds(), outcome("unchanged", "configured"));
    assert_eq!(server.ctl(&replicas).await.succeeds(), "3");
    let as_changes_say = r#"jsonpath={.spec.template.spec.containers[name="web"].image}"#;
    assert_eq!(
        server.ctl(&["get", "wl/web", "-n", "shop", "-o", as_changes_say]).await.succeeds(),
        "nginx:1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_shown_in_the_manifest_and_the_rest_is_applied() {
    let server = Server::start().await;
    let text = "\
apiVersion: orch.dev/v1
kind: Workload
metadata: {name: web}
spec:
  template:
    spec:
      containers:
        - name: web
          imagee: nginx
---
apiVersion: v1
kind: Pood
metadata: {name: x}
---
a: b: c
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fine}
";
    let run = server.ctl_with(&["apply", "-f", "-"], text).await;
    assert_eq!((run.code, run.stdout.as_str()), (1, "configmap/fine created\n"));
    for expected in [
        "error: workload.orch.dev/web is refused\n  unknown field \"spec.template.spec.containers[0].imagee\"; did you mean `image`?\n --> <stdin>:9:11\n",
        "9 |           imagee: nginx\n  |           ^^^^^^\n",
        "error: the server does not know the kind Pood of v1\n  --> <stdin>:12:1\n",
        "hint: did you mean `kind: Pod`?\n",
        "error: not valid YAML: mapping values are not allowed in this context\n  --> <stdin>:15:5\n",
    ] {
        assert!(run.stderr.contains(expected), "{expected:?} is not in:\n{}", run.stderr);
    }
    assert!(!run.stderr.contains('\u{1b}'), "no colours in a pipe");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_others_are_taken_over_only_by_force() {
    let server = Server::start().await;
    let map = |value: &str| {
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {{a: '{value}'}}}}")
    };
    let apply = |manager| ["apply", "-f", "-", "--field-manager", manager];
    server.ctl_with(&apply("one"), &map("1")).await.succeeds();
    let run = server.ctl_with(&apply("two"), &map("2")).await;
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("configmap/m has fields that belong to others\n  data.a: conflict with \"one\""),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("<stdin>:1:63") && run.stderr.contains("--force-conflicts"),
        "{}",
        run.stderr
    );
    let forced = [&apply("two")[..], &["--force-conflicts"]].concat();
    assert_eq!(server.ctl_with(&forced, &map("2")).await.succeeds(), "configmap/m configured\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_shows_objects_in_every_form() {
    let server = Server::start().await;
    server
        .ctl_with(&["apply", "-f", "-"], &(SHOP.to_owned() + "---\n" + &pod("one") + &pod("two")))
        .await
        .succeeds();
    let get = async |args: &[&str]| server.ctl(&[&["get"], args].concat()).await;

    let table = get(&["wl,cm", "-n", "shop"]).await.succeeds();
    assert!(
        table.starts_with(
            "NAME                    READY   UP-TO-DATE   AVAILABLE   AGE\nworkload.orch.dev/web   0/2     0"
        ),
        "{table}"
    );
    assert!(table.contains("\n\nNAME             DATA   AGE\nconfigmap/conf   1      "), "{table}");
    assert_eq!(get(&["pods", "-o", "name"]).await.succeeds(), "pod/one\npod/two\n");
    assert_eq!(get(&["pods", "-l", "app=two", "-o", "name"]).await.succeeds(), "pod/two\n");
    assert_eq!(
        get(&["po", "--field-selector", "metadata.name=one", "-o", "name"]).await.succeeds(),
        "pod/one\n"
    );
    let all = get(&["all", "-A", "--no-headers", "--show-labels"]).await.succeeds();
    assert!(all.lines().any(|line| line.starts_with("shop ") && line.ends_with("   app=web")), "{all}");
    assert_eq!(get(&["pods", "-o", "jsonpath={.items[*].metadata.name}"]).await.succeeds(), "one two");
    let json: serde_json::Value =
        serde_json::from_str(&get(&["pod/one", "-o", "json"]).await.succeeds()).unwrap();
    assert_eq!((&json["kind"], &json["metadata"]["managedFields"]), (&json!("Pod"), &json!(null)));
    assert!(
        get(&["ns", "shop", "-o", "yaml"])
            .await
            .succeeds()
            .starts_with("apiVersion: v1\nkind: Namespace\nmetadata:\n")
    );

    let missing = get(&["pods", "one", "three"]).await;
    assert_eq!((missing.code, missing.stderr.as_str()), (1, "error: pods \"three\" not found\n"));
    assert!(missing.stdout.contains("\none "), "what is there is shown: {}", missing.stdout);
    assert_eq!(get(&["secrets"]).await.stderr, "No resources found in default namespace.\n");
    let unknown = get(&["worklods"]).await;
    assert_eq!(
        unknown.stderr,
        "error: the server has no resource type \"worklods\"\nhint: did you mean \"workloads\"?\n"
    );
    assert_eq!(get(&["pods", "-o", "html"]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_read_page_by_page() {
    let server = Server::start().await;
    let maps: String = (0..1_201)
        .map(|i| format!("---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m{i:04}}}}}\n"))
        .collect();
    server.make(&maps).await;
    let names = server.ctl(&["get", "cm", "-o", "name"]).await.succeeds();
    assert_eq!((names.lines().count(), names.lines().last()), (1_201, Some("configmap/m1200")));
    assert_eq!(server.ctl(&["get", "cm", "--no-headers"]).await.succeeds().lines().count(), 1_201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_shows_what_changes() {
    let server = Server::start().await;
    server.make(&pod("one")).await;
    let mut watch = server.spawn(&["get", "pods", "-w"]);
    assert!(watch.line().await.starts_with("NAME   READY   STATUS"));
    assert!(watch.line().await.starts_with("one    0/1     Pending"));
    server.set_status("one", json!({"phase": "Running"})).await;
    assert!(watch.line().await.starts_with("one    0/1     Running"));
    server.make(&pod("two")).await;
    assert!(watch.line().await.starts_with("two    0/1     Pending"));

    let mut names = server.spawn(&["get", "pods", "-o", "name", "--watch-only"]);
    let changing = async {
        // The watch may begin before or after any one of these.
        for round in 0.. {
            server.set_status("two", json!({"message": format!("round {round}")})).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        line = names.line() => assert_eq!(line, "pod/two\n"),
        () = changing => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_revision_is_forgotten_lists_again() {
    let kubeconfig = ctl::forgetful::serve().await;
    let mut watch = ctl::spawn(&["get", "pods", "-w"], kubeconfig.path());
    for expected in ["NAME\n", "listed-1\n", "listed-2\n", "listed-3\n", "watched\n"] {
        assert_eq!(watch.line().await, expected);
    }
    assert!(watch.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_waits_until_the_object_is_gone() {
    let server = Server::start().await;
    server.make(&pod("one")).await;
    let mut delete = server.spawn(&["delete", "pod", "one"]);
    assert_eq!(delete.line().await, "pod \"one\" deleted\n");
    assert!(
        !server
            .ctl(&["get", "pod", "one", "-o", "jsonpath={.metadata.deletionTimestamp}"])
            .await
            .succeeds()
            .is_empty()
    );
    assert!(delete.is_running(), "the pod has time to end");
    server.ctl(&["delete", "pod", "one", "--force", "--wait=false"]).await.succeeds();
    assert_eq!(delete.exit_code().await, 0);

    let absent = server.ctl(&["delete", "pod", "one"]).await;
    assert_eq!((absent.code, absent.stderr.as_str()), (1, "error: pods \"one\" not found\n"));
    server.ctl(&["delete", "pod", "one", "--ignore-not-found"]).await.succeeds();
    let which = server.ctl(&["delete", "pods"]).await;
    assert!(which.code == 1 && which.stderr.contains("--all"), "{}", which.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_applied_is_deleted_by_its_files() {
    let server = Server::start().await;
    server.ctl_with(&["apply", "-f", "-"], SHOP).await.succeeds();
    let deleted = server.ctl_with(&["delete", "-f", "-", "--wait=false"], SHOP).await.succeeds();
    assert_eq!(
        deleted,
        "workload.orch.dev \"web\" deleted\nconfigmap \"conf\" deleted\nnamespace \"shop\" deleted\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_ends_when_the_condition_is_met() {
    let server = Server::start().await;
    server.make(&pod("one")).await;
    let mut wait = server.spawn(&["wait", "pod/one", "--for=condition=Ready"]);
    let late = server.ctl(&["wait", "pod/one", "--for=condition=Ready", "--timeout=1s"]).await;
    assert!(
        late.code == 1
            && late.stderr.starts_with("error: timed out waiting for the condition Ready of pod/one\n"),
        "{}",
        late.stderr
    );
    assert!(wait.is_running());
    server
        .set_status("one", json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}))
        .await;
    assert_eq!(wait.line().await, "pod/one condition met\n");
    assert_eq!(wait.exit_code().await, 0);
    server.ctl(&["wait", "pod", "--all", "--for=jsonpath={.status.phase}=Running"]).await.succeeds();
    server.ctl(&["wait", "pod/none", "--for=delete"]).await.succeeds();
    assert_eq!(server.ctl(&["wait", "pod/none", "--for=condition=Ready"]).await.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_shows_the_events_that_are_about_the_object() {
    let server = Server::start().await;
    server.make(&pod("one")).await;
    let uid = server.ctl(&["get", "pod", "one", "-o", "jsonpath={.metadata.uid}"]).await.succeeds();
    let event = |name: &str, uid: &str| {
        format!("{{apiVersion: v1, kind: Event, metadata: {{name: {name}}}, type: Warning, reason: {name},
        message: it happened, involvedObject: {{apiVersion: v1, kind: Pod, name: one, namespace: default, uid: '{uid}'}}}}\n---\n")
    };
    server.make(&(event("mine", &uid) + &event("other", "another"))).await;
    let text = server.ctl(&["describe", "pod", "one"]).await.succeeds();
    assert!(text.starts_with("Name:         one\nNamespace:    default\nLabels:       app=one\n"), "{text}");
    assert!(text.contains("\nSpec:\n  Containers:\n    a:\n") && text.contains("  Node Name: "), "{text}");
    assert!(text.contains("  Warning   mine     ") && !text.contains("other"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_written_is_explained() {
    let server = Server::start().await;
    let explain = async |args: &[&str]| server.ctl(&[&["explain"], args].concat()).await;
    let text = explain(&["workload.spec.replicas"]).await.succeeds();
    assert!(
        text.starts_with(
            "GROUP:      orch.dev\nKIND:       Workload\nVERSION:    v1\n\nFIELD:      replicas <integer>\n"
        ),
        "{text}"
    );
    assert!(explain(&["po", "--recursive"]).await.succeeds().contains("      containerPort\t<integer>"));
    let unknown = explain(&["pod.spec.containers.imagee"]).await;
    assert_eq!(
        unknown.stderr,
        "error: Pod has no field \"spec.containers.imagee\"\nhint: did you mean \"image\"?\n"
    );
    let resources = server.ctl(&["api-resources"]).await.succeeds();
    assert!(
        resources.lines().any(|l| l.split_whitespace().eq([
            "workloads",
            "wl",
            "orch.dev/v1",
            "true",
            "Workload"
        ])),
        "{resources}"
    );
    assert!(
        server.ctl(&["version"]).await.succeeds().lines().nth(1).unwrap().starts_with("Server Version: v1.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_it_is_said_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let run = ctl::run(&["get", "pods"], &home.path().join("none"), "").await;
    assert_eq!(run.code, 1);
    assert!(run.stderr.starts_with("error: no kubeconfig found (tried "), "{}", run.stderr);
    assert!(
        run.stderr.contains("/none)") && run.stderr.contains("hint: start a server with `orchd up`"),
        "{}",
        run.stderr
    );
    let offline = ctl::run(&["completion", "bash"], &home.path().join("none"), "").await;
    assert!(offline.succeeds().contains("_orchctl()"));

    let server = Server::start().await;
    let elsewhere = server.ctl(&["--server", "https://127.0.0.1:1", "get", "pods"]).await;
    assert_eq!(
        elsewhere.stderr,
        "error: cannot reach https://127.0.0.1:1: connection refused; is `orchd up` running?\n"
    );
    for (args, expected) in [
        (&["logs", "none"][..], "error: pods \"none\" not found\n"),
        (&["exec", "none", "--", "ls"], "error: pods \"none\" not found\n"),
        (&["scale", "wl/none", "--replicas=1"], "error: workloads.orch.dev \"none\" not found\n"),
    ] {
        assert_eq!(server.ctl(args).await.stderr, expected, "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_who_changed_an_object_and_what_it_was() {
    let server = Server::start().await;
    let apply = ["apply", "-f", "-"];
    server.ctl_with(&apply, SHOP).await.succeeds();
    let more = SHOP.replace("replicas: 2", "replicas: 3");
    let why = ["apply", "-f", "-", "--reason", "the sale"];
    server.ctl_with(&why, &more).await.succeeds();
    let history = server.ctl(&["history", "workload/web", "-n", "shop"]).await.succeeds();
    let entries: Vec<&str> = history.split_inclusive("revision ").skip(1).collect();
    assert_eq!(entries.len(), 2, "{history}");
    assert!(entries[0].contains("updated by admin (orch)\n  because: the sale\n"), "{history}");
    assert!(entries[0].contains("~ spec.replicas: 2 -> 3\n"), "{history}");
    assert!(entries[1].contains("created by admin (orch)"), "{history}");
    let revision = entries[1].split_whitespace().next().unwrap();
    let past =
        ["get", "workload/web", "-n", "shop", "-o", "jsonpath={.spec.replicas}", "--revision", revision];
    assert_eq!(server.ctl(&past).await.succeeds(), "2");

    let diff = server.ctl(&["diff", "workloads", "--since", "1h", "-n", "shop"]).await.succeeds();
    assert!(diff.starts_with("shop/workload/web\n") && diff.contains("created by admin"), "{diff}");
    assert_eq!(
        server.ctl(&["diff", "pods", "--since", "1h", "-A"]).await.succeeds(),
        "nothing has changed\n"
    );

    for (what, expected) in
        [("ns/shop", "namespace/shop\n"), ("cm/conf", "shop/configmap/conf\n"), ("cm/none", "nothing")]
    {
        let diff = server.ctl(&["diff", what, "--since", "7d", "-n", "shop"]).await.succeeds();
        assert!(diff.starts_with(expected) && diff.lines().count() <= 2, "{what}: {diff}");
    }
    let two = server.ctl(&["history", "wl/web", "cm/conf", "-n", "shop", "--limit=1"]).await.succeeds();
    let headings: Vec<&str> = two.lines().filter(|line| line.contains('/') && !line.contains(' ')).collect();
    assert_eq!(headings, ["workload.orch.dev/web", "configmap/conf"], "{two}");
    let none = server.ctl(&["history", "wl/web", "-n", "shop", "--limit=0"]).await;
    assert!(none.code == 2 && none.stderr.contains("invalid value '0' for '--limit"), "{}", none.stderr);

    server.ctl(&["delete", "workload/web", "-n", "shop", "--reason=over"]).await.succeeds();
    let history = server.ctl(&["history", "workload/web", "-n", "shop", "--limit=1"]).await.succeeds();
    assert!(history.contains("deleted by admin (orch)\n  because: over\n"), "{history}");
    assert_eq!(server.ctl(&past).await.succeeds(), "2", "what is gone can still be looked at");
    let gone = history.split_whitespace().nth(1).unwrap();
    for (revision, expected) in [
        (gone, format!("error: workloads.orch.dev \"web\" was not there at revision {gone}\n")),
        ("1", "error: the history does not know what workloads.orch.dev \"web\" was at revision 1: it begins at revision ".to_owned()),
        ("7777777", "error: Too large resource version: 7777777, current: ".to_owned()),
    ] {
        let run = server.ctl(&["get", "workload/web", "-n", "shop", "--revision", revision]).await;
        assert!(run.code == 1 && run.stderr.starts_with(&expected), "{}", run.stderr);
    }
    let if_there = ["get", "workload/web", "-n", "shop", "--ignore-not-found", "--revision"];
    assert_eq!(server.ctl(&[&if_there[..], &[gone]].concat()).await.succeeds(), "");
    let run = server.ctl(&[&if_there[..], &["1"]].concat()).await;
    assert!(
        run.stderr.ends_with("hint: `orchctl history workload.orch.dev/web` shows what is kept\n"),
        "{}",
        run.stderr
    );
    let unknown = server.ctl(&["history", "workload/other", "-n", "shop"]).await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("no change of workload.orch.dev/other is known"), "{}", unknown.stderr);
}

/// A node that is ready, with room for some pods.
fn node(name: &str, pods: u32) -> String {
    format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}, status: {{allocatable: {{cpu: '8', memory: 8Gi, pods: '{pods}'}}, conditions: [{{type: Ready, status: 'True'}}]}}}}\n---\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_shown_and_then_applied_as_a_whole() {
    let server = Server::start().await;
    server.make(&node("n1", 1)).await;
    server.make("{apiVersion: v1, kind: ConfigMap, metadata: {name: old}, data: {a: '1'}}").await;
    let shown = server
        .ctl_with(&["plan", "-f", "-", "--delete", "configmap/old", "--reason", "a shop"], SHOP)
        .await
        .succeeds();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!((lines[0], lines[1]), ("+ Namespace shop", "    + apiVersion: \"v1\""), "{shown}");
    for expected in [
        "+ ConfigMap shop/conf",
        "    + data.mode: \"no\"",
        "+ Workload shop/web",
        "- ConfigMap default/old",
        "+ Pod shop/web+1  Workload web wants it",
        "  shop/web+1 → n1",
        "  shop/web+2 fits nowhere: 0/1 nodes are available: 1 Too many pods.",
        "5 created, 0 changed, 1 deleted; 0 replicas lost; nodes: n1; services: none",
    ] {
        assert!(lines.contains(&expected), "{expected:?} is not in:\n{shown}");
    }
    assert_eq!(server.ctl(&["get", "configmap/conf", "-n", "shop"]).await.code, 1);
    let name = shown.trim_end().rsplit(' ').next().unwrap();
    let listed = server.ctl(&["get", "plans"]).await.succeeds();
    assert!(listed.contains(name) && listed.contains("Ready"), "{listed}");

    let applied = server.ctl(&["apply", "--plan", name]).await.succeeds();
    assert_eq!(applied, format!("plan/{name} applied\n"));
    server.ctl(&["get", "configmap/conf", "-n", "shop"]).await.succeeds();
    assert_eq!(server.ctl(&["get", "configmap/old"]).await.code, 1);
    let again = server.ctl(&["apply", "--plan", name]).await;
    assert!(again.code == 1 && again.stderr.contains("it has been applied already"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_plan_is_shown_in_the_manifests_and_what_moved_is_named() {
    let server = Server::start().await;
    let wrong = SHOP.replace("containers:", "containerz:");
    let run = server.ctl_with(&["plan", "-f", "-", "--delete", "configmap/absent"], &wrong).await;
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    for expected in [
        "error: workload.orch.dev/web is refused\n  unknown field \"spec.template.spec.containerz\"",
        "--> <stdin>:9:7\n",
        "error: configmaps \"absent\" not found\n",
    ] {
        assert!(run.stderr.contains(expected), "{expected:?} is not in:\n{}", run.stderr);
    }
    let run = server.ctl_with(&["plan", "-f", "-", "--delete", "configmap"], SHOP).await;
    assert!(run.code == 1 && run.stderr.contains("--delete configmap names no object"), "{}", run.stderr);
    let map = |value: &str| {
        format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {{a: '{value}'}}}}")
    };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("plan.yaml");
    let plan = ["plan", "-f", "-", "--out", out.to_str().unwrap()];
    let shown = server.ctl_with(&plan, &map("1")).await.succeeds();
    let name = shown.trim_end().rsplit(' ').next().unwrap();
    assert!(std::fs::read_to_string(&out).unwrap().contains(&format!("name: {name}")));
    server.make(&map("2")).await;
    let run = server.ctl(&["apply", "--plan", name]).await;
    assert!(
        run.code == 1 && run.stderr.contains("ConfigMap default/m was not there, is at revision"),
        "{}",
        run.stderr
    );
    let at_once =
        server.ctl_with(&["plan", "-f", "-", "--apply", "--force-conflicts"], &map("3")).await.succeeds();
    assert!(
        at_once.contains("    ~ data.a: \"2\" -> \"3\"\n") && at_once.ends_with(" applied\n"),
        "{at_once}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_if_is_shown_and_nothing_is_written() {
    let server = Server::start().await;
    server.make(&[node("n1", 2), node("n2", 2)].concat()).await;
    server.make("{apiVersion: orch.dev/v1, kind: Workload, metadata: {name: web}, spec: {replicas: 2, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: 'b:1'}]}}}}").await;
    server.make(&pod("lonely")).await;
    let lost = server.ctl(&["simulate", "--lose", "n1"]).await.succeeds();
    assert!(lost.contains("- Pod default/lonely  its node n1 is gone\n"), "{lost}");
    assert!(lost.contains("1 replicas lost; nodes: n1"), "{lost}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.yaml");
    std::fs::write(&file, node("n3", 9)).unwrap();
    let more = ["simulate", "--scale", "workload/web=x4", "--add", file.to_str().unwrap()];
    let more = server.ctl(&more).await.succeeds();
    assert!(more.contains("  default/web+8 → ") && more.contains("nodes: n1, n2, n3"), "{more}");
    let nodes = server.ctl(&["get", "nodes", "-o", "name"]).await.succeeds();
    assert_eq!(nodes, "node/n1\nnode/n2\n");
    let run = server.ctl(&["simulate", "--lose", "n9"]).await;
    assert!(run.code == 1 && run.stderr.contains("there is no such object"), "{}", run.stderr);
    let run = server.ctl(&["simulate", "--scale", "workload/web=many"]).await;
    assert!(run.code == 1 && run.stderr.contains("does not say how many"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_change_a_deletion_and_a_plan_are_undone() {
    let server = Server::start().await;
    server.ctl_with(&["apply", "-f", "-"], SHOP).await.succeeds();
    let more = SHOP.replace("replicas: 2", "replicas: 3");
    server.ctl_with(&["apply", "-f", "-"], &more).await.succeeds();
    let replicas = ["get", "workload/web", "-n", "shop", "-o", "jsonpath={.spec.replicas}"];
    let shown = server.ctl(&["undo", "workload/web", "-n", "shop"]).await.succeeds();
    assert!(shown.contains("~ Workload shop/web") && shown.contains("spec.replicas"), "{shown}");
    assert_eq!(server.ctl(&replicas).await.succeeds(), "3", "it is only shown");
    let plan = shown.trim_end().rsplit(' ').next().unwrap();
    server.ctl(&["apply", "--plan", plan]).await.succeeds();
    assert_eq!(server.ctl(&replicas).await.succeeds(), "2");
    server.ctl(&["undo", &format!("plan/{plan}"), "--apply"]).await.succeeds();
    assert_eq!(server.ctl(&replicas).await.succeeds(), "3", "undone, it is as it was");
    let made = server
        .ctl(&[
            "get",
            "changes",
            "--field-selector",
            "object.kind=Workload,verb=created",
            "-o",
            "jsonpath={.items[0].revision}",
        ])
        .await;
    let back = ["undo", "workload/web", "-n", "shop", "--to-revision", made.succeeds().trim(), "--apply"]
        .map(str::to_owned);
    server.ctl(&back.each_ref().map(String::as_str)).await.succeeds();
    assert_eq!(server.ctl(&replicas).await.succeeds(), "2", "as it was made");
    let of_plan = server.ctl(&["undo", &format!("plan/{plan}"), "--to-revision", "5"]).await;
    assert!(of_plan.code == 1 && of_plan.stderr.contains("is no object to bring back"), "{}", of_plan.stderr);

    server.ctl(&["delete", "configmap/conf", "-n", "shop"]).await.succeeds();
    let undone = server
        .ctl(&["undo", "configmap/conf", "-n", "shop", "--apply", "--reason", "a slip"])
        .await
        .succeeds();
    assert!(undone.contains("+ ConfigMap shop/conf"), "{undone}");
    let history = server.ctl(&["history", "configmap/conf", "-n", "shop", "--limit=1"]).await.succeeds();
    assert!(history.contains("created by admin (orch, plan plan-"), "{history}");
    assert!(history.contains("because: a slip"), "{history}");
    let unknown = server.ctl(&["undo", "plan/never"]).await;
    assert!(
        unknown.code == 1 && unknown.stderr.contains("no change of a plan of this name"),
        "{}",
        unknown.stderr
    );
}
