//! The API from within the process, and after trouble with the store.

use std::sync::Arc;

use futures::StreamExt as _;
use orch_api::{Api, Client, Event, Params, Reason, Request, Target, Verb};
use orch_apiserver::Identity;
use orch_ontology::ConfigMap;
use serde_json::{Value, json};

use crate::host::{DEADLINE, Host, MAPS, map};

fn local(host: &Host) -> Arc<dyn Client> {
    host.api.local_client(Identity::new("system:test", ["system:masters"]))
}

#[tokio::test]
async fn a_local_client_and_http_answer_alike_byte_for_byte() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({"x": "1"}))).await.is(201);
    let client = local(&host);
    let target = Target::parse(MAPS.trim_start_matches('/').split('/')).unwrap();
    let ask = |verb, target| Request { verb, target, params: Params::default(), body: None };
    for (request, path) in [
        (ask(Verb::List, target.clone()), MAPS.to_owned()),
        (ask(Verb::Get, target.clone().named("a")), format!("{MAPS}/a")),
    ] {
        let local = client.send(request).await.unwrap();
        assert_eq!(host.get(&path).await.text.as_bytes(), &*local);
    }
    let refused = client.send(ask(Verb::Get, target.named("none"))).await.unwrap_err();
    let over_http: orch_api::Status =
        serde_json::from_value(host.get(&format!("{MAPS}/none")).await.body).unwrap();
    assert_eq!(refused, over_http);
}

#[tokio::test]
async fn typed_calls_work_and_are_not_exempt_from_the_pipeline() {
    let host = Host::start().await;
    let api: Api<ConfigMap> = Api::namespaced(local(&host), "default").manager("tests");
    let object: ConfigMap = serde_json::from_value(map("a", json!({"x": "1"}))).unwrap();
    let made = api.create(&object).await.unwrap();
    assert_eq!(made.metadata.managed_fields[0].manager, "tests");
    let from = Params { resource_version: Some(made.metadata.resource_version.clone()), ..Params::default() };
    let mut events = api.watch(from).await.unwrap();
    let mut changed = made.clone();
    changed.data.insert("y".into(), "2".into());
    let changed = api.update(&changed).await.unwrap();
    let event = tokio::time::timeout(DEADLINE, events.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(event, Event::Modified(changed));
    assert!(api.update(&made).await.unwrap_err().is(&Reason::Conflict));
    let nobody: Api<ConfigMap> = Api::namespaced(host.api.local_client(Identity::anonymous()), "default");
    assert!(nobody.get("a").await.unwrap_err().is(&Reason::Unauthorized));
    api.delete("a", Params::default()).await.unwrap();
    assert_eq!(api.find("a").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_stored_is_served_by_the_next_server() {
    let directory = tempfile::tempdir().unwrap();
    let store = orch_store::embedded::EmbeddedConfig::new(directory.path().join("shared"));
    let open = || Arc::new(orch_store::embedded::EmbeddedStore::open(store.clone()).unwrap());
    let made = {
        let host = Host::start_on(tempfile::tempdir().unwrap(), open()).await;
        host.post("/api/v1/namespaces", json!({"metadata": {"name": "default"}})).await.is(201);
        host.post(MAPS, map("a", json!({"x": "1"}))).await.is(201)
    };
    let store = loop {
        match orch_store::embedded::EmbeddedStore::open(store.clone()) {
            Ok(store) => break Arc::new(store),
            // The first server's tasks are still letting go of it.
            Err(orch_store::StoreError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let host = Host::start_on(tempfile::tempdir().unwrap(), store).await;
    assert_eq!(host.get(&format!("{MAPS}/a")).await.is(200), made);
    let list = host.get(MAPS).await.is(200);
    assert_eq!(list["items"], Value::Array(vec![made]));
}
