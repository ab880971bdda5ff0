//! A container's environment: values, references and expansion, in Kubernetes' order.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use orch_ontology::{Container, EnvFromSource, EnvVarSource, Pod};

use super::{
    expand::expand,
    facts::{ConfigError, Lookup, NodeFacts, Sources},
};

/// What the environment of a pod's containers is made from.
pub(crate) struct EnvContext<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) facts: &'a NodeFacts,
    pub(crate) sources: &'a Sources,
    /// The pod's addresses.
    pub(crate) pod_ips: &'a [IpAddr],
}

/// The variables of a container, by name. Those of `env` win over those of `envFrom`; `$(NAME)` in a value is replaced by a
/// variable defined before it.
pub(crate) fn environment(
    context: &EnvContext<'_>,
    container: &Container,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut variables = context.facts.api_server.map(api_server_variables).unwrap_or_default();
    for from in &container.env_from {
        context.add_all(from, &mut variables)?;
    }
    for variable in &container.env {
        let value = match &variable.value_from {
            Some(source) => context.value_of(source)?,
            None => Some(expand(&variable.value, |name| variables.get(name).cloned())),
        };
        if let Some(value) = value {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

/// By which client libraries find the API server. Whatever the container says of them itself wins.
fn api_server_variables(address: SocketAddr) -> BTreeMap<String, String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    [
        ("KUBERNETES_SERVICE_HOST", host),
        ("KUBERNETES_SERVICE_PORT", port.clone()),
        ("KUBERNETES_SERVICE_PORT_HTTPS", port),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

impl EnvContext<'_> {
    fn namespace(&self) -> &str {
        self.pod.metadata.namespace()
    }

    fn add_all(
        &self,
        from: &EnvFromSource,
        variables: &mut BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        let mut entries: Vec<(String, String)> = Vec::new();
        if let Some(source) = &from.config_map_ref {
            let found = self.sources.config_map(source.name.as_str());
            if let Some(object) = present(found, "configmap", source.name.as_str(), source.optional)? {
                entries.extend(object.data.clone());
            }
        }
        if let Some(source) = &from.secret_ref {
            let found = self.sources.secret(source.name.as_str());
            if let Some(object) = present(found, "secret", source.name.as_str(), source.optional)? {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                entries.extend(object.data.iter().map(|(key, bytes)| (key.clone(), text(bytes))));
            }
        }
        let named = entries.into_iter().map(|(key, value)| (format!("{}{key}", from.prefix), value));
        variables.extend(named.filter(|(name, _)| is_variable_name(name)));
        Ok(())
    }

    /// `None` leaves the variable out.
    fn value_of(&self, source: &EnvVarSource) -> Result<Option<String>, ConfigError> {
        if let Some(field) = &source.field_ref {
            return self.field(&field.field_path).map(Some);
        }
        if let Some(key) = &source.config_map_key_ref {
            let found = self.sources.config_map(key.name.as_str());
            let Some(object) = present(found, "configmap", key.name.as_str(), key.optional)? else {
                return Ok(None);
            };
            let value = object.data.get(&key.key).cloned();
            return self.entry(value, "ConfigMap", key.name.as_str(), &key.key, key.optional);
        }
        if let Some(key) = &source.secret_key_ref {
            let found = self.sources.secret(key.name.as_str());
            let Some(object) = present(found, "Secret", key.name.as_str(), key.optional)? else {
                return Ok(None);
            };
            let value = object.data.get(&key.key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            return self.entry(value, "Secret", key.name.as_str(), &key.key, key.optional);
        }
        Ok(Some(String::new()))
    }

    fn entry(
        &self,
        value: Option<String>,
        kind: &str,
        name: &str,
        key: &str,
        optional: Option<bool>,
    ) -> Result<Option<String>, ConfigError> {
        if value.is_none() && optional != Some(true) {
            let message = format!("couldn't find key {key} in {kind} {}/{name}", self.namespace());
            return Err(ConfigError::Invalid(message));
        }
        Ok(value)
    }

    fn field(&self, path: &str) -> Result<String, ConfigError> {
        let metadata = &self.pod.metadata;
        let ips = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Ok(match path {
            "metadata.name" => metadata.name.clone(),
            "metadata.namespace" => metadata.namespace().to_owned(),
            "metadata.uid" => metadata.uid.clone(),
            "spec.nodeName" => self.facts.name.clone(),
            "spec.serviceAccountName" => self.pod.spec.service_account_name.to_string(),
            "status.hostIP" => ips(self.facts.host_ips.get(..1).unwrap_or_default()),
            "status.hostIPs" => ips(&self.facts.host_ips),
            "status.podIP" => ips(self.pod_ips.get(..1).unwrap_or_default()),
            "status.podIPs" => ips(self.pod_ips),
            _ => {
                let entry = |map: &BTreeMap<String, String>, key| map.get(key).cloned().unwrap_or_default();
                match (subscript(path, "metadata.labels"), subscript(path, "metadata.annotations")) {
                    (Some(key), _) => entry(&metadata.labels, key),
                    (_, Some(key)) => entry(&metadata.annotations, key),
                    _ => return Err(ConfigError::invalid(format!("unsupported fieldPath: {path}"))),
                }
            }
        })
    }
}

/// The key in `metadata.labels['key']`.
pub(super) fn subscript<'a>(path: &'a str, map: &str) -> Option<&'a str> {
    path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")
}

fn present<T>(
    found: Lookup<T>,
    kind: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<std::sync::Arc<T>>, ConfigError> {
    match found {
        Lookup::Found(object) => Ok(Some(object)),
        Lookup::Loading => Err(ConfigError::Loading),
        Lookup::Missing if optional == Some(true) => Ok(None),
        Lookup::Missing => Err(ConfigError::invalid(format!("{} {name:?} not found", kind.to_lowercase()))),
    }
}

/// What Kubernetes lets through from `envFrom`: keys that are no names are left out.
fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && name != "."
        && !name.starts_with("..")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use orch_ontology::{ConfigMap, Secret};
    use serde_json::json;

    use super::*;
    use crate::testing::{facts, pod};

    fn sources() -> Sources {
        let config: ConfigMap = serde_json::from_value(
            json!({"metadata": {"name": "c"}, "data": {"A": "1", "b-c": "2", "9x": "no"}}),
        )
        .unwrap();
        let secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": "s"}, "data": {"key": "c2VjcmV0"}})).unwrap();
        Sources {
            config_maps: [
                ("c".to_owned(), Lookup::Found(Arc::new(config))),
                ("none".to_owned(), Lookup::Missing),
            ]
            .into(),
            secrets: [
                ("s".to_owned(), Lookup::Found(Arc::new(secret))),
                ("none".to_owned(), Lookup::Missing),
            ]
            .into(),
            ..Sources::default()
        }
    }

    fn resolve(container: serde_json::Value) -> Result<Vec<(String, String)>, ConfigError> {
        let mut pod = pod("web");
        pod.metadata.labels.insert("app".into(), "shop".into());
        let mut container = container;
        container["name"] = json!("main");
        let container: Container = serde_json::from_value(container).unwrap();
        let (facts, sources, ips) = (facts(), sources(), ["10.1.0.2".parse().unwrap()]);
        let context = EnvContext { pod: &pod, facts: &facts, sources: &sources, pod_ips: &ips };
        environment(&context, &container).map(|all| all.into_iter().collect())
    }

    fn env(name: &str, from: serde_json::Value) -> serde_json::Value {
        json!({"env": [{"name": name, "valueFrom": from}]})
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn later_definitions_win_and_see_earlier_ones() {
        let container = json!({
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}}, {"configMapRef": {"name": "c"}}],
            "env": [{"name": "A", "value": "new"}, {"name": "B", "value": "$(A) $(P_A) $(C)"}, {"name": "C"}],
        });
        let expected = [
            ("A", "new"),
            ("B", "new 1 $(C)"),
            ("C", ""),
            ("P_9x", "no"),
            ("P_A", "1"),
            ("P_b-c", "2"),
            ("b-c", "2"),
        ];
        assert_eq!(resolve(container).unwrap(), pairs(&expected));
    }

    #[test]
    fn the_api_server_is_told_unless_the_container_says_otherwise() {
        let pod = pod("web");
        let facts = NodeFacts { api_server: Some("10.85.0.1:7443".parse().unwrap()), ..facts() };
        let container = json!({"name": "main", "env": [
            {"name": "URL", "value": "https://$(KUBERNETES_SERVICE_HOST)"},
            {"name": "KUBERNETES_SERVICE_PORT", "value": "1"},
        ]});
        let container: Container = serde_json::from_value(container).unwrap();
        let context = EnvContext { pod: &pod, facts: &facts, sources: &sources(), pod_ips: &[] };
        let all: Vec<_> = environment(&context, &container).unwrap().into_iter().collect();
        let expected = [
            ("KUBERNETES_SERVICE_HOST", "10.85.0.1"),
            ("KUBERNETES_SERVICE_PORT", "1"),
            ("KUBERNETES_SERVICE_PORT_HTTPS", "7443"),
            ("URL", "https://10.85.0.1"),
        ];
        assert_eq!(all, pairs(&expected));
    }

    #[test]
    fn references_are_resolved() {
        for (from, expected) in [
            (json!({"secretKeyRef": {"name": "s", "key": "key"}}), "secret"),
            (json!({"configMapKeyRef": {"name": "c", "key": "A"}}), "1"),
            (json!({"fieldRef": {"fieldPath": "metadata.name"}}), "web"),
            (json!({"fieldRef": {"fieldPath": "metadata.labels['app']"}}), "shop"),
            (json!({"fieldRef": {"fieldPath": "metadata.annotations['none']"}}), ""),
            (json!({"fieldRef": {"fieldPath": "status.podIP"}}), "10.1.0.2"),
            (json!({"fieldRef": {"fieldPath": "status.hostIPs"}}), "192.0.2.1,2001:db8::1"),
            (json!({"fieldRef": {"fieldPath": "spec.nodeName"}}), "node-1"),
        ] {
            assert_eq!(resolve(env("X", from.clone())).unwrap(), pairs(&[("X", expected)]), "{from}");
        }
    }

    #[test]
    fn what_is_missing_is_named_unless_it_is_optional() {
        for (container, message) in [
            (
                env("X", json!({"configMapKeyRef": {"name": "none", "key": "k"}})),
                "configmap \"none\" not found",
            ),
            (env("X", json!({"secretKeyRef": {"name": "none", "key": "k"}})), "secret \"none\" not found"),
            (
                env("X", json!({"secretKeyRef": {"name": "s", "key": "k"}})),
                "couldn't find key k in Secret default/s",
            ),
            (json!({"envFrom": [{"secretRef": {"name": "none"}}]}), "secret \"none\" not found"),
            (env("X", json!({"fieldRef": {"fieldPath": "spec.x"}})), "unsupported fieldPath: spec.x"),
        ] {
            assert_eq!(resolve(container), Err(ConfigError::invalid(message)));
        }
        let optional = env("X", json!({"configMapKeyRef": {"name": "none", "key": "k", "optional": true}}));
        assert_eq!(resolve(optional), Ok(vec![]));
        let unheard = env("X", json!({"configMapKeyRef": {"name": "new", "key": "k", "optional": true}}));
        assert_eq!(resolve(unheard), Err(ConfigError::Loading));
    }
}
