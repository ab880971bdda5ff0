//! What a service may be: Kubernetes' rules, and what is not implemented yet.

use std::collections::BTreeSet;

use orch_api::labels::validate_labels;
use orch_api::{FieldError, FieldPath, names};

use super::{IpFamily, IpFamilyPolicy, Service, ServicePort, ServiceSpec, ServiceType};
use crate::IntOrString;
use crate::syntax::{invalid_each, port_name, port_number, required_dns_label};

const WORKS: &str =
    "what works is `clusterIP: None` (headless; EndpointSlices list the pods) and `type: ExternalName`";

impl Service {
    pub(super) fn validate_service(&self, old: Option<&Self>) -> Vec<FieldError> {
        let name = &self.metadata.name;
        let mut errors = Vec::new();
        if names::dns_subdomain(name).is_empty() {
            errors.extend(invalid_each(&"metadata.name".into(), name, names::dns1035_label(name)));
        }
        let spec = FieldPath::new("spec");
        errors.extend(self.spec.validate(&spec));
        errors.extend(old.and_then(|old| self.spec.validate_update(&old.spec, &spec)));
        errors
    }
}

impl ServiceSpec {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = self.validate_ports(path);
        errors.extend(validate_labels(&self.selector.labels, &path.child("selector")));
        match self.service_type() {
            ServiceType::ExternalName => errors.extend(self.validate_external(path)),
            ServiceType::ClusterIp => errors.extend(self.validate_address(path)),
            ServiceType::NodePort | ServiceType::LoadBalancer => {
                let mut error = FieldError::not_supported(
                    path.child("type"),
                    serde_json::json!(self.service_type()),
                    &["ClusterIP", "ExternalName"],
                );
                error.detail.push_str(&format!(": {WORKS}"));
                errors.push(error);
            }
        }
        if self.ip_families.iter().any(|family| *family != IpFamily::IPv4) || self.ip_families.len() > 1 {
            let given = serde_json::json!(self.ip_families);
            errors.push(FieldError::not_supported(path.child("ipFamilies"), given, &["IPv4"]));
        }
        if self.ip_family_policy == Some(IpFamilyPolicy::RequireDualStack) {
            let (path, given) = (path.child("ipFamilyPolicy"), "RequireDualStack");
            errors.push(FieldError::not_supported(path, given, &["SingleStack", "PreferDualStack"]));
        }
        errors
    }

    fn validate_address(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        match self.cluster_ip.as_str() {
            Service::HEADLESS => {}
            "" => {
                let why = format!("addresses are not given out yet: {WORKS}");
                errors.push(FieldError::required(path.child("clusterIP"), why));
            }
            address => {
                let mut error =
                    FieldError::not_supported(path.child("clusterIP"), address, &[Service::HEADLESS]);
                error.detail.push_str(&format!(": {WORKS}"));
                errors.push(error);
            }
        }
        let addresses = path.child("clusterIPs");
        if let Some(first) = self.cluster_ips.first().filter(|first| **first != self.cluster_ip) {
            let why = "first value must match `clusterIP`";
            errors.push(FieldError::invalid(addresses.index(0), first.as_str(), why));
        }
        if self.cluster_ips.len() > 1 {
            let why = "must contain exactly one `None` or none at all";
            errors.push(FieldError::invalid(&addresses, self.cluster_ips.clone(), why));
        }
        errors
    }

    fn validate_external(&self, path: &FieldPath) -> Vec<FieldError> {
        let forbidden = [
            (!self.cluster_ip.is_empty() || !self.cluster_ips.is_empty(), "clusterIPs"),
            (!self.ip_families.is_empty(), "ipFamilies"),
            (self.ip_family_policy.is_some(), "ipFamilyPolicy"),
        ];
        let forbidden = forbidden.into_iter().filter(|(given, _)| *given);
        let mut errors: Vec<_> = forbidden
            .map(|(_, field)| {
                FieldError::forbidden(path.child(field), "may not be set when `type` is 'ExternalName'")
            })
            .collect();
        let (path, name) = (path.child("externalName"), &self.external_name);
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else {
            let name = name.strip_suffix('.').unwrap_or(name);
            errors.extend(invalid_each(&path, name, names::dns_subdomain(name)));
        }
        errors
    }

    fn validate_ports(&self, path: &FieldPath) -> Vec<FieldError> {
        let ports = path.child("ports");
        let mut errors = Vec::new();
        let needs_ports =
            self.cluster_ip != Service::HEADLESS && self.service_type() != ServiceType::ExternalName;
        if self.ports.is_empty() && needs_ports {
            errors.push(FieldError::required(&ports, ""));
        }
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for (index, port) in self.ports.iter().enumerate() {
            let path = ports.index(index);
            errors.extend(port.validate(&path, self.ports.len() > 1));
            if !port.name.is_empty() && !names.insert(&port.name) {
                errors.push(FieldError::duplicate(path.child("name"), port.name.as_str()));
            }
            if !numbers.insert((port.protocol, port.port)) {
                let value = serde_json::json!({"protocol": port.protocol, "port": port.port});
                errors.push(FieldError::duplicate(path, value));
            }
        }
        errors
    }

    /// An address stays what it is for as long as the service has one.
    fn validate_update(&self, old: &Self, path: &FieldPath) -> Option<FieldError> {
        let stays = self.service_type() == old.service_type() && !old.cluster_ip.is_empty();
        (stays && self.cluster_ip != old.cluster_ip).then(|| {
            let why = "may not change once set";
            FieldError::invalid(path.child("clusterIPs").index(0), self.cluster_ip.as_str(), why)
        })
    }
}

impl ServicePort {
    fn validate(&self, path: &FieldPath, must_have_name: bool) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let name = path.child("name");
        if must_have_name || !self.name.is_empty() {
            errors.extend(required_dns_label(&name, &self.name));
        }
        errors.extend(port_number(&path.child("port"), self.port));
        let target = path.child("targetPort");
        match &self.target_port {
            Some(IntOrString::Int(number)) => errors.extend(port_number(&target, *number)),
            Some(IntOrString::String(name)) => errors.extend(invalid_each(&target, name, port_name(name))),
            None => {}
        }
        if let Some(protocol) = &self.app_protocol {
            errors.extend(invalid_each(
                &path.child("appProtocol"),
                protocol,
                names::qualified_name(protocol),
            ));
        }
        errors
    }
}
