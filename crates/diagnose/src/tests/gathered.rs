//! What is read about an object, and that what has nothing to do with it is not told.

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use orch_api::{Client, Reason, Request, Status, Verb, WatchStream};

use super::*;

/// A server of what is written down here.
struct Stored(Vec<Value>);

#[async_trait]
impl Client for Stored {
    async fn send(&self, request: Request) -> Result<Bytes, Status> {
        let target = request.target;
        let found = self.0.iter().filter(|object| {
            let namespace = target.namespace.as_deref();
            format!("{}s", object.kind().to_lowercase()) == target.plural
                && namespace.is_none_or(|namespace| namespace == object.namespace())
                && target.name.as_deref().is_none_or(|name| name == object.name())
        });
        match request.verb {
            Verb::List => Ok(json!({"items": found.collect::<Vec<_>>()}).to_string().into()),
            _ => found
                .map(|object| object.to_string().into())
                .next()
                .ok_or_else(|| Status::failure(Reason::NotFound, "not found")),
        }
    }

    async fn watch(&self, _: Request) -> Result<WatchStream, Status> {
        Err(Status::failure(Reason::MethodNotAllowed, "what is gathered is not watched"))
    }
}

/// What is found about an object among others, or about the cluster.
fn about(subject: Option<&Value>, stored: &[Value]) -> Vec<Finding> {
    let scope = subject.map_or(Scope::Cluster, |subject| Scope::Object(Box::new(subject.clone())));
    let world = block_on(gather(&Stored(stored.to_vec()), scope)).unwrap();
    diagnose(&world, NOW.parse().unwrap())
}

fn down(name: &str) -> Value {
    node(name, json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}))
}

fn going(mut object: Value, finalizer: &str) -> Value {
    object["metadata"]["deletionTimestamp"] = "2026-06-01T12:00:00Z".into();
    object["metadata"]["finalizers"] = json!([finalizer]);
    object
}

fn well() -> Value {
    pod(json!({}), json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}))
}

#[test]
fn a_pod_is_not_blamed_for_nodes_that_it_is_not_on() {
    let short = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]}});
    let nodes =
        [node("a", json!({})), down("b"), node("c", short), going(node("d", json!({})), "example.com/guard")];
    let others = |pod: &Value| [&nodes[..], std::slice::from_ref(pod)].concat();
    assert_eq!(about(Some(&well()), &others(&well())), []);
    let crashing = pod(json!({}), waiting("CrashLoopBackOff", ""));
    let found = about(Some(&crashing), &others(&crashing));
    assert_eq!(found.iter().map(|finding| finding.cause).collect::<Vec<_>>(), [Cause::CrashLoop]);
}

#[test]
fn a_pod_on_a_node_that_is_down_is_told_so() {
    let on_b = pod(json!({"nodeName": "b"}), well()["status"].clone());
    let found = about(Some(&on_b), &[node("a", json!({})), down("b"), on_b.clone()]);
    assert_eq!(found[0].cause, Cause::NodeDown);
    assert_eq!(found[0].affects, ["Pod shop/web-1"]);
}

#[test]
fn a_node_is_told_its_own_trouble_alone_though_nothing_runs_on_it() {
    let nodes = [node("a", json!({})), down("b"), going(node("d", json!({})), "example.com/guard")];
    assert_eq!(about(Some(&nodes[0]), &nodes), []);
    let cause = |node: &Value| about(Some(node), &nodes).iter().map(|found| found.cause).collect::<Vec<_>>();
    assert_eq!(cause(&nodes[1]), [Cause::NodeDown]);
    assert_eq!(cause(&nodes[2]), [Cause::StuckFinalizer]);
    assert_eq!(about(None, &nodes).len(), 2, "of the cluster all nodes count");
}

#[test]
fn a_namespace_is_told_what_is_wrong_with_its_workloads() {
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": name}});
    let workload = |namespace: &str| {
        json!({"apiVersion": "orch.dev/v1", "kind": "Workload",
        "metadata": {"name": "web", "namespace": namespace, "uid": format!("w-{namespace}")},
        "spec": {"replicas": 1}, "status": {"replicas": 0}})
    };
    let refused = |namespace: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedCreate",
        "metadata": {"name": "web.1", "namespace": namespace}, "message": "exceeded quota", "lastTimestamp": "2026-06-01T12:09:00Z",
        "involvedObject": {"kind": "Workload", "name": "web", "namespace": namespace, "uid": format!("w-{namespace}")}})
    };
    let stored = [namespace("shop"), namespace("bank"), workload("shop"), workload("bank"), refused("shop")];
    let found = about(Some(&stored[0]), &stored);
    assert_eq!(found[0].cause, Cause::PodsRefused);
    assert_eq!(found[0].affects, ["Workload shop/web"]);
    assert_eq!(about(Some(&stored[1]), &stored), []);
}

#[test]
fn of_many_pods_and_events_what_counts_is_kept() {
    let mut pods: Vec<Value> = (0..900)
        .map(|n| {
            let mut pod = well();
            pod["metadata"]["name"] = format!("web-{n}").into();
            pod["metadata"]["uid"] = format!("p{n}").into();
            pod
        })
        .collect();
    // The last of them all is the one that is not well.
    pods[899]["status"] = waiting("CrashLoopBackOff", "");
    let workload = json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "metadata": {"name": "web", "namespace": "shop", "uid": "w1"}});
    let events = (0..20).map(|n| json!({"apiVersion": "v1", "kind": "Event", "reason": "Odd", "metadata": {"name": format!("e{n}"), "namespace": "shop"},
        "involvedObject": {"name": "other", "uid": format!("other-{n}")}}));
    let stored: Vec<Value> = pods.into_iter().chain([workload.clone()]).chain(events).collect();
    let world = block_on(gather(&Stored(stored), Scope::Object(Box::new(workload)))).unwrap();
    assert_eq!((world.pods.len(), world.pods[0].name(), world.events.len()), (500, "web-899", 0));
}

#[test]
fn a_service_has_the_pods_that_it_selects_and_one_without_a_selector_has_none() {
    let service = |selector: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "uid": "s1"}, "spec": {"selector": selector}});
    let mut labelled = pod(json!({}), waiting("CrashLoopBackOff", ""));
    labelled["metadata"]["labels"] = json!({"app": "web"});
    assert_eq!(about(Some(&service(json!({"app": "web"}))), &[labelled.clone()])[0].cause, Cause::CrashLoop);
    assert_eq!(about(Some(&service(json!({}))), &[labelled]), []);
}
