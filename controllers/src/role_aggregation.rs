//! Roles that are put together from others have the rules of those that their `aggregationRule` selects.

use std::sync::Arc;

use jiff::Timestamp;
use orch_api::Resource as _;
use orch_controller_runtime::{Cache, Context, Controller, ObjectKey, Plan, Planner, Write};
use orch_ontology::{ClusterRole, PolicyRule};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Keeps the rules of aggregated ClusterRoles.
pub struct RoleAggregation {
    roles: Arc<Cache<ClusterRole>>,
}

/// An aggregated role, and the rules that it should have.
#[derive(Debug, Clone, Serialize)]
pub struct World {
    /// The role.
    pub role: ClusterRole,
    /// What the roles that it selects allow.
    pub rules: Vec<PolicyRule>,
}

impl Planner for RoleAggregation {
    type World = World;

    const NAME: &'static str = "clusterrole-aggregation-controller";

    fn observe(&self, key: &ObjectKey) -> Option<World> {
        let role = self.roles.get(key)?;
        role.aggregation_rule.as_ref()?;
        let others = self.roles.list();
        let rules = role.aggregate(others.iter().map(|other| &**other));
        Some(World { role: ClusterRole::clone(&role), rules })
    }

    fn plan(world: &World, _: Timestamp) -> Plan {
        if world.role.metadata.is_terminating() || world.role.rules == world.rules {
            return Plan::nothing();
        }
        let patch = json!({
            "metadata": {"resourceVersion": world.role.metadata.resource_version},
            "rules": world.rules,
        });
        Plan { writes: vec![Write::merge(&world.role, patch)], ..Plan::nothing() }
    }
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let planner = RoleAggregation { roles: context.caches.of() };
    let roles = planner.roles.clone();
    let takers = move |changed: &ClusterRole| {
        let all = roles.list();
        let taking = all.iter().filter(|role| role.takes_from(changed));
        taking.map(|role| ObjectKey::of(role.metadata())).collect()
    };
    Controller::<ClusterRole>::new(&context).watches::<ClusterRole>(takers).run(planner, cancel).await;
}

#[cfg(test)]
mod tests {
    use orch_api::{LabelSelector, Metadata, Selector};
    use orch_controller_runtime::Action;
    use orch_ontology::AggregationRule;

    use super::*;

    fn role(rules: &[PolicyRule]) -> ClusterRole {
        let selector = Selector::new(LabelSelector::match_labels([("to-view", "true")]));
        ClusterRole {
            metadata: Metadata::named(None, "view"),
            rules: rules.to_vec(),
            aggregation_rule: Some(AggregationRule { cluster_role_selectors: vec![selector] }),
            ..ClusterRole::default()
        }
    }

    #[test]
    fn a_role_is_written_only_if_its_rules_are_others() {
        let (pods, secrets) =
            (PolicyRule::on(&["get"], &[""], &["pods"]), PolicyRule::on(&["get"], &[""], &["secrets"]));
        let plan = |has: &[PolicyRule], wanted: &[PolicyRule]| {
            RoleAggregation::plan(&World { role: role(has), rules: wanted.to_vec() }, Timestamp::UNIX_EPOCH)
                .writes
        };
        let pods = [pods];
        assert!(plan(&pods, &pods).is_empty());
        let writes = plan(&[secrets], &pods);
        let Action::Merge(patch) = &writes[0].action else { panic!("{writes:?}") };
        assert_eq!(patch["rules"], json!(pods));
        assert_eq!(plan(&pods, &[]).len(), 1, "what no role gives any longer is lost");
    }
}
