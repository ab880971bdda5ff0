//! Definitions of kinds: their names are accepted or refused, and one that is being deleted loses its objects first.
//!
//! The API server serves a definition's kinds as soon as its names are free, by the rule that is told here: names that have
//! been accepted are kept; a definition some of whose names are another's is not served.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orch_api::{Kind, List, Params, Request, Scope, Status, Target, Time, Verb, intern};
use orch_controller_runtime::{
    Action, Cache, Context, Controller, Executor, ObjectKey, Outcome, PartialObject, Plan, Reconciler, Write,
};
use orch_ontology::{
    CustomResourceDefinition, CustomResourceDefinitionCondition, CustomResourceDefinitionNames,
    CustomResourceDefinitionStatus, KINDS,
};
use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

const NAME: &str = "custom-resource-controller";
/// When to look again whether the objects of a definition that is being deleted are gone.
const AGAIN: Duration = Duration::from_secs(1);

struct Definitions {
    context: Context,
    executor: Executor,
    definitions: Arc<Cache<CustomResourceDefinition>>,
    /// Held while names are accepted: two definitions at once would not see each other.
    naming: Mutex<()>,
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let definitions = context.caches.of::<CustomResourceDefinition>();
    let controller = Controller::<CustomResourceDefinition>::new(&context);
    let (queue, all) = (controller.queue(), definitions.clone());
    definitions.subscribe(move |change| {
        // Names that one definition leaves may be what another waits for.
        let group = change.old.map(|definition| definition.spec.group.clone());
        let same = all.list().into_iter().filter(|other| Some(&other.spec.group) == group.as_ref());
        same.for_each(|other| queue.add(ObjectKey::of(&other.metadata)));
    });
    let executor = Executor {
        client: context.client.clone(),
        caches: context.caches.clone(),
        recorder: context.recorder.component(NAME),
        field_manager: NAME,
    };
    let naming = Mutex::default();
    controller.reconcile(Arc::new(Definitions { context, executor, definitions, naming }), cancel).await;
}

#[async_trait]
impl Reconciler for Definitions {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let Some(definition) = self.definitions.get(key) else { return Ok(Outcome::Done) };
        let now = self.context.clock.now().into();
        if !definition.metadata.is_terminating() {
            let _naming = self.naming.lock().await;
            let plan = plan_names(&definition, &self.definitions.list(), now);
            self.executor.execute(plan).await?;
            return Ok(Outcome::Done);
        }
        if !definition.metadata.finalizers.iter().any(|name| name == CustomResourceDefinition::FINALIZER) {
            return Ok(Outcome::Done);
        }
        let places = self.places_of_objects(&definition).await?;
        let outcome = if places.is_empty() { Outcome::Done } else { Outcome::After(AGAIN) };
        self.executor.execute(plan_end(&definition, &places, now)).await?;
        Ok(outcome)
    }
}

impl Definitions {
    /// The namespaces (or the cluster: an empty name) in which there are objects of the kind. Asked of the server, which takes
    /// no new ones any more.
    async fn places_of_objects(
        &self,
        definition: &CustomResourceDefinition,
    ) -> Result<BTreeSet<String>, Status> {
        let Some(kind) = kind_of(definition) else { return Ok(BTreeSet::new()) };
        let request =
            Request { verb: Verb::List, target: Target::all(&kind), params: Params::default(), body: None };
        match self.context.client.send(request).await {
            Ok(answer) => {
                let list: List<PartialObject> = serde_json::from_slice(&answer).map_err(Status::internal)?;
                Ok(list.items.into_iter().map(|object| object.metadata.namespace().to_owned()).collect())
            }
            // The kind was never served: another definition has its names. One that was accepted is about to be.
            Err(status) if status.code == 404 && !definition.is_established() => Ok(BTreeSet::new()),
            Err(status) => Err(status),
        }
    }
}

/// The kind in one of the versions in which it is served. If there is none, the stored one: while a definition is being
/// deleted, it is served so that its objects can be.
fn kind_of(definition: &CustomResourceDefinition) -> Option<Kind> {
    let served = definition.spec.versions.iter().find(|version| version.served);
    let version = served.or_else(|| definition.storage_version())?;
    let (spec, names) = (&definition.spec, definition.served_names());
    let [group, version] = [&spec.group, &version.name].map(|name| intern(name));
    let [kind, plural, singular] = [&names.kind, &names.plural, &names.singular].map(|name| intern(name));
    Some(match spec.scope.as_str() {
        "Cluster" => Kind::cluster(group, version, kind, plural, singular),
        _ => Kind::namespaced(group, version, kind, plural, singular),
    })
}

/// Deletes the objects; when there are none left, lets the definition go. Pure.
fn plan_end(definition: &CustomResourceDefinition, places: &BTreeSet<String>, now: Time) -> Plan {
    let Some(kind) = kind_of(definition).filter(|_| !places.is_empty()) else {
        let mut finalizers = definition.metadata.finalizers.clone();
        finalizers.retain(|name| name != CustomResourceDefinition::FINALIZER);
        let metadata =
            json!({"finalizers": finalizers, "resourceVersion": definition.metadata.resource_version});
        let let_go = Write::merge(definition, json!({"metadata": metadata}));
        return Plan { writes: vec![let_go], ..Plan::nothing() };
    };
    let delete = |namespace: &String| {
        let target = match kind.scope {
            Scope::Cluster => Target::all(&kind),
            Scope::Namespaced => Target::in_namespace(&kind, namespace.clone()),
        };
        Write::new(target, Action::DeleteCollection)
    };
    let mut status = definition.status.clone();
    let message = "CustomResource deletion is in progress";
    status.put(condition("Terminating", true, "InstanceDeletionInProgress", message.to_owned(), now));
    Plan {
        writes: places.iter().map(delete).collect(),
        status: report(definition, &status),
        ..Plan::nothing()
    }
}

/// Accepts the names of a definition, or says which of them are taken. Pure.
fn plan_names(
    definition: &CustomResourceDefinition,
    all: &[Arc<CustomResourceDefinition>],
    now: Time,
) -> Plan {
    let mut status = definition.status.clone();
    let problems = conflicts(definition, all);
    if problems.is_empty() {
        status.accepted_names = definition.spec.names.clone();
        status.put(condition("NamesAccepted", true, "NoConflicts", "no conflicts found".into(), now));
        let message = "the initial names have been accepted";
        status.put(condition("Established", true, "InitialNamesAccepted", message.into(), now));
    } else {
        let (reason, message) = problems.last().cloned().unwrap_or_default();
        status.put(condition("NamesAccepted", false, reason, message, now));
        if !definition.is_established() {
            let message = "not all names are accepted";
            status.put(condition("Established", false, "NotAccepted", message.into(), now));
        }
    }
    Plan { status: report(definition, &status), ..Plan::nothing() }
}

fn report(definition: &CustomResourceDefinition, status: &CustomResourceDefinitionStatus) -> Option<Write> {
    let news = json!({"conditions": status.conditions, "acceptedNames": status.accepted_names});
    (*status != definition.status).then(|| Write::merge_status(definition, news))
}

fn condition(
    name: &str,
    so: bool,
    reason: &str,
    message: String,
    now: Time,
) -> CustomResourceDefinitionCondition {
    CustomResourceDefinitionCondition {
        condition_type: name.to_owned(),
        status: so.into(),
        last_transition_time: Some(now),
        reason: reason.to_owned(),
        message,
    }
}

/// Which names are another kind's, each as a reason and a sentence.
fn conflicts(
    definition: &CustomResourceDefinition,
    all: &[Arc<CustomResourceDefinition>],
) -> Vec<(&'static str, String)> {
    let group = &definition.spec.group;
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for kind in KINDS.iter().map(|entry| entry.kind).filter(|kind| kind.group == group) {
        resources.extend([kind.plural, kind.singular].into_iter().chain(kind.short_names.iter().copied()));
        kinds.extend([kind.name.to_owned(), format!("{}List", kind.name)]);
    }
    let others = all.iter().filter(|other| {
        other.spec.group == *group
            && other.metadata.name != definition.metadata.name
            && other.is_established()
    });
    for CustomResourceDefinitionNames { plural, singular, short_names, kind, list_kind, .. } in
        others.map(|other| &other.status.accepted_names)
    {
        resources
            .extend([plural.as_str(), singular].into_iter().chain(short_names.iter().map(String::as_str)));
        kinds.extend([kind.clone(), list_kind.clone()]);
    }
    let names = &definition.spec.names;
    let mut found = Vec::new();
    let mut check = |taken: bool, reason: &'static str, name: &str| {
        if taken {
            found.push((reason, format!("{name:?} is already in use")));
        }
    };
    check(resources.contains(names.plural.as_str()), "PluralConflict", &names.plural);
    check(resources.contains(names.singular.as_str()), "SingularConflict", &names.singular);
    for name in &names.short_names {
        check(resources.contains(name.as_str()), "ShortNamesConflict", name);
    }
    check(kinds.contains(&names.kind), "KindConflict", &names.kind);
    check(kinds.contains(&names.list_kind), "ListKindConflict", &names.list_kind);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn definition(plural: &str, names: Value) -> CustomResourceDefinition {
        let mut spec_names = json!({"plural": plural, "singular": plural, "kind": plural, "listKind": format!("{plural}List")});
        spec_names.as_object_mut().unwrap().extend(names.as_object().cloned().unwrap_or_default());
        serde_json::from_value(json!({
            "metadata": {"name": format!("{plural}.example.com"), "resourceVersion": "7", "finalizers": [CustomResourceDefinition::FINALIZER]},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": spec_names,
                "versions": [{"name": "v1", "served": true, "storage": true}]},
        }))
        .unwrap()
    }

    fn now() -> Time {
        Time::new("2026-01-01T00:01:00Z".parse().unwrap())
    }

    fn after(definition: &CustomResourceDefinition, plan: &Plan) -> CustomResourceDefinition {
        let Some(Action::Merge(patch)) = plan.status.as_ref().map(|write| &write.action) else {
            return definition.clone();
        };
        let mut object = serde_json::to_value(definition).unwrap();
        orch_api::patch::merge_patch(&object.clone(), patch).map(|merged| object = merged).unwrap();
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn free_names_are_accepted_and_that_is_said_once() {
        let widgets = definition("widgets", json!({}));
        let accepted = after(&widgets, &plan_names(&widgets, &[], now()));
        assert!(accepted.is_established() && accepted.status.is_true("NamesAccepted"));
        assert_eq!(accepted.status.accepted_names, widgets.spec.names);
        assert!(plan_names(&accepted, &[], now()).is_empty());
    }

    #[test]
    fn names_of_another_definition_are_refused_and_the_accepted_ones_stay() {
        let widgets = definition("widgets", json!({"shortNames": ["w"]}));
        let widgets = Arc::new(after(&widgets, &plan_names(&widgets, &[], now())));
        let gadgets = definition("gadgets", json!({"shortNames": ["w"]}));
        let refused = after(&gadgets, &plan_names(&gadgets, std::slice::from_ref(&widgets), now()));
        assert!(!refused.is_established());
        let condition = &refused.status.conditions[0];
        assert_eq!(
            (condition.reason.as_str(), condition.message.as_str()),
            ("ShortNamesConflict", "\"w\" is already in use")
        );

        let free = definition("gadgets", json!({}));
        let mut renamed = after(&free, &plan_names(&free, std::slice::from_ref(&widgets), now()));
        renamed.spec.names.short_names = vec!["w".to_owned()];
        let renamed = after(&renamed, &plan_names(&renamed, &[widgets], now()));
        assert!(renamed.is_established() && renamed.status.accepted_names.short_names.is_empty());
    }

    #[test]
    fn objects_go_before_their_definition() {
        let widgets = definition("widgets", json!({}));
        let places = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let plan = plan_end(&widgets, &places, now());
        let targets: Vec<_> = plan.writes.iter().map(|write| write.target.to_string()).collect();
        assert_eq!(
            targets,
            ["/apis/example.com/v1/namespaces/a/widgets", "/apis/example.com/v1/namespaces/b/widgets"]
        );
        let plan = plan_end(&widgets, &BTreeSet::new(), now());
        let Action::Merge(patch) = &plan.writes[0].action else { panic!("{plan:?}") };
        assert_eq!(patch["metadata"]["finalizers"], json!([]));
    }
}
