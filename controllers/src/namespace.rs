//! Namespaces: the system's own exist; one that is being deleted is emptied and then let go.
//!
//! What runs goes first, and all else once it has ended, because it may be needed until then.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use orch_api::{
    Api, Client, Conditions, Kind, List, Metadata, Params, Reason, RelationVerb as _, Request, RunsOn,
    Status, Target, Time, Verb,
};
use orch_controller_runtime::{
    Action, Cache, Change, Context, Controller, Executor, ObjectKey, Outcome, PartialObject, Plan,
    Reconciler, Write,
};
use orch_ontology::{KINDS, Namespace, NamespaceCondition};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::kinds::{AllKinds, Served};

const NAME: &str = "namespace-controller";

/// The namespace that everybody uses first.
const DEFAULT: &str = "default";

/// The namespaces that are always there.
const SYSTEM: [&str; 4] = [DEFAULT, "kube-system", "kube-public", "kube-node-lease"];

struct Namespaces {
    context: Context,
    executor: Executor,
    namespaces: Arc<Cache<Namespace>>,
    /// The metadata of everything that lives in namespaces, by kind.
    contents: Arc<AllKinds>,
}

/// What is left of one kind in a namespace.
#[derive(Debug, Clone)]
struct Remainder {
    kind: Kind,
    /// Its objects run on others: they go before all else.
    runs: bool,
    objects: Vec<Metadata>,
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let controller = Controller::<Namespace>::new(&context);
    let queue = controller.queue();
    SYSTEM.iter().for_each(|name| queue.add(ObjectKey::new("", *name)));
    let namespaces = context.caches.of::<Namespace>();
    let (queue, known) = (controller.queue(), namespaces.clone());
    let wake = move |_: &AllKinds, _: usize, change: &Change<'_, PartialObject>| {
        let namespace = ObjectKey::new("", change.key.namespace.clone());
        if known.get(&namespace).is_some_and(|namespace| namespace.metadata.is_terminating()) {
            queue.add(namespace);
        }
    };
    // What lives in namespaces, and what may define kinds that do.
    let entries = KINDS.iter().filter(|entry| entry.form.is_none());
    let entries = entries.filter(|entry| entry.kind.is_namespaced() || entry.defines.is_some());
    let contents = AllKinds::follow(&context, entries, wake, &cancel);
    let executor = Executor {
        client: context.client.clone(),
        caches: context.caches.clone(),
        recorder: context.recorder.component(NAME),
        field_manager: NAME,
    };
    let reconciler = Namespaces { context, executor, namespaces, contents };
    controller.reconcile(Arc::new(reconciler), cancel).await;
}

/// Makes the namespace `default` unless it is there, so that whoever is told that the system is ready finds it. The
/// controller keeps it from then on, and makes the others.
///
/// # Errors
/// As [`Client::send`].
pub async fn make_default(client: Arc<dyn Client>) -> Result<(), Status> {
    match Api::<Namespace>::all(client).create(&system(DEFAULT)).await {
        Err(status) if status.is(&Reason::AlreadyExists) => Ok(()),
        made => made.map(drop),
    }
}

#[async_trait]
impl Reconciler for Namespaces {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        match self.namespaces.get(key) {
            None => self.make(&key.name).await?,
            Some(namespace) if namespace.metadata.is_terminating() => self.empty(&namespace).await?,
            Some(_) => {}
        }
        Ok(Outcome::Done)
    }
}

impl Namespaces {
    /// Makes one of the system's own. Another process may be faster, as the one that starts everything is with the first.
    async fn make(&self, name: &str) -> Result<(), Status> {
        match self.executor.execute(make_system(name)).await {
            Err(status) if status.is(&Reason::AlreadyExists) => Ok(()),
            made => made,
        }
    }

    /// The next step of emptying a namespace; a failure is told in its conditions.
    async fn empty(&self, namespace: &Namespace) -> Result<(), Status> {
        if !namespace.spec.finalizers.iter().any(|name| name == Namespace::FINALIZER) {
            return Ok(());
        }
        let now = self.context.clock.now().into();
        let remaining = match self.remaining(&namespace.metadata.name).await {
            Ok(remaining) => remaining,
            Err(status) => {
                let failure = Failure::Discovery(status.message.clone());
                self.tell(report(namespace, &[], Some(&failure), now)).await?;
                return Err(status);
            }
        };
        let Plan { writes, status: news, .. } = plan(namespace, &remaining, now);
        match self.executor.execute(Plan { writes, ..Plan::nothing() }).await {
            Err(status) if !status.is(&Reason::Conflict) => {
                let failure = Failure::Content(status.message.clone());
                self.tell(report(namespace, &remaining, Some(&failure), now)).await?;
                Err(status)
            }
            Err(status) => Err(status),
            Ok(()) => self.tell(news).await,
        }
    }

    async fn tell(&self, status: Option<Write>) -> Result<(), Status> {
        self.executor.execute(Plan { status, ..Plan::nothing() }).await
    }

    /// What is left. The caches say what to delete; that nothing is left is asked of the server, of all kinds that it serves,
    /// because a cache may not have seen yet what was made, or defined, just before the namespace was closed.
    async fn remaining(&self, namespace: &str) -> Result<Vec<Remainder>, Status> {
        let cached = self.cached(namespace);
        if !cached.is_empty() {
            return Ok(cached);
        }
        self.contents.are_all(&*self.context.client).await?;
        self.stored(namespace).await
    }

    fn kinds(&self) -> impl Iterator<Item = Served> {
        self.contents.served().into_iter().filter(|(_, kind, _)| kind.is_namespaced())
    }

    fn cached(&self, namespace: &str) -> Vec<Remainder> {
        let of_kind = |(_, kind, cache): Served| {
            let objects =
                cache.in_namespace(namespace).iter().map(|object| object.metadata.clone()).collect();
            Remainder { kind, runs: runs(&kind), objects }
        };
        self.kinds().map(of_kind).filter(|remainder| !remainder.objects.is_empty()).collect()
    }

    async fn stored(&self, namespace: &str) -> Result<Vec<Remainder>, Status> {
        let mut remaining = Vec::new();
        for (place, kind, _) in self.kinds() {
            let params = Params { limit: Some(1), ..Params::default() };
            let target = Target::in_namespace(&kind, namespace);
            let request = Request { verb: Verb::List, target, params, body: None };
            let answer = match self.context.client.send(request).await {
                // The kind has gone meanwhile, and its objects with it.
                Err(status) if status.is(&Reason::NotFound) && self.contents.at(place).is_none() => continue,
                Err(status) if status.is(&Reason::NotFound) => {
                    return Err(Status::unavailable(format!("{} is not served", kind.resource())));
                }
                answer => answer?,
            };
            let list: List<PartialObject> = serde_json::from_slice(&answer).map_err(Status::internal)?;
            if !list.items.is_empty() {
                let objects = list.items.into_iter().map(|object| object.metadata).collect();
                remaining.push(Remainder { kind, runs: runs(&kind), objects });
            }
        }
        Ok(remaining)
    }
}

/// Whether objects of the kind run on others.
fn runs(kind: &Kind) -> bool {
    let entry = KINDS.iter().find(|entry| entry.kind == *kind);
    let relations = entry.map(|entry| entry.schema.relations()).unwrap_or_default();
    relations.iter().any(|at| at.relation.verb == RunsOn::NAME && !at.templated)
}

fn make_system(name: &str) -> Plan {
    if !SYSTEM.contains(&name) {
        return Plan::nothing();
    }
    Plan { writes: vec![Write::create(&system(name))], ..Plan::nothing() }
}

fn system(name: &str) -> Namespace {
    Namespace { metadata: Metadata::named(None, name), ..Namespace::default() }
}

/// Deletes what has not been asked to go yet; when nothing is left, lets the namespace go. Pure.
fn plan(namespace: &Namespace, remaining: &[Remainder], now: Time) -> Plan {
    if remaining.is_empty() {
        return Plan { writes: vec![let_go(namespace)], ..Plan::nothing() };
    }
    let any_runs = remaining.iter().any(|remainder| remainder.runs);
    let lives = |remainder: &&Remainder| {
        let is_its_turn = remainder.runs || !any_runs;
        is_its_turn && remainder.objects.iter().any(|object| !object.is_terminating())
    };
    let delete = |remainder: &Remainder| {
        Write::new(
            Target::in_namespace(&remainder.kind, namespace.metadata.name.clone()),
            Action::DeleteCollection,
        )
    };
    let writes = remaining.iter().filter(lives).map(delete).collect();
    Plan { writes, status: report(namespace, remaining, None, now), ..Plan::nothing() }
}

fn let_go(namespace: &Namespace) -> Write {
    let mut namespace = namespace.clone();
    namespace.spec.finalizers.retain(|name| name != Namespace::FINALIZER);
    let write = Write::update(&namespace);
    Write { target: write.target.subresource("finalize"), ..write }
}

/// Why the namespace could not be emptied any further.
enum Failure {
    /// Not even what is left is known.
    Discovery(String),
    /// Something would not go.
    Content(String),
}

/// Says what holds the namespace. The kinds are named, but not how many objects: that would be a write for each that goes.
fn report(
    namespace: &Namespace,
    remaining: &[Remainder],
    failure: Option<&Failure>,
    now: Time,
) -> Option<Write> {
    let mut conditions = namespace.status.conditions.clone();
    for (name, (so, reason, message)) in facts(remaining, failure) {
        conditions.put(NamespaceCondition::new(name, so, reason, message, now));
    }
    (conditions != namespace.status.conditions)
        .then(|| Write::merge_status(namespace, json!({"conditions": conditions})))
}

/// Whether something is so, why in a word, and why in a sentence.
type Fact = (bool, &'static str, String);

/// In Kubernetes' words. What is left is not known when discovery has failed.
fn facts(remaining: &[Remainder], failure: Option<&Failure>) -> Vec<(&'static str, Fact)> {
    let discovery = match failure {
        Some(Failure::Discovery(why)) => {
            (true, "DiscoveryFailed", format!("Discovery failed for some groups: {why}"))
        }
        _ => (false, "ResourcesDiscovered", "All resources successfully discovered".to_owned()),
    };
    let content = match failure {
        Some(Failure::Content(why)) => {
            (true, "ContentDeletionFailed", format!("Failed to delete all resource types: {why}"))
        }
        _ => (
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
    };
    let mut facts = vec![("NamespaceDeletionDiscoveryFailure", discovery)];
    if !matches!(failure, Some(Failure::Discovery(_))) {
        facts.push(("NamespaceDeletionContentFailure", content));
        facts.push(("NamespaceContentRemaining", content_remaining(remaining)));
        facts.push(("NamespaceFinalizersRemaining", finalizers_remaining(remaining)));
    }
    facts
}

fn content_remaining(remaining: &[Remainder]) -> Fact {
    if remaining.is_empty() {
        return (false, "ContentRemoved", "All content successfully removed".to_owned());
    }
    let resources: Vec<_> = remaining.iter().map(|remainder| remainder.kind.resource()).collect();
    (true, "SomeResourcesRemain", format!("Some resources are remaining: {}", resources.join(", ")))
}

fn finalizers_remaining(remaining: &[Remainder]) -> Fact {
    let objects = remaining.iter().flat_map(|remainder| &remainder.objects);
    let finalizers: BTreeSet<&str> =
        objects.flat_map(|object| &object.finalizers).map(String::as_str).collect();
    if finalizers.is_empty() {
        return (false, "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned());
    }
    let names = finalizers.into_iter().collect::<Vec<_>>().join(", ");
    let message = format!("Some content in the namespace has finalizers remaining: {names}");
    (true, "SomeFinalizersRemain", message)
}

#[cfg(test)]
mod tests {
    use orch_api::Resource;
    use orch_ontology::{ConfigMap, Pod};
    use serde_json::Value;

    use super::*;

    fn terminating() -> Namespace {
        serde_json::from_value(json!({
            "metadata": {"name": "shop", "uid": "n", "resourceVersion": "9", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"finalizers": ["kubernetes", "other/one"]},
        }))
        .unwrap()
    }

    fn now() -> Time {
        Time::new("2026-01-01T00:01:00Z".parse().unwrap())
    }

    fn remainder(kind: Kind, objects: Value) -> Remainder {
        Remainder { kind, runs: runs(&kind), objects: serde_json::from_value(objects).unwrap() }
    }

    fn targets(plan: &Plan) -> Vec<String> {
        plan.writes.iter().map(|write| write.target.to_string()).collect()
    }

    fn told(write: Option<Write>) -> Vec<String> {
        let Some(Action::Merge(patch)) = write.map(|write| write.action) else { panic!("no status") };
        let conditions = patch["status"]["conditions"].as_array().unwrap();
        let text = |c: &Value| format!("{} {}: {}", c["type"], c["status"], c["message"]).replace('"', "");
        conditions.iter().map(text).collect()
    }

    #[test]
    fn what_runs_goes_before_all_else() {
        let config = remainder(ConfigMap::KIND, json!([{"name": "config"}]));
        let pods = remainder(Pod::KIND, json!([{"name": "web"}]));
        let first = plan(&terminating(), &[config.clone(), pods], now());
        assert_eq!(targets(&first), ["/api/v1/namespaces/shop/pods"]);
        let going =
            json!([{"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}]);
        let second = plan(&terminating(), &[config.clone(), remainder(Pod::KIND, going)], now());
        assert!(second.writes.is_empty());
        let expected = [
            "NamespaceDeletionDiscoveryFailure False: All resources successfully discovered",
            "NamespaceDeletionContentFailure False: All content successfully deleted, may be waiting on finalization",
            "NamespaceContentRemaining True: Some resources are remaining: configmaps, pods",
            "NamespaceFinalizersRemaining True: Some content in the namespace has finalizers remaining: a/b",
        ];
        assert_eq!(told(second.status), expected);
        assert_eq!(targets(&plan(&terminating(), &[config], now())), ["/api/v1/namespaces/shop/configmaps"]);
    }

    #[test]
    fn a_failure_is_told() {
        let failed = |failure: Failure| told(report(&terminating(), &[], Some(&failure), now()));
        let discovery = failed(Failure::Discovery("no server".into()));
        assert_eq!(
            discovery,
            ["NamespaceDeletionDiscoveryFailure True: Discovery failed for some groups: no server"]
        );
        let content = failed(Failure::Content("no right".into()));
        assert_eq!(
            content[1],
            "NamespaceDeletionContentFailure True: Failed to delete all resource types: no right"
        );
    }

    #[test]
    fn the_same_is_not_reported_twice() {
        let going = json!([{"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"}]);
        let remaining = [remainder(Pod::KIND, going)];
        let mut namespace = terminating();
        let first = plan(&namespace, &remaining, now());
        let Some(Action::Merge(patch)) = first.status.map(|write| write.action) else { panic!("no status") };
        namespace.status = serde_json::from_value(patch["status"].clone()).unwrap();
        assert!(plan(&namespace, &remaining, now()).is_empty());
    }

    #[test]
    fn an_empty_namespace_is_let_go_by_taking_our_finalizer_alone() {
        let plan = plan(&terminating(), &[], now());
        assert_eq!(plan.writes[0].target.to_string(), "/api/v1/namespaces/shop/finalize");
        let Action::Update(namespace) = &plan.writes[0].action else { panic!("{plan:?}") };
        assert_eq!(namespace["spec"]["finalizers"], json!(["other/one"]));
        assert_eq!(namespace["metadata"]["resourceVersion"], "9");
    }

    #[test]
    fn only_the_systems_own_namespaces_are_made() {
        assert_eq!(make_system("default").writes.len(), 1);
        assert!(make_system("shop").is_empty());
    }
}
