//! What goes with its owners, what they wait for, and what stays: against a real server.

use std::sync::Arc;

use orch_api::{Api, Client, Kind, Params, Propagation, Request, Resource as _, Status, Verb};
use orch_ontology::{ClusterRole, ConfigMap, CustomResourceDefinition, Event, Namespace};
use serde_json::{Value, json};

use crate::plane::{Meanwhile, Plane};

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

fn in_shop(mut object: Value) -> Value {
    object["metadata"]["namespace"] = "shop".into();
    object
}

/// What somebody has done before the controllers come: a namespace with objects of a kind that has been accepted.
async fn stock_shop(client: &Arc<dyn Client>, widgets: &[Value], maps: &[Value]) {
    Api::all(client.clone())
        .create(&serde_json::from_value::<Namespace>(json!({"metadata": {"name": "shop"}})).unwrap())
        .await
        .unwrap();
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let mut accepted = definitions.create(&serde_json::from_value(definition()).unwrap()).await.unwrap();
    accepted.status.accepted_names = accepted.spec.names.clone();
    let condition = |name: &str| json!({"type": name, "status": "True", "reason": "Tested", "message": ""});
    let conditions = json!([condition("NamesAccepted"), condition("Established")]);
    accepted.status.conditions = serde_json::from_value(conditions).unwrap();
    definitions.update_status(&accepted).await.unwrap();
    for (path, objects) in
        [("/apis/test.dev/v1/namespaces/shop/widgets", widgets), ("/api/v1/namespaces/shop/configmaps", maps)]
    {
        for object in objects {
            Plane::post_as(&**client, path, in_shop(object.clone())).await.unwrap();
        }
    }
}

async fn uid_in_shop(client: &Arc<dyn Client>, map: &str) -> Value {
    let map = Api::<ConfigMap>::namespaced(client.clone(), "shop").get(map).await.unwrap();
    map.metadata.uid.into()
}

/// Who follows definitions lists them by pages; who asks whether it knows them all lists all at once.
fn definitions_come_late(user: &str, request: &Request) -> Option<Meanwhile> {
    let follows = user.starts_with("system:orch:controller:")
        && request.verb == Verb::List
        && request.target.plural == CustomResourceDefinition::KIND.plural
        && request.params.limit.is_some();
    follows.then_some(Meanwhile::Wait)
}

fn widgets_are_not_served(_: &str, request: &Request) -> Option<Meanwhile> {
    (request.target.group == WIDGETS.group).then(|| Meanwhile::Fail(Status::no_such_path()))
}

fn nothing_is_heard_of_widgets(_: &str, request: &Request) -> Option<Meanwhile> {
    (request.target.group == WIDGETS.group && request.verb == Verb::Watch).then_some(Meanwhile::Wait)
}

fn of_nobody() -> Value {
    of_map("nobody", &json!("7a1b5d50-0000-4000-8000-000000000000"))
}

#[tokio::test]
async fn a_namespace_waits_for_objects_of_kinds_that_a_new_leader_does_not_know_yet() {
    let plane = Plane::start_gated(definitions_come_late, async |client| {
        stock_shop(&client, &[held_in_shop()], &[]).await;
        Api::<Namespace>::all(client).delete("shop", Params::default()).await.unwrap();
    })
    .await;
    let unknown = says("NamespaceDeletionDiscoveryFailure", "widgets.test.dev is not followed yet");
    plane.until::<Namespace>("what is not known", unknown).await;
    plane.open_gate();
    plane.until::<Namespace>("what holds it", says("NamespaceFinalizersRemaining", "test.dev/held")).await;
    plane.patch_in(&WIDGETS, "shop", "held", json!({"metadata": {"finalizers": null}})).await;
    plane.until_count::<Namespace>(4).await;
}

#[tokio::test]
async fn a_namespace_waits_for_objects_of_kinds_that_are_not_served_at_the_moment() {
    let plane = Plane::start_gated(widgets_are_not_served, async |client| {
        stock_shop(&client, &[held_in_shop()], &[]).await;
        Api::<Namespace>::all(client).delete("shop", Params::default()).await.unwrap();
    })
    .await;
    let unserved = says("NamespaceDeletionDiscoveryFailure", "widgets.test.dev is not served");
    plane.until::<Namespace>("what is not served", unserved).await;
    plane.open_gate();
    plane.until::<Namespace>("what holds it", says("NamespaceFinalizersRemaining", "test.dev/held")).await;
}

#[tokio::test]
async fn a_namespace_learns_that_its_last_objects_have_gone_with_their_kind() {
    let plane = Plane::start_gated(nothing_is_heard_of_widgets, async |client| {
        stock_shop(&client, &[widget("w", json!([]))], &[]).await;
        Api::<Namespace>::all(client).delete("shop", Params::default()).await.unwrap();
    })
    .await;
    plane.until::<Namespace>("what is left", says("NamespaceContentRemaining", "widgets.test.dev")).await;
    plane.delete::<CustomResourceDefinition>("widgets.test.dev", Params::default()).await;
    plane.until_count::<Namespace>(4).await;
}

#[tokio::test]
async fn what_belonged_to_objects_whose_end_was_not_seen_goes_when_their_kind_does() {
    let plane = Plane::start_gated(nothing_is_heard_of_widgets, async |client| {
        stock_shop(&client, &[widget("w", json!([]))], &[map("shop", "known", json!([]))]).await;
        let made = Api::<ConfigMap>::namespaced(client.clone(), "shop");
        // Once it has gone, all objects are known.
        made.delete("known", Params { propagation: Some(Propagation::Foreground), ..Params::default() })
            .await
            .unwrap();
    })
    .await;
    until_maps(&plane, &[]).await;
    let made = plane.get_in(&WIDGETS, "shop", "w").await;
    let of_widget = owner("test.dev/v1", "Widget", "w", &made["metadata"]["uid"]);
    plane.create::<ConfigMap>(map("shop", "leaf", json!([of_widget]))).await;
    plane.delete::<CustomResourceDefinition>("widgets.test.dev", Params::default()).await;
    plane.until_count::<CustomResourceDefinition>(0).await;
    until_maps(&plane, &[]).await;
}

#[tokio::test]
async fn an_owner_waits_for_dependents_of_kinds_that_a_new_leader_does_not_know_yet() {
    let plane = Plane::start_gated(definitions_come_late, async |client| {
        let maps = [map("shop", "marker", json!([of_nobody()])), map("shop", "owner", json!([]))];
        stock_shop(&client, &[], &maps).await;
        let of_owner = of_map("owner", &uid_in_shop(&client, "owner").await);
        let path = "/apis/test.dev/v1/namespaces/shop/widgets";
        Plane::post_as(&*client, path, in_shop(widget("orphan", json!([of_owner])))).await.unwrap();
        let orphan = Params { propagation: Some(Propagation::Orphan), ..Params::default() };
        Api::<ConfigMap>::namespaced(client, "shop").delete("owner", orphan).await.unwrap();
    })
    .await;
    until_maps(&plane, &["owner"]).await;
    let still = plane.get_in(&ConfigMap::KIND, "shop", "owner").await;
    assert_eq!(still["metadata"]["finalizers"], json!(["orphan"]));
    plane.open_gate();
    until_maps(&plane, &[]).await;
    let orphan = plane.get_in(&WIDGETS, "shop", "orphan").await;
    assert!(orphan["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty), "{orphan}");
    assert!(orphan["metadata"]["deletionTimestamp"].is_null(), "{orphan}");
}

#[tokio::test]
async fn a_definition_that_wants_the_name_of_another_kind_takes_nothing_from_it() {
    let plane = Plane::start_after(async |client| {
        stock_shop(&client, &[widget("w", json!([]))], &[map("shop", "marker", json!([of_nobody()]))]).await;
        let mut rival = definition();
        rival["metadata"]["name"] = "awidgets.test.dev".into();
        rival["spec"]["names"] = json!({"plural": "awidgets", "singular": "awidget", "kind": "Widget"});
        Plane::post_as(&*client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", rival)
            .await
            .unwrap();
        let path = "/apis/test.dev/v1/namespaces/shop/widgets";
        let parent = Plane::post_as(&*client, path, in_shop(widget("parent", json!([])))).await.unwrap();
        let of_parent = owner("test.dev/v1", "Widget", "parent", &parent["metadata"]["uid"]);
        let leaf = map("shop", "leaf", json!([of_parent]));
        Plane::post_as(&*client, "/api/v1/namespaces/shop/configmaps", leaf).await.unwrap();
    })
    .await;
    let is_refused = |definition: &Value| {
        definition["metadata"]["name"] == "awidgets.test.dev"
            && definition["status"]["conditions"].to_string().contains("KindConflict")
    };
    plane.until::<CustomResourceDefinition>("a refusal", is_refused).await;
    until_maps(&plane, &["leaf"]).await;
    plane.create::<ConfigMap>(map("shop", "marker", json!([of_nobody()]))).await;
    until_maps(&plane, &["leaf"]).await;
    plane.create::<ConfigMap>(map("shop", "other", json!([]))).await;
    until_maps(&plane, &["leaf", "other"]).await;
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
