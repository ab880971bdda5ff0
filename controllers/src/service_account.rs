//! Every namespace has a service account `default`, which pods act as unless they name another one.

use std::sync::Arc;

use jiff::Timestamp;
use orch_api::Metadata;
use orch_controller_runtime::{Cache, Context, Controller, ObjectKey, Plan, Planner, Write};
use orch_ontology::{Namespace, ServiceAccount};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

const DEFAULT: &str = "default";

/// Makes the service account `default` in every namespace.
pub struct ServiceAccounts {
    namespaces: Arc<Cache<Namespace>>,
    accounts: Arc<Cache<ServiceAccount>>,
}

/// A namespace, and whether it has its service account.
#[derive(Debug, Clone, Serialize)]
pub struct World {
    /// The namespace's name.
    pub namespace: String,
    /// It is being deleted.
    pub terminating: bool,
    /// It has a service account `default`.
    pub has_default: bool,
}

impl Planner for ServiceAccounts {
    type World = World;

    const NAME: &'static str = "service-account-controller";

    fn observe(&self, key: &ObjectKey) -> Option<World> {
        let namespace = self.namespaces.get(key)?;
        let has_default = self.accounts.get(&ObjectKey::new(key.name.clone(), DEFAULT)).is_some();
        Some(World {
            namespace: key.name.clone(),
            terminating: namespace.metadata.is_terminating(),
            has_default,
        })
    }

    fn plan(world: &World, _: Timestamp) -> Plan {
        if world.terminating || world.has_default {
            return Plan::nothing();
        }
        let metadata = Metadata::named(world.namespace.clone(), DEFAULT);
        Plan {
            writes: vec![Write::create(&ServiceAccount { metadata, ..ServiceAccount::default() })],
            ..Plan::nothing()
        }
    }
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let planner = ServiceAccounts { namespaces: context.caches.of(), accounts: context.caches.of() };
    let of_default = |account: &ServiceAccount| {
        let metadata = &account.metadata;
        if metadata.name == DEFAULT { vec![ObjectKey::new("", metadata.namespace())] } else { Vec::new() }
    };
    Controller::<Namespace>::new(&context).watches::<ServiceAccount>(of_default).run(planner, cancel).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_namespace_in_use_without_a_default_account_gets_one() {
        for (terminating, has_default, writes) in
            [(false, false, 1), (false, true, 0), (true, false, 0), (true, true, 0)]
        {
            let world = World { namespace: "shop".into(), terminating, has_default };
            let plan = ServiceAccounts::plan(&world, Timestamp::UNIX_EPOCH);
            assert_eq!(plan.writes.len(), writes, "{world:?}");
            for write in plan.writes {
                assert_eq!(write.key(), ObjectKey::new("shop", "default"));
            }
        }
    }
}
