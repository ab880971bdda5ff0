//! Undoing what concerns objects that belong to others: they name their owners as these are now, and what a controller makes is
//! left to it.

use serde_json::{Value, json};

use super::{PLANS, applied, name, of_map, plan};
use crate::changes::{changes, host};
use crate::host::{Host, MAPS, PODS, WORKLOADS, map, pod, text, workload};

fn owned_by(mut object: Value, owner: &Value, controller: bool) -> Value {
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": owner["metadata"]["uid"],
        "controller": controller,
    }]);
    object
}

/// A plan of these changes, applied. Its name.
async fn done(host: &Host, changes: Value) -> String {
    let plan = host.plan(changes).await;
    host.apply_plan(&plan).await.is(200);
    name(&plan).to_owned()
}

async fn deletion_of(host: &Host, object: &str) -> Value {
    let query = format!("fieldSelector=object.name={object},verb=deleted&limit=1");
    json!([{"undo": {"change": changes(host, &query).await[0]["metadata"]["name"]}}])
}

/// The uid of an object, and the one by which an object names its owner.
async fn uids(host: &Host, owner: &str, owned: &str) -> [String; 2] {
    let owner = host.get(&format!("{MAPS}/{owner}")).await.is(200);
    let owned = host.get(&format!("{MAPS}/{owned}")).await.is(200);
    [&owner["metadata"]["uid"], &owned["metadata"]["ownerReferences"][0]["uid"]]
        .map(|uid| text(uid).to_owned())
}

#[tokio::test]
async fn what_is_made_again_names_its_owner_as_it_was_made_again() {
    let (host, _directory) = host().await;
    let page = host.post(MAPS, map("page", json!({"a": "1"}))).await.is(201);
    // In the order of their names, the owner comes last.
    let owned = host.post(MAPS, owned_by(map("owned", json!({})), &page, false)).await.is(201);
    host.post(MAPS, owned_by(map("a-leaf", json!({})), &owned, false)).await.is(201);
    let deletions = ["page", "owned", "a-leaf"].map(|name| json!({"delete": {"target": of_map(name)}}));
    let deleting = done(&host, json!(deletions)).await;
    let back = done(&host, json!([{"undo": {"plan": deleting}}])).await;
    let [page_now, named] = uids(&host, "page", "owned").await;
    assert_eq!(page_now, named);
    assert_ne!(text(&page["metadata"]["uid"]), named, "it is another object");
    let [owned_now, named] = uids(&host, "owned", "a-leaf").await;
    assert_eq!(owned_now, named);

    let again = done(&host, json!([{"undo": {"plan": back}}])).await;
    host.get(&format!("{MAPS}/owned")).await.is(404);
    done(&host, json!([{"undo": {"plan": again}}])).await;
    let [page_now, named] = uids(&host, "page", "owned").await;
    assert_eq!(page_now, named, "however often");
}

#[tokio::test]
async fn an_owner_that_goes_on_is_named_by_what_was_deleted_after_it() {
    let (host, _directory) = host().await;
    let page = host.post(MAPS, map("page", json!({"a": "1"}))).await.is(201);
    host.post(MAPS, owned_by(map("owned", json!({})), &page, false)).await.is(201);
    host.delete(&format!("{MAPS}/page")).await.is(200);
    // As the garbage collector does.
    host.delete(&format!("{MAPS}/owned")).await.is(200);
    let (owner, owned) = (deletion_of(&host, "page").await, deletion_of(&host, "owned").await);
    let why =
        "ConfigMap default/owned: its owner ConfigMap page is gone, and without it, it would go at once";
    host.post(PLANS, plan(owned.clone())).await.fails(422, "Invalid", why);
    done(&host, owner).await;
    done(&host, owned).await;
    let [page_now, named] = uids(&host, "page", "owned").await;
    assert_eq!(page_now, named);
    host.merge(&format!("{MAPS}/page"), json!({"data": {"a": "2"}})).await.is(200);
    host.delete(&format!("{MAPS}/page")).await.is(200);
    host.post(MAPS, map("page", json!({"b": "1"}))).await.is(201);
    host.delete(&format!("{MAPS}/owned")).await.is(200);
    let owned = deletion_of(&host, "owned").await;
    host.post(PLANS, plan(owned)).await.fails(422, "Invalid", why);
}

#[tokio::test]
async fn an_owner_that_is_gone_is_named_no_more_if_there_is_another() {
    let (host, _directory) = host().await;
    let page = host.post(MAPS, map("page", json!({}))).await.is(201);
    let other = host.post(MAPS, map("other", json!({}))).await.is(201);
    let mut owned = owned_by(map("owned", json!({})), &page, false);
    let second = owned_by(json!({}), &other, false)["metadata"]["ownerReferences"][0].clone();
    owned["metadata"]["ownerReferences"].as_array_mut().unwrap().push(second.clone());
    host.post(MAPS, owned).await.is(201);
    host.delete(&format!("{MAPS}/owned")).await.is(200);
    host.delete(&format!("{MAPS}/page")).await.is(200);
    let deletion = deletion_of(&host, "owned").await;
    done(&host, deletion).await;
    let again = host.get(&format!("{MAPS}/owned")).await.is(200);
    assert_eq!(again["metadata"]["ownerReferences"][0]["uid"], second["uid"]);
    assert_eq!(again["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_object_that_is_there_is_not_given_an_owner_that_is_gone() {
    let (host, _directory) = host().await;
    let page = host.post(MAPS, map("page", json!({}))).await.is(201);
    let other = host.post(MAPS, map("other", json!({}))).await.is(201);
    let owned = host.post(MAPS, owned_by(map("owned", json!({})), &page, false)).await.is(201);
    let mut shared = owned_by(map("shared", json!({"a": "1"})), &page, false);
    let second = owned_by(json!({}), &other, false)["metadata"]["ownerReferences"][0].clone();
    shared["metadata"]["ownerReferences"].as_array_mut().unwrap().push(second.clone());
    let shared = host.post(MAPS, shared).await.is(201);
    // As the garbage collector leaves them whose owner left them behind.
    host.delete(&format!("{MAPS}/page")).await.is(200);
    let struck = |left: Value| json!({"metadata": {"ownerReferences": left}, "data": {"a": "2"}});
    host.merge(&format!("{MAPS}/owned"), struck(Value::Null)).await.is(200);
    host.merge(&format!("{MAPS}/shared"), struck(json!([second]))).await.is(200);

    let newest = async |object: &str| {
        let query = format!("fieldSelector=object.name={object}&limit=1");
        json!([{"undo": {"change": changes(&host, &query).await[0]["metadata"]["name"]}}])
    };
    let rollback = |object: &Value| json!([{"rollback": {"target": of_map(name(object)), "revision": crate::host::revision(object)}}]);
    let why = "its owner ConfigMap page is gone, and without it, it would go at once";
    host.post(PLANS, plan(newest("owned").await)).await.fails(422, "Invalid", why);
    host.post(PLANS, plan(rollback(&owned))).await.fails(422, "Invalid", why);
    let ways = [newest("shared").await, rollback(&shared)];
    for way in ways {
        done(&host, way).await;
        let back = host.get(&format!("{MAPS}/shared")).await.is(200);
        assert_eq!(
            (&back["metadata"]["ownerReferences"], &back["data"]["a"]),
            (&json!([second]), &json!("1"))
        );
        host.merge(&format!("{MAPS}/shared"), json!({"data": {"a": "3"}})).await.is(200);
    }
}

#[tokio::test]
async fn a_rollback_names_the_owner_as_it_is_now() {
    let (host, _directory) = host().await;
    let page = host.post(MAPS, map("page", json!({}))).await.is(201);
    let owned = host.post(MAPS, owned_by(map("owned", json!({})), &page, false)).await.is(201);
    let deletions = ["page", "owned"].map(|name| json!({"delete": {"target": of_map(name)}}));
    done(&host, json!(deletions)).await;
    let rollback =
        json!([{"rollback": {"target": of_map("owned"), "revision": crate::host::revision(&owned)}}]);
    let why = "its owner ConfigMap page is gone";
    host.post(PLANS, plan(rollback.clone())).await.fails(422, "Invalid", why);
    let owner = deletion_of(&host, "page").await;
    done(&host, owner).await;
    done(&host, rollback).await;
    let [page_now, named] = uids(&host, "page", "owned").await;
    assert_eq!(page_now, named);
}

#[tokio::test]
async fn what_a_controller_makes_anew_is_not_made_again() {
    let (host, _directory) = host().await;
    let web = host.post(WORKLOADS, workload("web", 2)).await.is(201);
    host.post(PODS, owned_by(pod("gone"), &web, true)).await.is(201);
    let mut held = owned_by(pod("going"), &web, true);
    held["metadata"]["finalizers"] = json!(["test/held"]);
    host.post(PODS, held).await.is(201);
    host.post(PODS, pod("bare")).await.is(201);
    let of_pod =
        |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": name});
    let delete = |name: &str| json!({"delete": {"target": of_pod(name)}});
    let page = applied(map("page", json!({})));
    // As a drain: pods go, and something else is changed.
    let drained = done(&host, json!([page, delete("gone"), delete("going"), delete("bare")])).await;
    let back = host.plan(json!([{"undo": {"plan": drained}}])).await;
    assert_eq!(super::brief(&back), ["Created Pod bare", "Deleted ConfigMap page"]);
    host.apply_plan(&back).await.is(200);
    host.get(&format!("{PODS}/gone")).await.is(404);
    let why = "Pod default/gone: Workload web has another made in its place";
    host.post(PLANS, plan(deletion_of(&host, "gone").await)).await.fails(422, "Invalid", why);
}

#[tokio::test]
async fn what_a_controller_makes_comes_back_with_it_and_alone_without_it() {
    let (host, _directory) = host().await;
    let web = host.post(WORKLOADS, workload("web", 2)).await.is(201);
    host.post(PODS, owned_by(pod("p"), &web, true)).await.is(201);
    let target = |version: &str, kind: &str, name: &str| json!({"delete": {"target": {"apiVersion": version, "kind": kind, "namespace": "default", "name": name}}});
    let gone = done(&host, json!([target("v1", "Pod", "p"), target("orch.dev/v1", "Workload", "web")])).await;
    let back = host.plan(json!([{"undo": {"plan": gone}}])).await;
    assert_eq!(super::brief(&back), ["Created Workload web"], "which makes its pods");
    let why = "its owner Workload web is gone";
    host.post(PLANS, plan(deletion_of(&host, "p").await)).await.fails(422, "Invalid", why);
}
