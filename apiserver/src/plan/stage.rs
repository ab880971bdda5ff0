//! [`Stage`]: a server's registry over a store that keeps changes to itself.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use orch_api::plan::PlanTarget;
use orch_api::{Object as _, Reason, Request, Status, Verb};
use orch_store::{Key, Overlay, Revision};
use tokio::sync::Mutex;

use super::scene::Scene;
use crate::authn::Identity;
use crate::authz::Gate;
use crate::cache::{Cache, Follower, Note};
use crate::definitions::Definitions;
use crate::kinds::{KindTable, Kinds, Served};
use crate::policies::Notices;
use crate::references;
use crate::registry::{Answer, Call, Registry, Via};
use crate::status::from_store;

/// How many bytes of objects may be on a stage, as they were and as they have become: what is only looked at fits into no transaction.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// What everything was at one revision, and what requests have made of it since. Nobody else sees that. Everything that verbs
/// look at is here in a form of its own that has the changes: objects, kinds, rights, rules.
pub(super) struct Stage {
    pub(super) registry: Registry,
    pub(super) overlay: Arc<Overlay>,
    definitions: Mutex<Definitions>,
    before: Arc<Kinds>,
}

/// On whose behalf the requests of a plan are made.
pub(super) struct Asker<'a> {
    pub(super) identity: &'a Identity,
    /// How the plan came, and which it is.
    pub(super) via: Via,
    /// Whose the fields are that nobody else is said to own.
    pub(super) manager: &'a str,
    /// Why, in the plan's words.
    pub(super) reason: &'a str,
    /// Where it is put what rules have to say for the audit record of whoever asks.
    pub(super) notices: &'a Notices,
}

/// What has become of one request.
pub(super) struct Done {
    pub(super) kind: Arc<Served>,
    pub(super) key: Key,
    pub(super) target: PlanTarget,
    pub(super) warnings: Vec<String>,
}

impl Stage {
    /// A stage on which nothing has happened yet.
    ///
    /// # Errors
    /// 503 if the cache cannot be brought up to date.
    pub(super) async fn open(live: &Registry) -> Result<Self, Status> {
        live.cache.catch_up().await?;
        let overlay = Arc::new(Overlay::new(live.store.clone(), live.cache.reached()));
        let before = live.kinds.now();
        let noting = overlay.clone();
        let note: Note = Arc::new(move |key: &Key, modified: Option<Revision>| noting.note(key, modified));
        let kinds: Vec<_> = before.all().iter().map(|kind| Arc::new(kind.over(note.clone()))).collect();
        let builtin = kinds.iter().filter(|kind| kind.entry.custom.is_none()).cloned();
        let builtin = Kinds::serving(builtin).map_err(Status::internal)?;
        let kinds = KindTable::new(Kinds::serving(kinds).map_err(Status::internal)?);
        let policies = live.policies.fork(kinds.clone());
        let authorizer = live.gate.authorizer().fork();
        let follower = Follower::new(authorizer.clone(), policies.admission().clone());
        let cache = Cache::over(overlay.clone(), kinds.clone(), follower, overlay.start());
        let cache = Arc::new(cache);
        let registry = Registry {
            store: overlay.clone(),
            kinds,
            gate: Gate::new(authorizer, &[], cache.clone()),
            cache,
            clock: live.clock.clone(),
            policies,
            accounts: None,
            history: live.history.clone(),
            foresight: live.foresight.clone(),
            // Nobody makes anything here.
            patience: Duration::ZERO,
        };
        let definitions = Mutex::new(Definitions::beside(&builtin));
        Ok(Self { registry, overlay, definitions, before })
    }

    /// Carries out a request on behalf of somebody, as if it came over the wire.
    ///
    /// # Errors
    /// What the request would be refused with.
    pub(super) fn run<'a>(
        &'a self,
        asker: &'a Asker<'a>,
        mut request: Request,
    ) -> BoxFuture<'a, Result<Done, Status>> {
        request.params.field_manager.get_or_insert_with(|| asker.manager.to_owned());
        request.params.reason = Some(asker.reason.to_owned());
        // In a box: a plan is a request that is made of requests.
        async move {
            let (identity, via) = (asker.identity.clone(), asker.via.clone());
            let call = self.registry.authorized(identity, via, request).await?;
            if call.kind.entry.is_plan || call.is_stream() {
                let why = "cannot be part of a plan";
                return Err(Status::forbidden(call.kind.kind(), call.name(), why));
            }
            self.note_definition(&call.kind)?;
            let mut target = target(&call);
            if call.verb() == Verb::Create && call.subresource().is_none() {
                target.name = call.object()?.0.name().to_owned();
            }
            let key = call.kind.key(call.namespace(), &target.name)?;
            let answer = self.registry.serve(&call).await;
            asker.notices.annotate(call.notices.annotations());
            let mut answer = answer?;
            self.take_in().await?;
            references::warn(&self.registry, &call, &mut answer).await?;
            let mut warnings = call.notices.warnings();
            if let Answer::Object(written) = answer {
                warnings.extend(written.warnings);
            }
            Ok(Done { key, target, kind: call.kind, warnings })
        }
        .boxed()
    }

    /// What becomes of an object of a kind that another object defines depends on that one, too: looking at it notes it.
    fn note_definition(&self, kind: &Served) -> Result<(), Status> {
        if kind.entry.custom.is_some() {
            let name = format!("{}.{}", kind.kind().plural, kind.kind().group);
            for (defining, _) in Definitions::defining(&self.registry.kinds.now()) {
                defining.window.get(&defining.key(None, &name)?);
            }
        }
        Ok(())
    }

    /// Shows what has been committed to those who read from the cache.
    async fn take_in(&self) -> Result<(), Status> {
        let mut definitions = self.definitions.lock().await;
        for batch in self.overlay.commits_after(self.registry.cache.reached()).await {
            self.registry.cache.take_in(batch, &mut definitions).await.map_err(from_store)?;
        }
        // Who comes next looks at what has become of them.
        self.overlay.forget().await;
        check_room(self.overlay.bytes().await)
    }

    /// What has happened so far, and what is there beside it.
    pub(super) async fn scene(&self) -> Scene {
        let changes = self.overlay.changes().await;
        Scene { before: self.before.clone(), after: self.registry.kinds.now(), changes }
    }

    /// Whether there is no room for more.
    pub(super) async fn is_full(&self) -> bool {
        check_room(self.overlay.bytes().await).is_err()
    }
}

/// # Errors
/// 413 if so many bytes are too many.
fn check_room(bytes: usize) -> Result<(), Status> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let message = format!("the objects of a plan may have {MAX_BYTES} bytes: make several plans");
    Err(Status::failure(Reason::RequestEntityTooLarge, message))
}

fn target(call: &Call) -> PlanTarget {
    PlanTarget {
        api_version: call.kind.api_version.clone(),
        kind: call.kind.kind().name.to_owned(),
        namespace: call.namespace().unwrap_or_default().to_owned(),
        name: call.name().to_owned(),
        subresource: String::new(),
    }
}
