//! What is wrong with a pod's volumes: Kubernetes' rules, in its words.

use orch_api::{FieldError, FieldPath};

use super::{EmptyDirVolumeSource, KeyToPath, Volume};
use crate::syntax::{required_dns_label, required_name};

pub(super) fn validate_volumes(volumes: &[Volume], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let name = path.child("name");
        errors.extend(volume.validate_source(&path));
        errors.extend(required_dns_label(&name, &volume.name));
        if volumes[..index].iter().any(|other| other.name == volume.name) {
            errors.push(FieldError::duplicate(&name, volume.name.as_str()));
        }
    }
    errors
}

impl Volume {
    fn validate_source(&self, path: &FieldPath) -> Vec<FieldError> {
        let given = [
            ("emptyDir", self.empty_dir.is_some()),
            ("hostPath", self.host_path.is_some()),
            ("secret", self.secret.is_some()),
            ("configMap", self.config_map.is_some()),
        ];
        let mut given = given.iter().filter(|(_, given)| *given).map(|(field, _)| path.child(field));
        let Some(source) = given.next() else {
            return vec![FieldError::required(path, "must specify a volume type")];
        };
        let excess = |path| FieldError::forbidden(path, "may not specify more than 1 volume type");
        let mut errors: Vec<FieldError> = given.map(excess).collect();
        if let Some(empty_dir) = &self.empty_dir {
            errors.extend(empty_dir.validate(&source));
        } else if let Some(host_path) = &self.host_path {
            errors.extend(validate_host_path(&host_path.path, &source.child("path")));
        } else if let Some(secret) = &self.secret {
            errors.extend(required_name(&source.child("secretName"), secret.secret_name.as_str()));
            errors.extend(validate_files(secret.default_mode, &secret.items, &source));
        } else if let Some(config_map) = &self.config_map {
            errors.extend(required_name(&source.child("name"), config_map.name.as_str()));
            errors.extend(validate_files(config_map.default_mode, &config_map.items, &source));
        }
        errors
    }
}

impl EmptyDirVolumeSource {
    fn validate(&self, path: &FieldPath) -> Option<FieldError> {
        let negative = self.size_limit.is_some_and(|limit| limit.is_negative());
        let detail = "SizeLimit field must be a valid resource quantity";
        negative.then(|| FieldError::forbidden(path.child("sizeLimit"), detail))
    }
}

fn validate_host_path(host_path: &str, path: &FieldPath) -> Option<FieldError> {
    if host_path.is_empty() {
        return Some(FieldError::required(path, ""));
    }
    climbs(host_path).then(|| FieldError::invalid(path, host_path, "must not contain '..'"))
}

fn validate_files(default_mode: Option<i32>, items: &[KeyToPath], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(validate_mode(default_mode, &path.child("defaultMode")));
    for (index, item) in items.iter().enumerate() {
        let path = path.child("items").index(index);
        if item.key.is_empty() {
            errors.push(FieldError::required(path.child("key"), ""));
        }
        errors.extend(validate_file_path(&item.path, &path.child("path")));
        errors.extend(validate_mode(item.mode, &path.child("mode")));
    }
    errors
}

fn validate_mode(mode: Option<i32>, path: &FieldPath) -> Option<FieldError> {
    let mode = mode.filter(|mode| !(0..=0o777).contains(mode))?;
    Some(FieldError::invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive"))
}

fn validate_file_path(file: &str, path: &FieldPath) -> Vec<FieldError> {
    if file.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let rules = [
        (!file.starts_with('/'), "must be a relative path"),
        (!climbs(file), "must not contain '..'"),
        (!file.starts_with("..") || climbs(file), "must not start with '..'"),
    ];
    let broken = rules.iter().filter(|(holds, _)| !holds);
    broken.map(|(_, rule)| FieldError::invalid(path, file, *rule)).collect()
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|step| step == "..")
}
