//! Typed and dynamic objects: every verb, discovery, subresources.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{
    ApiResource, AttachParams, DeleteParams, DynamicObject, EvictParams, ListParams, ObjectMeta, Patch,
    PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Discovery, ResourceExt as _};
use orch_tests::{IMAGE, Orchd};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{Boat, boat, connect, define, start, within};

pub(crate) fn map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("k".into(), value.into())])),
        ..ConfigMap::default()
    }
}

fn is(error: &kube::Error, code: u16, reason: &str) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code && status.reason == reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_made_changed_applied_and_deleted() {
    let orch = start();
    let maps: Api<ConfigMap> = Api::default_namespaced(connect(&orch).await);
    let made = maps.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    let refused = maps.create(&PostParams::default(), &map("a", "1")).await.unwrap_err();
    assert!(is(&refused, 409, "AlreadyExists"), "{refused}");
    assert!(maps.get_opt("none").await.unwrap().is_none());
    let mut wanted = made.clone();
    wanted.data = map("a", "2").data;
    maps.replace("a", &PostParams::default(), &wanted).await.unwrap();
    let stale = maps.replace("a", &PostParams::default(), &wanted).await.unwrap_err();
    assert!(is(&stale, 409, "Conflict"), "{stale}");
    let unsaid = PatchParams::default();
    maps.patch("a", &unsaid, &Patch::Merge(json!({"data": {"m": "1"}}))).await.unwrap();
    let patched = maps.patch("a", &unsaid, &Patch::Strategic(json!({"data": {"m": null}}))).await.unwrap();
    assert_eq!(patched.data, map("a", "2").data);

    let apply = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "3"}});
    let conflict = maps.patch("a", &PatchParams::apply("other"), &Patch::Apply(&apply)).await.unwrap_err();
    assert!(is(&conflict, 409, "Conflict"), "{conflict}");
    let forced = PatchParams::apply("other").force();
    let applied = maps.patch("a", &forced, &Patch::Apply(&apply)).await.unwrap();
    assert_eq!(applied.data, map("a", "3").data);
    assert_eq!(maps.get_metadata("a").await.unwrap().uid(), made.uid());
    let dry = maps.patch("a", &PatchParams { dry_run: true, ..forced }, &Patch::Apply(&map("a", "4"))).await;
    assert_eq!(dry.unwrap().data, map("a", "4").data);
    assert_eq!(maps.get("a").await.unwrap().data, map("a", "3").data);
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_are_paged_watched_and_deleted() {
    let orch = start();
    let maps: Api<ConfigMap> = Api::default_namespaced(connect(&orch).await);
    let ours = |mut map: ConfigMap| {
        map.metadata.labels = Some(BTreeMap::from([("ours".into(), "yes".into())]));
        map
    };
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &ours(map(name, "1"))).await.unwrap();
    }
    let selected = ListParams::default().labels("ours=yes");
    let page = maps.list(&selected.clone().limit(2)).await.unwrap();
    assert_eq!(
        (page.items.len(), page.metadata.remaining_item_count),
        (2, None),
        "a selector hides how many remain"
    );
    let token = page.metadata.continue_.unwrap();
    let rest = maps.list(&selected.clone().continue_token(&token)).await.unwrap();
    assert_eq!(rest.items.iter().map(|map| map.name_any()).collect::<Vec<_>>(), ["c"]);

    let since = rest.metadata.resource_version.unwrap();
    let watched = WatchParams::default().fields("metadata.name=d");
    maps.create(&PostParams::default(), &map("d", "1")).await.unwrap();
    maps.delete("d", &DeleteParams::default()).await.unwrap();
    let events = maps.watch(&watched, &since).await.unwrap();
    let events: Vec<_> = within("two events", events.take(2).try_collect()).await.unwrap();
    assert!(matches!(events.as_slice(), [WatchEvent::Added(_), WatchEvent::Deleted(_)]), "{events:?}");

    maps.delete_collection(&DeleteParams::default(), &selected).await.unwrap();
    assert_eq!(maps.list(&selected).await.unwrap().items.len(), 0);
    // What every namespace has was not selected.
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_are_discovered_and_used_without_their_types() {
    let orch = start();
    let client = connect(&orch).await;
    define(&client).await;
    for discovery in [
        Discovery::new(client.clone()).run().await.unwrap(),
        Discovery::new(client.clone()).run_aggregated().await.unwrap(),
    ] {
        let group = discovery.get("rs.example.dev").unwrap();
        let (resource, capabilities) = group.recommended_kind("Boat").unwrap();
        assert_eq!(resource.plural, "boats");
        let subresources = format!("{:?}", capabilities.subresources);
        assert!(subresources.contains("status") && subresources.contains("scale"), "{subresources}");
    }
    let resource = ApiResource::erase::<Boat>(&());
    let boats: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
    let of = |crew: i32| DynamicObject::new("a", &resource).data(json!({"spec": {"crew": crew}}));
    let refused = boats.create(&PostParams::default(), &of(0)).await.unwrap_err();
    assert!(is(&refused, 422, "Invalid"), "{refused}");
    boats.create(&PostParams::default(), &of(2)).await.unwrap();
    assert_eq!(boats.get("a").await.unwrap().data["spec"]["crew"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_scale_are_apart_from_the_object() {
    let orch = start();
    let boats = define(&connect(&orch).await).await;
    boats.create(&PostParams::default(), &boat("a", 2)).await.unwrap();
    let unsaid = PatchParams::default();
    let status = Patch::Merge(json!({"spec": {"crew": 9}, "status": {"crew": 2}}));
    let reported = boats.patch_status("a", &unsaid, &status).await.unwrap();
    assert_eq!((reported.spec.crew, reported.status.unwrap().crew), (2, 2));

    let scale = boats.get_scale("a").await.unwrap();
    assert_eq!((scale.spec.unwrap().replicas, scale.status.unwrap().replicas), (Some(2), 2));
    let wanted = Patch::Merge(json!({"spec": {"replicas": 4}}));
    assert_eq!(boats.patch_scale("a", &unsaid, &wanted).await.unwrap().spec.unwrap().replicas, Some(4));
    let scaled = boats.get("a").await.unwrap();
    assert_eq!((scaled.spec.crew, scaled.metadata.generation), (4, Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_waited_for_and_evicted() {
    let orch = start();
    let pods: Api<Pod> = Api::default_namespaced(connect(&orch).await);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main", "image": "registry.test/web:1"}]}});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let running = await_condition(pods.clone(), "p", conditions::is_pod_running());
    let uid = within("the pod", Box::pin(running)).await.unwrap().unwrap().uid().unwrap();
    let now = EvictParams {
        delete_options: Some(DeleteParams::default().grace_period(0)),
        ..EvictParams::default()
    };
    pods.evict("p", &now).await.unwrap();
    within("its end", Box::pin(await_condition(pods, "p", conditions::is_deleted(&uid)))).await.unwrap();
}

/// What comes back through two forwarded ports; nothing while nobody listens.
async fn echoed(pods: &Api<Pod>, text: &[u8]) -> Option<Vec<u8>> {
    let mut forwarder = pods.portforward("p", &[80, 8080]).await.unwrap();
    let mut streams = [80, 8080].map(|port| forwarder.take_stream(port).unwrap());
    let mut heard = Vec::new();
    for stream in &mut streams {
        stream.write_all(text).await.ok()?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await.ok()?;
        heard.extend(answer);
    }
    drop(streams);
    within("the end", forwarder.join()).await.unwrap();
    Some(heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_and_containers_attached_to() {
    let orch = tokio::task::block_in_place(Orchd::real);
    let pods: Api<Pod> = Api::default_namespaced(connect(&orch).await);
    let serve = "nc -ll -p 8080 -e cat & exec nc -ll -p 80 -e cat";
    let manifest = json!({"metadata": {"name": "p"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "server", "image": IMAGE, "command": ["sh", "-c", serve]},
        {"name": "talker", "image": IMAGE, "command": ["cat"], "stdin": true},
    ]}});
    pods.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    within("the pod", Box::pin(await_condition(pods.clone(), "p", conditions::is_pod_running())))
        .await
        .unwrap();

    let mut forwarder = pods.portforward("p", &[9]).await.unwrap();
    let refused = within("a refusal", forwarder.take_error(9).unwrap()).await.unwrap();
    assert!(refused.starts_with("error forwarding port 9 to pod p, uid "), "{refused}");
    let listening = async {
        loop {
            if let Some(heard) = echoed(&pods, b"there and back").await {
                return heard;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(within("an echo", Box::pin(listening)).await, b"there and back".repeat(2));

    let params = AttachParams::default().container("talker").stdin(true).stderr(false);
    let mut attached = pods.attach("p", &params).await.unwrap();
    let (mut stdin, mut stdout) = (attached.stdin().unwrap(), attached.stdout().unwrap());
    stdin.write_all(b"hello\n").await.unwrap();
    let mut heard = [0; 6];
    within("an answer", stdout.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"hello\n");
}
