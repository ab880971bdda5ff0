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
    let carried_out = ask.send(Request { verb: Verb::Create, target, params, body }).await;
    let mut plan = carried_out.map_err(outdated)?;
    let changes = list(&mut plan["status"], "changes");
    let mut head = json!({"plan": plan.name(), "untrusted": MAYBE_UNTRUSTED});
    // What the phase would be is not what it is.
    match dry_run {
        true => head["dry_run"] = true.into(),
        false => head["phase"] = plan["status"]["phase"].take(),
    }
    Ok(Answer::of(head).list("results", changes).once())
}

/// The failure of a plan that cannot be carried out as it was made, because something is no longer as it was.
fn outdated(failure: Failure) -> Failure {
    match failure.code {
        Code::Conflict => failure
            .coded(Code::Expired)
            .fix("make the plan anew and apply that; if it has been applied already, `history` says what it has done"),
        _ => failure,
    }
}

/// A plan: what is short of it with every part, then the changes and what follows from them, one by one.
fn shown(mut plan: Value) -> Answer {
    let name = plan.name().to_owned();
    let mut head = Map::from_iter([
        ("plan".to_owned(), name.clone().into()),
        ("untrusted".to_owned(), MAYBE_UNTRUSTED.into()),
    ]);
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
    let mut head: Map<_, _> =
        rest.into_iter().filter(|(_, value)| !value.is_array() && !value.is_null()).collect();
    head.insert("untrusted".into(), MAYBE_UNTRUSTED.into());
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
    let field_selector = Some(selector).filter(|selector| !selector.is_empty());
    let params = Params { field_selector, limit: Some(PAGE_OBJECTS), ..Params::default() };
    let mut place = page.place().map(Place::parse).unwrap_or_default();
    for _ in 0..MOST_PAGES {
        let params = Params { cont: place.cont.clone(), ..params.clone() };
        let mut listed = ask.page(changes.collection(None), params, Accept::Json).await.map_err(expired)?;
        let is_here = place.reached(&mut listed.items, page.is_within_an_item());
        match (is_here, listed.cont) {
            (true, next) => return Ok(listed_at(&place, listed.items, next)),
            (false, Some(next)) => place.cont = Some(next),
            (false, None) => break,
        }
    }
    Err(Failure::new(Code::Expired, "much has happened since the cursor was made")
        .fix("begin again without the cursor"))
}

/// What of a page is still to be told. Each change knows how to go on after it.
fn listed_at(place: &Place, changes: Vec<Value>, next: Option<String>) -> Answer {
    let mark = |change: &Value| Place { after: Some(change.name().to_owned()), ..place.clone() }.to_string();
    let marks = changes.iter().map(mark).collect();
    let next = next.map(|cont| Place { cont: Some(cont), after: None }.to_string());
    let told = changes.into_iter().map(told).collect();
    Answer::of(json!({"untrusted": MAYBE_UNTRUSTED})).list("changes", told).marked(marks).page(None, next)
}

/// How far a change is looked for that was told last: what has happened since has moved it to a later page.
const MOST_PAGES: usize = 20;

/// Where the history goes on, though it grows at its beginning: a page as the API has named it, none for the first, and the change
/// that was told last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    cont: Option<String>,
    after: Option<String>,
}

impl Place {
    fn parse(text: &str) -> Self {
        let (after, cont) = text.split_once('@').unwrap_or((text, ""));
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Self { cont: given(cont), after: given(after) }
    }

    /// Takes out what has been told, or has come since; of a change that was told in part, not that itself. False if the page ends
    /// before the change that was told last.
    fn reached(&self, changes: &mut Vec<Value>, is_in_part: bool) -> bool {
        let Some(after) = &self.after else { return true };
        let at = changes.iter().position(|change| change.name() == after);
        if let Some(at) = at {
            drop(changes.drain(..at + usize::from(!is_in_part)));
        }
        at.is_some()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |part: &Option<String>| part.as_deref().unwrap_or_default().to_owned();
        write!(f, "{}@{}", text(&self.after), text(&self.cont))
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
        let all = || ["9-0", "8-0", "7-0", "6-0"].map(change).to_vec();
        for (place, is_in_part, left) in [
            ("", false, Some(4)),
            ("@Ni0w", false, Some(4)),
            ("7-0@", false, Some(1)),
            ("7-0@", true, Some(2)),
            ("6-0@Ni0w", false, Some(0)),
            ("5-0@", false, None),
        ] {
            let mut changes = all();
            let reached = Place::parse(place).reached(&mut changes, is_in_part);
            assert_eq!(reached.then_some(changes.len()), left, "{place}");
        }
        let place = Place { cont: Some("Ni0w".into()), after: Some("7-0".into()) };
        assert_eq!(Place::parse(&place.to_string()), place);
    }

    #[test]
    fn a_plan_that_is_not_as_it_was_made_is_to_be_made_anew() {
        let stale = outdated(Failure::new(Code::Conflict, "it is stale")).to_value();
        assert_eq!(stale["error"]["code"], "expired");
        assert!(stale["error"]["fix"].as_str().unwrap().contains("make the plan anew"), "{stale}");
        assert_eq!(outdated(Failure::new(Code::Forbidden, "no")), Failure::new(Code::Forbidden, "no"));
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
