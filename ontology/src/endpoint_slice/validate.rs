//! What an endpoint slice may be: Kubernetes' rules.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use orch_api::{FieldError, FieldPath, names};
use serde_json::json;

use super::{AddressType, Endpoint, EndpointPort, EndpointSlice};
use crate::syntax::{immutable, invalid_each, port_number};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;

impl EndpointSlice {
    pub(super) fn validate_slice(&self, old: Option<&Self>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(old) = old {
            errors.extend(immutable("addressType", &json!(self.address_type), &json!(old.address_type)));
        }
        let (endpoints, ports) = (FieldPath::new("endpoints"), FieldPath::new("ports"));
        if self.endpoints.len() > MAX_ENDPOINTS {
            errors.push(FieldError::too_many(&endpoints, self.endpoints.len(), MAX_ENDPOINTS));
        }
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            errors.extend(endpoint.validate(self.address_type, &endpoints.index(index)));
        }
        if self.ports.len() > MAX_PORTS {
            errors.push(FieldError::too_many(&ports, self.ports.len(), MAX_PORTS));
        }
        let mut seen = BTreeSet::new();
        for (index, port) in self.ports.iter().enumerate() {
            let path = ports.index(index);
            errors.extend(port.validate(&path));
            if !seen.insert(&port.name) {
                errors.push(FieldError::duplicate(path.child("name"), json!(port.name)));
            }
        }
        errors
    }
}

impl Endpoint {
    fn validate(&self, of: AddressType, path: &FieldPath) -> Vec<FieldError> {
        let addresses = path.child("addresses");
        let mut errors = Vec::new();
        if self.addresses.is_empty() {
            errors.push(FieldError::required(&addresses, "must contain at least 1 address"));
        } else if self.addresses.len() > MAX_ADDRESSES {
            errors.push(FieldError::too_many(&addresses, self.addresses.len(), MAX_ADDRESSES));
        }
        for (index, address) in self.addresses.iter().enumerate() {
            errors.extend(invalid_each(&addresses.index(index), address, problems(of, address)));
        }
        if let Some(name) = &self.hostname {
            errors.extend(invalid_each(&path.child("hostname"), name, names::dns_label(name)));
        }
        if let Some(name) = &self.node_name {
            errors.extend(invalid_each(&path.child("nodeName"), name, names::dns_subdomain(name)));
        }
        errors
    }
}

fn problems(of: AddressType, address: &str) -> Vec<String> {
    let unless = |fits: bool, why: &str| if fits { Vec::new() } else { vec![why.to_owned()] };
    match of {
        AddressType::IPv4 => unless(address.parse::<Ipv4Addr>().is_ok(), "must be an IPv4 address"),
        AddressType::IPv6 => unless(address.parse::<Ipv6Addr>().is_ok(), "must be an IPv6 address"),
        AddressType::Fqdn => names::dns_subdomain(address),
    }
}

impl EndpointPort {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
            errors.extend(invalid_each(&path.child("name"), name, names::dns_label(name)));
        }
        errors.extend(self.port.and_then(|port| port_number(&path.child("port"), port)));
        if let Some(protocol) = &self.app_protocol {
            let problems = names::qualified_name(protocol);
            errors.extend(invalid_each(&path.child("appProtocol"), protocol, problems));
        }
        errors
    }
}
