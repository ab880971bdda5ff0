//! A sync that is being deleted takes away what it has applied, if it prunes.

use orch_api::{Status, Time};
use orch_controller_runtime::{ObjectKey, Outcome, Severity};
use orch_ontology::GitSync;

use super::plans::Refusal;
use super::told::Telling;
use super::{Syncer, other_finalizers};

impl Syncer {
    pub(super) async fn finish(&self, sync: &GitSync) -> Result<Outcome, Status> {
        if !sync.metadata.finalizers.iter().any(|finalizer| finalizer == GitSync::FINALIZER) {
            return Ok(Outcome::Done);
        }
        // One that is suspended leaves everything as it is.
        if sync.spec.prune && !sync.spec.suspend {
            let removals = self.removals(sync, sync.status.inventory.clone()).await?;
            let plans = self.plans(sync, format!("GitSync {} is being deleted", sync.metadata.name));
            let mut applied = Vec::new();
            match plans.carry_out(&removals, &mut applied).await {
                Ok(()) => {}
                Err(Refusal::Unavailable(status)) => return Err(status),
                Err(Refusal::Moved(_)) => return Ok(Outcome::Retry),
                Err(Refusal::Refused(message)) => {
                    let message = format!(
                        "{message}; without the finalizer {} it goes and leaves its objects",
                        GitSync::FINALIZER
                    );
                    self.note(sync, Severity::Warning, "PruneFailed", &message);
                    let mut telling = Telling::of(sync, Time::new(self.clock.now()));
                    telling.unready("PruneFailed", &message);
                    self.write(sync, &telling.status).await?;
                    return Ok(Outcome::After(sync.spec.retry()));
                }
            }
        }
        self.set_finalizers(sync, other_finalizers(sync)).await?;
        self.inventories.set(&ObjectKey::of(&sync.metadata), &[]);
        self.forget(&sync.metadata.uid);
        Ok(Outcome::Done)
    }
}
