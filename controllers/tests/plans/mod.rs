//! What a plan foresees is what the controllers then do.

use std::collections::BTreeMap;

use orch_api::Params;
use orch_ontology::{
    ClusterRole, ClusterRoleBinding, CustomResourceDefinition, Namespace, Node, Pod, Role, RoleBinding,
    Secret, Service, Workload,
};
use serde_json::{Value, json};

use crate::garbage::{WIDGETS, definition, widget};
use crate::plane::{self, Plane};

const PLANS: &str = "/apis/orch.dev/v1/plans";

fn web() -> Value {
    json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "namespace": "default", "name": "web"})
}

async fn settled(plane: &Plane, replicas: usize) {
    let there = |web: &Value| {
        let status = &web["status"];
        status["availableReplicas"] == replicas
            && status["updatedReplicas"] == replicas
            && status["replicas"] == replicas
            && status["observedGeneration"] == web["metadata"]["generation"]
    };
    plane.until::<Workload>("settled", there).await;
    plane.until_count::<Pod>(replicas).await;
}

fn plan(changes: Value) -> Value {
    json!({"apiVersion": "orch.dev/v1", "kind": "Plan", "spec": {"changes": changes}})
}

async fn planned(plane: &Plane, changes: Value) -> Value {
    plane.post(PLANS, plan(changes)).await.unwrap()
}

/// Makes a plan, applies it, and waits until the workload has settled. Answers with the plan, and the pods before and after.
async fn carried_out(plane: &Plane, changes: Value, replicas: usize) -> (Value, Vec<Value>, Vec<Value>) {
    let before = plane.list::<Pod>().await;
    let plan = planned(plane, changes).await;
    let name = plan["metadata"]["name"].as_str().unwrap();
    let applied = plane.post(&format!("{PLANS}/{name}/apply"), json!({})).await.unwrap();
    assert_eq!(applied["status"]["phase"], "Applied");
    let evictions = plan["status"]["evictions"].as_array().cloned().unwrap_or_default();
    let leaves = |pod: &Value| evictions.iter().any(|eviction| eviction["pod"] == pod["metadata"]["name"]);
    let runs = |pod: &Value| {
        pod["status"]["phase"] == "Running" && pod["metadata"].get("deletionTimestamp").is_none()
    };
    let at_rest = |pods: &[Value]| pods.len() == replicas && pods.iter().all(|pod| runs(pod) && !leaves(pod));
    plane.until_list::<Pod>("what was foreseen", at_rest).await;
    settled(plane, replicas).await;
    (plan, before, plane.list::<Pod>().await)
}

fn names(pods: &[Value]) -> Vec<&str> {
    pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap()).collect()
}

/// How many pods are on each node.
fn spread<'a>(nodes: impl Iterator<Item = &'a Value>) -> BTreeMap<&'a str, usize> {
    let mut spread = BTreeMap::new();
    nodes.for_each(|node| *spread.entry(node.as_str().unwrap()).or_default() += 1);
    spread
}

/// The pods that go are those that the plan names, and as many come as it says, to the nodes that it says.
fn is_foreseen(plan: &Value, before: &[Value], after: &[Value]) {
    let status = &plan["status"];
    let list = |field: &str| status[field].as_array().cloned().unwrap_or_default();
    let (names_before, names_after) = (names(before), names(after));
    let mut gone: Vec<&str> =
        names_before.iter().filter(|name| !names_after.contains(name)).copied().collect();
    let evictions = list("evictions");
    let mut foreseen: Vec<&str> =
        evictions.iter().map(|eviction| eviction["pod"].as_str().unwrap()).collect();
    gone.sort_unstable();
    foreseen.sort_unstable();
    assert_eq!(gone, foreseen, "{status:#}");
    let placements = list("placements");
    let came = after.iter().filter(|pod| !names_before.contains(&pod["metadata"]["name"].as_str().unwrap()));
    let came = spread(came.map(|pod| &pod["spec"]["nodeName"]));
    assert_eq!(came, spread(placements.iter().map(|placement| &placement["node"])), "{status:#}");
}

#[tokio::test]
async fn what_a_plan_foresees_is_what_the_controllers_do() {
    let plane = Plane::start().await;
    plane.nodes(2).await;
    plane.create::<Workload>(plane::workload("web", 2)).await;
    settled(&plane, 2).await;

    let more = json!([{"patch": {"target": web(), "patch": {"spec": {"replicas": 4}}}}]);
    let (plan, before, after) = carried_out(&plane, more, 4).await;
    is_foreseen(&plan, &before, &after);
    assert_eq!(plan["status"]["blastRadius"]["created"], 2);

    let drain = json!([{"drain": {"node": "node-0"}}]);
    let (plan, before, after) = carried_out(&plane, drain, 4).await;
    is_foreseen(&plan, &before, &after);
    assert_eq!(plan["status"]["blastRadius"]["replicasLost"], 0);
    assert!(after.iter().all(|pod| pod["spec"]["nodeName"] == "node-1"));
    assert_eq!(plane.list::<Node>().await[0]["spec"]["unschedulable"], true);

    let fewer = json!([{"patch": {"target": web(), "patch": {"spec": {"replicas": 1}}}}]);
    let (plan, before, after) = carried_out(&plane, fewer, 1).await;
    is_foreseen(&plan, &before, &after);
    assert_eq!(plan["status"]["blastRadius"]["replicasLost"], 3);

    let template = json!({"spec": {"template": {"metadata": {"labels": {"tier": "new"}}}}});
    let (plan, before, after) =
        carried_out(&plane, json!([{"patch": {"target": web(), "patch": template}}]), 1).await;
    is_foreseen(&plan, &before, &after);

    plane.delete::<Workload>("web", Params::default()).await;
    plane.until_count::<Pod>(0).await;
}

#[tokio::test]
async fn a_taint_drives_out_the_pods_that_the_plan_names() {
    let plane = Plane::start().await;
    plane.nodes(2).await;
    plane.create::<Workload>(plane::workload("web", 2)).await;
    settled(&plane, 2).await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "name": "node-0"});
    let taints = json!({"spec": {"taints": [{"key": "maintenance", "effect": "NoExecute"}]}});
    let (plan, before, after) =
        carried_out(&plane, json!([{"patch": {"target": node, "patch": taints}}]), 2).await;
    is_foreseen(&plan, &before, &after);
    assert_eq!(plan["status"]["evictions"].as_array().unwrap().len(), 1);
    assert!(after.iter().all(|pod| pod["spec"]["nodeName"] == "node-1"));
}

#[tokio::test]
async fn a_plan_names_the_objects_that_go_with_their_definition() {
    let plane = Plane::start().await;
    plane.create::<CustomResourceDefinition>(definition()).await;
    plane.create_of(&WIDGETS, widget("w", json!([]))).await;
    let target = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "name": "widgets.test.dev"});
    let plan = planned(&plane, json!([{"delete": {"target": target}}])).await;
    let follows = &plan["status"]["changes"][1];
    assert_eq!((&follows["target"]["kind"], &follows["target"]["name"]), (&json!("Widget"), &json!("w")));
    assert_eq!(follows["because"], "its definition widgets.test.dev is deleted");
    assert_eq!(plan["status"]["blastRadius"]["deleted"], 2);
    let name = plan["metadata"]["name"].as_str().unwrap();
    plane.post(&format!("{PLANS}/{name}/apply"), json!({})).await.unwrap();
    plane.until_count::<CustomResourceDefinition>(0).await;
}

#[tokio::test]
async fn a_pod_that_comes_to_a_node_after_its_draining_was_planned_makes_the_plan_stale() {
    let plane = Plane::start().await;
    plane.nodes(1).await;
    plane.create::<Workload>(plane::workload("web", 1)).await;
    settled(&plane, 1).await;
    let plan = planned(&plane, json!([{"drain": {"node": "node-0"}}])).await;
    plane.merge::<Workload>("web", json!({"spec": {"replicas": 2}})).await;
    settled(&plane, 2).await;
    let name = plan["metadata"]["name"].as_str().unwrap();
    let refusal = plane.post(&format!("{PLANS}/{name}/apply"), json!({})).await.unwrap_err();
    assert_eq!(refusal.code, 409, "{refusal}");
    assert!(refusal.message.contains("something else than planned would become of it"), "{refusal}");
    assert_eq!(plane.list::<Pod>().await.len(), 2);
}

#[tokio::test]
async fn a_simulation_writes_nothing() {
    let plane = Plane::start().await;
    plane.nodes(2).await;
    plane.create::<Workload>(plane::workload("web", 2)).await;
    settled(&plane, 2).await;
    let asked = json!({
        "apiVersion": "orch.dev/v1", "kind": "Simulation",
        "spec": {"nodesLost": ["node-0"], "scale": [{"target": web(), "factor": 2}],
                 "changes": [{"delete": {"target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"}}}]},
    });
    let (nodes, pods) = (plane.list::<Node>().await, plane.list::<Pod>().await);
    let answer = plane.post("/apis/orch.dev/v1/simulations", asked).await.unwrap();
    assert_eq!(answer["status"]["evictions"].as_array().unwrap().len(), 2, "{answer:#}");
    let placements = answer["status"]["placements"].as_array().unwrap();
    assert_eq!(placements[0]["message"], "no nodes available to schedule pods");
    assert_eq!(answer["status"]["blastRadius"]["replicasLost"], 2);
    assert_eq!(names(&plane.list::<Node>().await), names(&nodes));
    assert_eq!(names(&plane.list::<Pod>().await), names(&pods));
}

#[tokio::test]
async fn who_may_not_see_all_pods_is_not_told_what_would_become_of_them() {
    let plane = Plane::start().await;
    plane.nodes(1).await;
    let rules = json!([{"apiGroups": ["orch.dev"], "resources": ["simulations"], "verbs": ["create"]},
                       {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]);
    plane.create::<ClusterRole>(json!({"metadata": {"name": "ann"}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": "ann"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ann"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"}],
    });
    plane.create::<ClusterRoleBinding>(binding).await;
    let ann = plane.client_of("ann", "people");
    let asked = json!({"apiVersion": "orch.dev/v1", "kind": "Simulation", "spec": {"nodesLost": ["node-0"]}});
    let refusal = Plane::post_as(&*ann, "/apis/orch.dev/v1/simulations", asked).await.unwrap_err();
    assert!(refusal.message.contains("User \"ann\" cannot list resource \"pods\""), "{refusal}");
}

/// Lets ann and bob plan changes of workloads, and ann see the pods in `default`.
async fn let_ann_and_bob_plan(plane: &Plane) {
    let group = "rbac.authorization.k8s.io";
    let rules = json!([{"apiGroups": ["orch.dev"], "resources": ["plans"], "verbs": ["create"]},
                       {"apiGroups": ["orch.dev"], "resources": ["workloads"], "verbs": ["get", "patch", "delete"]}]);
    plane.create::<ClusterRole>(json!({"metadata": {"name": "planning"}, "rules": rules})).await;
    let people = json!([{"kind": "Group", "apiGroup": group, "name": "people"}]);
    let role = json!({"apiGroup": group, "kind": "ClusterRole", "name": "planning"});
    let binding = json!({"metadata": {"name": "planning"}, "roleRef": role, "subjects": people});
    plane.create::<ClusterRoleBinding>(binding).await;
    let place = json!({"name": "seeing", "namespace": "default"});
    let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]);
    plane.create::<Role>(json!({"metadata": place, "rules": rules})).await;
    let role = json!({"apiGroup": group, "kind": "Role", "name": "seeing"});
    let ann = json!([{"kind": "User", "apiGroup": group, "name": "ann"}]);
    plane.create::<RoleBinding>(json!({"metadata": place, "roleRef": role, "subjects": ann})).await;
}

#[tokio::test]
async fn a_plan_tells_its_maker_of_nothing_that_they_may_not_see_and_of_everything_how_much() {
    let plane = Plane::start().await;
    plane.node("node-0", json!({"cpu": "32", "memory": "64Gi", "pods": "1"})).await;
    plane.create::<Workload>(plane::workload("web", 1)).await;
    settled(&plane, 1).await;
    plane.create::<Namespace>(json!({"metadata": {"name": "other"}})).await;
    let mut theirs = plane::workload("theirs", 1);
    theirs["metadata"]["namespace"] = "other".into();
    plane.create::<Workload>(theirs).await;
    plane.until_count::<Pod>(2).await;
    let_ann_and_bob_plan(&plane).await;
    let [ann, bob] = ["ann", "bob"].map(|user| plane.client_of(user, "people"));
    let many = |status: &Value, list: &str| status[list].as_array().map_or(0, Vec::len);

    let gone = json!([{"delete": {"target": web()}}]);
    let all = planned(&plane, gone.clone()).await["status"].clone();
    assert_eq!(
        (&all["placements"][0]["namespace"], &all["placements"][0]["node"]),
        (&json!("other"), &json!("node-0"))
    );
    for (client, sees) in [(&ann, 1), (&bob, 0)] {
        let status = Plane::post_as(&**client, PLANS, plan(gone.clone())).await.unwrap()["status"].clone();
        let lists = ["changes", "evictions", "placements"].map(|list| many(&status, list));
        assert_eq!(lists, [1 + sees, sees, 0], "{status:#}");
        assert_eq!(many(&status["blastRadius"], "nodesTouched"), sees);
        for number in ["deleted", "replicasLost"] {
            assert_eq!(status["blastRadius"][number], all["blastRadius"][number], "{number}");
        }
    }

    let more = json!([{"patch": {"target": web(), "patch": {"spec": {"replicas": 2}}}}]);
    let all = planned(&plane, more.clone()).await;
    assert_eq!(all["status"]["placements"][0]["reasons"]["node-0"], json!(["Too many pods"]));
    let told = Plane::post_as(&*ann, PLANS, plan(more)).await.unwrap();
    let placement = &told["status"]["placements"][0];
    assert_eq!(placement["message"], "0/1 nodes are available: 1 Too many pods.");
    assert_eq!(placement["reasons"], Value::Null);
}

#[tokio::test]
async fn who_may_see_all_pods_and_nodes_is_told_of_nothing_else() {
    let plane = Plane::start().await;
    plane.nodes(1).await;
    plane.create::<Workload>(plane::workload("web", 1)).await;
    settled(&plane, 1).await;
    let labels = plane.list::<Pod>().await[0]["metadata"]["labels"].clone();
    let service = json!({"metadata": {"name": "front", "namespace": "default"},
        "spec": {"clusterIP": "None", "selector": labels, "ports": [{"port": 80}]}});
    plane.create::<Service>(service).await;
    let owned = json!({"metadata": {"name": "hush", "namespace": "default", "ownerReferences": [
        {"apiVersion": "orch.dev/v1", "kind": "Workload", "name": "web",
         "uid": plane.get::<Workload>("web").await["metadata"]["uid"]},
    ]}});
    plane.create::<Secret>(owned).await;
    let group = "rbac.authorization.k8s.io";
    let rules = json!([{"apiGroups": ["orch.dev"], "resources": ["plans", "simulations"], "verbs": ["create"]},
                       {"apiGroups": ["orch.dev"], "resources": ["workloads"], "verbs": ["get", "patch", "delete"]},
                       {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list"]}]);
    plane.create::<ClusterRole>(json!({"metadata": {"name": "ann"}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": "ann"}, "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "ann"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": "ann"}],
    });
    plane.create::<ClusterRoleBinding>(binding).await;
    let ann = plane.client_of("ann", "people");
    let gone = json!([{"delete": {"target": web()}}]);
    let all = planned(&plane, gone.clone()).await["status"].clone();
    assert!(all.to_string().contains("hush") && all.to_string().contains("default/front"), "{all:#}");
    let asked = json!({"apiVersion": "orch.dev/v1", "kind": "Simulation", "spec": {"changes": gone}});
    for (path, body) in [(PLANS, plan(gone.clone())), ("/apis/orch.dev/v1/simulations", asked)] {
        let told = Plane::post_as(&*ann, path, body).await.unwrap()["status"].clone();
        assert_eq!(told["evictions"], all["evictions"]);
        assert!(!told.to_string().contains("hush") && !told.to_string().contains("front"), "{told:#}");
        assert_eq!(told["blastRadius"]["deleted"], all["blastRadius"]["deleted"]);
    }
}
