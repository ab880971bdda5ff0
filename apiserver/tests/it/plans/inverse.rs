//! What holds of undoing: random plans, undone in reverse order, leave the store as it was before them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{PLANS, name, plan};
use crate::changes::host;
use crate::host::{Host, text, workload};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The kinds that plans are about: with and without namespaces, secret, with a status, defined by users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Map,
    Secret,
    Workload,
    Service,
    Role,
    Tab,
}

const KINDS: [Kind; 6] = [Kind::Map, Kind::Secret, Kind::Workload, Kind::Service, Kind::Role, Kind::Tab];

/// An object that changes may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    kind: Kind,
    name: &'static str,
}

impl Thing {
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self.kind {
            Kind::Map => ("v1", "ConfigMap", "configmaps"),
            Kind::Secret => ("v1", "Secret", "secrets"),
            Kind::Workload => ("orch.dev/v1", "Workload", "workloads"),
            Kind::Service => ("v1", "Service", "services"),
            Kind::Role => ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles"),
            Kind::Tab => ("stable.example.com/v1", "CronTab", "crontabs"),
        }
    }

    fn namespace(self) -> &'static str {
        if self.kind == Kind::Role { "" } else { "default" }
    }

    fn collection(kind: Kind) -> String {
        let thing = Self { kind, name: "" };
        let (version, _, plural) = thing.names();
        let root = if version == "v1" { "/api" } else { "/apis" };
        match thing.namespace() {
            "" => format!("{root}/{version}/{plural}"),
            namespace => format!("{root}/{version}/namespaces/{namespace}/{plural}"),
        }
    }

    fn path(self) -> String {
        format!("{}/{}", Self::collection(self.kind), self.name)
    }

    fn target(self) -> Value {
        let (version, kind, _) = self.names();
        json!({"apiVersion": version, "kind": kind, "namespace": self.namespace(), "name": self.name})
    }

    fn manifest(self, number: u8) -> Value {
        let mut manifest = match self.kind {
            Kind::Map => json!({"data": {"n": number.to_string(), format!("k{number}"): "x"}}),
            Kind::Secret => json!({"stringData": {"n": number.to_string()}}),
            Kind::Workload => workload(self.name, number.into()),
            Kind::Service => json!({"spec": {"clusterIP": "None", "selector": {format!("k{number}"): "x"},
                "ports": [{"name": format!("p{number}"), "port": 80 + u16::from(number)}]}}),
            Kind::Role => {
                json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", format!("v{number}")]}]})
            }
            Kind::Tab => json!({"spec": {"schedule": "* * * * *", "image": format!("i{number}")}}),
        };
        let (version, kind, _) = self.names();
        manifest["apiVersion"] = version.into();
        manifest["kind"] = kind.into();
        manifest["metadata"] = json!({"name": self.name, "labels": {"n": number.to_string()}});
        if !self.namespace().is_empty() {
            manifest["metadata"]["namespace"] = self.namespace().into();
        }
        manifest
    }

    /// A merge patch of what only this kind has.
    fn patch(self, number: u8) -> Value {
        match self.kind {
            Kind::Map => json!({"data": {"n": null, "patched": number.to_string()}}),
            Kind::Secret => json!({"stringData": {"patched": number.to_string()}}),
            Kind::Workload => json!({"spec": {"replicas": number, "template": {"spec": {"containers": [
                {"name": "web", "image": format!("image:{number}"), "env": [{"name": "A", "value": "b"}]}]}}}}),
            Kind::Service => json!({"spec": {"selector": {"patched": number.to_string()}}}),
            Kind::Role => json!({"rules": if number == 1 { Value::Null } else { json!([]) }}),
            Kind::Tab => json!({"spec": {"replicas": number, "image": null}}),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum What {
    Apply,
    Patch,
    Label,
    Annotate,
    /// It belongs to another object from now on.
    Give(Thing),
    Delete,
}

/// The objects that there are, as plans are made.
#[derive(Default)]
struct There {
    /// With the uids of those that are there already.
    uids: BTreeMap<Thing, Option<String>>,
    /// Whose each is that is another's.
    owners: BTreeMap<Thing, Thing>,
}

impl There {
    fn owned_by(&self, owner: Thing) -> Vec<Thing> {
        self.owners.iter().filter(|(_, one)| **one == owner).map(|(owned, _)| *owned).collect()
    }

    fn belongs_to(&self, thing: Thing, owner: Thing) -> bool {
        self.owners.get(&thing).is_some_and(|one| *one == owner || self.belongs_to(*one, owner))
    }

    /// The deletion of an object, and of what is its, as the garbage collector would delete it.
    fn delete(&mut self, thing: Thing) -> Vec<Value> {
        self.uids.remove(&thing);
        self.owners.remove(&thing);
        let own = self.owned_by(thing).into_iter().flat_map(|owned| self.delete(owned)).collect::<Vec<_>>();
        std::iter::once(json!({"delete": {"target": thing.target()}})).chain(own).collect()
    }

    /// The patch that gives an object to another, if that can own it and its uid is known.
    fn give(&mut self, thing: Thing, owner: Thing) -> Option<Value> {
        let uid = self.uids.get(&owner)?.clone()?;
        if thing == owner || thing.namespace().is_empty() || self.belongs_to(owner, thing) {
            return None;
        }
        self.owners.insert(thing, owner);
        let (version, kind, _) = owner.names();
        let reference = json!({"apiVersion": version, "kind": kind, "name": owner.name, "uid": uid});
        let patch = json!({"metadata": {"ownerReferences": [reference]}});
        Some(json!({"patch": {"target": thing.target(), "type": "merge", "patch": patch}}))
    }
}

/// What is done to an object. What needs it to be there is applied instead, if it is not.
#[derive(Debug, Clone, Copy)]
struct Step {
    thing: Thing,
    what: What,
    number: u8,
}

impl Step {
    fn planned(self, there: &mut There) -> Vec<Value> {
        let Self { thing, number, .. } = self;
        let was_there = there.uids.contains_key(&thing);
        let patch = |type_: &str, patch: Value| {
            vec![json!({"patch": {"target": thing.target(), "type": type_, "patch": patch}})]
        };
        match self.what {
            What::Delete if was_there => there.delete(thing),
            What::Give(owner) if was_there => there.give(thing, owner).into_iter().collect(),
            What::Patch if was_there => patch("merge", thing.patch(number)),
            What::Label if was_there => {
                patch("merge", json!({"metadata": {"labels": {"n": null, "m": number.to_string()}}}))
            }
            What::Annotate if was_there => {
                let value = json!({"n": number.to_string()});
                patch("json", json!([{"op": "add", "path": "/metadata/annotations", "value": value}]))
            }
            _ => {
                there.uids.entry(thing).or_default();
                vec![
                    json!({"apply": {"manifest": thing.manifest(number), "fieldManager": "ann", "force": true}}),
                ]
            }
        }
    }
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let thing = (prop::sample::select(KINDS.to_vec()), prop::sample::select(vec!["a", "b"]));
    let thing = thing.prop_map(|(kind, name)| Thing { kind, name });
    let what = prop_oneof![
        3 => Just(What::Apply), 2 => Just(What::Patch), 1 => Just(What::Label), 1 => Just(What::Annotate), 3 => Just(What::Delete),
        3 => prop::sample::select(vec!["a", "b"]).prop_map(|name| What::Give(Thing { kind: Kind::Map, name })),
    ];
    let step = (thing, what, 1u8..5).prop_map(|(thing, what, number)| Step { thing, what, number });
    prop::collection::vec(step, 1..most)
}

/// All objects, with who owns their fields, without what is not undone: who they are, when they were made, when and how often written.
/// Owners are named as what they are, not by their uids.
async fn state(host: &Host) -> Value {
    let (mut all, mut uids) = (Vec::new(), Vec::new());
    for kind in KINDS {
        let list = host.get(&Thing::collection(kind)).await.is(200);
        for mut object in list["items"].as_array().unwrap().clone() {
            uids.push((
                text(&object["metadata"]["uid"]).to_owned(),
                format!("{kind:?} {}", object["metadata"]["name"]),
            ));
            let metadata = object["metadata"].as_object_mut().unwrap();
            for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
                metadata.remove(field);
            }
            for owner in metadata["managedFields"].as_array_mut().unwrap() {
                owner.as_object_mut().unwrap().remove("time");
            }
            all.push(object);
        }
    }
    let name = |told: String, (uid, name): &(String, String)| told.replace(uid, &name.replace('"', ""));
    serde_json::from_str(&uids.iter().fold(json!(all).to_string(), name)).unwrap()
}

/// The uids of all objects.
async fn uids(host: &Host) -> BTreeMap<Thing, Option<String>> {
    let mut uids = BTreeMap::new();
    for kind in KINDS {
        for name in ["a", "b"] {
            let thing = Thing { kind, name };
            let object = host.get(&thing.path()).await;
            if object.code == 200 {
                uids.insert(thing, Some(text(&object.body["metadata"]["uid"]).to_owned()));
            }
        }
    }
    uids
}

/// Applies a plan of these steps. Its name, or none if it changed nothing.
async fn applied(host: &Host, steps: &[Step], there: &mut There) -> Option<String> {
    there.uids = uids(host).await;
    let changes: Vec<Value> = steps.iter().flat_map(|step| step.planned(there)).collect();
    if changes.is_empty() {
        return None;
    }
    let made = host.post(PLANS, plan(changes.into())).await.is(201);
    let done = host.apply_plan(&made).await.is(200);
    let changes = done["status"]["changes"].as_array().unwrap();
    changes.iter().any(|change| change["action"] != "Unchanged").then(|| name(&made).to_owned())
}

async fn undone(host: &Host, plan: &str) {
    let back = host.plan(json!([{"undo": {"plan": plan}}])).await;
    host.apply_plan(&back).await.is(200);
}

async fn come_back(start: &[Step], plans: &[Vec<Step>]) {
    let (host, _directory) = host().await;
    let definition = include_str!("../../../../ontology/examples/customresourcedefinition.yaml");
    host.post(DEFINITIONS, serde_saphyr::from_str(definition).unwrap()).await.is(201);
    let mut there = There::default();
    applied(&host, start, &mut there).await;
    let mut steps = Vec::new();
    for plan in plans {
        let before = state(&host).await;
        if let Some(name) = applied(&host, plan, &mut there).await {
            steps.push((name, before));
        }
    }
    for (plan, before) in steps.iter().rev() {
        undone(&host, plan).await;
        assert_eq!(state(&host).await, *before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn plans_that_are_undone_in_reverse_order_leave_what_there_was(
        start in steps(8),
        plans in prop::collection::vec(steps(6), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(come_back(&start, &plans));
    }
}

/// An undone plan is a plan, and undone in its turn as often as one likes.
#[tokio::test]
async fn to_undo_and_to_undo_that_is_to_go_to_and_fro() {
    let (host, _directory) = host().await;
    let thing = Thing { kind: Kind::Workload, name: "a" };
    let mut there = There::default();
    let apply = |number| [Step { thing, what: What::Apply, number }];
    applied(&host, &apply(1), &mut there).await;
    let mut last = applied(&host, &apply(2), &mut there).await.unwrap();
    for replicas in [1, 2, 1, 2] {
        let back = host.plan(json!([{"undo": {"plan": last}}])).await;
        host.apply_plan(&back).await.is(200);
        assert_eq!(host.get(&thing.path()).await.is(200)["spec"]["replicas"], replicas);
        last = text(&back["metadata"]["name"]).to_owned();
    }
}

/// Who applies a manifest after its last version was undone is in nobody's way.
#[tokio::test]
async fn a_manifest_is_applied_anew_after_it_was_undone() {
    let (host, _directory) = host().await;
    let thing = Thing { kind: Kind::Map, name: "a" };
    for (number, code) in [(1, 201), (2, 200)] {
        host.apply(&thing.path(), "tester", thing.manifest(number)).await.is(code);
    }
    let newest = crate::changes::changes(&host, "fieldSelector=object.name=a&limit=1").await;
    let back = host.plan(json!([{"undo": {"change": newest[0]["metadata"]["name"]}}])).await;
    host.apply_plan(&back).await.is(200);
    assert_eq!(host.get(&thing.path()).await.is(200)["data"]["n"], "1");
    host.apply(&thing.path(), "tester", thing.manifest(3)).await.is(200);
    let data = host.get(&thing.path()).await.is(200)["data"].clone();
    assert_eq!(data, json!({"n": "3", "k3": "x"}), "and what the manifest said before is gone");
}
