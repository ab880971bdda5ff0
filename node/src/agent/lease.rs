//! Saying that the node lives.

use std::{sync::Arc, time::Duration};

use orch_api::{Api, Clock, Metadata, MicroTime, OwnerReference, Reason, Resource as _, Status};
use orch_controller_runtime::Backoff;
use orch_ontology::{Lease, LeaseSpec, Node};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Config;

const NAMESPACE: &str = "kube-node-lease";
/// A lease lasts for so many intervals.
const INTERVALS: u32 = 4;
const RETRY: Backoff = Backoff { first: Duration::from_millis(200), limit: Duration::from_secs(7) };

/// Renews the node's lease.
pub(super) struct LeaseKeeper {
    name: String,
    api: Api<Lease>,
    nodes: Api<Node>,
    clock: Arc<dyn Clock>,
    interval: Duration,
    known: Option<Lease>,
}

impl LeaseKeeper {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            name: config.name.clone(),
            api: Api::namespaced(config.client.clone(), NAMESPACE).manager("orch-node"),
            nodes: Api::all(config.client.clone()),
            clock: config.clock.clone(),
            interval: config.lease_interval,
            known: None,
        }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&mut self) {
        let mut failures = 0;
        // Nodes that start together do not renew together.
        let mut wait_once = Some(self.interval.mul_f64(share_of(&self.name)));
        loop {
            let wait = match self.renew().await {
                Ok(()) => {
                    failures = 0;
                    wait_once.take().unwrap_or(self.interval)
                }
                Err(status) => {
                    failures += 1;
                    if status.is(&Reason::Conflict) || status.is(&Reason::NotFound) {
                        debug!(%status, "the lease is not as it was");
                    } else {
                        warn!(%status, "cannot renew the node's lease, trying again");
                    }
                    self.known = None;
                    RETRY.after(failures)
                }
            };
            self.clock.sleep(wait).await;
        }
    }

    async fn renew(&mut self) -> Result<(), Status> {
        let known = match self.known.take() {
            Some(known) => Some(known),
            None => self.api.find(&self.name).await?,
        };
        self.known = Some(match known {
            Some(known) => self.api.update(&self.lease(known.metadata)).await?,
            None => {
                let owner = self.nodes.get(&self.name).await?.owner_reference();
                let owner = OwnerReference { controller: None, block_owner_deletion: None, ..owner };
                let metadata = Metadata::named(NAMESPACE.to_owned(), self.name.clone());
                self.api.create(&self.lease(Metadata { owner_references: vec![owner], ..metadata })).await?
            }
        });
        Ok(())
    }

    fn lease(&self, metadata: Metadata) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(self.name.clone()),
            lease_duration_seconds: i32::try_from((self.interval * INTERVALS).as_secs().max(1)).ok(),
            renew_time: Some(MicroTime::new(self.clock.now())),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec, ..Lease::default() }
    }
}

/// A number from 0 to 1 that depends on the name alone.
fn share_of(name: &str) -> f64 {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    f64::from(hash) / f64::from(u32::MAX)
}
