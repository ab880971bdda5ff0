//! The roles and bindings that every cluster has: made at the first start, and mended at every other one.
//!
//! As Kubernetes does it: what is missing from an object that carries the annotation
//! `rbac.authorization.kubernetes.io/autoupdate: "true"` is added; what people added stays; an object whose annotation says
//! `"false"` is left alone.

mod policy;
mod reconcile;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use orch_api::{Api, Client, Params, Reason, Resource, Status};
use orch_ontology::{ClusterRole, ClusterRoleBinding};
use tracing::info;

pub use policy::{default_role_bindings, default_roles, granted};

use reconcile::{Step, binding_step, role_step};

/// How often it is looked again after somebody else has changed the same.
const ATTEMPTS: usize = 5;
/// Writes under way at a time. The store commits them together.
const IN_FLIGHT: usize = 128;

/// Makes the default roles and bindings, and those of `extra`, or adds what is missing from them. Writes nothing if nothing
/// is missing. The client must be one of `system:masters`.
///
/// # Errors
/// Whatever the API answers, if it is not that somebody else was faster.
pub async fn bootstrap(
    client: Arc<dyn Client>,
    extra: Vec<(ClusterRole, ClusterRoleBinding)>,
) -> Result<(), Status> {
    let (mut roles, mut bindings) = (default_roles(), default_role_bindings());
    for (role, binding) in extra {
        roles.push(role);
        bindings.push(binding);
    }
    let (of_roles, of_bindings) = futures::try_join!(
        reconcile(&client, &roles, role_step),
        reconcile(&client, &bindings, binding_step)
    )?;
    if of_roles + of_bindings > 0 {
        info!(roles = of_roles, bindings = of_bindings, "the default roles have been brought up to date");
    }
    Ok(())
}

/// Brings all objects of a kind to what is wanted. Answers how many were written.
async fn reconcile<K: Resource>(
    client: &Arc<dyn Client>,
    wanted: &[K],
    step: fn(&K, Option<&K>) -> Step<K>,
) -> Result<usize, Status> {
    let api = Api::<K>::all(client.clone()).manager("orch-bootstrap");
    let mut written = 0;
    for attempt in 1.. {
        let present = api.list(Params::default()).await?.items;
        let present: BTreeMap<&str, &K> =
            present.iter().map(|object| (object.metadata().name.as_str(), object)).collect();
        let steps =
            wanted.iter().map(|object| step(object, present.get(object.metadata().name.as_str()).copied()));
        let steps: Vec<Step<K>> = steps.filter(|step| !matches!(step, Step::Nothing)).collect();
        let count = steps.len();
        let outcomes: Vec<Result<(), Status>> =
            stream::iter(steps).map(|step| carry_out(&api, step)).buffer_unordered(IN_FLIGHT).collect().await;
        let failures: Vec<Status> = outcomes.into_iter().filter_map(Result::err).collect();
        written += count - failures.len();
        let Some(failure) = failures.iter().find(|status| !is_race(status)).or(failures.first()) else {
            break;
        };
        if !is_race(failure) || attempt == ATTEMPTS {
            return Err(failure.clone());
        }
    }
    Ok(written)
}

/// Another server was faster.
fn is_race(status: &Status) -> bool {
    [Reason::Conflict, Reason::AlreadyExists, Reason::NotFound].iter().any(|reason| status.is(reason))
}

async fn carry_out<K: Resource>(api: &Api<K>, step: Step<K>) -> Result<(), Status> {
    match step {
        Step::Nothing => Ok(()),
        Step::Create(object) => api.create(&object).await.map(drop),
        Step::Update(object) => api.update(&object).await.map(drop),
        Step::Replace(object) => {
            api.delete(&object.metadata().name, Params::default()).await?;
            api.create(&object).await.map(drop)
        }
    }
}
