//! [`KnownDiscovery`]: what a server serves, kept from one question to the next.

use std::sync::Arc;

use orch_api::Status;
use parking_lot::Mutex;

use super::Discovery;
use super::fetch::{is_aggregated, read};
use crate::{Accept, Document, HttpClient};

/// What a server was last known to serve, for any number of its callers. Kinds come and go while it runs, so it is asked each time
/// whether that is still so, in two short requests; only what has changed is sent and read again.
#[derive(Debug, Default)]
pub struct KnownDiscovery(Mutex<Option<(Document, Document, Arc<Discovery>)>>);

impl KnownDiscovery {
    /// What the server serves now.
    ///
    /// # Errors
    /// As [`orch_api::Client::send`].
    pub async fn of(&self, client: &HttpClient) -> Result<Arc<Discovery>, Status> {
        let known = self.0.lock().clone();
        let (core, groups) = known.as_ref().map(|(core, groups, _)| (core, groups)).unzip();
        let (core, groups) = futures::try_join!(
            client.document("/api", Accept::Discovery, core),
            client.document("/apis", Accept::Discovery, groups),
        )?;
        if let Some((known_core, known_groups, discovery)) = known
            && core.is(&known_core)
            && groups.is(&known_groups)
        {
            return Ok(discovery);
        }
        let roots = (read(&core.bytes)?, read(&groups.bytes)?);
        // Of a server without aggregated discovery these say not all.
        let says_all = is_aggregated(&roots.0) && is_aggregated(&roots.1);
        let discovery = Arc::new(client.described(roots.0, roots.1).await?);
        *self.0.lock() = says_all.then(|| (core, groups, discovery.clone()));
        Ok(discovery)
    }
}
