//! Several processes over one etcd: what they must have in common, and which of them runs the controllers.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use orch_api::{Api, Client, Metadata, Reason, Resource, Status};
use orch_controllers::ELECTION_NAMESPACE;
use orch_ontology::{ConfigMap, Namespace};
use uuid::Uuid;

use super::nodes;

/// Where members find the authority that the first of them made.
const AUTHORITY: &str = "orch-authority";
const CERTIFICATE: &str = "ca.crt";

/// A name for this process that no other ever had.
pub(crate) fn identity() -> String {
    format!("{}_{}", nodes::host_name().unwrap_or_default(), Uuid::new_v4())
}

/// Makes what members need before any of them leads, and checks that all have the same certificate authority: otherwise those
/// who are known to one would be strangers to the other.
///
/// # Errors
/// If the authority is another one.
pub(crate) async fn join(client: Arc<dyn Client>, authority: &str) -> Result<()> {
    let namespace = Namespace { metadata: Metadata::named(None, ELECTION_NAMESPACE), ..Namespace::default() };
    let made = made_or_present(&Api::<Namespace>::all(client.clone()), &namespace).await;
    made.with_context(|| format!("the namespace {ELECTION_NAMESPACE} cannot be made"))?;
    let record = ConfigMap {
        metadata: Metadata::named(ELECTION_NAMESPACE.to_owned(), AUTHORITY),
        data: [(CERTIFICATE.to_owned(), authority.to_owned())].into(),
        ..ConfigMap::default()
    };
    let records = Api::<ConfigMap>::namespaced(client, ELECTION_NAMESPACE);
    let present =
        made_or_present(&records, &record).await.context("the members' authority cannot be read")?;
    if present.data.get(CERTIFICATE).map(|text| text.trim()) != Some(authority.trim()) {
        bail!(
            "the members over this etcd have another certificate authority than this one\n\
             hint: stop this one, and copy the directory pki of another member's data directory into its own"
        );
    }
    Ok(())
}

/// The object as it is made, or as another member made it before.
async fn made_or_present<K: Resource>(api: &Api<K>, object: &K) -> Result<K, Status> {
    match api.create(object).await {
        Err(status) if status.is(&Reason::AlreadyExists) => api.get(&object.metadata().name).await,
        made => made,
    }
}
