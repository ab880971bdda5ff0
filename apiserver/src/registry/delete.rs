//! `delete`: at once, gracefully, or when finalizers let go.

use jiff::SignedDuration;
use orch_api::{Deletion, FieldError, Object as _, Propagation, Status, Time, Verb, parse_dry_run};
use serde::Deserialize;
use serde_json::{Value, json};

use super::modify::{Current, Done, Outcome};
use super::{Answer, Call, Registry};
use crate::decode;
use crate::metadata::deletion_began;

/// The owner loses what it owns before it goes; what it owned stays.
const ORPHAN: &str = "orphan";
/// What the owner owns goes before the owner does.
const FOREGROUND: &str = "foregroundDeletion";

/// How to delete: query parameters, overruled by the body.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    grace_seconds: Option<i64>,
    propagation: Option<Propagation>,
    uid: Option<String>,
    resource_version: Option<String>,
    pub(super) dry_run: bool,
}

/// What Kubernetes does not know in these it ignores, and so it is here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteOptions {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    grace_period_seconds: Option<i64>,
    #[serde(default)]
    preconditions: Option<Preconditions>,
    #[serde(default)]
    orphan_dependents: Option<bool>,
    #[serde(default)]
    propagation_policy: Option<String>,
    #[serde(default)]
    dry_run: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preconditions {
    #[serde(default)]
    uid: Option<String>,
    #[serde(default)]
    resource_version: Option<String>,
}

impl Options {
    /// Reads the options of a request.
    ///
    /// # Errors
    /// 400 if the body is not `DeleteOptions` or they contradict each other.
    pub(super) fn read(call: &Call) -> Result<Self, Status> {
        let params = call.params();
        let mut options = Self {
            grace_seconds: params.grace_period_seconds,
            propagation: params.propagation,
            dry_run: params.dry_run,
            ..Self::default()
        };
        if let Some(body) = call.request.body.as_ref().filter(|body| !body.bytes.is_empty()) {
            options.overrule(decode::object(Some(body))?)?;
        }
        Ok(options.bounded())
    }

    /// The options of an eviction.
    fn of_eviction(call: &Call, eviction: &Value) -> Result<Self, Status> {
        let mut options = Self { dry_run: call.params().dry_run, ..Self::default() };
        if let Some(sent) = eviction.get("deleteOptions").filter(|sent| !sent.is_null()) {
            options.overrule(sent.clone())?;
        }
        Ok(options.bounded())
    }

    fn bounded(self) -> Self {
        // As Kubernetes: a negative grace period is one second.
        let grace_seconds = self.grace_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
        Self { grace_seconds, ..self }
    }

    fn overrule(&mut self, sent: Value) -> Result<(), Status> {
        let bad = |error: String| Status::bad_request(format!("DeleteOptions: {error}"));
        let sent = DeleteOptions::deserialize(sent).map_err(|error| bad(error.to_string()))?;
        if sent.kind.as_deref().is_some_and(|kind| kind != "DeleteOptions") {
            return Err(bad(format!("the body is of kind {:?}", sent.kind.unwrap_or_default())));
        }
        self.grace_seconds = sent.grace_period_seconds.or(self.grace_seconds);
        let policy = sent
            .propagation_policy
            .as_deref()
            .map(|word| Propagation::parse(Verb::Delete, word))
            .transpose()?;
        if policy.is_some() && sent.orphan_dependents.is_some() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            return Err(Verb::Delete.invalid_options(FieldError::invalid(
                "propagationPolicy",
                sent.propagation_policy.unwrap_or_default(),
                why,
            )));
        }
        let orphan =
            sent.orphan_dependents.map(|yes| if yes { Propagation::Orphan } else { Propagation::Background });
        self.propagation = policy.or(orphan).or(self.propagation);
        self.dry_run |= parse_dry_run(Verb::Delete, &sent.dry_run.unwrap_or_default())?;
        let preconditions = sent.preconditions.unwrap_or_default();
        (self.uid, self.resource_version) = (preconditions.uid, preconditions.resource_version);
        Ok(())
    }

    fn check(&self, call: &Call, object: &Value) -> Result<(), Status> {
        let failed = |what: &str, asked: &str, found: &str| {
            let why = format!(
                "Precondition failed: {what} in precondition: {asked}, {what} in object meta: {found}"
            );
            Status::conflict(call.kind.kind(), object.name(), why)
        };
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != object.uid()) {
            return Err(failed("UID", uid, object.uid()));
        }
        if let Some(asked) =
            self.resource_version.as_deref().filter(|asked| *asked != object.resource_version())
        {
            return Err(failed("ResourceVersion", asked, object.resource_version()));
        }
        Ok(())
    }
}

/// Deletes the object, or marks it for deletion if something must happen before.
pub(super) async fn delete(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let options = Options::read(call)?;
    let now = Time::new(registry.clock.now());
    match registry.remove(call, &options, now).await? {
        Done::Removed(object) if !call.kind.entry.returns_deleted => {
            Ok(Answer::Status(Status::success(call.kind.kind(), object.name(), object.uid())))
        }
        done => done.answer(Vec::new()),
    }
}

/// Deletes the object of the path because an `Eviction` of its name was posted. Nothing here says how many may be evicted
/// at a time: there are no disruption budgets.
///
/// # Errors
/// 400 if the eviction is of another object.
pub(super) async fn evict(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let eviction = super::subresource::body(call)?;
    if eviction.name() != call.name() {
        return Err(Status::bad_request(format!(
            "name in URL does not match name in Eviction object: {:?} vs {:?}",
            call.name(),
            eviction.name()
        )));
    }
    if let Some(subresource) = call.action() {
        call.policies.command(call, &subresource.kind, &eviction)?;
    }
    let options = Options::of_eviction(call, &eviction)?;
    registry.remove(call, &options, Time::new(registry.clock.now())).await?;
    let mut evicted = Status::success(call.kind.kind(), "", "");
    (evicted.code, evicted.details) = (201, None);
    Ok(Answer::Status(evicted))
}

impl Registry {
    /// Deletes one object as the options say.
    pub(super) async fn remove(&self, call: &Call, options: &Options, now: Time) -> Result<Done, Status> {
        self.modify_as(call, options.dry_run, |current| decide(call, current, options, now)).await
    }
}

/// What a delete makes of an object. Pure.
fn decide(call: &Call, current: &Current, options: &Options, now: Time) -> Result<Outcome, Status> {
    options.check(call, &current.value)?;
    call.admit(None, Some(&current.value))?;
    let mut object = current.value.clone();
    let deletion = (call.kind.entry.deletion)(&mut object, options.grace_seconds)?;
    object["metadata"]["resourceVersion"] = current.value["metadata"]["resourceVersion"].clone();
    set_propagation(&mut object, options.propagation);
    let finalizers =
        object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    let seconds = match deletion {
        Deletion::Grace { seconds } => seconds.max(0),
        Deletion::Now | Deletion::Held => 0,
    };
    if seconds == 0 && !finalizers && deletion != Deletion::Held {
        if deletion != Deletion::Now {
            // The last state says that it had no time left.
            mark(&mut object, seconds, now);
        }
        return Ok(Outcome::Remove(object));
    }
    mark(&mut object, seconds, now);
    Ok(if object == current.value { Outcome::Keep } else { Outcome::Put(object) })
}

/// Sets when the object is due. Once set, it only moves nearer.
fn mark(object: &mut Value, seconds: i64, now: Time) {
    let (terminating, began) = (object.is_terminating(), deletion_began(object));
    let metadata = &mut object["metadata"];
    if terminating && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) <= seconds {
        return;
    }
    // The time runs from when it was first asked for.
    let began = began.unwrap_or(now.timestamp());
    let due = began.checked_add(SignedDuration::from_secs(seconds)).map_or(now, Time::new);
    metadata["deletionTimestamp"] = due.to_string().into();
    metadata["deletionGracePeriodSeconds"] = seconds.into();
    // Deletion is a change of what is desired, once.
    if let Some(generation) = metadata["generation"].as_i64().filter(|_| !terminating) {
        metadata["generation"] = (generation + 1).into();
    }
}

/// Asks the garbage collector, by finalizers, for what should happen to what the object owns.
fn set_propagation(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let mut finalizers: Vec<Value> =
        finalizers.into_iter().filter(|finalizer| *finalizer != ORPHAN && *finalizer != FOREGROUND).collect();
    match propagation {
        Propagation::Orphan => finalizers.push(json!(ORPHAN)),
        Propagation::Foreground => finalizers.push(json!(FOREGROUND)),
        Propagation::Background => {}
    }
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    match finalizers.is_empty() {
        true => drop(metadata.remove("finalizers")),
        false => drop(metadata.insert("finalizers".into(), finalizers.into())),
    }
}
