//! What is so while something has to wait: a commit, a server, an end.

use std::net::TcpListener;

use orch_tests::wait_for;
use serde_json::Value;

use super::DEADLINE;
use super::repository::{PAGE, Shop, condition, page};

#[test]
fn while_the_newest_commit_waits_the_applied_one_stays_in_step() {
    let shop = Shop::open();
    let other = PAGE.replace("page", "other");
    let first = shop.git.push(&[("page.yaml", PAGE), ("other.yaml", &other)], "two pages");
    shop.sync("  guards: {maxDeletes: 0}\n");
    shop.until(&first, "True", "Applied");
    let second = shop.git.push_without(&["other.yaml"], "one page");
    shop.look("second");
    shop.until(&second, "False", "Held");
    shop.orch
        .kubectl(&["patch", "configmap", "page", "--type=merge", "-p", r#"{"data": {"title": "mine"}}"#])
        .ok();
    shop.until_title("one");
    let status = wait_for("what was changed back", DEADLINE, || {
        let status = shop.status();
        if status["drift"].is_array() { Ok(status) } else { Err(status.to_string()) }
    });
    assert_eq!(condition(&status, "Ready")["reason"], "Held", "{status}");
    assert_eq!(
        (&status["held"]["revision"], &status["appliedRevision"]),
        (&second.into(), &first.clone().into())
    );

    // What cannot be applied at all is not held.
    let refused = shop.git.push(&[("page.yaml", &page("[]"))], "no text");
    shop.look("refused");
    let status = shop.until(&refused, "False", "Refused");
    assert_eq!((&status["held"], &condition(&status, "Held")), (&Value::Null, &Value::Null), "{status}");
    shop.orch.kubectl(&["delete", "configmap", "other"]).ok();
    wait_for("the other page", DEADLINE, || match shop.get(&["configmap", "other"]) {
        Some(_) => Ok(()),
        None => Err(shop.status().to_string()),
    });
    assert_eq!(shop.status()["appliedRevision"], first);
}

#[test]
fn another_spec_is_nobody_s_drift() {
    let shop = Shop::open();
    let commit = shop.git.push(&[("a/page.yaml", PAGE), ("b/page.yaml", &page("two"))], "two directories");
    shop.sync("  path: a\n");
    let status = shop.until(&commit, "True", "Applied");
    assert_eq!(status["appliedGeneration"], 1, "{status}");
    shop.orch.kubectl(&["patch", "gitsync", "shop", "--type=merge", "-p", r#"{"spec": {"path": "b"}}"#]).ok();
    shop.until_title("two");
    let status = wait_for("the other directory", DEADLINE, || {
        let status = shop.status();
        if status["appliedGeneration"] == 2 { Ok(status) } else { Err(status.to_string()) }
    });
    assert_eq!((&status["drift"], &status["observedGeneration"]), (&Value::Null, &2.into()), "{status}");
}

#[test]
fn servers_that_say_nothing_hold_up_nobody_else() {
    let shop = Shop::open();
    let commit = shop.git.push(&[("page.yaml", PAGE)], "a page");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    shop.orch.kubectl(&["create", "namespace", "other"]).ok();
    let one = |n: usize| {
        format!(
            "---\napiVersion: orch.dev/v1\nkind: GitSync\nmetadata: {{name: silent-{n}, namespace: other}}\nspec: {{url: 'git://{}/x', timeoutSeconds: 600}}\n",
            silent.local_addr().unwrap()
        )
    };
    let all: String = (0..40).map(one).collect();
    shop.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &all).ok();
    // One of them is being waited for.
    drop(silent.accept().unwrap());
    shop.sync("");
    shop.until(&commit, "True", "Applied");
}

#[test]
fn what_was_fetched_for_who_is_gone_is_thrown_away() {
    let mut shop = Shop::open();
    let commit = shop.git.push(&[("page.yaml", PAGE)], "a page");
    shop.sync("");
    shop.until(&commit, "True", "Applied");
    let uid = shop.get(&["gitsync", "shop"]).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let caches = shop.orch.data_dir().join("git");
    let (own, unknown) = (caches.join(uid), caches.join("00000000-0000-0000-0000-000000000000"));
    shop.orch.stop();
    std::fs::create_dir(&unknown).unwrap();
    shop.orch.start_again();
    wait_for("the end of the unknown one", DEADLINE, || {
        if unknown.exists() { Err(String::new()) } else { Ok(()) }
    });
    assert!(own.exists());
}

/// An account with its rights, in a namespace, with a role of its own.
fn account(namespace: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: keeper, namespace: {namespace}, labels: {{of: team}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: keeper, namespace: {namespace}}}
rules: [{{apiGroups: ['*'], resources: ['*'], verbs: ['*']}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: keeper, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: keeper}}
subjects: [{{kind: ServiceAccount, name: keeper, namespace: {namespace}}}]
"
    )
}

/// A sync in a namespace of its own, which that account applies.
fn keep(shop: &Shop, namespace: &str) {
    shop.orch.kubectl(&["create", "namespace", namespace]).ok();
    shop.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &account(namespace)).ok();
    let sync = format!(
        "apiVersion: orch.dev/v1\nkind: GitSync\nmetadata: {{name: kept, namespace: {namespace}}}\nspec: {{url: '{}', prune: true, serviceAccountName: keeper, retrySeconds: 1}}\n",
        shop.git.url()
    );
    shop.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &sync).ok();
    wait_for("the sync", DEADLINE, || {
        let status = shop.get(&["gitsync", "kept", "-n", namespace]).unwrap()["status"].clone();
        if condition(&status, "Ready")["status"] == "True" { Ok(()) } else { Err(status.to_string()) }
    });
}

fn until_gone(shop: &Shop, what: &[&str]) {
    wait_for(&format!("the end of {}", what.join(" ")), DEADLINE, || match shop.get(what) {
        None => Ok(()),
        Some(object) => Err(object.to_string()),
    });
}

#[test]
fn a_namespace_goes_with_its_sync_although_the_rights_go_first() {
    let shop = Shop::open();
    shop.git.push(&[("page.yaml", PAGE)], "a page");
    keep(&shop, "team");
    shop.orch.kubectl(&["delete", "namespace", "team", "--wait=false"]).ok();
    until_gone(&shop, &["namespace", "team"]);
}

#[test]
fn what_gives_a_sync_its_rights_goes_last() {
    let shop = Shop::open();
    // It is its own: what it is applied with is in the repository.
    shop.git.push(&[("page.yaml", PAGE), ("account.yaml", &account("team"))], "a page and an account");
    keep(&shop, "team");
    shop.orch.kubectl(&["delete", "gitsync", "kept", "-n", "team", "--wait=false"]).ok();
    until_gone(&shop, &["gitsync", "kept", "-n", "team"]);
    for what in ["configmap/page", "serviceaccount/keeper", "role/keeper"] {
        assert_eq!(shop.get(&[what, "-n", "team"]), None);
    }
}
