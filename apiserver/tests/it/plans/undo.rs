//! Undoing changes, deletions and plans: by a plan, as every other change of many objects.

use serde_json::{Value, json};

use super::{PLANS, applied, name, of_map, plan};
use crate::changes::{changes, history, host};
use crate::host::{Host, MAPS, WORKLOADS, map, text, workload};

/// The name of the newest change of an object.
async fn newest(host: &Host, object: &str) -> String {
    let all = changes(host, &format!("fieldSelector=object.name={object}&limit=1")).await;
    text(&all[0]["metadata"]["name"]).to_owned()
}

fn undone(change: &str) -> Value {
    plan(json!([{"undo": {"change": change}}]))
}

async fn undo(host: &Host, change: &str) -> Value {
    let plan = host.post(PLANS, undone(change)).await.is(201);
    host.apply_plan(&plan).await.is(200)
}

#[tokio::test]
async fn a_change_is_undone_and_what_was_changed_beside_it_stays() {
    let (host, _directory) = host().await;
    host.post(WORKLOADS, workload("web", 2)).await.is(201);
    let web = format!("{WORKLOADS}/web");
    let labels = json!({"spec": {"replicas": 5}, "metadata": {"labels": {"tier": "front"}}});
    host.merge(&web, labels).await.is(200);
    let change = newest(&host, "web").await;
    host.merge(&web, json!({"metadata": {"annotations": {"note": "kept"}}})).await.is(200);
    let done = undo(&host, &change).await;
    let paths: Vec<&str> =
        done["status"]["changes"][0]["fields"].as_array().unwrap().iter().map(|f| text(&f["path"])).collect();
    assert_eq!(paths, ["metadata.labels.tier", "spec.replicas"]);
    let web = host.get(&web).await.is(200);
    assert_eq!((&web["spec"]["replicas"], &web["metadata"]["labels"]["tier"]), (&json!(2), &Value::Null));
    assert_eq!(web["metadata"]["annotations"]["note"], "kept");
}

#[tokio::test]
async fn a_plan_that_the_history_has_lost_some_of_is_not_undone() {
    let (host, directory) = host().await;
    let made = host.plan(json!([applied(map("a", json!({}))), applied(map("b", json!({})))])).await;
    host.apply_plan(&made).await.is(200);
    let undoing = || plan(json!([{"undo": {"plan": name(&made)}}]));
    let change = newest(&host, "a").await;
    host.post(PLANS, undoing()).await.is(201);
    let file = directory.path().join("history/changes-0000000000");
    let mut content = std::fs::read(&file).unwrap();
    content.iter_mut().for_each(|byte| *byte = !*byte);
    std::fs::write(&file, content).unwrap();
    // What has just been read is still at hand.
    for number in 0..16 {
        host.post(MAPS, map(&format!("m{number}"), json!({}))).await.is(201);
        changes(&host, &format!("fieldSelector=object.name=m{number}")).await;
    }
    let lost = "the history has lost some of what the plan changed";
    host.post(PLANS, undoing()).await.fails(422, "Invalid", lost);
    host.post(PLANS, undone(&change)).await.fails(422, "Invalid", "no such change is in the history");
}

#[tokio::test]
async fn what_has_been_changed_since_is_named_and_not_undone() {
    let (host, _directory) = host().await;
    host.post(MAPS, map("page", json!({"a": "1", "b": "1"}))).await.is(201);
    let page = format!("{MAPS}/page");
    host.merge(&page, json!({"data": {"a": "2", "b": "2"}})).await.is(200);
    let change = newest(&host, "page").await;
    host.merge(&page, json!({"data": {"b": "3"}})).await.is(200);
    let why = "ConfigMap default/page: has been changed since: data.b";
    host.post(PLANS, undone(&change)).await.fails(422, "Invalid", why);
    host.delete(&page).await.is(200);
    host.post(PLANS, undone(&change)).await.fails(422, "Invalid", "ConfigMap default/page: it is gone");
    host.post(MAPS, map("page", json!({"a": "2", "b": "2"}))).await.is(201);
    host.post(PLANS, undone(&change)).await.fails(422, "Invalid", "it is gone");
}

#[tokio::test]
async fn what_was_deleted_is_made_again_unless_it_is_there_again() {
    let (host, _directory) = host().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret =
        json!({"metadata": {"name": "s", "labels": {"l": "1"}}, "stringData": {"password": "hunter2"}});
    let before = host.post(secrets, secret).await.is(201);
    host.delete(&format!("{secrets}/s")).await.is(200);
    let change = newest(&host, "s").await;
    let done = undo(&host, &change).await;
    assert_eq!(done["status"]["changes"][0]["target"]["name"], "s");
    assert!(!done.to_string().contains("aHVudGVy"), "{done}");
    let again = host.get(&format!("{secrets}/s")).await.is(200);
    assert_eq!(
        (&again["data"], &again["metadata"]["labels"]),
        (&before["data"], &before["metadata"]["labels"])
    );
    assert_ne!(again["metadata"]["uid"], before["metadata"]["uid"], "it is another object");
    host.post(PLANS, undone(&change)).await.fails(422, "Invalid", "Secret default/s: it is there again");
}

#[tokio::test]
async fn a_whole_plan_is_undone_and_so_is_that() {
    let (host, _directory) = host().await;
    for name in ["old", "page"] {
        host.post(MAPS, map(name, json!({"a": "1"}))).await.is(201);
    }
    let changed = json!([
        applied(map("new", json!({"a": "1"}))),
        {"patch": {"target": of_map("page"), "patch": {"data": {"a": "2"}}}},
        {"delete": {"target": of_map("old")}},
    ]);
    let first = host.plan(changed).await;
    host.apply_plan(&first).await.is(200);
    let state = async || {
        let mut state = Vec::new();
        for name in ["new", "old", "page"] {
            state.push(host.get(&format!("{MAPS}/{name}")).await.body["data"]["a"].clone());
        }
        json!(state)
    };
    assert_eq!(state().await, json!(["1", null, "2"]));
    let back = host.plan(json!([{"undo": {"plan": name(&first)}}])).await;
    host.apply_plan(&back).await.is(200);
    assert_eq!(state().await, json!([null, "1", "1"]));
    let again = host.plan(json!([{"undo": {"plan": name(&back)}}])).await;
    host.apply_plan(&again).await.is(200);
    assert_eq!(state().await, json!(["1", null, "2"]));
    let of_it = changes(&host, &format!("fieldSelector=plan={}", name(&back))).await;
    assert_eq!(of_it.len(), 3);
}

#[tokio::test]
async fn a_namespace_comes_back_before_what_is_in_it() {
    let (host, _directory) = host().await;
    let in_fresh = |mut object: Value| {
        object["metadata"]["namespace"] = "fresh".into();
        applied(object)
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}});
    let first =
        host.plan(json!([super::applied_to_the_cluster(namespace), in_fresh(map("m", json!({})))])).await;
    host.apply_plan(&first).await.is(200);
    let back = host.plan(json!([{"undo": {"plan": name(&first)}}])).await;
    assert_eq!(super::brief(&back), ["Deleted ConfigMap m", "Deleted Namespace fresh"]);
}

/// Empties a namespace that is being deleted and lets it go, as its controller does.
async fn emptied(host: &Host, namespace: &str, paths: &[String]) {
    for path in paths {
        host.delete(path).await.is(200);
    }
    let path = format!("/api/v1/namespaces/{namespace}");
    let mut object = host.get(&path).await.is(200);
    assert_eq!(object["status"]["phase"], "Terminating");
    object["spec"]["finalizers"] = json!([]);
    host.put(&format!("{path}/finalize"), object).await.is(200);
    host.get(&path).await.is(404);
}

#[tokio::test]
async fn a_namespace_that_was_deleted_comes_back_with_what_was_in_it() {
    let (host, _directory) = host().await;
    host.make_namespace("shop").await;
    let shop = "/api/v1/namespaces/shop";
    let maps = format!("{shop}/configmaps");
    host.post(&maps, map("gone-before", json!({}))).await.is(201);
    let owner = host.post(&maps, map("page", json!({"a": "1"}))).await.is(201);
    let mut owned = map("owned", json!({}));
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "page", "uid": owner["metadata"]["uid"]}]);
    host.post(&maps, owned).await.is(201);
    host.delete(&format!("{maps}/gone-before")).await.is(200);
    let target = json!({"apiVersion": "v1", "kind": "Namespace", "name": "shop"});
    let deleting = host.plan(json!([{"delete": {"target": target}}])).await;
    host.apply_plan(&deleting).await.is(200);
    let back = json!([{"undo": {"plan": name(&deleting)}}]);
    let why = "Namespace shop: the change began its deletion, which nothing stops: undo it once it is gone";
    host.post(PLANS, plan(back.clone())).await.fails(422, "Invalid", why);

    let inside = ["configmaps/owned", "configmaps/page", "serviceaccounts/default"];
    emptied(&host, "shop", &inside.map(|path| format!("{shop}/{path}"))).await;
    let plan = host.plan(back).await;
    let expected = ["Created Namespace shop", "Created ServiceAccount default", "Created ConfigMap page"];
    assert_eq!(super::brief(&plan), expected, "what others own is theirs to make");
    host.apply_plan(&plan).await.is(200);
    assert_eq!(host.get(&format!("{maps}/page")).await.is(200)["data"], json!({"a": "1"}));
    let deleted = changes(&host, "fieldSelector=object.name=shop,verb=deleted").await;
    host.post(PLANS, undone(text(&deleted[0]["metadata"]["name"]))).await.fails(
        422,
        "Invalid",
        "it is there again",
    );
}

#[tokio::test]
async fn what_a_finalizer_held_comes_back_once_it_is_gone() {
    let (host, _directory) = host().await;
    let page = format!("{MAPS}/page");
    let mut held = map("page", json!({"a": "1"}));
    held["metadata"]["finalizers"] = json!(["test/held"]);
    host.post(MAPS, held).await.is(201);
    host.delete(&page).await.is(200);
    let began = newest(&host, "page").await;
    host.merge(&page, json!({"metadata": {"finalizers": null}})).await.is(200);
    host.get(&page).await.is(404);
    undo(&host, &began).await;
    assert_eq!(host.get(&page).await.is(200)["data"], json!({"a": "1"}));
}

#[tokio::test]
async fn what_the_history_does_not_know_cannot_be_undone() {
    let (host, _directory) = host().await;
    let of_plan = plan(json!([{"undo": {"plan": "never"}}]));
    host.post(PLANS, of_plan).await.fails(
        422,
        "Invalid",
        "spec.changes[0].undo.plan: Invalid value: \"never\"",
    );
    for change in ["7777777-0", "nonsense"] {
        host.post(PLANS, undone(change)).await.fails(422, "Invalid", "no such change is in the history");
    }
    let neither = plan(json!([{"undo": {}}]));
    host.post(PLANS, neither).await.fails(422, "Invalid", "exactly one of change and plan must be given");
    let without = Host::start().await;
    without.post(PLANS, undone("1-0")).await.fails(422, "Invalid", "needs a history of changes");
}

#[tokio::test]
async fn only_who_may_get_an_object_undoes_its_changes() {
    let directory = tempfile::tempdir().unwrap();
    let history = history(directory.path()).await;
    let host = Host::guarded_with(|config| config.history = Some(history)).await;
    host.make_namespace("default").await;
    host.post(MAPS, map("page", json!({"a": "1"}))).await.is(201);
    host.merge(&format!("{MAPS}/page"), json!({"data": {"a": "2"}})).await.is(200);
    let change = newest(&host, "page").await;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let with = |verbs: Value| {
        json!({"metadata": {"name": "ann"}, "rules": [
            {"apiGroups": ["orch.dev"], "resources": ["plans"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs},
        ]})
    };
    host.post(roles, with(json!(["patch"]))).await.is(201);
    host.bind("ann", "ann", "").await;
    let by_ann = async || host.send(host.user("ann", &[]).post(host.url(PLANS)).json(&undone(&change))).await;
    by_ann().await.fails(422, "Invalid", "no such change is in the history");
    let rollback = plan(json!([{"rollback": {"target": of_map("page"), "revision": 1}}]));
    let rolled = host.send(host.user("ann", &[]).post(host.url(PLANS)).json(&rollback)).await;
    rolled.fails(422, "Invalid", "User \"ann\" cannot get");
    host.merge(&format!("{roles}/ann"), with(json!(["get"]))).await.is(200);
    by_ann().await.fails(422, "Invalid", "User \"ann\" cannot patch");
    host.merge(&format!("{roles}/ann"), with(json!(["get", "patch"]))).await.is(200);
    by_ann().await.is(201);
}

#[tokio::test]
async fn what_somebody_may_not_see_is_not_named_to_them() {
    let directory = tempfile::tempdir().unwrap();
    let history = history(directory.path()).await;
    let host = Host::guarded_with(|config| config.history = Some(history)).await;
    host.make_namespace("default").await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db-password"}});
    let of_both = host.plan(json!([applied(secret.clone()), applied(map("page", json!({})))])).await;
    host.apply_plan(&of_both).await.is(200);
    let made = newest(&host, "db-password").await;
    let [only, both, never] =
        [json!({"change": made}), json!({"plan": name(&of_both)}), json!({"plan": "never"})];
    let by = async |user: &str, what: &Value| {
        let path = host.url(&format!("{PLANS}?dryRun=All"));
        host.send(host.user(user, &[]).post(path).json(&plan(json!([{"undo": what}])))).await
    };
    // Everybody may make plans that are only looked at.
    let unknown = by("bob", &never).await.fails(422, "Invalid", "no change of a plan of this name");
    let hidden = by("bob", &both).await.is(422);
    let same = |reply: &Value| text(&reply["message"]).replace(name(&of_both), "never");
    assert_eq!(same(&hidden), same(&unknown), "as if there were no such plan");
    let hidden = by("bob", &only).await.fails(422, "Invalid", "no such change is in the history");
    assert!(!hidden.to_string().contains("password"), "{hidden}");

    // Whoever views sees no secrets.
    host.bind("view", "bob", "default").await;
    let partly = by("bob", &both).await.fails(422, "Invalid", "it changed objects that you may not get");
    assert!(!partly.to_string().contains("password"), "{partly}");
}

#[tokio::test]
async fn a_creation_is_not_undone_over_what_others_have_put_into_the_object() {
    let (host, _directory) = host().await;
    let page = format!("{MAPS}/page");
    host.post(MAPS, map("page", json!({"a": "1"}))).await.is(201);
    let creation = newest(&host, "page").await;
    let by = async |user: &str, patch: Value| {
        let request = host.request(reqwest::Method::PATCH, &page);
        let request = request.header("content-type", "application/merge-patch+json");
        host.send(request.header("impersonate-user", user).body(patch.to_string())).await.is(200)
    };
    by("system:orch:controller:tester", json!({"metadata": {"annotations": {"orch.dev/seen": "yes"}}})).await;
    by("system:node:n1", json!({"data": {"node": "n1"}})).await;
    host.post(PLANS, undone(&creation)).await.is(201);
    by("bob", json!({"data": {"b": "2"}, "metadata": {"labels": {"c": "3"}}})).await;
    let why = "ConfigMap default/page: has been changed since: data.b, metadata.labels";
    host.post(PLANS, undone(&creation)).await.fails(422, "Invalid", why);
    by("bob", json!({"data": {"b": null}, "metadata": {"labels": null}})).await;
    undo(&host, &creation).await;
    host.get(&page).await.is(404);
}
