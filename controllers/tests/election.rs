//! Candidates for leadership over a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use orch_api::{Api, Body, Client, Metadata, Params, Patch, Request, Resource, Target, Verb};
use orch_apiserver::{ApiServer, Config, Identity};
use orch_controller_runtime::{ObjectKey, SystemClock};
use orch_controllers::election::{Election, Fenced, Term, Terms};
use orch_ontology::{ConfigMap, KINDS, Lease, Namespace};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::testing::FaultyStore;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(60);

struct Host {
    api: ApiServer,
    store: Arc<FaultyStore<EmbeddedStore>>,
    _directory: tempfile::TempDir,
}

async fn host() -> Host {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
    let store = Arc::new(FaultyStore::new(Arc::new(store)));
    let api = ApiServer::start(Config::new(store.clone(), KINDS.clone(), Arc::new(SystemClock))).unwrap();
    let host = Host { api, store, _directory: directory };
    let namespace = serde_json::from_value(json!({"metadata": {"name": "kube-system"}})).unwrap();
    Api::<Namespace>::all(host.client()).create(&namespace).await.unwrap();
    host
}

impl Host {
    fn client(&self) -> Arc<dyn Client> {
        self.api.local_client(Identity::new("test", ["system:masters"]))
    }

    fn candidate(&self, identity: &str) -> Election {
        let millis = Duration::from_millis;
        Election {
            client: self.client(),
            clock: Arc::new(SystemClock),
            lease: ObjectKey::new("kube-system", "work"),
            identity: identity.to_owned(),
            terms: Terms { duration: millis(2000), renew_within: millis(1200), retry: millis(100) },
        }
    }

    async fn lease(&self) -> Lease {
        Api::<Lease>::namespaced(self.client(), "kube-system").get("work").await.unwrap()
    }
}

/// A candidate that tells when it begins, and works until its term is over.
struct Running {
    began: mpsc::UnboundedReceiver<Term>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn run(election: Election, at_work: Arc<AtomicUsize>) -> Running {
    let (sender, began) = mpsc::unbounded_channel();
    let cancel = CancellationToken::new();
    let work = move |term: Term| {
        let (sender, at_work) = (sender.clone(), at_work.clone());
        async move {
            assert_eq!(at_work.fetch_add(1, Ordering::SeqCst), 0, "two lead at once");
            sender.send(term.clone()).ok();
            term.token().cancelled().await;
            at_work.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let task = tokio::spawn(election.lead(cancel.clone(), work));
    Running { began, cancel, task }
}

impl Running {
    async fn leads(&mut self) -> Term {
        timeout(DEADLINE, self.began.recv()).await.expect("it never leads").unwrap()
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_hands_over_at_once() {
    let (host, at_work) = (host().await, Arc::default());
    let mut first = run(host.candidate("first"), Arc::clone(&at_work));
    first.leads().await;
    let lease = host.lease().await.spec;
    assert_eq!((lease.holder_identity.as_deref(), lease.lease_transitions), (Some("first"), Some(0)));
    assert_eq!(lease.lease_duration_seconds, Some(2));
    let mut second = run(host.candidate("second"), at_work);
    first.stop().await;
    second.leads().await;
    let lease = host.lease().await.spec;
    assert_eq!((lease.holder_identity.as_deref(), lease.lease_transitions), (Some("second"), Some(1)));
    second.stop().await;
    assert_eq!(host.lease().await.spec.holder_identity.as_deref(), Some(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_is_followed_when_its_lease_is_over_and_not_before() {
    let (host, at_work) = (host().await, Arc::<AtomicUsize>::default());
    let mut first = run(host.candidate("first"), Arc::clone(&at_work));
    let term = first.leads().await;
    let mut second = run(host.candidate("second"), at_work.clone());
    first.task.abort();
    drop(first.task.await);
    at_work.store(0, Ordering::SeqCst);
    second.leads().await;
    assert!(!term.holds(), "the fence falls before another leads");
    let lease = host.lease().await.spec;
    assert_eq!((lease.holder_identity.as_deref(), lease.lease_transitions), (Some("second"), Some(1)));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_a_store_ends_its_term_and_can_lead_again() {
    let (host, at_work) = (host().await, Arc::default());
    let mut only = run(host.candidate("only"), at_work);
    let term = only.leads().await;
    let fenced = Fenced::new(host.client(), term.clone());
    host.store.set_down(true);
    timeout(DEADLINE, term.token().cancelled()).await.unwrap();
    host.store.set_down(false);
    // Its clients write nothing, though the server would take it; they do read.
    let made =
        ConfigMap { metadata: Metadata::named("kube-system".to_owned(), "late"), ..Default::default() };
    let body = Some(Body::json(&made).unwrap());
    let target = Target::in_namespace(&ConfigMap::KIND, "kube-system");
    let request = |verb, body| Request { verb, target: target.clone(), params: Params::default(), body };
    assert_eq!(fenced.send(request(Verb::Create, body.clone())).await.unwrap_err().code, 503);
    fenced.send(request(Verb::List, None)).await.unwrap();
    let again = only.leads().await;
    Fenced::new(host.client(), again).send(request(Verb::Create, body)).await.unwrap();
    only.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_is_taken_stops() {
    let (host, at_work) = (host().await, Arc::default());
    let mut only = run(host.candidate("only"), at_work);
    let term = only.leads().await;
    let leases = Api::<Lease>::namespaced(host.client(), "kube-system");
    let steal = Patch::Merge(json!({"spec": {"holderIdentity": "thief"}}));
    leases.patch("work", &steal, Params::default()).await.unwrap();
    timeout(DEADLINE, term.token().cancelled()).await.unwrap();
    assert!(!term.holds());
    only.stop().await;
    assert_eq!(
        host.lease().await.spec.holder_identity.as_deref(),
        Some("thief"),
        "it is not ours to release"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_candidates_one_leads_at_a_time() {
    let (host, at_work) = (host().await, Arc::<AtomicUsize>::default());
    let mut candidates: Vec<Running> =
        (0..5).map(|n| run(host.candidate(&format!("candidate-{n}")), Arc::clone(&at_work))).collect();
    while !candidates.is_empty() {
        let leads = candidates.iter_mut().map(|one| Box::pin(one.began.recv()));
        let (_, index, _) = timeout(DEADLINE, futures::future::select_all(leads)).await.unwrap();
        candidates.swap_remove(index).stop().await;
    }
    assert_eq!(host.lease().await.spec.lease_transitions, Some(4));
}
