//! Every namespace has a ConfigMap `kube-root-ca.crt` with the certificate of the authority that the API server is known by:
//! what pods trust.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use orch_api::{Api, Client, Metadata, Params, Patch, Reason, Status};
use orch_controller_runtime::{Cache, Context, Controller, ObjectKey, Outcome, Reconciler, Reflector};
use orch_ontology::{ConfigMap, Namespace, ServiceAccount};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const NAME: &str = "root-ca-certificate-publisher-controller";
const ENTRY: &str = "ca.crt";

struct Publisher {
    client: Arc<dyn Client>,
    namespaces: Arc<Cache<Namespace>>,
    /// Those of the one name only.
    published: Arc<Cache<ConfigMap>>,
    certificate_pem: String,
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, certificate_pem: String, cancel: CancellationToken) {
    let (client, clock) = (context.client.clone(), context.clock.clone());
    let name = ServiceAccount::ROOT_AUTHORITY;
    let reflector =
        Reflector::<ConfigMap>::new(client.clone(), clock).fields(format!("metadata.name={name}"));
    let published = reflector.spawn(cancel.clone());
    let controller = Controller::<Namespace>::new(&context);
    let queue = controller.queue();
    published.subscribe(move |change| queue.add(ObjectKey::new("", change.key.namespace.clone())));
    if cancel.run_until_cancelled(published.synced()).await.is_none() {
        return;
    }
    let namespaces = context.caches.of();
    let publisher = Publisher { client, namespaces, published, certificate_pem };
    controller.reconcile(Arc::new(publisher), cancel).await;
}

#[async_trait]
impl Reconciler for Publisher {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let namespace = self.namespaces.get(key).filter(|namespace| !namespace.metadata.is_terminating());
        if namespace.is_none() {
            return Ok(Outcome::Done);
        }
        let wanted = BTreeMap::from([(ENTRY.to_owned(), self.certificate_pem.clone())]);
        let place = ObjectKey::new(key.name.clone(), ServiceAccount::ROOT_AUTHORITY);
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), &key.name).manager(NAME);
        let written = match self.published.get(&place) {
            Some(published) if published.data == wanted => return Ok(Outcome::Done),
            Some(published) => {
                let kept = published.data.keys().filter(|entry| *entry != ENTRY);
                let removed = kept.map(|entry| (entry.clone(), json!(null)));
                let mut data: serde_json::Map<_, _> = removed.collect();
                data.insert(ENTRY.to_owned(), self.certificate_pem.clone().into());
                let patch = Patch::Merge(json!({"data": data}));
                api.patch(&place.name, &patch, Params::default()).await
            }
            None => {
                let metadata = Metadata::named(key.name.clone(), place.name);
                api.create(&ConfigMap { metadata, data: wanted, ..ConfigMap::default() }).await
            }
        };
        match written {
            // The namespace is closing, or somebody was faster: what comes of that is seen.
            Err(status) if is_news(&status) => Ok(Outcome::Done),
            written => written.map(|_| Outcome::Done),
        }
    }
}

fn is_news(status: &Status) -> bool {
    let is_closing = status
        .details
        .as_ref()
        .is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"));
    is_closing || [Reason::AlreadyExists, Reason::NotFound].iter().any(|reason| status.is(reason))
}
