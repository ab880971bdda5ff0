//! What follows from a plan is looked at as everything is at one moment.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use orch_api::plan::{ObjectChange, PlanTarget};
use orch_api::{
    Api, Client, Foreseen, Foresight, Kind, NoForesight, Object as _, Params, Request, Resource as _, Status,
    View,
};
use orch_apiserver::Identity;
use orch_ontology::ConfigMap;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{applied, plan};
use crate::host::{Host, MAPS, map};

/// Tells which maps differ, while somebody else makes one and deletes another.
#[derive(Default)]
struct Meanwhile(OnceLock<(Handle, Arc<dyn Client>)>);

impl Foresight for Meanwhile {
    fn shows(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn drain(&self, node: &str, view: &dyn View) -> Result<Vec<Request>, Status> {
        NoForesight.drain(node, view)
    }

    fn foresee(&self, before: &dyn View, after: &dyn View, _: Timestamp) -> Foreseen {
        let before = maps(before);
        let (runtime, client) = self.0.get().unwrap();
        runtime.block_on(others(client.clone()));
        let after = maps(after);
        let differ = before.symmetric_difference(&after).map(|name| PlanTarget {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "default".into(),
            name: name.clone(),
            ..PlanTarget::default()
        });
        let changes = differ.map(|target| ObjectChange { target, ..ObjectChange::default() });
        Foreseen { changes: changes.collect(), ..Foreseen::default() }
    }

    fn suppose(
        &self,
        spec: &Value,
        before: &dyn View,
        after: &dyn View,
        now: Timestamp,
    ) -> Result<Foreseen, Status> {
        NoForesight.suppose(spec, before, after, now)
    }
}

fn maps(view: &dyn View) -> BTreeSet<String> {
    let read = |map: &bytes::Bytes| serde_json::from_slice::<Value>(map).unwrap().name().to_owned();
    view.objects(&ConfigMap::KIND).iter().map(read).collect()
}

/// What others do; everybody sees it when this ends.
async fn others(client: Arc<dyn Client>) {
    let maps = Api::<ConfigMap>::namespaced(client, "default");
    let made = serde_json::from_value(json!({"metadata": {"name": "made", "namespace": "default"}})).unwrap();
    maps.create(&made).await.unwrap();
    maps.delete("gone", Params::default()).await.unwrap();
    let names: Vec<String> =
        maps.list(Params::default()).await.unwrap().items.into_iter().map(|map| map.metadata.name).collect();
    assert_eq!(names, ["made", "old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_meanwhile_is_not_told_as_the_plans_doing() {
    let foresight = Arc::new(Meanwhile::default());
    let seam = foresight.clone();
    let host = Host::with(|config| config.foresight = seam).await;
    host.make_namespace("default").await;
    let client = host.api.local_client(Identity::new("somebody", ["system:masters"]));
    assert!(foresight.0.set((Handle::current(), client)).is_ok());
    for name in ["gone", "old"] {
        host.post(MAPS, map(name, json!({}))).await.is(201);
    }
    let old = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "old"});
    let changes = json!([applied(map("planned", json!({}))), {"delete": {"target": old}}]);
    let made = host.post(super::PLANS, plan(changes)).await.is(201);
    let told: Vec<&Value> = made["status"]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["target"]["name"])
        .collect();
    assert_eq!(told, ["planned", "old", "old", "planned"]);
}
