//! Defaults on creation and update, and what a delete means.

use orch_api::{Action, Deletion, Resource};
use orch_ontology::{
    Namespace, NamespacePhase, Node, Pod, PodPhase, QosClass, RestartPolicy, Secret, Workload, labels,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{admit, entry};

fn created<K: DeserializeOwned>(mut object: Value) -> K {
    admit(&mut object, None).unwrap();
    serde_json::from_value(object).unwrap()
}

fn pod(spec: Value) -> Pod {
    created(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}))
}

fn one_container(resources: Value) -> Value {
    json!({"containers": [{"name": "a", "image": "a:1", "resources": resources}]})
}

#[test]
fn a_pod_gets_kubernetes_defaults() {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {
            "hostNetwork": true,
            "containers": [{
                "name": "web", "image": "nginx", "ports": [{"containerPort": 80}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            }],
            "volumes": [
                {"name": "a", "configMap": {"name": "a"}},
                {"name": "b", "secret": {"secretName": "b"}},
                {"name": "c", "hostPath": {"path": "/c"}},
            ],
        },
        "status": {"phase": "Running", "podIP": "1.2.3.4"},
    });
    admit(&mut object, None).unwrap();
    let expected = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {
            "hostNetwork": true,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "containers": [{
                "name": "web", "image": "nginx",
                "imagePullPolicy": "Always",
                "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
                "resources": {
                    "limits": {"cpu": "1", "memory": "1Gi"},
                    "requests": {"cpu": "500m", "memory": "1Gi"},
                },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }],
            "volumes": [
                {"name": "a", "configMap": {"name": "a", "defaultMode": 420}},
                {"name": "b", "secret": {"secretName": "b", "defaultMode": 420}},
                {"name": "c", "hostPath": {"path": "/c", "type": ""}},
            ],
        },
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    });
    assert_eq!(object, expected);
}

#[test]
fn what_kubectl_sends_is_accepted() {
    let run: Pod = created(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"creationTimestamp": null, "labels": {"run": "x"}, "name": "x"},
        "spec": {
            "containers": [{"image": "y", "name": "x", "resources": {}}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
        },
        "status": {},
    }));
    assert_eq!(run.spec.restart_policy, RestartPolicy::Always);
    let namespace: Namespace = created(json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"creationTimestamp": null, "name": "a"},
        "spec": {}, "status": {},
    }));
    assert_eq!(namespace.spec.finalizers, [Namespace::FINALIZER]);
}

#[test]
fn requests_and_limits_decide_the_quality_of_service() {
    let cases = [
        (json!({}), QosClass::BestEffort),
        (json!({"limits": {"nvidia.com/gpu": "1"}}), QosClass::BestEffort),
        (json!({"requests": {"cpu": "1"}}), QosClass::Burstable),
        (json!({"limits": {"cpu": "1"}}), QosClass::Burstable),
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), QosClass::Guaranteed),
        (
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}),
            QosClass::Guaranteed,
        ),
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1m"}}), QosClass::Burstable),
    ];
    for (resources, class) in cases {
        assert_eq!(pod(one_container(resources.clone())).status.qos_class, Some(class), "{resources}");
    }
}

#[test]
fn a_pod_needs_the_sum_of_its_containers_or_its_greediest_init_container() {
    let container = |name: &str, cpu: &str, memory: &str| json!({"name": name, "image": "a:1", "resources": {"requests": {"cpu": cpu, "memory": memory}}});
    let pod = pod(json!({
        "initContainers": [container("i", "1", "10Mi"), container("j", "100m", "20Mi")],
        "containers": [container("a", "200m", "1Gi"), container("b", "300m", "512Mi")],
    }));
    let requests = serde_json::to_value(pod.requests()).unwrap();
    assert_eq!(requests, json!({"cpu": "1", "memory": "1536Mi"}));
}

#[test]
fn deleting_a_pod_gives_its_containers_time_unless_none_run() {
    let graceful = |seconds| Deletion::Grace { seconds };
    let cases = [
        ("n1", PodPhase::Running, None, graceful(30)),
        ("n1", PodPhase::Running, Some(5), graceful(5)),
        ("n1", PodPhase::Running, Some(-1), graceful(1)),
        ("n1", PodPhase::Running, Some(0), Deletion::Now),
        ("", PodPhase::Pending, None, Deletion::Now),
        ("n1", PodPhase::Succeeded, None, Deletion::Now),
        ("n1", PodPhase::Failed, Some(5), Deletion::Now),
    ];
    for (node, phase, asked, expected) in cases {
        let mut pod = pod(one_container(json!({})));
        pod.spec.node_name = node.into();
        pod.status.phase = Some(phase);
        assert_eq!(pod.deletion(asked), expected, "{node} {phase:?} {asked:?}");
    }
}

#[test]
fn a_namespace_is_held_until_it_is_finalized() {
    let mut namespace: Namespace =
        created(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}));
    assert_eq!(namespace.metadata.labels[labels::NAMESPACE_NAME], "a");
    assert_eq!(namespace.status.phase, Some(NamespacePhase::Active));
    assert_eq!(namespace.deletion(None), Deletion::Held);
    assert_eq!(namespace.status.phase, Some(NamespacePhase::Terminating));

    let stored = serde_json::to_value(&namespace).unwrap();
    let mut updated = stored.clone();
    updated["spec"] = json!({});
    admit(&mut updated, Some(&stored)).unwrap();
    assert_eq!(updated["spec"], stored["spec"], "an update does not finalize");

    let subresource = &entry("Namespace").subresources[0];
    let Action::Transform(finalize) = subresource.action else {
        panic!("{} is no transform", subresource.name)
    };
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}, "spec": {}});
    let finalized = finalize(&stored, &body, "2026-01-31T12:00:00Z".parse().unwrap()).unwrap();
    let mut namespace: Namespace = serde_json::from_value(finalized).unwrap();
    assert_eq!(namespace.deletion(None), Deletion::Now);
}

#[test]
fn texts_of_a_secret_become_data() {
    let secret: Secret = created(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
        "data": {"a": "MQ==", "b": "MQ=="}, "stringData": {"b": "2"},
    }));
    assert_eq!((&*secret.data["a"], &*secret.data["b"]), (b"1".as_slice(), b"2".as_slice()));
    assert_eq!((secret.secret_type.as_str(), secret.string_data.len()), ("Opaque", 0));
    assert_eq!(format!("{:?}", secret.data["a"]), "<1 bytes>", "secrets are not printed");
}

#[test]
fn a_node_and_a_workload_get_their_defaults() {
    let node: Node = created(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "spec": {"podCIDR": "10.0.0.0/24"}, "status": {"capacity": {"cpu": "4"}},
    }));
    assert_eq!(node.spec.pod_cidrs, ["10.0.0.0/24"]);
    assert_eq!(node.allocatable()["cpu"].milli(), 4000);

    let workload: Workload = created(json!({
        "apiVersion": "orch.dev/v1", "kind": "Workload", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx"}]}}},
        "status": {"replicas": 9},
    }));
    let update = &workload.spec.update;
    assert_eq!(
        (workload.spec.replicas, update.max_surge, update.max_unavailable),
        (Some(1), Some(1), Some(0))
    );
    assert_eq!(workload.spec.template.spec.termination_grace_period_seconds, Some(30));
    assert_eq!(workload.status.replicas, 0);
}

#[test]
fn a_pods_streams_lead_to_its_nodes_agent() {
    let backends = entry("Pod").subresources.iter().filter_map(|subresource| match &subresource.action {
        Action::Stream(backend) => Some((subresource.name, backend.clone())),
        Action::Transform(_) | Action::Scale(_) | Action::Token(_) | Action::Evict | Action::Apply => None,
    });
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "status": {
            "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "fd00::1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        },
    });
    let mut names = Vec::new();
    for (name, backend) in backends {
        assert_eq!((backend.kind.name, backend.name), ("Node", "/spec/nodeName"));
        let mut node = node.clone();
        admit(&mut node, None).unwrap();
        assert_eq!((backend.address)(&node).as_deref(), Some("[fd00::1]:10250"));
        node["status"]["daemonEndpoints"] = json!({});
        assert_eq!((backend.address)(&node), None);
        names.push(name);
    }
    assert_eq!(names, ["log", "exec", "attach", "portforward"]);
}

#[test]
fn taints_are_tolerated_by_key_value_and_effect() {
    let taint = serde_json::from_value(json!({"key": "a", "value": "b", "effect": "NoSchedule"})).unwrap();
    let cases = [
        (json!({"operator": "Exists"}), true),
        (json!({"key": "a", "operator": "Exists"}), true),
        (json!({"key": "a", "value": "b"}), true),
        (json!({"key": "a", "value": "b", "effect": "NoSchedule"}), true),
        (json!({"key": "a", "value": "c"}), false),
        (json!({"key": "a"}), false),
        (json!({"key": "c", "operator": "Exists"}), false),
        (json!({"key": "a", "operator": "Exists", "effect": "NoExecute"}), false),
    ];
    for (toleration, tolerated) in cases {
        let spec = json!({"containers": [{"name": "a", "image": "a:1"}], "tolerations": [toleration]});
        let pod = pod(spec);
        assert_eq!(pod.spec.untolerated(std::slice::from_ref(&taint)).is_none(), tolerated, "{toleration}");
    }
}
