//! What `get services` prints.

use orch_api::Column;
use serde::Deserialize as _;
use serde_json::Value;

use super::{Service, ServiceType};

const NONE: &str = "<none>";

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::object_name(),
        Column::at("Type", "How the service is reached.", "/spec/type"),
        Column::new("Cluster-IP", "The service's address.", cell(Service::address)),
        Column::new("External-IP", "The address or name outside of the cluster.", cell(Service::external)),
        Column::new("Port(s)", "The ports that clients use.", cell(Service::ports)),
        Column::age(),
        Column::new("Selector", "Labels of the pods that answer.", cell(Service::labels)).wide(),
    ]
}

fn cell(text: fn(&Service) -> String) -> impl Fn(&Value, jiff::Timestamp) -> Value {
    move |object, _| Service::deserialize(object).map_or(Value::Null, |service| text(&service).into())
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

impl Service {
    fn address(&self) -> String {
        or_none(self.spec.cluster_ip.clone())
    }

    fn external(&self) -> String {
        match self.spec.service_type() {
            ServiceType::ExternalName => or_none(self.spec.external_name.clone()),
            _ => NONE.to_owned(),
        }
    }

    fn ports(&self) -> String {
        let ports = self.spec.ports.iter();
        let protocol = |port: &super::ServicePort| format!("{:?}", port.protocol).to_uppercase();
        or_none(ports.map(|port| format!("{}/{}", port.port, protocol(port))).collect::<Vec<_>>().join(","))
    }

    fn labels(&self) -> String {
        let labels = self.spec.selector.labels.iter();
        or_none(labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
    }
}
