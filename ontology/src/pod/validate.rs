//! What is wrong with a pod's spec: Kubernetes' rules, in its words.

use std::collections::HashSet;

use orch_api::labels::validate_labels;
use orch_api::{FieldError, FieldPath, names};

use super::validate_containers::{validate_container, validate_host_ports};
use super::validate_volumes::validate_volumes;
use super::{PodSpec, TaintEffect, Toleration, TolerationOperator, TopologySpreadConstraint};
use crate::syntax::{invalid_each, non_negative, required_dns_label, user_id};

impl PodSpec {
    /// Everything wrong with the spec, which stands at `path`. Defaults have been filled in.
    pub(crate) fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = validate_volumes(&self.volumes, &path.child("volumes"));
        errors.extend(self.validate_containers(path));
        errors.extend(non_negative(
            &path.child("terminationGracePeriodSeconds"),
            self.termination_grace_period_seconds,
        ));
        errors.extend(validate_labels(&self.node_selector, &path.child("nodeSelector")));
        errors.extend(name(&path.child("serviceAccountName"), self.service_account_name.as_str()));
        errors.extend(name(&path.child("nodeName"), self.node_name.as_str()));
        errors.extend(name(&path.child("schedulerName"), &self.scheduler_name));
        if !self.hostname.is_empty() {
            errors.extend(invalid_each(
                &path.child("hostname"),
                &self.hostname,
                names::dns_label(&self.hostname),
            ));
        }
        if let Some(security) = &self.security_context {
            let path = path.child("securityContext");
            errors.extend(user_id(&path.child("runAsUser"), security.run_as_user));
            errors.extend(user_id(&path.child("runAsGroup"), security.run_as_group));
        }
        for (index, toleration) in self.tolerations.iter().enumerate() {
            errors.extend(toleration.validate(&path.child("tolerations").index(index)));
        }
        errors.extend(validate_spread(
            &self.topology_spread_constraints,
            &path.child("topologySpreadConstraints"),
        ));
        errors
    }

    fn validate_containers(&self, path: &FieldPath) -> Vec<FieldError> {
        let containers = path.child("containers");
        if self.containers.is_empty() {
            return vec![FieldError::required(&containers, "")];
        }
        let mut errors = Vec::new();
        let mut seen = HashSet::new();
        let volumes: HashSet<&str> = self.volumes.iter().map(|volume| volume.name.as_str()).collect();
        for (field, container) in self.all_containers() {
            let path = path.child(field.as_str());
            errors.extend(required_dns_label(&path.child("name"), &container.name));
            if !container.name.is_empty() && !seen.insert(container.name.as_str()) {
                errors.push(FieldError::duplicate(path.child("name"), container.name.as_str()));
            }
            errors.extend(validate_container(container, &volumes, self.host_network, &path));
        }
        errors.extend(validate_host_ports(&self.containers, &containers));
        errors
    }
}

fn name(path: &FieldPath, name: &str) -> Vec<FieldError> {
    if name.is_empty() { Vec::new() } else { invalid_each(path, name, names::dns_subdomain(name)) }
}

impl Toleration {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let operator = self.operator.unwrap_or_default();
        if !self.key.is_empty() {
            errors.extend(invalid_each(&path.child("key"), &self.key, names::qualified_name(&self.key)));
        } else if operator != TolerationOperator::Exists {
            errors.push(FieldError::invalid(
                path.child("operator"),
                self.operator.map_or("", TolerationOperator::as_str),
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ));
        }
        if self.toleration_seconds.is_some() && self.effect != Some(TaintEffect::NoExecute) {
            errors.push(FieldError::invalid(
                path.child("effect"),
                self.effect.map_or("", TaintEffect::as_str),
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            ));
        }
        match operator {
            TolerationOperator::Equal => {
                errors.extend(invalid_each(
                    &path.child("operator"),
                    &self.value,
                    names::label_value(&self.value),
                ));
            }
            TolerationOperator::Exists if !self.value.is_empty() => errors.push(FieldError::invalid(
                path.child("operator"),
                self.value.as_str(),
                "value must be empty when `operator` is 'Exists'",
            )),
            TolerationOperator::Exists => {}
        }
        errors
    }
}

impl TolerationOperator {
    fn as_str(self) -> &'static str {
        match self {
            Self::Exists => "Exists",
            Self::Equal => "Equal",
        }
    }
}

fn validate_spread(constraints: &[TopologySpreadConstraint], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        if constraint.max_skew <= 0 {
            let detail = "must be greater than zero";
            errors.push(FieldError::invalid(path.child("maxSkew"), constraint.max_skew, detail));
        }
        let key = path.child("topologyKey");
        if constraint.topology_key.is_empty() {
            errors.push(FieldError::required(&key, "can not be empty"));
        } else {
            let problems = names::qualified_name(&constraint.topology_key);
            errors.extend(invalid_each(&key, &constraint.topology_key, problems));
        }
        if let Some(selector) = &constraint.label_selector {
            errors.extend(selector.validate(&path.child("labelSelector")));
        }
    }
    errors
}
