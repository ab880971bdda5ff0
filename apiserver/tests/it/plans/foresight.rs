//! What follows from a plan is looked at as everything is at one moment.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use orch_api::plan::{ObjectChange, PlanTarget};
use orch_api::{
    Api, Body, Client, Drain, FieldQuery, Foreseen, Foresight, Kind, MediaType, NoForesight, Object as _,
    Params, Request, Resource as _, Scene, Status, Target, Verb, View,
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

    fn services(&self) -> Option<Kind> {
        None
    }

    fn drain(&self, node: &str) -> Result<Drain, Status> {
        NoForesight.drain(node)
    }

    fn evictions(&self, there: &[Bytes]) -> Vec<Request> {
        NoForesight.evictions(there)
    }

    fn foresee(&self, scene: &dyn Scene, _: Timestamp) -> Foreseen {
        assert_eq!(scene.touched().len(), 2);
        let (before, after) = scene.views();
        let before = maps(&*before);
        let (runtime, client) = self.0.get().unwrap();
        runtime.block_on(others(client.clone()));
        let after = maps(&*after);
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

    fn suppose(&self, spec: &Value, scene: &dyn Scene, now: Timestamp) -> Result<Foreseen, Status> {
        NoForesight.suppose(spec, scene, now)
    }
}

/// Takes maps for nodes, and for what is on them by their names.
#[derive(Default)]
struct Emptying(AtomicUsize);

impl Foresight for Emptying {
    fn shows(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn services(&self) -> Option<Kind> {
        None
    }

    fn drain(&self, node: &str) -> Result<Drain, Status> {
        let target = Target::in_namespace(&ConfigMap::KIND, "default").named(node);
        let bytes = json!({"data": {"cordoned": "yes"}}).to_string().into();
        let body = Some(Body { media_type: MediaType::MergePatch, bytes });
        let cordon = Request { verb: Verb::Patch, target, params: Params::default(), body };
        let there = FieldQuery::equals("metadata.name", format!("on-{node}"));
        Ok(Drain { cordon, kind: ConfigMap::KIND, there })
    }

    fn evictions(&self, there: &[Bytes]) -> Vec<Request> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let names = there.iter().map(|map| serde_json::from_slice::<Value>(map).unwrap().name().to_owned());
        let target = |name: String| Target::in_namespace(&ConfigMap::KIND, "default").named(name);
        names
            .map(|name| Request {
                verb: Verb::Delete,
                target: target(name),
                params: Params::default(),
                body: None,
            })
            .collect()
    }

    fn foresee(&self, scene: &dyn Scene, now: Timestamp) -> Foreseen {
        NoForesight.foresee(scene, now)
    }

    fn suppose(&self, spec: &Value, scene: &dyn Scene, now: Timestamp) -> Result<Foreseen, Status> {
        NoForesight.suppose(spec, scene, now)
    }
}

#[tokio::test]
async fn nobody_looks_for_what_is_on_a_node_before_it_may_be_cordoned() {
    let foresight = Arc::new(Emptying::default());
    let seam = foresight.clone();
    let host = Host::guarded_with(|config| config.foresight = seam).await;
    host.make_namespace("default").await;
    let drain = json!({"drain": {"node": "node"}});
    let by_ann = host.user("ann", &[]).post(host.url(super::PLANS)).json(&plan(json!([drain])));
    host.send(by_ann).await.fails(422, "Invalid", "User \"ann\" cannot patch resource \"configmaps\"");
    assert_eq!(foresight.0.load(Ordering::Relaxed), 0);
    for name in ["node", "on-other"] {
        host.post(MAPS, map(name, json!({}))).await.is(201);
    }
    // What comes with the plan is there, too.
    let made = host.plan(json!([applied(map("on-node", json!({}))), drain])).await;
    assert_eq!(super::brief(&made), ["Unchanged ConfigMap on-node", "Changed ConfigMap node"]);
    let drains: Vec<&Value> = std::iter::repeat_n(&drain, 101).collect();
    let why = "no more than 100 changes may drain nodes or undo what was done";
    host.post(super::PLANS, plan(json!(drains))).await.fails(422, "Invalid", why);
}

fn maps(view: &dyn View) -> BTreeSet<String> {
    let read = |map: &Bytes| serde_json::from_slice::<Value>(map).unwrap().name().to_owned();
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
