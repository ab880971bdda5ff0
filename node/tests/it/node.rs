//! The node's own objects, and many nodes at once.

use std::{sync::Arc, time::Duration};

use orch_api::{Api, ConditionStatus, Conditions as _};
use orch_node::{Config, Machine};
use orch_ontology::{Lease, Node, Pod};
use orch_runtime::{SimulatedRuntime, Simulation};
use serde_json::json;

use crate::cluster::{Cluster, NODE, eventually, ready};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_registers_itself_and_says_that_it_lives() {
    let cluster = Cluster::start().await;
    let config = Config { lease_interval: Duration::from_millis(50), ..cluster.config() };
    let _agent = cluster.agent_of(config);
    let nodes = Api::<Node>::all(cluster.client.clone());
    let node = eventually("the node is ready", || async {
        let node = nodes.find(NODE).await.unwrap()?;
        node.status
            .conditions
            .iter()
            .any(|c| c.condition_type == "Ready" && c.status == true.into())
            .then_some(node)
    })
    .await;
    assert_eq!(node.metadata.labels["kubernetes.io/hostname"], NODE);
    assert_eq!(node.status.capacity["cpu"].to_string(), "4");
    assert!(node.status.node_info.container_runtime_version.contains("://"));
    let leases = Api::<Lease>::namespaced(cluster.client.clone(), "kube-node-lease");
    let renewed = || async { leases.find(NODE).await.unwrap()?.spec.renew_time };
    let first = eventually("there is a lease", renewed).await;
    eventually("it is renewed", || async { renewed().await.filter(|later| *later > first) }).await;
    let again = nodes.get(NODE).await.unwrap();
    assert_eq!(again.metadata.resource_version, node.metadata.resource_version, "leases alone change");
    assert_eq!(leases.get(NODE).await.unwrap().metadata.owner_references[0].uid, node.metadata.uid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_somebody_removed_is_made_again() {
    let cluster = Cluster::start().await;
    let config = Config { lease_interval: Duration::from_millis(50), ..cluster.config() };
    let _agent = cluster.agent_of(config);
    let leases = Api::<Lease>::namespaced(cluster.client.clone(), "kube-node-lease");
    let lease = eventually("there is a lease", || async { leases.find(NODE).await.unwrap() }).await;
    leases.delete(NODE, Default::default()).await.unwrap();
    eventually("there is another lease", || async {
        leases.find(NODE).await.unwrap().filter(|other| other.metadata.uid != lease.metadata.uid)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_object_is_deleted_registers_again() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let nodes = Api::<Node>::all(cluster.client.clone());
    let is_ready = |node: &Node| node.status.conditions.is_true(Node::READY);
    let first =
        eventually("the node is ready", || async { nodes.find(NODE).await.unwrap().filter(is_ready) }).await;
    nodes.delete(NODE, Default::default()).await.unwrap();
    let is_another = |node: &Node| node.metadata.uid != first.metadata.uid && is_ready(node);
    eventually("there is another", || async { nodes.find(NODE).await.unwrap().filter(is_another) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_somebody_took_for_dead_says_at_once_that_it_lives() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let nodes = Api::<Node>::all(cluster.client.clone());
    let is_ready = |node: &Node| node.status.conditions.is_true(Node::READY);
    eventually("the node is ready", || async { nodes.find(NODE).await.unwrap().filter(is_ready) }).await;
    for condition in [Node::READY, "DiskPressure"] {
        let dead = eventually("it is said to be dead", || async {
            let mut node = nodes.get(NODE).await.unwrap();
            let said = node.status.conditions.iter_mut().find(|said| said.condition_type == condition)?;
            said.status = ConditionStatus::Unknown;
            nodes.update_status(&node).await.ok()
        })
        .await;
        let is_said = |node: &Node| {
            let said = node.status.conditions.of_type(condition).unwrap();
            is_ready(node)
                && said.status != ConditionStatus::Unknown
                && node.metadata.resource_version != dead.metadata.resource_version
        };
        eventually("it lives", || async { nodes.find(NODE).await.unwrap().filter(is_said) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_machine_says_what_it_is_short_of() {
    let cluster = Cluster::start().await;
    let machine = Machine::detect(&cluster.data_dir());
    let _agent = cluster.agent_of(Config { machine, ..cluster.config() });
    let nodes = Api::<Node>::all(cluster.client.clone());
    let node = eventually("it tells its conditions", || async {
        nodes.find(NODE).await.unwrap().filter(|node| !node.status.conditions.is_empty())
    })
    .await;
    let types: Vec<_> = node.status.conditions.iter().map(|c| c.condition_type.as_str()).collect();
    assert_eq!(types, ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"]);
    assert!(node.status.conditions.iter().all(|condition| condition.reason.starts_with("Kubelet")));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_agents_share_a_process() {
    const NODES: usize = 40;
    const PODS: usize = 200;
    let cluster = Cluster::start().await;
    let agents: Vec<_> = (0..NODES)
        .map(|index| {
            let runtime =
                SimulatedRuntime::new(Simulation { epoch: jiff::Timestamp::now(), ..Simulation::default() });
            let machine = Machine::simulated(4, 8 << 30, 110);
            cluster.agent_of(Config::new(
                format!("n{index}"),
                cluster.client.clone(),
                Arc::new(runtime),
                machine,
            ))
        })
        .collect();
    for index in 0..PODS {
        let pod = json!({
            "metadata": {"name": format!("p{index}"), "namespace": "default"},
            "spec": {"nodeName": format!("n{}", index % NODES), "containers": [{"name": "main", "image": "busybox"}]},
        });
        cluster.create::<Pod>(pod).await;
    }
    eventually("all pods are ready", || async {
        (cluster.pods.list().iter().filter(|pod| ready(pod)).count() == PODS).then_some(())
    })
    .await;
    drop(agents);
}
