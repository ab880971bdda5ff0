//! Which objects a command is about, and what becomes of the others when one fails.

use serde_json::json;

use crate::ctl::fake::{self, Answer, list, table};
use crate::ctl::{self, Server};

const MAPS: &str = "\
{apiVersion: v1, kind: ConfigMap, metadata: {name: web, labels: {app: web}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: db, labels: {app: db}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_narrows_down_what_manifests_delete() {
    let server = Server::start().await;
    server.make(MAPS).await;
    let names = async || server.ctl(&["get", "cm", "-o", "name"]).await.succeeds();
    let deleted = server.ctl_with(&["delete", "-f", "-", "-l", "app=web"], MAPS).await.succeeds();
    assert_eq!(deleted, "configmap \"web\" deleted\n");
    assert_eq!(names().await, "configmap/db\n");
    let none = server.ctl_with(&["delete", "-f", "-", "-l", "app=none"], MAPS).await;
    assert_eq!((none.code, none.stderr.as_str()), (0, "No resources found.\n"));
    server.ctl_with(&["delete", "-f", "-", "-l", "app=web"], MAPS).await.succeeds();
    assert_eq!(server.ctl_with(&["delete", "-f", "-"], MAPS).await.code, 1, "web is gone already");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_ignored_is_refused() {
    let server = Server::start().await;
    server.make(MAPS).await;
    for args in [
        &["delete", "cm", "web", "-f", "-"][..],
        &["delete", "-f", "-", "--all"],
        &["delete", "-f", "-", "-A"],
        &["delete", "cm", "web", "-l", "app=db"],
        &["delete", "cm/web", "-A"],
        &["delete", "cm/web", "--all"],
        &["get", "cm", "web", "-l", "app=db"],
        &["describe", "cm/web", "--field-selector", "metadata.name=db"],
        &["wait", "cm/web", "-A", "--for=create"],
    ] {
        let run = server.ctl_with(args, MAPS).await;
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{args:?}");
        assert!(run.stderr.contains("cannot"), "{args:?}: {}", run.stderr);
    }
    assert_eq!(server.ctl(&["get", "cm", "-o", "name"]).await.succeeds(), "configmap/db\nconfigmap/web\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_hold_nothing_are_an_error() {
    let server = Server::start().await;
    for verb in ["apply", "create", "delete"] {
        let run = server.ctl_with(&[verb, "-f", "-"], "# nothing\n").await;
        assert_eq!((run.code, run.stderr.as_str()), (1, "error: no objects in what was read\n"), "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_seen_is_shown_and_the_rest_is_told() {
    let kubeconfig = fake::serve(|asked| match asked {
        _ if asked.contains("/secrets") => Answer::status(403, "Forbidden", "secrets is forbidden"),
        _ if asked.contains("/pods/none") => Answer::status(404, "NotFound", "pods \"none\" not found"),
        _ if asked.contains("/pods/web") => Answer::json(&fake::pod("web")),
        _ => Answer::json(&table(&["web"], "7")),
    })
    .await;
    let shown = async |args: &[&str]| {
        let run = ctl::run(args, kubeconfig.path(), "").await;
        (run.code, run.stdout, run.stderr.lines().next().unwrap_or_default().to_owned())
    };
    let forbidden = "error: secrets is forbidden".to_owned();
    let both = shown(&["get", "secrets,pods"]).await;
    assert_eq!(both, (1, "NAME\npod/web\n".to_owned(), forbidden.clone()));
    let (code, text, error) = shown(&["describe", "secret/a", "pod/web", "--show-events=false"]).await;
    assert!(code == 1 && text.starts_with("Name:") && error == forbidden, "{text}{error}");
    let none = shown(&["get", "secrets", "-o", "yaml"]).await;
    assert_eq!(none, (1, String::new(), forbidden.clone()));
    let (_, text, error) = shown(&["get", "secret/a", "pod/web", "-o", "name"]).await;
    assert_eq!((text, error), ("pod/web\n".to_owned(), forbidden));
    let (code, text, error) = shown(&["get", "pod", "none", "web"]).await;
    assert!(code == 1 && text.contains("web"), "{text}");
    assert_eq!(error, "error: pods \"none\" not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_scaled_does_not_keep_the_others() {
    let server = Server::start().await;
    server.make("{apiVersion: orch.dev/v1, kind: Workload, metadata: {name: web}, spec: {replicas: 2, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: 'b:1'}]}}}}").await;
    let run = server.ctl(&["scale", "workload", "none", "web", "--replicas=3"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (1, "workload.orch.dev/web scaled\n"));
}

/// A deleted object is gone or going, whatever can be seen of it.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_delete_need_not_be_allowed_to_look() {
    let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"uid": "u"}});
    let kubeconfig = fake::serve(move |asked| match asked {
        "DELETE /api/v1/namespaces/default/pods/web?propagationPolicy=Background" => Answer::json(&gone),
        _ if asked.starts_with("DELETE") => Answer::status(404, "NotFound", "pods \"late\" not found"),
        _ if asked.contains("fieldSelector") => Answer::status(403, "Forbidden", "pods is forbidden"),
        _ => Answer::json(&list(&[fake::pod("late"), fake::pod("web")], "7")),
    })
    .await;
    for args in [&["delete", "pod", "web"][..], &["delete", "pods", "--all"]] {
        let run = ctl::run(args, kubeconfig.path(), "").await;
        assert_eq!((run.code, run.stdout.as_str()), (0, "pod \"web\" deleted\n"), "{args:?}: {}", run.stderr);
    }
    assert_eq!(ctl::run(&["delete", "pod", "late"], kubeconfig.path(), "").await.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_no_map_is_refused_with_its_place() {
    let server = Server::start().await;
    for verb in ["apply", "create", "delete"] {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: web\n";
        let run = server.ctl_with(&[verb, "-f", "-"], text).await;
        assert!(run.code == 1 && run.stderr.contains("<stdin>:3:1"), "{verb}: {}", run.stderr);
    }
}

/// An editor that has somebody else change the object first.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_keeps_what_others_have_changed_meanwhile() {
    let server = Server::start().await;
    server.make("{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {a: '1', b: '1'}}").await;
    let directory = tempfile::tempdir().unwrap();
    let edit = async |mine: &str, theirs: &str, once: &str| {
        let editor = directory.path().join("editor");
        let others = directory.path().join("others.yaml");
        let flag = directory.path().join("seen");
        drop(std::fs::remove_file(&flag));
        std::fs::write(&others, theirs).unwrap();
        let script = format!(
            "#!/bin/sh\nif [ -e {flag} ]; then {once}; fi\ntouch {flag}\nsed -i \"s/a: .*/a: {mine}/\" \"$1\"\n\
             {orchctl} apply -f {others} --force-conflicts --field-manager other >&2\n",
            flag = flag.display(),
            orchctl = env!("CARGO_BIN_EXE_orchctl"),
            others = others.display(),
        );
        std::fs::write(&editor, script).unwrap();
        let mut command = ctl::command(&["edit", "cm/m"], &server.kubeconfig());
        command.env("EDITOR", format!("sh {}", editor.display())).env("PATH", "/usr/bin:/bin");
        let run = ctl::finish(command, "").await;
        let data = server.ctl(&["get", "cm", "m", "-o", "jsonpath={.data}"]).await.succeeds();
        (run.code, data, run.stderr)
    };
    let map =
        |data: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m}}, data: {data}}}");
    let (code, data, told) = edit("first", &map("{b: theirs}"), "exit 1").await;
    assert_eq!((code, data.as_str()), (0, r#"{"a":"first","b":"theirs"}"#), "{told}");

    // The same field: it is shown again, and saved or not.
    let (code, data, told) = edit("second", &map("{a: theirs, b: theirs}"), "exit 0").await;
    assert_eq!((code, data.as_str()), (1, r#"{"a":"theirs","b":"theirs"}"#), "{told}");
    assert!(told.contains("others have changed the same") && told.contains("data.a"), "{told}");
    let (code, data, told) =
        edit("third", &map("{a: again, b: theirs}"), "echo '# mine' >> \"$1\"; exit 0").await;
    assert_eq!((code, data.as_str()), (0, r#"{"a":"third","b":"theirs"}"#), "{told}");
}
