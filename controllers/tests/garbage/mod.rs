//! What goes with its owners, what they wait for, and what stays: against a real server.

use orch_api::{Api, Kind, Params, Propagation};
use orch_ontology::{ClusterRole, ConfigMap, CustomResourceDefinition, Event, Namespace};
use serde_json::{Value, json};

use crate::plane::Plane;

pub(crate) const WIDGETS: Kind = Kind::namespaced("test.dev", "v1", "Widget", "widgets", "widget");

pub(crate) fn definition() -> Value {
    json!({
        "metadata": {"name": "widgets.test.dev"},
        "spec": {
            "group": "test.dev",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    })
}

pub(crate) fn widget(name: &str, owners: Value) -> Value {
    json!({
        "apiVersion": "test.dev/v1", "kind": "Widget",
        "metadata": {"name": name, "namespace": "default", "ownerReferences": owners},
    })
}

fn map(namespace: &str, name: &str, owners: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace, "ownerReferences": owners}})
}

fn owner(api_version: &str, kind: &str, name: &str, uid: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": true})
}

fn of_map(name: &str, uid: &Value) -> Value {
    owner("v1", "ConfigMap", name, uid)
}

async fn uid(plane: &Plane, map: &str) -> Value {
    plane.get::<ConfigMap>(map).await["metadata"]["uid"].clone()
}

/// Waits until there are just these ConfigMaps, beside those that every namespace has.
async fn until_maps(plane: &Plane, expected: &[&str]) {
    let names = |maps: &[Value]| -> Vec<String> {
        let names = maps.iter().map(|map| map["metadata"]["name"].as_str().unwrap().to_owned());
        names.filter(|name| name != "kube-root-ca.crt").collect()
    };
    plane.until_list::<ConfigMap>(&expected.join(", "), |maps| names(maps) == expected).await;
}

fn is_terminating(maps: &[Value], name: &str) -> bool {
    let named = |map: &&Value| map["metadata"]["name"] == name;
    maps.iter().find(named).is_some_and(|map| map["metadata"]["deletionTimestamp"].is_string())
}

#[tokio::test]
async fn an_owner_in_the_foreground_waits_for_those_that_block_it() {
    let plane = Plane::start().await;
    plane.create::<ConfigMap>(map("default", "owner", json!([]))).await;
    let of_owner = of_map("owner", &uid(&plane, "owner").await);
    for (name, blocks) in [("blocks", true), ("free", false)] {
        let mut of_owner = of_owner.clone();
        of_owner["blockOwnerDeletion"] = blocks.into();
        let mut dependent = map("default", name, json!([of_owner]));
        dependent["metadata"]["finalizers"] = json!(["test.dev/held"]);
        plane.create::<ConfigMap>(dependent).await;
    }
    let foreground = Params { propagation: Some(Propagation::Foreground), ..Params::default() };
    plane.delete::<ConfigMap>("owner", foreground).await;
    let all_go = |maps: &[Value]| ["owner", "blocks", "free"].iter().all(|name| is_terminating(maps, name));
    plane.until_list::<ConfigMap>("all on their way out", all_go).await;
    assert_eq!(
        plane.get::<ConfigMap>("owner").await["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );

    let release = json!({"metadata": {"finalizers": null}});
    plane.merge::<ConfigMap>("blocks", release.clone()).await;
    until_maps(&plane, &["free"]).await;
    plane.merge::<ConfigMap>("free", release).await;
    until_maps(&plane, &[]).await;
}

#[tokio::test]
async fn an_object_whose_owner_never_was_goes_and_one_with_another_owner_stays() {
    let plane = Plane::start().await;
    plane.create::<ConfigMap>(map("default", "owner", json!([]))).await;
    let present = of_map("owner", &uid(&plane, "owner").await);
    let another = of_map("owner", &json!("7a1b5d50-0000-4000-8000-000000000000"));
    plane.create::<ConfigMap>(map("default", "mistaken", json!([another]))).await;
    plane.create::<ConfigMap>(map("default", "owned", json!([another, present]))).await;
    until_maps(&plane, &["owned", "owner"]).await;
    let one_left = |maps: &[Value]| {
        let owned = maps.iter().find(|map| map["metadata"]["name"] == "owned").unwrap();
        owned["metadata"]["ownerReferences"].as_array().unwrap().len() == 1
    };
    plane.until_list::<ConfigMap>("one owner left", one_left).await;
    plane.delete::<ConfigMap>("owner", Params::default()).await;
    until_maps(&plane, &[]).await;
}

#[tokio::test]
async fn an_owner_in_another_namespace_is_none_and_that_is_told() {
    let plane = Plane::start().await;
    plane.create::<ConfigMap>(map("default", "owner", json!([]))).await;
    let reference = of_map("owner", &uid(&plane, "owner").await);
    plane.create::<ConfigMap>(map("kube-public", "stray", json!([reference]))).await;
    until_maps(&plane, &["owner"]).await;
    plane.create::<ClusterRole>(json!({"metadata": {"name": "stray", "ownerReferences": [reference]}})).await;
    let told = |namespace: &'static str, kind: &'static str| {
        move |event: &Value| {
            event["reason"] == "OwnerRefInvalidNamespace"
                && event["type"] == "Warning"
                && event["metadata"]["namespace"] == namespace
                && event["involvedObject"]["kind"] == kind
        }
    };
    plane.until::<Event>("a word about the map", told("kube-public", "ConfigMap")).await;
    // Wrong in the same namespace as well: neither says anything of what does belong to it.
    let misnamed = of_map("other", &reference["uid"]);
    plane.create::<ConfigMap>(map("default", "misnamed", json!([misnamed]))).await;
    until_maps(&plane, &["owner"]).await;
    plane.create::<ConfigMap>(map("default", "own", json!([reference.clone()]))).await;
    plane.create::<ConfigMap>(map("default", "misnamed-again", json!([misnamed]))).await;
    until_maps(&plane, &["own", "owner"]).await;
    plane.until::<Event>("a word about the role", told("default", "ClusterRole")).await;
    // Where its owner would be, nobody can say: it stays.
    let roles = plane.list::<ClusterRole>().await;
    let stray = roles.iter().find(|role| role["metadata"]["name"] == "stray").unwrap();
    assert!(!stray["metadata"]["deletionTimestamp"].is_string());
}

#[tokio::test]
async fn custom_objects_own_and_are_owned() {
    let plane = Plane::start().await;
    plane.create::<CustomResourceDefinition>(definition()).await;
    plane.create::<ConfigMap>(map("default", "root", json!([]))).await;
    let of_root = of_map("root", &uid(&plane, "root").await);
    let widget = plane.create_of(&WIDGETS, widget("middle", json!([of_root]))).await;
    let of_widget = owner("test.dev/v1", "Widget", "middle", &widget["metadata"]["uid"]);
    plane.create::<ConfigMap>(map("default", "leaf", json!([of_widget]))).await;
    plane.delete::<ConfigMap>("root", Params::default()).await;
    until_maps(&plane, &[]).await;
    plane.until_names_of(&WIDGETS, &[]).await;
}

#[tokio::test]
async fn owners_of_a_kind_that_comes_are_looked_for_then_and_those_of_one_that_goes_go_with_it() {
    let plane = Plane::start().await;
    let of_nobody = owner("test.dev/v1", "Widget", "w", &json!("7a1b5d50-0000-4000-8000-000000000000"));
    plane.create::<ConfigMap>(map("default", "early", json!([of_nobody.clone()]))).await;
    // A marker of the same age that can be collected: once it is gone, the first one has been looked at.
    let of_none = of_map("none", &json!("7a1b5d50-0000-4000-8000-000000000001"));
    plane.create::<ConfigMap>(map("default", "marker", json!([of_none]))).await;
    until_maps(&plane, &["early"]).await;
    plane.create::<CustomResourceDefinition>(definition()).await;
    until_maps(&plane, &[]).await;

    let made = plane.create_of(&WIDGETS, widget("w", json!([]))).await;
    let of_widget = owner("test.dev/v1", "Widget", "w", &made["metadata"]["uid"]);
    plane.create::<ConfigMap>(map("default", "late", json!([of_widget]))).await;
    plane.delete::<CustomResourceDefinition>("widgets.test.dev", Params::default()).await;
    plane.until_count::<CustomResourceDefinition>(0).await;
    until_maps(&plane, &[]).await;
}

/// Whether a condition of this type is true, and its message has this part.
fn says(kind: &'static str, part: &'static str) -> impl Fn(&Value) -> bool {
    move |namespace: &Value| {
        let conditions = namespace["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| {
            let message = condition["message"].as_str().unwrap_or_default();
            condition["type"] == kind && condition["status"] == "True" && message.contains(part)
        })
    }
}

fn held_in_shop() -> Value {
    let mut held = widget("held", json!([]));
    held["metadata"]["namespace"] = "shop".into();
    held["metadata"]["finalizers"] = json!(["test.dev/held"]);
    held
}

#[tokio::test]
async fn a_namespace_waits_for_objects_of_kinds_that_a_new_leader_does_not_know_yet() {
    let plane = Plane::start_after(async |client| {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let shop = json!({"metadata": {"name": "shop"}});
        for (path, object) in [
            (definitions, definition()),
            ("/api/v1/namespaces", shop),
            ("/apis/test.dev/v1/namespaces/shop/widgets", held_in_shop()),
        ] {
            Plane::post_as(&*client, path, object).await.unwrap();
        }
        Api::<Namespace>::all(client).delete("shop", Params::default()).await.unwrap();
    })
    .await;
    plane.until::<Namespace>("what holds it", says("NamespaceFinalizersRemaining", "test.dev/held")).await;
    plane.patch_in(&WIDGETS, "shop", "held", json!({"metadata": {"finalizers": null}})).await;
    plane.until_count::<Namespace>(4).await;
}

#[tokio::test]
async fn a_namespace_goes_with_its_custom_objects_once_they_let_go() {
    let plane = Plane::start().await;
    plane.create::<CustomResourceDefinition>(definition()).await;
    plane.create::<Namespace>(json!({"metadata": {"name": "shop"}})).await;
    plane.create_in(&WIDGETS, "shop", held_in_shop()).await;
    plane.delete::<Namespace>("shop", Params::default()).await;
    plane.until::<Namespace>("what is left", says("NamespaceContentRemaining", "widgets.test.dev")).await;
    plane.until::<Namespace>("what holds it", says("NamespaceFinalizersRemaining", "test.dev/held")).await;
    plane.patch_in(&WIDGETS, "shop", "held", json!({"metadata": {"finalizers": null}})).await;
    plane.until_count::<Namespace>(4).await;
}
