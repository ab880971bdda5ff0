//! Whether what has been applied works, and going back if it does not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use orch_api::{Client, ConditionStatus, Status, Time, split_api_version};
use orch_controller_runtime::Severity;
use orch_ontology::{GitSync, GitSyncHealth, InventoryItem, JsonSchemaProps, KINDS};

use super::fetch::Loaded;
use super::health::{Health, assess};
use super::told::{FETCHED, HEALTHY, READY, Telling, objects, says, short};
use super::{Memory, Syncer, sync};

/// How many objects that are not healthy are named.
const NAMED: usize = 3;
/// Forever, as far as waiting for a change goes.
pub(super) const UNTIL_CHANGED: Duration = Duration::from_secs(24 * 60 * 60);

impl Syncer {
    /// Looks at what has been applied, tells how it is, and says when to look again at the latest. What changes is looked at at once.
    pub(super) async fn look_at_health(
        &self,
        sync: &GitSync,
        target: &Loaded,
        memory: &mut Memory,
        telling: &mut Telling,
    ) -> Result<Duration, Status> {
        let Some(health) = &sync.spec.health else {
            telling.drop(HEALTHY);
            tell_healthy(sync, target, telling);
            self.tell_ready(sync, target, telling);
            return Ok(UNTIL_CHANGED);
        };
        let checks = checks(sync, health, &telling.status.inventory);
        let seen = self.seen(&checks, true);
        let is_known = telling.is(HEALTHY) && has_worked(sync, target, telling);
        if is_known && memory.health_seen.as_ref() == Some(&seen) {
            self.tell_ready(sync, target, telling);
            return Ok(UNTIL_CHANGED);
        }
        memory.health_seen = Some(seen);
        // What others have is read with the rights of the account; what the sync has made, it may be told of.
        let client = match health.checks.is_empty() {
            true => self.client.clone(),
            false => self.plans(sync, String::new()).client,
        };
        let (failed, unhealthy) = self.unhealthy(&client, &checks).await?;
        if unhealthy.is_empty() {
            telling.tell(HEALTHY, true, "Healthy", "everything that has been applied works");
            tell_healthy(sync, target, telling);
            self.tell_ready(sync, target, telling);
            return Ok(UNTIL_CHANGED);
        }
        let message = in_words(&unhealthy);
        // One that worked before: going back to it is no help. What was changed back has its time again.
        let worked = has_worked(sync, target, telling);
        let since = if worked { telling.status.applied_at } else { telling.status.applied_since };
        let (so, reason, wait) = match self.left(health, since).filter(|_| !failed) {
            Some(left) => (ConditionStatus::Unknown, "Progressing", left),
            None if worked => (ConditionStatus::False, "Unhealthy", UNTIL_CHANGED),
            None => return Ok(self.does_not_work(sync, target, health, &message, telling)),
        };
        telling.tell(HEALTHY, so, reason, &message);
        match is_rolled_back(telling) {
            true => self.tell_ready(sync, target, telling),
            false => telling.unready(reason, &message),
        }
        Ok(wait)
    }

    /// How much of the time that objects have to become healthy is left, if any is.
    fn left(&self, health: &GitSyncHealth, since: Option<Time>) -> Option<Duration> {
        let allowed = SignedDuration::try_from(health.timeout()).ok()?;
        let left = since?.timestamp().checked_add(allowed).ok()?.duration_since(self.clock.now());
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }

    fn does_not_work(
        &self,
        sync: &GitSync,
        target: &Loaded,
        health: &GitSyncHealth,
        message: &str,
        telling: &mut Telling,
    ) -> Duration {
        telling.tell(HEALTHY, false, "HealthCheckFailed", message);
        let healthy = telling.status.healthy_revision.clone();
        // With another spec the same commit may be the last healthy one.
        let goes_back = health.rollback && !healthy.is_empty() && healthy != target.revision;
        let failed = format!("{} did not become healthy: {message}", short(&target.revision));
        if !says(sync, &failed) {
            self.note(sync, Severity::Warning, "HealthCheckFailed", &failed);
        }
        if !goes_back {
            telling.unready("HealthCheckFailed", &failed);
            return UNTIL_CHANGED;
        }
        telling.status.failed_revision.clone_from(&target.revision);
        telling.status.failed_message = message.to_owned();
        telling.unready("RollingBack", &format!("{failed}; going back to {}", short(&healthy)));
        // The next look applies the revision that worked.
        Duration::ZERO
    }

    fn tell_ready(&self, sync: &GitSync, target: &Loaded, telling: &mut Telling) {
        if !telling.is(FETCHED) {
            // What keeps the newest commit from being read has been told.
            return;
        }
        if is_rolled_back(telling) {
            let message = rolled_back(telling);
            if !says(sync, &message) {
                self.note(sync, Severity::Warning, "RolledBack", &message);
            }
            telling.unready("RolledBack", &message);
            return;
        }
        let many = telling.status.inventory.len();
        let message = format!("{}: everything is as it says ({})", sync::about(target), objects(many));
        telling.tell(READY, true, "Applied", &message);
    }

    /// The objects that are not healthy, why, and whether any has failed for good.
    async fn unhealthy(
        &self,
        client: &Arc<dyn Client>,
        checks: &[InventoryItem],
    ) -> Result<(bool, Vec<(InventoryItem, String)>), Status> {
        let (mut failed, mut unhealthy) = (false, Vec::new());
        for item in checks {
            let health = match self.find(client, item).await {
                Ok(Some(object)) => assess(&object, self.tells_generation(item)),
                Ok(None) => Health::Progressing("it is not there".into()),
                Err(status) if status.code == 403 => Health::Progressing(status.message),
                Err(status) => return Err(status),
            };
            match health {
                Health::Healthy => {}
                Health::Progressing(why) => unhealthy.push((item.clone(), why)),
                Health::Failed(why) => {
                    failed = true;
                    unhealthy.insert(0, (item.clone(), why));
                }
            }
        }
        Ok((failed, unhealthy))
    }

    /// Whether objects of a kind say of which of their generations their status is.
    fn tells_generation(&self, item: &InventoryItem) -> bool {
        const FIELD: [&str; 2] = ["status", "observedGeneration"];
        let (group, _) = split_api_version(&item.api_version);
        let entry = KINDS.iter().find(|entry| entry.kind.group == group && entry.kind.name == item.kind);
        if let Some(entry) = entry {
            let root = Some(entry.schema.root());
            return FIELD.iter().fold(root, |node, field| node?.property(field)).is_some();
        }
        let definitions = self.definitions.list();
        let of_kind = definitions
            .iter()
            .filter(|definition| definition.spec.group == group && definition.spec.names.kind == item.kind);
        let mut versions = of_kind.flat_map(|definition| &definition.spec.versions);
        versions.any(|version| {
            let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            let root = schema.map(|JsonSchemaProps(schema)| schema);
            FIELD.iter().fold(root, |node, field| node?.get("properties")?.get(field)).is_some()
        })
    }
}

/// Whether a commit was healthy before, with this spec.
fn has_worked(sync: &GitSync, target: &Loaded, telling: &Telling) -> bool {
    let status = &telling.status;
    status.healthy_revision == target.revision && status.healthy_generation == sync.metadata.generation
}

fn tell_healthy(sync: &GitSync, target: &Loaded, telling: &mut Telling) {
    telling.status.healthy_revision.clone_from(&target.revision);
    telling.status.healthy_generation = sync.metadata.generation;
}

/// The objects whose health counts.
fn checks(sync: &GitSync, health: &GitSyncHealth, inventory: &[InventoryItem]) -> Vec<InventoryItem> {
    if health.checks.is_empty() {
        return inventory.to_vec();
    }
    let own = match sync.spec.target_namespace.as_str() {
        "" => sync.metadata.namespace(),
        target => target,
    };
    let placed = |item: &InventoryItem| match item.namespace.as_str() {
        "" => InventoryItem { namespace: own.to_owned(), ..item.clone() },
        _ => item.clone(),
    };
    health.checks.iter().map(placed).collect()
}

/// The objects that a sync looks at when they change: what it has applied, with `more`, and whose health counts.
pub(super) fn looked_at(sync: &GitSync, more: &[InventoryItem]) -> BTreeSet<InventoryItem> {
    let inventory = &sync.status.inventory;
    let checked = sync.spec.health.as_ref().map(|health| checks(sync, health, inventory)).unwrap_or_default();
    inventory.iter().chain(more).cloned().chain(checked).collect()
}

/// Whether the newest commit has failed, and another one is applied.
fn is_rolled_back(telling: &Telling) -> bool {
    let status = &telling.status;
    !status.failed_revision.is_empty() && status.failed_revision == status.fetched_revision
}

fn rolled_back(telling: &Telling) -> String {
    let status = &telling.status;
    format!(
        "{} did not become healthy ({}): back to {}",
        short(&status.failed_revision),
        status.failed_message,
        short(&status.healthy_revision)
    )
}

fn in_words(unhealthy: &[(InventoryItem, String)]) -> String {
    let named = unhealthy.iter().take(NAMED).map(|(item, why)| {
        let place = if item.namespace.is_empty() {
            item.name.clone()
        } else {
            format!("{}/{}", item.namespace, item.name)
        };
        format!("{} {place}: {why}", item.kind)
    });
    let mut words = named.collect::<Vec<_>>().join("; ");
    if unhealthy.len() > NAMED {
        words.push_str(&format!("; and {} more", unhealthy.len() - NAMED));
    }
    words
}
