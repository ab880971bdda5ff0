//! What is wrong with a container: Kubernetes' rules, in its words.

use std::collections::HashSet;

use orch_api::{FieldError, FieldPath, names};

use super::{
    Capabilities, Container, ContainerPort, EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector,
    ResourceRequirements, SecurityContext, VolumeMount,
};
use crate::syntax::{
    config_key, env_var_name, invalid_each, non_negative_quantity, port_name, port_number, required_name,
    user_id,
};

/// Everything wrong with a container but its name.
pub(super) fn validate_container(
    container: &Container,
    volumes: &HashSet<&str>,
    host_network: bool,
    path: &FieldPath,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let image = path.child("image");
    if container.image.is_empty() {
        errors.push(FieldError::required(&image, ""));
    } else if container.image.trim() != container.image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(&image, container.image.as_str(), detail));
    }
    errors.extend(validate_ports(&container.ports, host_network, &path.child("ports")));
    for (index, variable) in container.env.iter().enumerate() {
        errors.extend(validate_env(variable, &path.child("env").index(index)));
    }
    for (index, source) in container.env_from.iter().enumerate() {
        errors.extend(validate_env_from(source, &path.child("envFrom").index(index)));
    }
    errors.extend(validate_mounts(&container.volume_mounts, volumes, &path.child("volumeMounts")));
    errors.extend(validate_resources(&container.resources, &path.child("resources")));
    if let Some(security) = &container.security_context {
        errors.extend(validate_security(security, &path.child("securityContext")));
    }
    errors
}

fn validate_ports(ports: &[ContainerPort], host_network: bool, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut taken: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let (name, number) = (path.child("name"), path.child("containerPort"));
        if !port.name.is_empty() {
            let problems = port_name(&port.name);
            if problems.is_empty() && taken.contains(&port.name.as_str()) {
                errors.push(FieldError::duplicate(&name, port.name.as_str()));
            }
            errors.extend(invalid_each(&name, &port.name, problems));
            taken.push(&port.name);
        }
        match port.container_port {
            0 => errors.push(FieldError::required(&number, "")),
            other => errors.extend(port_number(&number, other)),
        }
        if let Some(host_port) = port.host_port.filter(|port| *port != 0) {
            errors.extend(port_number(&path.child("hostPort"), host_port));
        }
        if host_network && port.host_port != Some(port.container_port) {
            let detail = "must match `hostPort` when `hostNetwork` is true";
            errors.push(FieldError::invalid(&number, port.container_port, detail));
        }
    }
    errors
}

/// A port of the node can be taken once.
pub(super) fn validate_host_ports(containers: &[Container], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut taken = HashSet::new();
    for (container_index, container) in containers.iter().enumerate() {
        for (port_index, port) in container.ports.iter().enumerate() {
            let Some(host_port) = port.host_port.filter(|port| *port != 0) else { continue };
            let protocol = format!("{:?}", port.protocol).to_uppercase();
            let address = format!("{protocol}/{}/{host_port}", port.host_ip);
            if taken.contains(&address) {
                let path = path.index(container_index).child("ports").index(port_index).child("hostPort");
                errors.push(FieldError::duplicate(path, address.as_str()));
            }
            taken.insert(address);
        }
    }
    errors
}

fn validate_env(variable: &EnvVar, path: &FieldPath) -> Vec<FieldError> {
    let name = path.child("name");
    let mut errors = match variable.name.as_str() {
        "" => vec![FieldError::required(&name, "")],
        text => invalid_each(&name, text, env_var_name(text)),
    };
    let Some(source) = &variable.value_from else { return errors };
    let path = path.child("valueFrom");
    match source.count() {
        0 => errors.push(FieldError::invalid(
            &path,
            "",
            "must specify one of: `fieldRef`, `configMapKeyRef` or `secretKeyRef`",
        )),
        _ if !variable.value.is_empty() => {
            errors.push(FieldError::invalid(&path, "", "may not be specified when `value` is not empty"));
        }
        1 => {}
        _ => errors.push(FieldError::invalid(
            &path,
            "",
            "may not have more than one field specified at a time",
        )),
    }
    errors.extend(source.validate(&path));
    errors
}

impl EnvVarSource {
    fn count(&self) -> usize {
        let given =
            [self.field_ref.is_some(), self.config_map_key_ref.is_some(), self.secret_key_ref.is_some()];
        given.iter().filter(|given| **given).count()
    }

    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(field) = &self.field_ref {
            errors.extend(field.validate(&path.child("fieldRef")));
        }
        if let Some(entry) = &self.config_map_key_ref {
            errors.extend(validate_key_ref(entry.name.as_str(), &entry.key, &path.child("configMapKeyRef")));
        }
        if let Some(entry) = &self.secret_key_ref {
            errors.extend(validate_key_ref(entry.name.as_str(), &entry.key, &path.child("secretKeyRef")));
        }
        errors
    }
}

fn validate_key_ref(name: &str, key: &str, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = required_name(&path.child("name"), name);
    match key {
        "" => errors.push(FieldError::required(path.child("key"), "")),
        key => errors.extend(invalid_each(&path.child("key"), key, config_key(key))),
    }
    errors
}

impl ObjectFieldSelector {
    /// The fields that may become environment variables.
    const FIELDS: [&'static str; 9] = [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];

    /// `metadata.labels['app']` is the entry `app` of `metadata.labels`.
    pub fn subscript(&self) -> Option<(&str, &str)> {
        let (field, rest) = self.field_path.split_once("['")?;
        Some((field, rest.strip_suffix("']")?))
    }

    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        if self.api_version != "v1" {
            let detail = format!("error converting fieldPath: unsupported pod version: {}", self.api_version);
            return vec![FieldError::invalid(path.child("apiVersion"), self.api_version.as_str(), detail)];
        }
        let field_path = path.child("fieldPath");
        match self.subscript() {
            _ if self.field_path.is_empty() => vec![FieldError::required(&field_path, "")],
            Some(("metadata.labels", key)) => invalid_each(&field_path, key, names::qualified_name(key)),
            Some(("metadata.annotations", key)) => {
                invalid_each(&field_path, key, names::qualified_name(&key.to_lowercase()))
            }
            None if Self::FIELDS.contains(&self.field_path.as_str()) => Vec::new(),
            _ => vec![FieldError::not_supported(&field_path, self.field_path.as_str(), &Self::FIELDS)],
        }
    }
}

fn validate_env_from(source: &EnvFromSource, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = invalid_each(&path.child("prefix"), &source.prefix, env_var_name(&source.prefix));
    match (&source.config_map_ref, &source.secret_ref) {
        (None, None) => {
            errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"));
        }
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(
                path,
                "",
                "may not have more than one field specified at a time",
            ));
        }
        (Some(config_map), None) => {
            errors.extend(required_name(&path.child("configMapRef").child("name"), config_map.name.as_str()));
        }
        (None, Some(secret)) => {
            errors.extend(required_name(&path.child("secretRef").child("name"), secret.name.as_str()));
        }
    }
    errors
}

fn validate_mounts(mounts: &[VolumeMount], volumes: &HashSet<&str>, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        let path = path.index(index);
        if mount.name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else if !volumes.contains(mount.name.as_str()) {
            errors.push(FieldError::not_found(path.child("name"), mount.name.as_str()));
        }
        let mount_path = path.child("mountPath");
        if mount.mount_path.is_empty() {
            errors.push(FieldError::required(&mount_path, ""));
        } else if !seen.insert(mount.mount_path.as_str()) {
            errors.push(FieldError::invalid(&mount_path, mount.mount_path.as_str(), "must be unique"));
        }
    }
    errors
}

fn validate_resources(resources: &ResourceRequirements, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (field, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (resource, amount) in amounts {
            let path = path.child(field).key(resource);
            errors.extend(validate_resource_name(resource, &path));
            errors.extend(non_negative_quantity(&path, amount));
        }
    }
    for (resource, request) in &resources.requests {
        let Some(limit) = resources.limits.get(resource).filter(|limit| request > limit) else { continue };
        let detail = format!("must be less than or equal to {resource} limit of {limit}");
        errors.push(FieldError::invalid(path.child("requests"), request.to_string(), detail));
    }
    errors
}

fn validate_resource_name(resource: &str, path: &FieldPath) -> Vec<FieldError> {
    let problems = names::qualified_name(resource);
    if !problems.is_empty() {
        return invalid_each(path, resource, problems);
    }
    let standard = matches!(resource, "cpu" | "memory" | "ephemeral-storage");
    if standard || resource.starts_with("hugepages-") || resource.contains('/') {
        return Vec::new();
    }
    vec![FieldError::invalid(path, resource, "must be a standard resource for containers")]
}

fn validate_security(security: &SecurityContext, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(user_id(&path.child("runAsUser"), security.run_as_user));
    errors.extend(user_id(&path.child("runAsGroup"), security.run_as_group));
    if security.allow_privilege_escalation == Some(false) {
        let shown = serde_json::to_value(security).unwrap_or_default();
        if security.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid(path, shown.clone(), detail));
        }
        if security.capabilities.as_ref().is_some_and(Capabilities::adds_sys_admin) {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid(path, shown, detail));
        }
    }
    errors
}

impl Capabilities {
    fn adds_sys_admin(&self) -> bool {
        self.add.iter().any(|capability| matches!(capability.as_str(), "CAP_SYS_ADMIN" | "SYS_ADMIN"))
    }
}
