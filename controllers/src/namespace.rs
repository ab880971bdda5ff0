//! Namespaces: the system's own exist; one that is being deleted is emptied and then let go.

use std::sync::Arc;

use async_trait::async_trait;
use orch_api::{ConditionStatus, Kind, List, Metadata, Params, Request, Status, Target, Time, Verb};
use orch_controller_runtime::{
    Action, Cache, Context, Controller, Executor, ObjectKey, Outcome, PartialObject, Plan, Reconciler, Write,
};
use orch_ontology::{Conditions, KINDS, Namespace, NamespaceCondition};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const NAME: &str = "namespace-controller";

/// The namespaces that are always there.
const SYSTEM: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

struct Namespaces {
    context: Context,
    executor: Executor,
    namespaces: Arc<Cache<Namespace>>,
    /// The metadata of everything that lives in namespaces, by kind.
    contents: Vec<(Kind, Arc<Cache<PartialObject>>)>,
}

/// What is left of one kind in a namespace.
#[derive(Debug, Clone)]
struct Remainder {
    kind: Kind,
    objects: Vec<Metadata>,
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let controller = Controller::<Namespace>::new(&context);
    let queue = controller.queue();
    SYSTEM.iter().for_each(|name| queue.add(ObjectKey::new("", *name)));
    let namespaces = context.caches.of::<Namespace>();
    let kinds = KINDS.iter().map(|entry| entry.kind).filter(Kind::is_namespaced);
    let contents: Vec<_> = kinds.map(|kind| (kind, context.caches.partial(kind))).collect();
    for (_, cache) in &contents {
        let (queue, namespaces) = (controller.queue(), namespaces.clone());
        cache.subscribe(move |change| {
            let namespace = ObjectKey::new("", change.key.namespace.clone());
            let concerns = |namespace: Arc<Namespace>| namespace.metadata.is_terminating();
            if namespaces.get(&namespace).is_some_and(concerns) {
                queue.add(namespace);
            }
        });
    }
    let executor = Executor {
        client: context.client.clone(),
        caches: context.caches.clone(),
        recorder: context.recorder.component(NAME),
        field_manager: NAME,
    };
    let reconciler = Namespaces { context, executor, namespaces, contents };
    controller.reconcile(Arc::new(reconciler), cancel).await;
}

#[async_trait]
impl Reconciler for Namespaces {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let plan = match self.namespaces.get(key) {
            None => make_system(&key.name),
            Some(namespace) if namespace.metadata.is_terminating() => self.empty(&namespace).await?,
            Some(_) => Plan::nothing(),
        };
        self.executor.execute(plan).await?;
        Ok(Outcome::Done)
    }
}

impl Namespaces {
    /// The next step of emptying a namespace. The caches say what to delete; that nothing is left is asked of the server,
    /// because a cache may not have seen yet what was made just before the namespace was closed.
    async fn empty(&self, namespace: &Namespace) -> Result<Plan, Status> {
        if !namespace.spec.finalizers.iter().any(|name| name == Namespace::FINALIZER) {
            return Ok(Plan::nothing());
        }
        let mut remaining = self.cached(&namespace.metadata.name);
        if remaining.is_empty() {
            remaining = self.stored(&namespace.metadata.name).await?;
        }
        Ok(plan(namespace, &remaining, self.context.clock.now().into()))
    }

    fn cached(&self, namespace: &str) -> Vec<Remainder> {
        let of_kind = |(kind, cache): &(Kind, Arc<Cache<PartialObject>>)| {
            let objects =
                cache.in_namespace(namespace).iter().map(|object| object.metadata.clone()).collect();
            Remainder { kind: *kind, objects }
        };
        self.contents.iter().map(of_kind).filter(|remainder| !remainder.objects.is_empty()).collect()
    }

    async fn stored(&self, namespace: &str) -> Result<Vec<Remainder>, Status> {
        let mut remaining = Vec::new();
        for (kind, _) in &self.contents {
            let params = Params { limit: Some(1), ..Params::default() };
            let target = Target::in_namespace(kind, namespace);
            let request = Request { verb: Verb::List, target, params, body: None };
            let answer = self.context.client.send(request).await?;
            let list: List<PartialObject> = serde_json::from_slice(&answer).map_err(Status::internal)?;
            if !list.items.is_empty() {
                let objects = list.items.into_iter().map(|object| object.metadata).collect();
                remaining.push(Remainder { kind: *kind, objects });
            }
        }
        Ok(remaining)
    }
}

fn make_system(name: &str) -> Plan {
    if !SYSTEM.contains(&name) {
        return Plan::nothing();
    }
    let namespace = Namespace { metadata: Metadata::named(None, name), ..Namespace::default() };
    Plan { writes: vec![Write::create(&namespace)], ..Plan::nothing() }
}

/// Deletes what has not been asked to go yet; when nothing is left, lets the namespace go. Pure.
fn plan(namespace: &Namespace, remaining: &[Remainder], now: Time) -> Plan {
    if remaining.is_empty() {
        return Plan { writes: vec![let_go(namespace)], ..Plan::nothing() };
    }
    let lives = |remainder: &&Remainder| remainder.objects.iter().any(|object| !object.is_terminating());
    let delete = |remainder: &Remainder| {
        Write::new(
            Target::in_namespace(&remainder.kind, namespace.metadata.name.clone()),
            Action::DeleteCollection,
        )
    };
    let writes = remaining.iter().filter(lives).map(delete).collect();
    Plan { writes, status: report(namespace, remaining, now), ..Plan::nothing() }
}

fn let_go(namespace: &Namespace) -> Write {
    let mut namespace = namespace.clone();
    namespace.spec.finalizers.retain(|name| name != Namespace::FINALIZER);
    let write = Write::update(&namespace);
    Write { target: write.target.subresource("finalize"), ..write }
}

/// Says what holds the namespace. The kinds are named, but not how many objects: that would be a write for each that goes.
fn report(namespace: &Namespace, remaining: &[Remainder], now: Time) -> Option<Write> {
    let resources: Vec<_> = remaining.iter().map(|remainder| remainder.kind.resource()).collect();
    let mut finalizers: Vec<_> =
        remaining.iter().flat_map(|remainder| &remainder.objects).flat_map(|o| &o.finalizers).collect();
    finalizers.sort();
    finalizers.dedup();
    let mut conditions = namespace.status.conditions.clone();
    let message = format!("Some resources are remaining: {}", resources.join(", "));
    put(&mut conditions, "NamespaceContentRemaining", true, "SomeResourcesRemain", message, now);
    if finalizers.is_empty() {
        let message = "All content-preserving finalizers finished".to_owned();
        put(&mut conditions, "NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", message, now);
    } else {
        let names: Vec<_> = finalizers.iter().map(|name| name.as_str()).collect();
        let message = format!("Some content in the namespace has finalizers remaining: {}", names.join(", "));
        put(&mut conditions, "NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", message, now);
    }
    (conditions != namespace.status.conditions)
        .then(|| Write::merge_status(namespace, json!({"conditions": conditions})))
}

fn put(list: &mut Vec<NamespaceCondition>, name: &str, so: bool, reason: &str, message: String, now: Time) {
    list.put(NamespaceCondition::new(name, ConditionStatus::from(so), reason, message, now));
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
        Remainder { kind, objects: serde_json::from_value(objects).unwrap() }
    }

    #[test]
    fn what_lives_is_deleted_and_what_is_going_is_waited_for() {
        let going =
            json!([{"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}]);
        let remaining =
            [remainder(Pod::KIND, going), remainder(ConfigMap::KIND, json!([{"name": "config"}]))];
        let plan = plan(&terminating(), &remaining, now());
        let targets: Vec<_> = plan.writes.iter().map(|write| write.target.to_string()).collect();
        assert_eq!(targets, ["/api/v1/namespaces/shop/configmaps"]);
        let Some(Action::Merge(patch)) = plan.status.map(|write| write.action) else { panic!("no status") };
        let messages: Vec<_> =
            patch["status"]["conditions"].as_array().unwrap().iter().map(|c| &c["message"]).collect();
        assert_eq!(messages[0], "Some resources are remaining: pods, configmaps");
        assert_eq!(messages[1], "Some content in the namespace has finalizers remaining: a/b");
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
