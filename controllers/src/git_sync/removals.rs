//! What goes: what has been applied and is not wanted any more.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use orch_api::plan::{Free, PlannedApply, PlannedChange, PlannedDelete};
use orch_api::{Api, Object as _, Status};
use orch_controller_runtime::Severity;
use orch_ontology::{GitSync, InventoryItem, rank};
use serde_json::{Value, json};

use super::Syncer;
use super::index::{Thing, thing};
use super::plans::{Placed, gives_rights};

/// An object with this annotation stays when the repository no longer has it.
const PRUNE: (&str, &str) = ("orch.dev/prune", "false");

impl Syncer {
    /// What has been applied and is not wanted any more, what refers before what is referred to. Only what still belongs to the sync.
    pub(super) async fn deletions(
        &self,
        sync: &GitSync,
        wanted: &[InventoryItem],
    ) -> Result<Vec<Placed>, Status> {
        if !sync.spec.prune {
            return Ok(Vec::new());
        }
        // Of another version it is the same object.
        let wanted: BTreeSet<Thing> = wanted.iter().map(thing).collect();
        let gone =
            sync.status.inventory.iter().filter(|item| !wanted.contains(&thing(item))).cloned().collect();
        self.removals(sync, gone).await
    }

    /// What deletes those of the objects that are there and belong to the sync. Of what another one has, too, it lets go.
    pub(super) async fn removals(
        &self,
        sync: &GitSync,
        mut items: Vec<InventoryItem>,
    ) -> Result<Vec<Placed>, Status> {
        let manager = GitSync::manager(sync.metadata.namespace(), &sync.metadata.name);
        items.sort_by_key(|item| (gives_rights(item), Reverse(rank(&item.api_version, &item.kind))));
        let mut removals = Vec::new();
        for item in items {
            let Some(object) = self.find(&self.client, &item).await? else { continue };
            let stays = object["metadata"]["annotations"].text(&[PRUNE.0]) == PRUNE.1;
            let managers = managers(&object);
            if stays || object.is_terminating() || !managers.contains(manager.as_str()) {
                continue;
            }
            let others = managers.into_iter().filter(|other| *other != manager);
            let change = match self.is_of_any(&item, others).await? {
                true => let_go(&object, &manager),
                false => delete(&object, &item),
            };
            let place = format!("{} {}", item.kind, item.name);
            removals.push(Placed { change, item, place });
        }
        Ok(removals)
    }

    /// Whether an object belongs to one of these syncs: to have had it once is not enough.
    async fn is_of_any(
        &self,
        item: &InventoryItem,
        managers: impl Iterator<Item = &str>,
    ) -> Result<bool, Status> {
        let wanted = thing(item);
        for manager in managers {
            let Some((namespace, name)) = place(manager) else { continue };
            // The cache may not know yet what the other one has just taken.
            let other = Api::<GitSync>::namespaced(self.client.clone(), namespace).find(name).await?;
            if other.is_some_and(|other| other.status.inventory.iter().any(|has| thing(has) == wanted)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tells what has been left because the account may not delete it.
    pub(super) fn note_left(&self, sync: &GitSync, left: &[InventoryItem]) {
        if left.is_empty() {
            return;
        }
        let named: Vec<String> = left.iter().map(|item| format!("{} {}", item.kind, item.name)).collect();
        let message =
            format!("left behind, for the account may not delete it any more: {}", named.join(", "));
        self.note(sync, Severity::Warning, "LeftBehind", &message);
    }
}

/// The syncs that own fields of an object, by their names as managers.
fn managers(object: &Value) -> BTreeSet<&str> {
    let entries = object["metadata"]["managedFields"].as_array();
    let managers = entries.into_iter().flatten().map(|entry| entry.text(&["manager"]));
    managers.filter(|manager| manager.starts_with(GitSync::MANAGER)).collect()
}

/// The namespace and name of the sync that is this manager.
fn place(manager: &str) -> Option<(&str, &str)> {
    manager.strip_prefix(GitSync::MANAGER)?.split_once('/')
}

/// Gives up the fields of a manager: those that nobody else owns go.
fn let_go(object: &Value, manager: &str) -> PlannedChange {
    let mut metadata = json!({"name": object.name(), "uid": object.uid()});
    if !object.namespace().is_empty() {
        metadata["namespace"] = object.namespace().into();
    }
    let manifest = json!({"apiVersion": object.api_version(), "kind": object.kind(), "metadata": metadata});
    let apply =
        Some(PlannedApply { manifest: Free(manifest), field_manager: manager.to_owned(), force: false });
    PlannedChange { apply, ..PlannedChange::default() }
}

fn delete(object: &Value, item: &InventoryItem) -> PlannedChange {
    let (uid, target) = (object.uid().to_owned(), item.clone().into());
    let delete = Some(PlannedDelete { target, uid, ..PlannedDelete::default() });
    PlannedChange { delete, ..PlannedChange::default() }
}
