//! Volumes that show several things at once: tokens, objects' entries, and what the pod itself says.

use std::{collections::BTreeMap, fmt::Write as _};

use orch_ontology::{DownwardApiVolumeFile, Pod, ProjectedVolumeSource, VolumeProjection};

use super::{
    env::subscript,
    facts::{ConfigError, Sources, TokenLookup},
    references::wanted_token,
    volumes::{Entries, mode_of},
};
use crate::volumes::{File, Payload};

/// What a projected volume shows, and which versions of it.
#[derive(Default)]
pub(super) struct Projected {
    pub(super) files: Payload,
    pub(super) version: String,
}

/// Everything that the sources give. Fails while one is missing.
pub(super) fn projected(
    pod: &Pod,
    volume: &ProjectedVolumeSource,
    sources: &Sources,
) -> Result<Projected, ConfigError> {
    let mode = mode_of(volume.default_mode);
    let mut all = Projected::default();
    for source in &volume.sources {
        all.add(pod, source, mode, sources)?;
    }
    Ok(all)
}

impl Projected {
    fn add(
        &mut self,
        pod: &Pod,
        source: &VolumeProjection,
        mode: u32,
        sources: &Sources,
    ) -> Result<(), ConfigError> {
        if let Some(map) = &source.config_map {
            self.add_entries(Entries::of_config_map(
                map.name.as_str(),
                &map.items,
                mode,
                map.optional,
                sources,
            )?)?;
        }
        if let Some(secret) = &source.secret {
            let (name, items) = (secret.name.as_str(), &secret.items);
            self.add_entries(Entries::of_secret(name, items, mode, secret.optional, sources)?)?;
        }
        if let Some(token) = &source.service_account_token {
            let found = match sources.token(&wanted_token(pod, token)) {
                TokenLookup::Loading => return Err(ConfigError::Loading),
                TokenLookup::Refused(why) => {
                    return Err(ConfigError::invalid(format!("failed to fetch token: {why}")));
                }
                TokenLookup::Found(found) => found,
            };
            self.tell(&found.version);
            self.files
                .insert(token.path.clone().into(), File { bytes: found.text.clone().into_bytes(), mode });
        }
        for item in source.downward_api.iter().flat_map(|downward| &downward.items) {
            let text = field(pod, item)?;
            self.tell(&text);
            let mode = item.mode.map_or(mode, i32::unsigned_abs);
            self.files.insert(item.path.clone().into(), File { bytes: text.into_bytes(), mode });
        }
        Ok(())
    }

    fn add_entries(&mut self, entries: Entries<'_>) -> Result<(), ConfigError> {
        self.tell(&entries.version);
        self.files.extend(entries.files()?);
        Ok(())
    }

    fn tell(&mut self, version: &impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.version, "{version};");
    }
}

fn field(pod: &Pod, item: &DownwardApiVolumeFile) -> Result<String, ConfigError> {
    let metadata = &pod.metadata;
    let path = item.field_ref.as_ref().map(|field| field.field_path.as_str()).unwrap_or_default();
    let entry = |map: &BTreeMap<String, String>, key| map.get(key).cloned().unwrap_or_default();
    Ok(match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace().to_owned(),
        "metadata.uid" => metadata.uid.clone(),
        "metadata.labels" => lines(&metadata.labels),
        "metadata.annotations" => lines(&metadata.annotations),
        _ => match (subscript(path, "metadata.labels"), subscript(path, "metadata.annotations")) {
            (Some(key), _) => entry(&metadata.labels, key),
            (_, Some(key)) => entry(&metadata.annotations, key),
            _ => return Err(ConfigError::invalid(format!("unsupported fieldPath: {path}"))),
        },
    })
}

/// As Kubernetes writes them: `key="value"`, a line each.
fn lines(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use orch_ontology::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::spec::{IssuedToken, Lookup};
    use crate::testing::pod;

    fn world(token: TokenLookup) -> (Pod, ProjectedVolumeSource, Sources) {
        let mut pod = pod("web");
        pod.spec.service_account_name = "robot".into();
        pod.metadata.labels =
            [("app".to_owned(), "shop".to_owned()), ("tier".to_owned(), "a\"b".to_owned())].into();
        let volume: ProjectedVolumeSource = serde_json::from_value(json!({"defaultMode": 0o640, "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}, "mode": 0o600},
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "app", "fieldRef": {"fieldPath": "metadata.labels['app']"}},
            ]}},
        ]}))
        .unwrap();
        let map: ConfigMap = serde_json::from_value(
            json!({"metadata": {"name": "ca", "resourceVersion": "7"}, "data": {"ca.crt": "pem", "other": "x"}}),
        )
        .unwrap();
        let wanted = wanted_token(&pod, volume.sources[0].service_account_token.as_ref().unwrap());
        let sources = Sources {
            config_maps: [("ca".to_owned(), Lookup::Found(Arc::new(map)))].into(),
            tokens: [(wanted, token)].into(),
            ..Sources::default()
        };
        (pod, volume, sources)
    }

    fn found(version: u64) -> TokenLookup {
        TokenLookup::Found(Arc::new(IssuedToken { text: format!("jwt-{version}"), version }))
    }

    #[test]
    fn all_sources_are_files_of_one_directory() {
        let (pod, volume, sources) = world(found(1));
        let shown = projected(&pod, &volume, &sources).unwrap().files;
        let text: Vec<(String, String, u32)> = shown
            .into_iter()
            .map(|(path, file)| {
                (path.display().to_string(), String::from_utf8(file.bytes).unwrap(), file.mode)
            })
            .collect();
        let expected = [
            ("app", "shop", 0o640),
            ("ca.crt", "pem", 0o640),
            ("labels", "app=\"shop\"\ntier=\"a\\\"b\"", 0o640),
            ("namespace", "default", 0o600),
            ("token", "jwt-1", 0o640),
        ];
        assert_eq!(text, expected.map(|(path, text, mode)| (path.to_owned(), text.to_owned(), mode)));
    }

    #[test]
    fn a_new_token_is_a_new_version_and_one_that_is_missing_holds_the_pod() {
        let version = |token| {
            let (pod, volume, sources) = world(token);
            projected(&pod, &volume, &sources).map(|shown| shown.version)
        };
        assert_eq!(version(found(1)), version(found(1)));
        assert_ne!(version(found(1)), version(found(2)));
        assert_eq!(version(TokenLookup::Loading), Err(ConfigError::Loading));
        let refused = version(TokenLookup::Refused("no".into()));
        assert_eq!(refused, Err(ConfigError::invalid("failed to fetch token: no")));
    }

    #[test]
    fn tokens_are_never_printed() {
        let (_, _, sources) = world(found(1));
        assert!(!format!("{sources:?}").contains("jwt"));
    }
}
