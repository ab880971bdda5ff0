//! The verbs on objects, the same for every kind. One file each.
//!
//! - `call.rs`: what a verb is handed; `answer.rs`: what it hands back.
//! - Reads: `get.rs`, `list.rs`, `watch.rs`, all from the cache; `changes.rs` and `past.rs`, from the history.
//! - Writes: `create.rs`, `update.rs`, `patch.rs`, `apply.rs`, `delete.rs`, `delete_collection.rs`, `subresource.rs`,
//!   `scale.rs`, `token.rs`.
//!   Plans, which are made of such writes, are `plan/`.
//!   What they share is `change.rs` (from the object wanted to the object stored; pure) and `modify.rs` (read, decide,
//!   commit, and again if somebody was faster).

mod answer;
mod apply;
mod call;
mod change;
mod changes;
mod create;
mod delete;
mod delete_collection;
mod get;
mod list;
mod modify;
mod past;
mod patch;
mod scale;
mod subresource;
mod token;
mod update;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use orch_api::{Attributes, Clock, Foresight, Request, Status, Verb};
use orch_store::Store;

pub(crate) use answer::{Answer, List, Listed, Written};
pub(crate) use call::{Call, Via};
pub(crate) use changes::Sight;
pub(crate) use create::insert;
pub(crate) use watch::{Item, Watch};

use crate::authn::{Identity, ServiceAccounts};
use crate::authz::Gate;
use crate::cache::Cache;
use crate::history::History;
use crate::kinds::KindTable;
use crate::plan;
use crate::policies::Policies;

/// Everything that verbs work on.
pub(crate) struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) kinds: KindTable,
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Gate,
    pub(crate) policies: Policies,
    /// Who issues tokens, if anybody does.
    pub(crate) accounts: Option<ServiceAccounts>,
    /// What has changed, if that is recorded.
    pub(crate) history: Option<History>,
    /// Who knows what follows from changes.
    pub(crate) foresight: Arc<dyn Foresight>,
    /// How long an object that another one needs is waited for.
    pub(crate) patience: Duration,
}

/// How long an object that another one needs is waited for, where others may make it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

impl Registry {
    /// Finds out what a request is about. A kind that has just been defined, or defined anew, is found as it is defined.
    ///
    /// # Errors
    /// 404 if there is no such kind or subresource, 400 or 405 if the path and the verb do not fit together; 503 if the store
    /// cannot say whether there is.
    pub(crate) async fn call(&self, identity: Identity, via: Via, request: Request) -> Result<Call, Status> {
        if self.may_have_changed(&request) {
            self.cache.catch_up().await?;
        }
        let authorizer = self.gate.authorizer().clone();
        Call::new(&self.kinds.now(), (authorizer, self.policies.clone()), identity, via, request)
    }

    /// Whether what the cache knows of the request's kind may be out of date: kinds that objects define come, change and go.
    /// A read that is content with the past is so with the past's kind, too.
    fn may_have_changed(&self, request: &Request) -> bool {
        let is_read = matches!(request.verb, Verb::Get | Verb::List | Verb::Watch);
        let of_the_past = is_read && request.params.resource_version.is_some();
        self.kinds.now().at(&request.target).is_none_or(|kind| kind.entry.custom.is_some() && !of_the_past)
    }

    /// The call that a request makes, if its caller may make it. Who may not is not told whether there is what was asked for.
    ///
    /// # Errors
    /// 403; and what [`call`](Self::call) says.
    pub(crate) async fn authorized(
        &self,
        identity: Identity,
        via: Via,
        request: Request,
    ) -> Result<Call, Status> {
        self.gate.check(&Attributes::of(identity.subject(), &request)).await?;
        self.call(identity, via, request).await
    }

    /// Carries out a request.
    ///
    /// # Errors
    /// Whatever the verb says.
    pub(crate) async fn serve(&self, call: &Call) -> Result<Answer, Status> {
        match (call.verb(), call.subresource()) {
            (Verb::Get, None) if call.kind.entry.is_history => changes::get(self, call).await,
            (Verb::List, _) if call.kind.entry.is_history => changes::list(self, call).await,
            (Verb::Get, None) => get::get(self, call).await,
            (Verb::Get, Some(_)) => subresource::get(self, call).await,
            (Verb::List, _) => list::list(self, call).await,
            (Verb::Watch, _) => watch::watch(self, call).await,
            (Verb::Create, None) if call.kind.entry.is_plan => plan::create(self, call).await,
            (Verb::Create, None) => create::create(self, call).await,
            (Verb::Create, Some(_)) => subresource::create(self, call).await,
            (Verb::Update, None) => update::update(self, call).await,
            (Verb::Update, Some("status")) => update::update(self, call).await,
            (Verb::Update, Some(_)) => subresource::transform(self, call).await,
            (Verb::Patch, _) => patch::patch(self, call).await,
            (Verb::Delete, None) => delete::delete(self, call).await,
            (Verb::DeleteCollection, None) => delete_collection::delete_collection(self, call).await,
            (Verb::Delete | Verb::DeleteCollection, Some(_)) => Err(Status::method_not_allowed()),
        }
    }
}
