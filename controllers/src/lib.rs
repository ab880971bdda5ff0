//! Every controller of the system, and the one list of them.
//!
//! A controller compares what should be with what is and writes what is missing; it talks to nobody but the API. Most are
//! planners: a pure function from a world to a plan. Start reading at [`all`] and [`run`], then [`workload`].
#![deny(missing_docs)]

pub mod admission_policy;
pub mod certificate;
pub mod custom_resource;
pub mod election;
pub mod endpoint_slices;
pub mod foresight;
pub mod garbage;
pub mod git_sync;
mod kinds;
pub mod namespace;
pub mod node_lifecycle;
mod permissions;
pub mod pod_gc;
pub mod role_aggregation;
pub mod root_authority;
pub mod scheduler;
pub mod service_account;
pub mod workload;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use orch_api::{Client, Clock, Resource};
use orch_controller_runtime::{ActAs, Caches, Context, Metrics, ObjectKey, Recorder};
use orch_ontology::{Event, Pod, PolicyRule};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use election::{Election, Fenced, Term, Terms};

pub use foresight::ControllersForesight;
pub use scheduler::{Decision, Decisions};

/// A controller: runs until cancelled.
pub type Run = Box<dyn FnOnce(Context, CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// One controller of the list.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it may do, beyond what all controllers may.
    pub permissions: Vec<PolicyRule>,
    /// How it runs.
    pub run: Run,
}

/// The user that reads for all controllers and writes their events.
pub const SHARED_USER: &str = "system:orch:controllers";

/// The user that a controller writes as.
pub fn user(controller: &str) -> String {
    format!("system:orch:controller:{controller}")
}

/// The authority that the API server and its clients are known by.
#[derive(Clone)]
pub struct Authority {
    /// Its certificate, in PEM: what everybody trusts.
    pub certificate_pem: String,
    /// How it signs.
    pub signer: certificate::Signer,
}

impl Default for Authority {
    /// None: nothing is signed.
    fn default() -> Self {
        let signer = Arc::new(|_: &certificate::Certify| Err("there is no authority".to_owned()));
        Self { certificate_pem: String::new(), signer }
    }
}

/// What controllers tell about themselves. Clones share it.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// What the scheduler has decided lately.
    pub decisions: Decisions,
    /// How the scheduler fares.
    pub scheduler: scheduler::Metrics,
    /// How every controller's queue does.
    pub queues: Metrics,
}

impl Telemetry {
    /// Makes the numbers part of what is told about the process.
    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        self.scheduler.register(registry);
        self.queues.register(registry);
    }
}

/// What controllers are handed beside the API. Clones share it.
#[derive(Clone, Default)]
pub struct Means {
    /// The authority that the API server and its clients are known by.
    pub authority: Authority,
    /// What they tell about themselves.
    pub telemetry: Telemetry,
    /// How Git repositories are read.
    pub git: git_sync::Settings,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker<'a> {
    /// One of the [`users`].
    User(&'a str),
    /// One of them in the name of a service account.
    Account {
        /// The user.
        user: &'a str,
        /// The namespace of the account.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
}

/// Pods as a world prints them.
pub(crate) fn whole<S: serde::Serializer>(pods: &[Arc<Pod>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(pods.iter().map(|pod| &**pod))
}

/// Every controller. What the scheduler does can be read from the telemetry.
pub fn all(means: Means) -> Vec<Entry> {
    let Means { authority: Authority { certificate_pem, signer }, telemetry, git } = means;
    vec![
        entry("namespace", permissions::namespace(), namespace::run),
        entry("service-account", permissions::service_account(), service_account::run),
        entry("workload", permissions::workload(), workload::run),
        entry("endpoint-slice", permissions::endpoint_slice(), endpoint_slices::run),
        entry("scheduler", permissions::scheduler(), move |context, cancel| {
            scheduler::run(context, telemetry.decisions, telemetry.scheduler, cancel)
        }),
        entry("node-lifecycle", permissions::node_lifecycle(), node_lifecycle::run),
        entry("pod-gc", permissions::pod_gc(), pod_gc::run),
        entry("garbage", permissions::garbage(), garbage::run),
        entry("custom-resource", permissions::custom_resource(), custom_resource::run),
        entry("root-authority", permissions::root_authority(), move |context, cancel| {
            root_authority::run(context, certificate_pem, cancel)
        }),
        entry("certificate-approving", permissions::certificate_approving(), certificate::run_approving),
        entry("certificate-signing", permissions::certificate_signing(), move |context, cancel| {
            certificate::run_signing(context, signer, cancel)
        }),
        entry("certificate-cleaning", permissions::certificate_cleaning(), certificate::run_cleaning),
        entry("role-aggregation", permissions::role_aggregation(), role_aggregation::run),
        entry("admission-policy", permissions::admission_policy(), admission_policy::run),
        entry("git-sync", permissions::git_sync(), move |context, cancel| {
            git_sync::run(context, git, cancel)
        }),
    ]
}

fn entry<F: Future<Output = ()> + Send + 'static>(
    name: &'static str,
    permissions: Vec<PolicyRule>,
    run: impl FnOnce(Context, CancellationToken) -> F + Send + 'static,
) -> Entry {
    Entry { name, permissions, run: Box::new(|context, cancel| run(context, cancel).boxed()) }
}

/// The users that controllers act as, and what each must be allowed to do.
pub fn users() -> Vec<(String, Vec<PolicyRule>)> {
    let own = all(Means::default()).into_iter().map(|entry| (user(entry.name), entry.permissions));
    let shared = [(SHARED_USER, permissions::shared()), (ELECTION_USER, permissions::election())];
    own.chain(shared.map(|(user, rules)| (user.to_owned(), rules))).collect()
}

/// The lease of whoever runs the controllers, in [`ELECTION_NAMESPACE`].
pub const ELECTION_LEASE: &str = "orch-controllers";

/// Where the lease is.
pub const ELECTION_NAMESPACE: &str = "kube-system";

/// The user that keeps the lease.
pub const ELECTION_USER: &str = "system:orch:leader-election";

/// As [`run`], but only while this instance leads all those that share the store. `identity` is different in every process that
/// ever ran.
pub async fn run_elected(
    client: impl Fn(Asker<'_>) -> Arc<dyn Client> + Send + Sync + 'static,
    clock: Arc<dyn Clock>,
    means: Means,
    identity: String,
    cancel: CancellationToken,
) {
    let client = Arc::new(client);
    let election = Election {
        client: client(Asker::User(ELECTION_USER)),
        clock: clock.clone(),
        lease: ObjectKey::new(ELECTION_NAMESPACE, ELECTION_LEASE),
        identity,
        terms: Terms::default(),
    };
    let work = move |term: Term| {
        let (client, over) = (client.clone(), term.token().clone());
        let fenced =
            move |asker: Asker<'_>| -> Arc<dyn Client> { Arc::new(Fenced::new(client(asker), term.clone())) };
        run(fenced, clock.clone(), means.clone(), over)
    };
    election.lead(cancel, work).await;
}

/// Runs every controller over one set of caches until cancelled; then waits for what is under way. `client` gives the way to
/// the server as one of the [`users`].
pub async fn run(
    client: impl Fn(Asker<'_>) -> Arc<dyn Client> + Send + Sync + 'static,
    clock: Arc<dyn Clock>,
    means: Means,
    cancel: CancellationToken,
) {
    let client = Arc::new(client);
    let shared = client(Asker::User(SHARED_USER));
    let caches = Arc::new(Caches::new(shared.clone(), clock.clone(), cancel.clone()));
    let (recorder, events) = Recorder::new(shared, clock.clone(), Event::KIND, "controllers");
    let mut running = JoinSet::new();
    running.spawn(events.run(cancel.clone()));
    let metrics = means.telemetry.queues.clone();
    for Entry { name, run, .. } in all(means) {
        let (caches, clock, recorder) = (caches.clone(), clock.clone(), recorder.clone());
        let metrics = metrics.clone();
        let (acting, user) = (client.clone(), user(name));
        let client = client(Asker::User(&user));
        let act_as: ActAs =
            Arc::new(move |namespace, name| acting(Asker::Account { user: &user, namespace, name }));
        let context = Context { client, act_as, caches, clock, recorder, metrics };
        running.spawn(run(context, cancel.clone()));
    }
    drop((caches, recorder, client));
    running.join_all().await;
}
