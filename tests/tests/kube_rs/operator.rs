//! An operator: the stores that it reads from, and its controller, which owns objects and cleans up behind a finalizer.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event as ReportedEvent;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::events::{Event as RecordedEvent, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Error as FinalizerError, Event, finalizer};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::block_in_place;

use crate::objects::map;
use crate::{Boat, boat, connect, define, start, within};

const FINALIZER: &str = "rs.example.dev/harbour";

#[tokio::test(flavor = "multi_thread")]
async fn a_reflector_s_store_follows_lists_and_streaming_lists() {
    let orch = start();
    let boats = define(&connect(&orch).await).await;
    boats.create(&PostParams::default(), &boat("before", 1)).await.unwrap();
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let (store, writer) = reflector::store();
        let (changed, mut changes) = watch::channel(());
        let events = watcher(boats.clone(), config).reflect(writer);
        let follow = tokio::spawn(events.try_for_each(move |_| {
            changed.send_replace(());
            async { Ok(()) }
        }));
        within("the first list", store.wait_until_ready()).await.unwrap();
        let name = |name: &str| ObjectRef::<Boat>::new(name).within("default");
        assert_eq!(store.get(&name("before")).unwrap().spec.crew, 1);
        boats.create(&PostParams::default(), &boat("after", 2)).await.unwrap();
        let is_there = |wanted: bool| {
            let (store, after) = (store.clone(), name("after"));
            move |_: &()| store.get(&after).is_some() == wanted
        };
        within("the new object", changes.wait_for(is_there(true))).await.unwrap();
        boats.delete("after", &DeleteParams::default()).await.unwrap();
        within("its end", changes.wait_for(is_there(false))).await.unwrap();
        follow.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_s_events_are_those_that_kubectl_shows() {
    let orch = start();
    let client = connect(&orch).await;
    let boats = define(&client).await;
    let boat = boats.create(&PostParams::default(), &boat("a", 1)).await.unwrap();
    let reporter = Reporter { controller: "rs.example.dev/harbour".into(), instance: Some("one".into()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let note = Some("The boat has left the harbour".to_owned());
    let (type_, action, reason) = (EventType::Normal, "Sailing".to_owned(), "Left".to_owned());
    let told = RecordedEvent { type_, reason, note, action, secondary: None };
    for _ in 0..3 {
        recorder.publish(&told, &boat.object_ref(&())).await.unwrap();
    }
    let reported: Api<ReportedEvent> = Api::default_namespaced(client);
    let about = ListParams::default().fields("regarding.name=a");
    let found = reported.list(&about).await.unwrap().items;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].series.as_ref().map(|series| series.count), Some(3));
    let shown = block_in_place(|| orch.kubectl(&["events", "--for", "boat.rs.example.dev/a"]).ok());
    assert!(shown.contains("Left") && shown.contains("The boat has left the harbour"), "{shown}");
}

/// Gives a boat a config map with its crew, says so in its status, and a word of farewell once it is deleted.
async fn reconcile(boat: Arc<Boat>, client: Arc<Client>) -> Result<Action, FinalizerError<kube::Error>> {
    let boats: Api<Boat> = Api::default_namespaced((*client).clone());
    let maps: Api<ConfigMap> = Api::default_namespaced((*client).clone());
    finalizer(&boats.clone(), FINALIZER, boat, |event| async move {
        let apply = PatchParams::apply("operator").force();
        match event {
            Event::Apply(boat) => {
                let mut wanted = map(&boat.name_any(), &boat.spec.crew.to_string());
                wanted.metadata.owner_references = Some(boat.controller_owner_ref(&()).into_iter().collect());
                maps.patch(&boat.name_any(), &apply, &Patch::Apply(&wanted)).await?;
                let status = json!({"status": {"crew": boat.spec.crew}});
                boats.patch_status(&boat.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
            }
            Event::Cleanup(boat) => {
                let name = format!("farewell-{}", boat.name_any());
                maps.patch(&name, &apply, &Patch::Apply(&map(&name, "1"))).await?;
            }
        }
        Ok(Action::await_change())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_reconciles_what_it_owns_and_cleans_up() {
    let orch = start();
    let client = connect(&orch).await;
    let boats = define(&client).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let controller = Controller::new(boats.clone(), watcher::Config::default())
        .owns(maps.clone(), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(100)), Arc::new(client));
    let running = tokio::spawn(controller.for_each(|_| async {}));

    boats.create(&PostParams::default(), &boat("a", 3)).await.unwrap();
    let reported =
        |boat: Option<&Boat>| boat.and_then(|boat| boat.status.as_ref()).is_some_and(|s| s.crew == 3);
    let afloat = within("the status", await_condition(boats.clone(), "a", reported)).await.unwrap().unwrap();
    assert_eq!(afloat.finalizers(), [FINALIZER]);
    let first = maps.get("a").await.unwrap();
    assert_eq!(first.data, map("a", "3").data);
    // Taken away, it is made again.
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let uid = first.uid();
    let again = move |map: Option<&ConfigMap>| map.is_some_and(|map| map.uid() != uid);
    let second = within("the map again", await_condition(maps.clone(), "a", again)).await.unwrap().unwrap();
    // The owner's end is its own; the owner ends when the controller has let go.
    let (owner, owned) = (afloat.uid().unwrap(), second.uid().unwrap());
    boats.delete("a", &DeleteParams::default()).await.unwrap();
    within("the boat's end", await_condition(boats, "a", conditions::is_deleted(&owner))).await.unwrap();
    maps.get("farewell-a").await.unwrap();
    within("the map's end", await_condition(maps, "a", conditions::is_deleted(&owned))).await.unwrap();
    running.abort();
}
