//! What is wrong with a node: Kubernetes' rules, in its words.

use std::collections::HashSet;
use std::net::IpAddr;

use orch_api::{FieldError, FieldPath, names};

use super::{Node, Taint};
use crate::syntax::{invalid_each, non_negative_quantity};

impl Node {
    pub(super) fn validate_all(&self, old: Option<&Self>) -> Vec<FieldError> {
        let spec = FieldPath::new("spec");
        let mut errors = validate_taints(&self.spec.taints, &spec.child("taints"));
        errors.extend(self.validate_pod_cidrs(&spec));
        let status = FieldPath::new("status");
        for (field, amounts) in
            [("capacity", &self.status.capacity), ("allocatable", &self.status.allocatable)]
        {
            for (resource, amount) in amounts {
                errors.extend(non_negative_quantity(&status.child(field).key(resource), amount));
            }
        }
        errors.extend(old.map(|old| self.validate_update(old, &spec)).unwrap_or_default());
        errors
    }

    fn validate_pod_cidrs(&self, spec: &FieldPath) -> Vec<FieldError> {
        let path = spec.child("podCIDRs");
        let mut errors = Vec::new();
        for (index, cidr) in self.spec.pod_cidrs.iter().enumerate() {
            if !is_cidr(cidr) {
                let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
                errors.push(FieldError::invalid(path.index(index), cidr.as_str(), detail));
            }
        }
        if self.spec.pod_cidrs.first() != Some(&self.spec.pod_cidr) && !self.spec.pod_cidrs.is_empty() {
            let detail = "podCIDR must be the first of podCIDRs";
            errors.push(FieldError::invalid(spec.child("podCIDR"), self.spec.pod_cidr.as_str(), detail));
        }
        errors
    }

    fn validate_update(&self, old: &Self, spec: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !old.spec.pod_cidrs.is_empty() && self.spec.pod_cidrs != old.spec.pod_cidrs {
            let detail = "node updates may not change podCIDR except from \"\" to valid";
            errors.push(FieldError::forbidden(spec.child("podCIDRs"), detail));
        }
        if !old.spec.provider_id.is_empty() && self.spec.provider_id != old.spec.provider_id {
            let detail = "node updates may not change providerID except from \"\" to valid";
            errors.push(FieldError::forbidden(spec.child("providerID"), detail));
        }
        errors
    }
}

fn validate_taints(taints: &[Taint], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, taint) in taints.iter().enumerate() {
        let path = path.index(index);
        errors.extend(invalid_each(&path.child("key"), &taint.key, names::qualified_name(&taint.key)));
        errors.extend(invalid_each(&path.child("value"), &taint.value, names::label_value(&taint.value)));
        if !seen.insert((&taint.key, taint.effect)) {
            let shown = serde_json::to_value(taint).unwrap_or_default();
            let detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(FieldError { detail, ..FieldError::duplicate(&path, shown) });
        }
    }
    errors
}

/// An address, a slash and the number of its leading bits.
fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    match (address.parse(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}
