//! `orchctl gitsync`, where the test plays the controller's part.

use orch_ontology::GitSync;
use orch_tests::{Orchd, wait_for};
use serde_json::{Value, json};

use super::{DEADLINE, annotation, gitsync, without_controllers};

const REVISION: &str = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d";

/// A server with a GitSync.
fn start() -> Orchd {
    let orch = without_controllers();
    let shop = json!({"apiVersion": "orch.dev/v1", "kind": "GitSync", "metadata": {"name": "shop"},
        "spec": {"url": "https://git.invalid/shop.git", "ref": {"branch": "main"}}});
    orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &shop.to_string()).ok();
    orch
}

/// Says how it stands.
fn tell(orch: &Orchd, status: &Value) {
    let patch = json!({"status": status}).to_string();
    orch.kubectl(&["patch", "gitsync", "shop", "--subresource=status", "--type=merge", "-p", &patch]).ok();
}

fn ready(status: &str, reason: &str, message: &str) -> Value {
    json!([{"type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-31T12:00:00Z"}])
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn gitsyncs_are_shown_suspended_and_resumed() {
    let orch = start();
    let item = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "page"});
    tell(
        &orch,
        &json!({"conditions": ready("True", "Applied", "1 object"), "appliedRevision": REVISION, "inventory": [item]}),
    );
    let listed = orch.orchctl(&["gitsync", "get"]).ok();
    has(listed.lines().next().unwrap(), &["NAME", "READY", "STATUS", "REVISION", "AGE"]);
    has(listed.lines().nth(1).unwrap(), &["shop", "True", "Applied", "1a2b3c4d5e6f"]);
    assert_eq!(orch.orchctl(&["gs", "get", "-o", "name"]).ok(), "gitsync.orch.dev/shop\n");
    let url = ["gs", "get", "shop", "-o", "jsonpath={.spec.url}"];
    assert_eq!(orch.orchctl(&url).ok(), "https://git.invalid/shop.git");
    let told = orch.orchctl(&["gs", "get", "shop"]).ok();
    has(
        &told,
        &["https://git.invalid/shop.git, branch main", "Ready (Applied: 1 object)", "1a2b3c4d5e6f", "page"],
    );
    assert!(!told.contains('\u{1b}'), "colours are for terminals: {told:?}");
    has(&orch.orchctl(&["gs", "get", "absent"]).fails(), &["gitsyncs.orch.dev \"absent\" not found"]);

    let suspended = orch.orchctl(&["gitsync", "suspend", "shop", "--reason", "we look into it"]).ok();
    assert_eq!(suspended, "gitsync.orch.dev/shop suspended\n");
    assert_eq!(gitsync(&orch, "shop")["spec"]["suspend"], true);
    has(&orch.orchctl(&["gs", "get", "shop"]).ok(), &["Suspended"]);
    let refused = orch.orchctl(&["gs", "reconcile", "shop"]).fails();
    has(&refused, &["gitsync.orch.dev/shop is suspended", "hint: `orchctl gitsync resume shop`"]);
    assert_eq!(annotation(&orch, "shop", GitSync::RECONCILE), "");

    assert_eq!(orch.orchctl(&["gitsync", "resume", "shop"]).ok(), "gitsync.orch.dev/shop resumed\n");
    assert_eq!(gitsync(&orch, "shop")["spec"]["suspend"], Value::Null);
    has(&orch.orchctl(&["gs", "resume", "absent"]).fails(), &["gitsyncs.orch.dev \"absent\" not found"]);
}

#[test]
fn what_is_held_is_looked_at_and_approved() {
    let orch = start();
    let nothing = orch.orchctl(&["gitsync", "approve", "shop"]).fails();
    has(&nothing, &["gitsync.orch.dev/shop holds nothing", "hint: `orchctl gitsync get shop`"]);
    assert_eq!(
        orch.orchctl(&["gitsync", "diff", "shop"]).ok(),
        "nothing is held, nothing has drifted, and nothing has been changed yet\n"
    );
    let item = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "old"});
    let fields = json!([{"path": "data.title", "before": "hacked", "after": "Shop"}]);
    tell(
        &orch,
        &json!({
            "held": {"revision": REVISION, "reason": "TooManyDeletes", "message": "1 object would go", "deletes": [item]},
            "drift": [{"object": item, "changedBy": ["kubectl-edit"], "fields": fields}],
        }),
    );
    let held = [
        "TooManyDeletes: 1 object would go",
        "- ConfigMap default/old",
        "approve shop --revision 1a2b3c4d5e6f",
    ];
    let drift = ["changed by kubectl-edit", "~ data.title: \"hacked\" -> \"Shop\""];
    for shown in [["gitsync", "diff", "shop"], ["gitsync", "get", "shop"]] {
        let told = orch.orchctl(&shown).ok();
        has(&told, &held);
        has(&told, &drift);
    }

    let other = orch.orchctl(&["gitsync", "approve", "shop", "--revision", "ffffffffff"]).fails();
    has(
        &other,
        &["gitsync.orch.dev/shop holds 1a2b3c4d5e6f, not ffffffffff", "hint: `orchctl gitsync diff shop`"],
    );
    assert_eq!(annotation(&orch, "shop", GitSync::APPROVE), "");
    let approved = orch.orchctl(&["gitsync", "approve", "shop", "--revision", "1a2b3c4"]).ok();
    assert_eq!(approved, "gitsync.orch.dev/shop approved 1a2b3c4d5e6f\n  - ConfigMap default/old\n");
    assert_eq!(annotation(&orch, "shop", GitSync::APPROVE), REVISION);
}

#[test]
fn a_diff_tells_what_the_last_sync_changed() {
    let orch = start();
    let plan = |title: &str| {
        let page = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"title": title}});
        let applied = orch.orchctl_with(&["plan", "-f", "-", "--apply"], &page.to_string()).ok();
        let (_, name) = applied.rsplit_once("plan/").unwrap();
        name.split_whitespace().next().unwrap().to_owned()
    };
    let plans = [plan("one"), plan("two")];
    tell(&orch, &json!({"lastPlans": plans}));
    let told = wait_for("the history to have both", DEADLINE, || {
        let told = orch.orchctl(&["gitsync", "diff", "shop"]).ok();
        if told.contains("\"two\"") && told.contains("created by") { Ok(told) } else { Err(told) }
    });
    has(&told, &[&plans[0], &plans[1], "ConfigMap default/page", "~ data.title: \"one\" -> \"two\""]);
    assert!(told.find(&plans[0]) < told.find(&plans[1]), "not in their order:\n{told}");
}

/// Runs `orchctl gitsync reconcile --wait`, and tells how it stands once that has asked.
fn reconcile(orch: &Orchd, told: &Value, code: i32) -> (String, String) {
    let before = annotation(orch, "shop", GitSync::RECONCILE);
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| orch.orchctl(&["gitsync", "reconcile", "shop", "--wait", "--timeout=60s"]));
        let asked = wait_for("a look to be asked for", DEADLINE, || {
            let asked = annotation(orch, "shop", GitSync::RECONCILE);
            if asked == before { Err("nothing new is asked for".to_owned()) } else { Ok(asked) }
        });
        let mut status = told.clone();
        status["handledReconcile"] = asked.into();
        tell(orch, &status);
        let run = waiting.join().unwrap();
        assert_eq!(run.code, Some(code), "{run:?}");
        (run.stdout, run.stderr)
    })
}

#[test]
fn a_reconcile_ends_as_what_was_asked_for_ends() {
    let orch = start();
    // What has been before says nothing about what is asked for now.
    tell(
        &orch,
        &json!({"conditions": ready("False", "Unreachable", "no route"), "handledReconcile": "earlier"}),
    );
    let applied = json!({"conditions": ready("True", "Applied", "all"), "appliedRevision": REVISION});
    let (told, _) = reconcile(&orch, &applied, 0);
    assert!(told.ends_with("gitsync.orch.dev/shop is ready at 1a2b3c4d5e6f\n"), "{told}");

    let held = json!({"revision": REVISION, "reason": "Frozen", "message": "until Monday"});
    let held = json!({"conditions": ready("False", "Held", "until Monday"), "held": held});
    let (_, why) = reconcile(&orch, &held, 1);
    has(&why, &["gitsync.orch.dev/shop: Held: until Monday", "approve shop --revision 1a2b3c4d5e6f"]);

    let late = orch.orchctl(&["gitsync", "reconcile", "shop", "--wait", "--timeout=1s"]).fails();
    has(&late, &["timed out waiting for gitsync.orch.dev/shop", "hint: `orchctl gitsync get shop`"]);
    orch.orchctl(&["gitsync", "reconcile", "shop"]).ok();
}
