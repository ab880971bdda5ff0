//! [`Known`]: what the server was last known to serve, kept from one call to the next.

use std::sync::Arc;

use orch_api::RelationGraph;
use orch_client::{Accept, Document, HttpClient, KnownDiscovery};
use parking_lot::Mutex;

use crate::failure::Failure;

/// What is learned of a server that is the same for all its callers: its kinds and how they relate. Kinds come and go, so each call asks
/// whether that is still so; what has not changed is neither sent nor read again.
#[derive(Debug, Default)]
pub struct Known {
    pub(crate) discovery: KnownDiscovery,
    graph: Mutex<Option<(Document, Arc<RelationGraph>)>>,
}

impl Known {
    /// How the kinds relate.
    pub(crate) async fn graph(&self, client: &HttpClient) -> Result<Arc<RelationGraph>, Failure> {
        let known = self.graph.lock().clone();
        let document =
            client.document("/ontology", Accept::Json, known.as_ref().map(|(document, _)| document)).await?;
        if let Some((known, graph)) = known
            && document.is(&known)
        {
            return Ok(graph);
        }
        let graph: Arc<RelationGraph> = Arc::new(serde_json::from_slice(&document.bytes)?);
        *self.graph.lock() = Some((document, graph.clone()));
        Ok(graph)
    }
}
