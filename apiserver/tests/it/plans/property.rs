//! What holds of every plan: applied, it is the same as its changes one by one; and nothing moves under it.

use std::sync::Arc;

use orch_store::Store;
use orch_store::testing::EtcdServer;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};

use super::{PLANS, applied, applied_to_the_cluster, name, plan};
use crate::host::{Host, Reply, workload};

const ROUNDS: usize = 40;

/// An object that changes may be about.
#[derive(Debug, Clone, PartialEq)]
struct Thing {
    kind: &'static str,
    namespace: &'static str,
    name: &'static str,
}

impl Thing {
    fn any(random: &mut StdRng) -> Self {
        let kind = *["ConfigMap", "ConfigMap", "Secret", "Workload", "Namespace"].choose(random).unwrap();
        let namespace = *["default", "other", "fresh"].choose(random).unwrap();
        match kind {
            "Namespace" => Self { kind, namespace: "", name: "fresh" },
            kind => Self { kind, namespace, name: *["a", "b", "c"].choose(random).unwrap() },
        }
    }

    fn api_version(&self) -> &'static str {
        if self.kind == "Workload" { "orch.dev/v1" } else { "v1" }
    }

    fn path(&self) -> String {
        let (namespace, name) = (self.namespace, self.name);
        match self.kind {
            "Namespace" => format!("/api/v1/namespaces/{name}"),
            "Workload" => format!("/apis/orch.dev/v1/namespaces/{namespace}/workloads/{name}"),
            kind => format!("/api/v1/namespaces/{namespace}/{}s/{name}", kind.to_lowercase()),
        }
    }

    fn target(&self) -> Value {
        json!({"apiVersion": self.api_version(), "kind": self.kind, "namespace": self.namespace, "name": self.name})
    }

    fn manifest(&self, number: u64) -> Value {
        let mut manifest = match self.kind {
            "Workload" => workload(self.name, number),
            "ConfigMap" => json!({"data": {"n": number.to_string(), format!("k{number}"): "x"}}),
            "Secret" => json!({"stringData": {"n": number.to_string()}}),
            _ => json!({}),
        };
        manifest["apiVersion"] = self.api_version().into();
        manifest["kind"] = self.kind.into();
        manifest["metadata"] = json!({"name": self.name, "labels": {"n": number.to_string()}});
        if !self.namespace.is_empty() {
            manifest["metadata"]["namespace"] = self.namespace.into();
        }
        manifest
    }
}

/// A change, as part of a plan or alone.
#[derive(Debug, Clone)]
enum Step {
    Apply(Thing, u64),
    Merge(Thing, u64),
    Annotate(Thing, u64),
    Delete(Thing),
}

impl Step {
    fn any(random: &mut StdRng) -> Self {
        let (thing, number) = (Thing::any(random), random.random_range(0..4));
        match random.random_range(0..8) {
            0..4 => Self::Apply(thing, number),
            4 => Self::Merge(thing, number),
            5 => Self::Annotate(thing, number),
            // A namespace takes a controller to go.
            _ if thing.kind == "Namespace" => Self::Apply(thing, number),
            _ => Self::Delete(thing),
        }
    }

    fn thing(&self) -> &Thing {
        match self {
            Self::Apply(thing, _)
            | Self::Merge(thing, _)
            | Self::Annotate(thing, _)
            | Self::Delete(thing) => thing,
        }
    }

    fn planned(&self) -> Value {
        match self {
            Self::Apply(thing, number) if thing.namespace.is_empty() => {
                applied_to_the_cluster(thing.manifest(*number))
            }
            Self::Apply(thing, number) => applied(thing.manifest(*number)),
            Self::Merge(thing, number) => {
                json!({"patch": {"target": thing.target(), "patch": label(*number), "fieldManager": "ann"}})
            }
            Self::Annotate(thing, number) => {
                json!({"patch": {"target": thing.target(), "type": "json", "patch": annotate(*number), "fieldManager": "ann"}})
            }
            Self::Delete(thing) => json!({"delete": {"target": thing.target()}}),
        }
    }

    async fn alone(&self, host: &Host) -> Reply {
        let path = self.thing().path();
        let with = |path: &str| format!("{path}?fieldManager=ann");
        match self {
            Self::Apply(thing, number) => host.apply(&path, "ann", thing.manifest(*number)).await,
            Self::Merge(_, number) => host.merge(&with(&path), label(*number)).await,
            Self::Annotate(_, number) => {
                host.patch(&with(&path), "application/json-patch+json", annotate(*number)).await
            }
            Self::Delete(_) => host.delete(&path).await,
        }
    }
}

fn label(number: u64) -> Value {
    json!({"metadata": {"labels": {"merged": number.to_string()}}})
}

fn annotate(number: u64) -> Value {
    json!([{"op": "add", "path": "/metadata/annotations", "value": {"n": number.to_string()}}])
}

/// All objects that steps may be about, without what differs between two servers.
async fn state(host: &Host) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["/api/v1/namespaces", "/api/v1/configmaps", "/api/v1/secrets", "/apis/orch.dev/v1/workloads"]
    {
        let list = host.get(path).await.is(200);
        for mut object in list["items"].as_array().unwrap().clone() {
            let metadata = object["metadata"].as_object_mut().unwrap();
            for field in ["uid", "resourceVersion", "creationTimestamp"] {
                metadata.remove(field);
            }
            all.push(object);
        }
    }
    all
}

fn steps(random: &mut StdRng) -> Vec<Step> {
    let many = random.random_range(1..7);
    (0..many).map(|_| Step::any(random)).collect()
}

fn planned(steps: &[Step]) -> Value {
    plan(steps.iter().map(Step::planned).collect::<Vec<_>>().into())
}

async fn prepared(store: Option<Arc<dyn Store>>) -> Host {
    let host = match store {
        Some(store) => Host::start_on(tempfile::tempdir().unwrap(), store).await,
        None => Host::start_empty().await,
    };
    for name in ["default", "other"] {
        host.make_namespace(name).await;
    }
    host
}

/// What a plan makes of one server is what its changes, one by one, make of another.
async fn is_the_same_as_one_by_one(random: &mut StdRng, planning: &Host, other: &Host) {
    let steps = steps(random);
    let made = planning.post(PLANS, planned(&steps)).await;
    if made.code == 201 {
        let before = state(planning).await;
        assert_eq!(before, state(other).await, "a plan that is only made changes nothing");
        planning.apply_plan(&made.body).await.is(200);
        for step in &steps {
            let alone = step.alone(other).await;
            assert!(alone.code < 300, "{step:?}: {}", alone.text);
        }
    } else {
        assert_eq!(made.code, 422, "{}", made.text);
        let mut failed = 0;
        for step in &steps {
            let codes = (step.alone(planning).await.code, step.alone(other).await.code);
            assert_eq!(codes.0, codes.1, "{step:?}");
            failed += u32::from(codes.0 >= 300);
        }
        assert!(failed > 0, "{steps:#?} were refused as a plan: {}", made.text);
    }
    assert_eq!(state(planning).await, state(other).await, "{steps:#?}");
}

/// A plan whose objects somebody changes meanwhile is refused, and nothing of it happens; any other is applied.
async fn is_refused_if_anything_moves(random: &mut StdRng, host: &Host) {
    let (steps, other) = (steps(random), Step::any(random));
    let made = host.post(PLANS, planned(&steps)).await;
    if made.code != 201 {
        return;
    }
    let made = made.body;
    let revision =
        async |thing: &Thing| host.get(&thing.path()).await.body["metadata"]["resourceVersion"].clone();
    let before = revision(other.thing()).await;
    other.alone(host).await;
    let moved = before != revision(other.thing()).await;
    let thing = other.thing();
    let concerns = |step: &Step| {
        let own = step.thing();
        // Nothing but what is made looks at its namespace.
        own == thing || (thing.kind == "Namespace" && own.namespace == thing.name && creates(&made, own))
    };
    let concerned = steps.iter().any(concerns);
    let state_before = state(host).await;
    let answer = host.apply_plan(&made).await;
    match moved && concerned {
        true => {
            answer.fails(409, "Conflict", thing.name);
            assert_eq!(state(host).await, state_before);
        }
        // What comes and goes within a plan has looked at its namespace, but does not show.
        false if moved && steps.iter().any(|step| step.thing().namespace == thing.name) => {}
        false => assert_eq!(answer.code, 200, "{steps:#?} {other:?}: {}", answer.text),
    }
}

fn creates(plan: &Value, thing: &Thing) -> bool {
    let changes = plan["status"]["changes"].as_array().unwrap();
    changes.iter().any(|change| {
        change["action"] == "Created"
            && (&change["target"]["kind"], &change["target"]["name"])
                == (&thing.kind.into(), &thing.name.into())
            && change["target"]["namespace"].as_str().unwrap_or_default() == thing.namespace
    })
}

async fn every_plan(planning: Host, other: Host) {
    let seed =
        std::env::var("ORCH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("ORCH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..ROUNDS {
        is_the_same_as_one_by_one(&mut random, &planning, &other).await;
    }
    for _ in 0..ROUNDS {
        is_refused_if_anything_moves(&mut random, &planning).await;
    }
    let plans = planning.send(planning.request(Method::GET, PLANS)).await.is(200);
    let items = plans["items"].as_array().unwrap();
    assert!(items.iter().any(|plan| plan["status"]["phase"] == "Stale"), "{}", name(&items[0]));
}

#[tokio::test]
async fn applied_plans_are_their_changes_one_by_one_and_nothing_moves_under_them() {
    every_plan(prepared(None).await, prepared(None).await).await;
}

#[tokio::test]
async fn so_it_is_over_etcd() {
    let etcd = EtcdServer::start_fast().await;
    let store: Arc<dyn Store> = Arc::new(etcd.store().await);
    every_plan(prepared(Some(store)).await, prepared(None).await).await;
}
