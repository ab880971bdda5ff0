//! The status of admission policies: whether their expressions fit the kinds that they name.

use std::sync::Arc;

use jiff::Timestamp;
use orch_api::{Resource as _, api_version};
use orch_controller_runtime::{Cache, Context, Controller, ObjectKey, Plan, Planner, Write};
use orch_ontology::{
    CheckedKind, CustomResourceDefinition, KINDS, TypeChecking, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyStatus, named_resources, type_check,
};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Keeps the status of policies.
pub struct AdmissionPolicies {
    policies: Arc<Cache<ValidatingAdmissionPolicy>>,
    definitions: Arc<Cache<CustomResourceDefinition>>,
}

/// A policy, and the kinds that it names.
#[derive(Debug, Clone, Serialize)]
pub struct World {
    /// The policy.
    pub policy: ValidatingAdmissionPolicy,
    /// Those of the kinds that there are.
    pub kinds: Vec<CheckedKind>,
}

impl Planner for AdmissionPolicies {
    type World = World;

    const NAME: &'static str = "admission-policy-controller";

    fn observe(&self, key: &ObjectKey) -> Option<World> {
        let policy = self.policies.get(key)?;
        let resources = named_resources(&policy.spec).into_iter();
        let kinds = resources.filter_map(|(group, version, plural)| {
            built_in(&group, &version, &plural).or_else(|| self.defined(&group, &version, &plural))
        });
        Some(World { kinds: kinds.collect(), policy: ValidatingAdmissionPolicy::clone(&policy) })
    }

    fn plan(world: &World, _: Timestamp) -> Plan {
        let policy = &world.policy;
        if policy.metadata.is_terminating() {
            return Plan::nothing();
        }
        let expression_warnings = type_check(&policy.spec, &world.kinds);
        let status = ValidatingAdmissionPolicyStatus {
            observed_generation: policy.metadata.generation,
            type_checking: Some(TypeChecking { expression_warnings }),
            ..policy.status.clone()
        };
        if status == policy.status {
            return Plan::nothing();
        }
        // Told in full: warnings that are left out of a merge would stay.
        let warnings = status.type_checking.map(|found| found.expression_warnings).unwrap_or_default();
        let warnings = if warnings.is_empty() { json!(null) } else { json!(warnings) };
        let patch = json!({
            "observedGeneration": status.observed_generation,
            "typeChecking": {"expressionWarnings": warnings},
        });
        Plan { status: Some(Write::merge_status(policy, patch)), ..Plan::nothing() }
    }
}

impl AdmissionPolicies {
    /// A kind that a user has defined.
    fn defined(&self, group: &str, version: &str, plural: &str) -> Option<CheckedKind> {
        let definition = self.definitions.get(&ObjectKey::new("", format!("{plural}.{group}")))?;
        let version = definition.spec.versions.iter().find(|known| known.name == version && known.served)?;
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref())?;
        let api_version = api_version(group, &version.name);
        Some(CheckedKind { api_version, kind: definition.spec.names.kind.clone(), schema: schema.0.clone() })
    }
}

fn built_in(group: &str, version: &str, plural: &str) -> Option<CheckedKind> {
    let is_it = |kind: &orch_api::Kind| (kind.group, kind.version, kind.plural) == (group, version, plural);
    let entry = KINDS.iter().find(|entry| is_it(&entry.kind))?;
    Some(CheckedKind {
        api_version: entry.kind.api_version(),
        kind: entry.kind.name.to_owned(),
        schema: entry.schema.outline(),
    })
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let planner = AdmissionPolicies { policies: context.caches.of(), definitions: context.caches.of() };
    let policies = planner.policies.clone();
    let about = move |definition: &CustomResourceDefinition| {
        let all = policies.list();
        let group = &definition.spec.group;
        let about = all.iter().filter(|policy| named_resources(&policy.spec).iter().any(|of| of.0 == *group));
        about.map(|policy| ObjectKey::of(policy.metadata())).collect()
    };
    let controller = Controller::<ValidatingAdmissionPolicy>::new(&context);
    controller.watches::<CustomResourceDefinition>(about).run(planner, cancel).await;
}

#[cfg(test)]
mod tests {
    use orch_api::Metadata;
    use orch_controller_runtime::Action;
    use serde_json::Value;

    use super::*;

    fn policy(expression: &str) -> ValidatingAdmissionPolicy {
        let spec = json!({
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps", "pods"]},
            ]},
            "validations": [{"expression": expression}],
        });
        let metadata = Metadata { generation: Some(3), ..Metadata::named(None, "few") };
        ValidatingAdmissionPolicy {
            metadata,
            spec: serde_json::from_value(spec).unwrap(),
            ..Default::default()
        }
    }

    fn world(policy: ValidatingAdmissionPolicy) -> World {
        let kinds = ["configmaps", "pods"].map(|plural| built_in("", "v1", plural).unwrap());
        World { policy, kinds: kinds.to_vec() }
    }

    fn written(world: &World) -> Option<Value> {
        let write = AdmissionPolicies::plan(world, Timestamp::UNIX_EPOCH).status?;
        let Action::Merge(patch) = write.action else { panic!("{:?}", write.action) };
        Some(patch["status"].clone())
    }

    #[test]
    fn a_field_that_a_kind_does_not_have_is_told_in_the_status() {
        let world = world(policy("object.data.size() < 5"));
        let expected = json!({"observedGeneration": 3, "typeChecking": {"expressionWarnings": [{
            "fieldRef": "spec.validations[0].expression",
            "warning": "v1, Kind=Pod: compilation failed: undefined field 'data'",
        }]}});
        assert_eq!(written(&world), Some(expected));
    }

    #[test]
    fn a_policy_that_fits_is_said_to_be_checked_once() {
        let fits = policy("object.metadata.name.startsWith('a')");
        let mut world = world(fits);
        let expected = json!({"observedGeneration": 3, "typeChecking": {"expressionWarnings": null}});
        assert_eq!(written(&world), Some(expected));
        world.policy.status.observed_generation = Some(3);
        world.policy.status.type_checking = Some(TypeChecking::default());
        assert_eq!(written(&world), None);
    }
}
