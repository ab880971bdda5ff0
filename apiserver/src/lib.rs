//! The API server: Kubernetes' API over any [`Store`], for any table of kinds.
//!
//! [`ApiServer`] is handed a store and a list of [`KindEntry`]s and answers HTTP ([`ApiServer::router`], to be served by
//! `orch_transport::serve`) and calls from within the process ([`ApiServer::local_client`]) alike.
//!
//! It deliberately names no kind, has no handler for any, and runs nothing: what acts on objects reads and writes them
//! through it. It does not listen by itself.
//!
//! # Invariants
//!
//! - Every request goes through `pipeline.rs`; local ones enter behind authentication.
//! - Every write commits against the revision that it was decided upon. What is acknowledged is durable.
//! - Reads without a `resourceVersion` see every write acknowledged before.
//! - A watch delivers every change once and in order, or says 410.
//!
//! Start reading at `pipeline.rs`, then `registry/mod.rs`, then `cache/mod.rs`.
#![deny(missing_docs)]

mod accept;
mod admission;
mod audit;
mod authn;
mod authz;
mod cache;
mod compaction;
mod decode;
mod definitions;
mod encryption;
mod endpoints;
mod expiry;
mod fairness;
mod history;
mod incoming;
mod kinds;
mod local;
mod metadata;
mod metrics;
mod mount;
mod origin;
mod ownership;
mod pipeline;
mod plan;
mod policies;
mod protobuf;
mod references;
mod registry;
mod respond;
mod server;
mod socket;
mod status;
mod stream;
mod table;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use orch_api::{Admission, AdmitAll, AllowAll, Authorizer, Client, Clock, Foresight, KindEntry, NoForesight};
use orch_store::Store;
use tokio::task::JoinSet;

pub use audit::{Audit, AuditError, AuditFile, AuditLevel, AuditLog, AuditPolicy, AuditRule};
pub use authn::{
    AUTHENTICATED, Identity, Oidc, OidcConfig, OidcError, TokenIssuer, TokenKeyError, TokenKeys, Tokens,
    TokensError,
};
pub use encryption::{EncryptedStore, Keyring, KeyringError};
pub use fairness::FlowLimits;
pub use history::{History, HistoryConfig, HistoryError, HistoryRetention};
pub use kinds::KindsError;
pub use mount::{Caller, Mount, Serve, Visit, Visitors};

use authn::ServiceAccounts;
use authz::Gate;
use cache::{Cache, Follower};
use kinds::{KindTable, Kinds};
use local::LocalClient;
use policies::Policies;
use registry::Registry;
use server::Server;

/// What an API server is made of.
pub struct Config {
    /// Where objects are kept.
    pub store: Arc<dyn Store>,
    /// The kinds that are served.
    pub kinds: Vec<KindEntry>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Static bearer tokens; none by default.
    pub tokens: Tokens,
    /// How service accounts' tokens are issued; none are by default.
    pub token_issuer: Option<TokenIssuer>,
    /// Who may do what. By default every caller who is known may do everything.
    pub authorizer: Arc<dyn Authorizer>,
    /// What rules that are objects say of changes. By default nothing.
    pub admission: Arc<dyn Admission>,
    /// What follows from changes, for plans. By default nothing is known of it.
    pub foresight: Arc<dyn Foresight>,
    /// Another issuer, whose tokens people are known by; none by default.
    pub oidc: Option<Oidc>,
    /// What is recorded of requests; nothing by default.
    pub audit: Option<Audit>,
    /// Where changes are recorded; nowhere by default, and then the kind that shows them is not served.
    pub history: Option<History>,
    /// Keep only so much history in the store, for stores that keep all of it (etcd); the embedded store looks after itself.
    pub compact_after: Option<Duration>,
    /// How streams (`log`, `exec`) reach the servers behind objects: `orch_transport::client_config` with a certificate
    /// of the API server's own. Without it streams are answered with 503.
    pub backend: Option<Arc<rustls::ClientConfig>>,
    /// How much callers may ask at the same time.
    pub flows: FlowLimits,
    /// What else is told at `/metrics`, beside what the server tells about itself.
    pub metrics: prometheus_client::registry::Registry,
    /// What else is served on the same port; nothing by default.
    pub mounts: Vec<Mount>,
}

impl Config {
    /// A server of these kinds, without tokens, compaction and streams.
    pub fn new(store: Arc<dyn Store>, kinds: Vec<KindEntry>, clock: Arc<dyn Clock>) -> Self {
        let (tokens, authorizer) = (Tokens::default(), Arc::new(AllowAll));
        Self {
            store,
            kinds,
            clock,
            tokens,
            token_issuer: None,
            authorizer,
            admission: Arc::new(AdmitAll),
            foresight: Arc::new(NoForesight),
            oidc: None,
            audit: None,
            history: None,
            compact_after: None,
            backend: None,
            flows: FlowLimits::default(),
            metrics: prometheus_client::registry::Registry::default(),
            mounts: Vec::new(),
        }
    }
}

/// A running API server. Dropping it stops the watch cache; watches and requests in flight then fail.
pub struct ApiServer {
    server: Arc<Server>,
    tasks: JoinSet<()>,
}

impl ApiServer {
    /// Starts the watch cache, and compaction if asked for. Requests that come before it is loaded wait for it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If two kinds claim the same path.
    pub fn start(config: Config) -> Result<Self, KindsError> {
        let (history, mut entries) = (config.history, config.kinds);
        entries.retain(|entry| !entry.is_history || history.is_some());
        let kinds = KindTable::new(Kinds::new(entries)?);
        let follower = Follower::new(config.authorizer.clone(), config.admission.clone());
        let cache = Arc::new(Cache::new(config.store.clone(), kinds.clone(), follower));
        let mut tasks = JoinSet::new();
        tasks.spawn(cache.clone().run());
        if let Some(keep) = config.compact_after {
            tasks.spawn(compaction::run(config.store.clone(), config.clock.clone(), keep));
        }
        let (store, clock) = (config.store.clone(), config.clock.clone());
        tasks.spawn(expiry::run(kinds.clone(), cache.clone(), store, clock));
        if let Some(history) = &history {
            let (store, clock) = (config.store.clone(), config.clock.clone());
            tasks.spawn(history::run(history.clone(), store, kinds.clone(), clock));
        }
        let gate = Gate::new(config.authorizer, &config.admission.follows(), cache.clone());
        let policies = Policies::new(config.admission, kinds.clone());
        let accounts = config.token_issuer.map(ServiceAccounts::new);
        let (store, clock) = (config.store, config.clock);
        let (foresight, patience) = (config.foresight, registry::PATIENCE);
        let registry =
            Registry { store, kinds, cache, clock, gate, policies, accounts, history, foresight, patience };
        let server = Server::new(
            registry,
            config.tokens,
            config.oidc,
            config.audit,
            config.backend,
            config.flows,
            config.metrics,
        );
        let server = Arc::new(Server { mounts: config.mounts, ..server });
        Ok(Self { server, tasks })
    }

    /// The HTTP service: every path of the API. Callers are known by the `orch_transport::Peer` in a request's extensions
    /// and by bearer tokens.
    pub fn router(&self) -> axum::Router {
        let server = self.server.clone();
        axum::Router::new().fallback(move |request| pipeline::handle(server.clone(), request))
    }

    /// The API for someone within the process.
    pub fn local_client(&self, identity: Identity) -> Arc<dyn Client> {
        Arc::new(LocalClient { server: self.server.clone(), identity, acting_as: None })
    }

    /// The same in the name of another user. Each request fails with 403 unless `identity` may impersonate that one.
    pub fn local_client_as(&self, identity: Identity, user: impl Into<String>) -> Arc<dyn Client> {
        Arc::new(LocalClient { server: self.server.clone(), identity, acting_as: Some(user.into()) })
    }

    /// Completes once the watch cache has been loaded, which is when `/readyz` says so.
    pub async fn ready(&self) {
        self.server.registry.cache.loaded().await;
    }

    /// Ends all watches and makes `/readyz` fail, so that connections can drain. Other requests go on.
    pub fn stop(&self) {
        self.server.stopping.cancel();
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.server.stopping.cancel();
        self.tasks.abort_all();
    }
}
