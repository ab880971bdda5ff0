//! What is wrong with a pod's volumes: Kubernetes' rules, in its words.

use std::collections::HashSet;

use orch_api::{FieldError, FieldPath};

use super::{
    DownwardApiVolumeFile, EmptyDirVolumeSource, KeyToPath, ProjectedVolumeSource,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use crate::syntax::{required_dns_label, required_name};

const SHORTEST_TOKEN_SECONDS: i64 = 600;
const LONGEST_TOKEN_SECONDS: i64 = 1 << 32;
/// What a pod can tell its containers of itself in files.
const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

pub(super) fn validate_volumes(volumes: &[Volume], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let name = path.child("name");
        errors.extend(volume.validate_source(&path));
        errors.extend(required_dns_label(&name, &volume.name));
        if !seen.insert(volume.name.as_str()) {
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
            ("projected", self.projected.is_some()),
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
        } else if let Some(projected) = &self.projected {
            errors.extend(projected.validate(&source));
        }
        errors
    }
}

impl ProjectedVolumeSource {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors: Vec<FieldError> =
            validate_mode(self.default_mode, &path.child("defaultMode")).into_iter().collect();
        let mut seen = HashSet::new();
        for (index, source) in self.sources.iter().enumerate() {
            let path = path.child("sources").index(index);
            errors.extend(source.validate(&path));
            for file in source.files() {
                if !seen.insert(file) {
                    let detail = format!("conflicting duplicate paths {file:?}");
                    errors.push(FieldError::invalid(&path, file, detail));
                }
            }
        }
        errors
    }
}

impl VolumeProjection {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let given = [
            self.secret.is_some(),
            self.downward_api.is_some(),
            self.config_map.is_some(),
            self.service_account_token.is_some(),
        ];
        let mut errors = Vec::new();
        match given.iter().filter(|given| **given).count() {
            0 => errors.push(FieldError::required(path, "must specify a source")),
            1 => {}
            _ => {
                errors.push(FieldError::forbidden(path, "may not specify more than 1 volume type per source"))
            }
        }
        if let Some(secret) = &self.secret {
            let path = path.child("secret");
            errors.extend(required_name(&path.child("name"), secret.name.as_str()));
            errors.extend(validate_files(None, &secret.items, &path));
        }
        if let Some(config_map) = &self.config_map {
            let path = path.child("configMap");
            errors.extend(required_name(&path.child("name"), config_map.name.as_str()));
            errors.extend(validate_files(None, &config_map.items, &path));
        }
        if let Some(token) = &self.service_account_token {
            errors.extend(token.validate(&path.child("serviceAccountToken")));
        }
        let fields = self.downward_api.iter().flat_map(|downward| downward.items.iter().enumerate());
        for (index, item) in fields {
            errors.extend(item.validate(&path.child("downwardAPI").child("items").index(index)));
        }
        errors
    }

    /// The files that are named: those of whole objects are known only when the objects are.
    fn files(&self) -> impl Iterator<Item = &str> {
        let entries = self.secret.iter().flat_map(|secret| &secret.items);
        let entries = entries.chain(self.config_map.iter().flat_map(|map| &map.items)).map(|item| &item.path);
        let fields = self.downward_api.iter().flat_map(|downward| &downward.items).map(|item| &item.path);
        let token = self.service_account_token.iter().map(|token| &token.path);
        entries.chain(fields).chain(token).map(String::as_str)
    }
}

impl ServiceAccountTokenProjection {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = validate_file_path(&self.path, &path.child("path"));
        let detail = match self.expiration_seconds {
            Some(..SHORTEST_TOKEN_SECONDS) => "may not specify a duration less than 10 minutes",
            Some(seconds) if seconds > LONGEST_TOKEN_SECONDS => {
                "may not specify a duration larger than 2^32 seconds"
            }
            _ => return errors,
        };
        let seconds = self.expiration_seconds.unwrap_or_default();
        errors.push(FieldError::invalid(path.child("expirationSeconds"), seconds, detail));
        errors
    }
}

impl DownwardApiVolumeFile {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let mut errors = validate_file_path(&self.path, &path.child("path"));
        errors.extend(validate_mode(self.mode, &path.child("mode")));
        let field = path.child("fieldRef");
        match &self.field_ref {
            None => {
                errors.push(FieldError::required(&field, "one of fieldRef and resourceFieldRef is required"))
            }
            Some(selector) if !is_volume_field(&selector.field_path) => {
                errors.push(FieldError::not_supported(
                    field.child("fieldPath"),
                    selector.field_path.as_str(),
                    &VOLUME_FIELDS,
                ))
            }
            Some(_) => {}
        }
        errors
    }
}

fn is_volume_field(path: &str) -> bool {
    let is_entry =
        |map: &str| path.strip_prefix(map).is_some_and(|key| key.starts_with("['") && key.ends_with("']"));
    VOLUME_FIELDS.contains(&path) || is_entry("metadata.labels") || is_entry("metadata.annotations")
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
