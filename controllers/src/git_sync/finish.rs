//! A sync that is being deleted takes away what it has applied, if it prunes.

use orch_api::{Api, Status, Time};
use orch_controller_runtime::{ObjectKey, Outcome, Severity};
use orch_ontology::{GitSync, InventoryItem, Namespace, ServiceAccount};

use super::plans::{Placed, Plans, Refusal, differing};
use super::told::Telling;
use super::{Syncer, account, other_finalizers};

impl Syncer {
    pub(super) async fn finish(&self, sync: &GitSync) -> Result<Outcome, Status> {
        if !sync.metadata.finalizers.iter().any(|finalizer| finalizer == GitSync::FINALIZER) {
            return Ok(Outcome::Done);
        }
        // One that is suspended leaves everything as it is.
        if sync.spec.prune
            && !sync.spec.suspend
            && let Some(outcome) = self.take_away(sync).await?
        {
            return Ok(outcome);
        }
        self.set_finalizers(sync, other_finalizers(sync)).await?;
        let key = ObjectKey::of(&sync.metadata);
        self.inventories.set(&key, &[]);
        self.memories.lock().remove(&key);
        self.forget(&sync.metadata.uid);
        Ok(Outcome::Done)
    }

    /// Deletes what has been applied. None once there is nothing more to be done about it.
    async fn take_away(&self, sync: &GitSync) -> Result<Option<Outcome>, Status> {
        let removals = self.removals(sync, sync.status.inventory.clone()).await?;
        let plans = self.plans(sync, format!("GitSync {} is being deleted", sync.metadata.name));
        let message = match take_away(&plans, removals).await {
            Ok(left) => {
                self.note_left(sync, &left);
                return Ok(None);
            }
            Err(Refusal::Unavailable(status)) => return Err(status),
            Err(Refusal::Moved(_)) => return Ok(Some(Outcome::Retry)),
            Err(Refusal::Refused(message) | Refusal::Forbidden(message)) => message,
        };
        if let Some(why) = self.is_without_rights(sync).await? {
            let message = format!("{why}: what it has applied is left behind. {message}");
            self.note(sync, Severity::Warning, "LeftBehind", &message);
            return Ok(None);
        }
        let message =
            format!("{message}; without the finalizer {} it goes and leaves its objects", GitSync::FINALIZER);
        self.note(sync, Severity::Warning, "PruneFailed", &message);
        let mut telling = Telling::of(sync, Time::new(self.clock.now()));
        telling.unready("PruneFailed", &message);
        self.write(sync, &telling.status).await?;
        Ok(Some(Outcome::After(sync.spec.retry())))
    }

    /// Why the account will not get the rights back that are missing, if that is so: nothing is gained by waiting then.
    async fn is_without_rights(&self, sync: &GitSync) -> Result<Option<String>, Status> {
        let (namespace, account) = (sync.metadata.namespace(), account(sync));
        let own = Api::<Namespace>::all(self.client.clone()).find(namespace).await?;
        if own.is_none_or(|own| own.metadata.is_terminating()) {
            return Ok(Some(format!("namespace {namespace} is being deleted")));
        }
        let found = Api::<ServiceAccount>::namespaced(self.client.clone(), namespace).find(account).await?;
        Ok(found.is_none().then(|| format!("ServiceAccount {account} is gone")))
    }
}

async fn take_away(plans: &Plans, removals: Vec<Placed>) -> Result<Vec<InventoryItem>, Refusal> {
    let rehearsed = plans.rehearse(removals).await?;
    let mut applied = Vec::new();
    plans.carry_out(&differing(&rehearsed.changes, &rehearsed.preview), &mut applied).await?;
    plans.carry_out_last(&rehearsed.last, &mut applied).await
}
