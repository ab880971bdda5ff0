//! `plan`, `undo`, `simulate` and `history`: over the kinds `Plan`, `Simulation` and `Change` of the API.

use orch_api::{Body, Object as _, Params, Request, Verb};
use orch_client::Accept;
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::args::{self, ArgKind, CURSOR, MAX_TOKENS, NAMESPACE, REASON, may};
use super::write::{because, read, target};
use super::{Effect, Entry};
use crate::answer::{Answer, Page, expired};
use crate::ask::{Ask, DEFAULT_NAMESPACE, FIELD_MANAGER, PAGE_OBJECTS};
use crate::failure::{Code, Failure, MAYBE_UNTRUSTED};
use crate::order;

const GROUP_VERSION: &str = "orch.dev/v1";

pub(super) const PLAN: Entry = Entry {
    name: "plan",
    about: "Preview changes with placements, evictions and blast radius. `apply` with the plan's name makes exactly these.",
    effect: Effect::Adds,
    takes: &[
        may("manifests", ArgKind::Text, ""),
        may(
            "changes",
            ArgKind::Objects,
            "{patch:{target,type,patch}} {delete:{target}} {drain:{node}} {rollback:{target,revision}}; target: {apiVersion,kind,namespace,name}",
        ),
        NAMESPACE,
        REASON,
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("plan", "string"), ("blastRadius", "object"), ("effects", "array"), ("cursor", "string")],
    run: |ask, arguments, page| Box::pin(plan(ask, arguments, page)),
};

pub(super) const UNDO: Entry = Entry {
    name: "undo",
    about: "Plan the inverse of a change, deletion or plan. `apply` carries it out.",
    effect: Effect::Adds,
    takes: &[
        may("change", ArgKind::Text, "name from `history`"),
        may("plan", ArgKind::Text, ""),
        REASON,
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("plan", "string"), ("blastRadius", "object"), ("effects", "array"), ("cursor", "string")],
    run: |ask, arguments, page| Box::pin(undo(ask, arguments, page)),
};

pub(super) const SIMULATE: Entry = Entry {
    name: "simulate",
    about: "What if nodes are lost or added, or workloads scaled? Writes nothing.",
    effect: Effect::Reads,
    takes: &[
        may("nodes_lost", ArgKind::Texts, ""),
        may("nodes_added", ArgKind::Objects, "Node objects"),
        may("scale", ArgKind::Objects, "{target, replicas or factor}"),
        may("changes", ArgKind::Objects, "as for `plan`"),
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("effects", "array"), ("cursor", "string")],
    run: |ask, arguments, _| Box::pin(simulate(ask, arguments)),
};

pub(super) const HISTORY: Entry = Entry {
    name: "history",
    about: "Who changed what, when and why, latest first, field by field.",
    effect: Effect::Reads,
    takes: &[
        may("kind", ArgKind::Text, ""),
        may("name", ArgKind::Text, ""),
        NAMESPACE,
        may("user", ArgKind::Text, ""),
        may("plan", ArgKind::Text, ""),
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("changes", "array"), ("cursor", "string")],
    run: |ask, arguments, page| Box::pin(history(ask, arguments, page)),
};

#[derive(Deserialize)]
struct Plan {
    manifests: Option<String>,
    changes: Option<Vec<Value>>,
    namespace: Option<String>,
    reason: Option<String>,
}

async fn plan(ask: &Ask, arguments: JsonObject, page: &Page) -> Result<Answer, Failure> {
    if let Some(name) = page.place() {
        let target = ask.served("plans", NO_PLANS).await?.collection(None).named(name);
        return Ok(shown(ask.get(target).await?));
    }
    let plan: Plan = args::read(arguments)?;
    ask.served("plans", NO_PLANS).await?;
    let mut changes = Vec::new();
    if let Some(manifests) = &plan.manifests {
        let mut objects = read(manifests)?;
        order::by_references(ask.graph().await?, &mut objects);
        for mut object in objects {
            let target = target(ask, &object, plan.namespace.as_deref()).await?;
            if let Some(namespace) = target.namespace {
                object["metadata"]["namespace"] = namespace.into();
            }
            // As the one that `apply` writes as: what it owns is not in its own way.
            changes.push(json!({"apply": {"manifest": object, "fieldManager": FIELD_MANAGER}}));
        }
    }
    changes.extend(plan.changes.unwrap_or_default());
    make(ask, changes, plan.reason.as_deref()).await
}

const NO_PLANS: &str = "use `apply` with dry_run to see what the server would say of each object";
const NO_HISTORY: &str = "use `events` to see what has happened lately";

#[derive(Deserialize)]
struct Undo {
    change: Option<String>,
    plan: Option<String>,
    reason: Option<String>,
}

async fn undo(ask: &Ask, arguments: JsonObject, page: &Page) -> Result<Answer, Failure> {
    let plans = ask.served("plans", "`history` says what the fields were; `apply` them again").await?;
    if let Some(name) = page.place() {
        return Ok(shown(ask.get(plans.collection(None).named(name)).await?));
    }
    let undo: Undo = args::read(arguments)?;
    let what = match (undo.change, undo.plan) {
        (Some(change), None) => json!({"change": change}),
        (None, Some(plan)) => json!({"plan": plan}),
        _ => return Err(Failure::argument("give either `change` or `plan`")),
    };
    make(ask, vec![json!({"undo": what})], undo.reason.as_deref()).await
}

/// Makes a plan of changes and shows it.
async fn make(ask: &Ask, changes: Vec<Value>, reason: Option<&str>) -> Result<Answer, Failure> {
    if changes.is_empty() {
        return Err(Failure::argument("there is nothing to plan: give `manifests` or `changes`"));
    }
    let mut spec = json!({"changes": changes});
    if let Some(reason) = reason {
        spec["reason"] = reason.into();
    }
    let object = json!({"apiVersion": GROUP_VERSION, "kind": "Plan", "metadata": {"generateName": "plan-"}, "spec": spec});
    let target = ask.served("plans", NO_PLANS).await?.collection(None);
    let request =
        Request { verb: Verb::Create, target, params: because(reason), body: Some(Body::json(&object)?) };
    Ok(shown(ask.send(request).await?))
}

/// Carries out a plan that was made before; in a dry run, all of it but the commit.
pub(super) async fn carry_out(
    ask: &Ask,
    name: &str,
    reason: Option<&str>,
    dry_run: bool,
) -> Result<Answer, Failure> {
    let plans = ask.served("plans", "apply the manifests themselves").await?;
    let target = plans.collection(None).named(name).subresource("apply");
    let object = json!({"apiVersion": GROUP_VERSION, "kind": "Plan", "metadata": {"name": name}});
    let (params, body) = (Params { dry_run, ..because(reason) }, Some(Body::json(&object)?));
    let mut plan = ask.send(Request { verb: Verb::Create, target, params, body }).await?;
    let changes = list(&mut plan["status"], "changes");
    let mut head = json!({"plan": plan.name()});
    // What the phase would be is not what it is.
    match dry_run {
        true => head["dry_run"] = true.into(),
        false => head["phase"] = plan["status"]["phase"].take(),
    }
    Ok(Answer::of(head).list("results", changes).once())
}

/// A plan: what is short of it with every part, then the changes and what follows from them, one by one.
fn shown(mut plan: Value) -> Answer {
    let name = plan.name().to_owned();
    let mut head = Map::from_iter([("plan".to_owned(), name.clone().into())]);
    let effects = effects(&mut plan["status"]);
    let short = ["phase", "message", "expiresAt", "blastRadius", "omitted"];
    let short = short.map(|field| (field, plan["status"][field].take()));
    head.extend(
        short
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(field, value)| (field.to_owned(), value)),
    );
    Answer::of(Value::Object(head)).list("effects", effects).page(Some(name), None)
}

/// What follows from changes: each under what it is. What is too long for a head is among them, and counted there.
fn effects(status: &mut Value) -> Vec<Value> {
    let kinds = [("changes", "change"), ("placements", "placement"), ("evictions", "eviction")];
    let reached = [("nodesTouched", "node"), ("servicesAffected", "service")];
    let named = |word: &'static str| move |item: Value| json!({word: item});
    let mut effects = Vec::new();
    for (field, word) in kinds {
        effects.extend(list(status, field).into_iter().map(named(word)));
    }
    for (field, word) in reached {
        let Some(radius) = status.get_mut("blastRadius").filter(|radius| radius[field].is_array()) else {
            continue;
        };
        let names = list(radius, field);
        radius[field] = names.len().into();
        effects.extend(names.into_iter().map(named(word)));
    }
    effects
}

fn list(value: &mut Value, field: &str) -> Vec<Value> {
    if let Some(Value::Array(items)) = value.get_mut(field).map(Value::take) { items } else { Vec::new() }
}

async fn simulate(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
    let simulations =
        ask.served("simulations", "`list` nodes and pods, and compare requests with what is free").await?;
    let names = [
        ("nodes_lost", "nodesLost"),
        ("nodes_added", "nodesAdded"),
        ("scale", "scale"),
        ("changes", "changes"),
    ];
    let given =
        names.into_iter().filter_map(|(name, field)| Some((field.to_owned(), arguments.get(name)?.clone())));
    let spec: Map<String, Value> = given.filter(|(_, value)| !value.is_null()).collect();
    if spec.is_empty() {
        return Err(Failure::argument("there is nothing to simulate: give at least one argument"));
    }
    let object = json!({"apiVersion": GROUP_VERSION, "kind": "Simulation", "spec": spec});
    let (target, params) = (simulations.collection(None), Params::default());
    let mut answered =
        ask.send(Request { verb: Verb::Create, target, params, body: Some(Body::json(&object)?) }).await?;
    let effects = effects(&mut answered["status"]);
    let rest = answered["status"].as_object().cloned().unwrap_or_default();
    let head = rest.into_iter().filter(|(_, value)| !value.is_array() && !value.is_null()).collect();
    Ok(Answer::of(Value::Object(head)).list("effects", effects))
}

#[derive(Deserialize)]
struct History {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    user: Option<String>,
    plan: Option<String>,
}

async fn history(ask: &Ask, arguments: JsonObject, page: &Page) -> Result<Answer, Failure> {
    let changes = ask.served("changes", NO_HISTORY).await?;
    let history: History = args::read(arguments)?;
    let mut wanted = Vec::new();
    let mut namespace = history.namespace;
    if let Some(kind) = &history.kind {
        let resource = ask.kind(kind).await?;
        wanted.push(("object.kind", resource.kind.clone()));
        if resource.namespaced && history.name.is_some() {
            namespace = namespace.or_else(|| Some(DEFAULT_NAMESPACE.to_owned()));
        }
    }
    let rest = [
        ("object.name", history.name),
        ("object.namespace", namespace),
        ("user", history.user),
        ("plan", history.plan),
    ];
    wanted.extend(rest.into_iter().filter_map(|(field, value)| Some((field, value?))));
    let selector =
        wanted.iter().map(|(field, value)| format!("{field}={value}")).collect::<Vec<_>>().join(",");
    let place = page.place().and_then(Place::parse);
    let params = Params {
        field_selector: Some(selector).filter(|selector| !selector.is_empty()),
        limit: Some(PAGE_OBJECTS),
        cont: place.as_ref().and_then(Place::cont),
        ..Params::default()
    };
    let mut listed = ask.page(changes.collection(None), params, Accept::Json).await.map_err(expired)?;
    let here = match place {
        Some(place) => place.found_in(&mut listed.items)?,
        None => listed.items.first().map(|newest| Place::From(newest.name().to_owned())),
    };
    let next = listed.cont.map(|cont| Place::Page(cont).to_string());
    let told = listed.items.into_iter().map(told).collect();
    let head = json!({"untrusted": MAYBE_UNTRUSTED});
    Ok(Answer::of(head).list("changes", told).page(here.map(|here| here.to_string()), next))
}

/// Where a page of the history is found again, though it grows at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The first one: it began with the change of this name.
    From(String),
    /// One that the API has named.
    Page(String),
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        match text.split_at_checked(1)? {
            ("n", name) => Some(Self::From(name.to_owned())),
            ("c", cont) => Some(Self::Page(cont.to_owned())),
            _ => None,
        }
    }

    fn cont(&self) -> Option<String> {
        if let Self::Page(cont) = self { Some(cont.clone()) } else { None }
    }

    /// Takes out what has come before this place since; 410 if more has come than there is to a page.
    fn found_in(self, changes: &mut Vec<Value>) -> Result<Option<Self>, Failure> {
        if let Self::From(name) = &self {
            let at = changes.iter().position(|change| change.name() == name);
            let gone = || Failure::new(Code::Expired, "much has happened since the cursor was made");
            let at = at.ok_or_else(|| gone().fix("begin again without the cursor"))?;
            drop(changes.drain(..at));
        }
        Ok(Some(self))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::From(name) => write!(f, "n{name}"),
            Self::Page(cont) => write!(f, "c{cont}"),
        }
    }
}

/// A change by its fields, without the whole object before and after.
fn told(mut change: Value) -> Value {
    let name = change.name().to_owned();
    if let Some(fields) = change.as_object_mut() {
        for known in ["apiVersion", "kind", "metadata", "before", "after"] {
            fields.remove(known);
        }
        fields.insert("name".into(), name.into());
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str) -> Value {
        json!({"metadata": {"name": name}})
    }

    #[test]
    fn what_has_happened_since_is_not_in_the_page_that_is_gone_on_with() {
        let place = Place::parse("n7-0").unwrap();
        let mut changes = vec![change("9-0"), change("8-0"), change("7-0"), change("6-0")];
        assert_eq!(place.clone().found_in(&mut changes), Ok(Some(place.clone())));
        assert_eq!(changes, [change("7-0"), change("6-0")]);
        assert_eq!(place.found_in(&mut vec![change("9-0")]).unwrap_err().code, Code::Expired);
        let page = Place::parse("cNi0w").unwrap();
        let mut changes = vec![change("6-0")];
        assert_eq!((page.cont().as_deref(), page.to_string().as_str()), (Some("Ni0w"), "cNi0w"));
        assert!(page.found_in(&mut changes).is_ok() && changes.len() == 1);
    }

    #[test]
    fn a_plan_says_how_much_of_it_is_not_told() {
        let nodes: Vec<String> = (0..300).map(|n| format!("node-{n}")).collect();
        let plan = json!({"metadata": {"name": "plan-1"}, "status": {"phase": "Ready", "omitted": 40, "changes": [{"action": "Created"}],
            "blastRadius": {"created": 1, "nodesTouched": nodes, "servicesAffected": ["shop/web"]}}});
        let page = Page::read("plan", None, None).unwrap();
        let shown = shown(plan).cut("plan", &page).unwrap();
        assert_eq!((&shown["omitted"], &shown["blastRadius"]["nodesTouched"]), (&json!(40), &json!(300)));
        let effects = shown["effects"].as_array().unwrap();
        assert_eq!(
            (effects.len(), &effects[1], &effects[301]),
            (302, &json!({"node": "node-0"}), &json!({"service": "shop/web"}))
        );
    }
}
