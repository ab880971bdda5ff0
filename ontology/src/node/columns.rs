//! What `get nodes` shows.

use jiff::Timestamp;
use orch_api::{Column, Conditions};
use serde::Deserialize;
use serde_json::Value;

use super::{Node, NodeAddressType};
use crate::labels;

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::object_name(),
        Column::new("Status", "Whether the node is ready, and whether it takes new pods.", cell(Node::state)),
        Column::new("Roles", "The node's roles, from its labels.", cell(Node::roles)),
        Column::age(),
        Column::at("Version", "The version of the node's agent.", "/status/nodeInfo/kubeletVersion"),
        Column::new(
            "Internal-IP",
            "The node's address inside the cluster's network.",
            cell(|node| node.address_or_none(NodeAddressType::InternalIp)),
        )
        .wide(),
        Column::new(
            "External-IP",
            "The node's address that is reached from outside.",
            cell(|node| node.address_or_none(NodeAddressType::ExternalIp)),
        )
        .wide(),
        Column::new("OS-Image", "The operating system.", cell(|n| or_unknown(&n.status.node_info.os_image)))
            .wide(),
        Column::new(
            "Kernel-Version",
            "The kernel.",
            cell(|n| or_unknown(&n.status.node_info.kernel_version)),
        )
        .wide(),
        Column::new(
            "Container-Runtime",
            "The container runtime.",
            cell(|n| or_unknown(&n.status.node_info.container_runtime_version)),
        )
        .wide(),
    ]
}

fn cell(text: fn(&Node) -> String) -> impl Fn(&Value, Timestamp) -> Value {
    move |object, _| Node::deserialize(object).map_or(Value::Null, |node| text(&node).into())
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { "<unknown>".to_owned() } else { text.to_owned() }
}

impl Node {
    fn state(&self) -> String {
        let ready = match self.status.conditions.of_type(Self::READY) {
            None => "Unknown",
            Some(_) if self.is_ready() => "Ready",
            Some(_) => "NotReady",
        };
        if self.spec.unschedulable { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
    }

    fn roles(&self) -> String {
        let role = |label: &String| label.strip_prefix(labels::NODE_ROLE_PREFIX).map(str::to_owned);
        let roles: Vec<String> =
            self.metadata.labels.keys().filter_map(role).filter(|r| !r.is_empty()).collect();
        if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
    }

    fn address_or_none(&self, address_type: NodeAddressType) -> String {
        self.address(address_type).unwrap_or("<none>").to_owned()
    }
}
