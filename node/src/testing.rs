//! Worlds for tests.

use orch_ontology::Pod;
use serde_json::json;

use crate::{Layout, spec::NodeFacts};

/// A pod of the namespace `default` with one container `main`.
pub(crate) fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"), "resourceVersion": "1",
            "creationTimestamp": "2026-01-31T12:00:00Z",
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "busybox"}]},
    }))
    .expect("a pod")
}

pub(crate) fn facts() -> NodeFacts {
    NodeFacts {
        name: "node-1".into(),
        host_ips: vec!["192.0.2.1".parse().expect("an address"), "2001:db8::1".parse().expect("an address")],
        layout: Some(Layout::new("/data")),
        cluster_dns: Vec::new(),
        cluster_domain: "cluster.local".into(),
        memory_bytes: 1 << 30,
        runtime_name: "simulated".into(),
    }
}
