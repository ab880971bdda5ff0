//! What an object refers to and is not there: told as warnings, because it may still come.

use std::sync::Arc;

use orch_api::{Attributes, Params, RelationEdge, Request, Status, Target, Verb};
use serde_json::Value;

use crate::kinds::{Kinds, Served};
use crate::registry::{Answer, Call, Registry};

/// Adds to the answer of a write a warning for every object that the written one names and that is not there, as far as
/// this server's cache knows and the caller may know. Costs nothing for kinds that refer to nothing, else a look at each
/// reference.
///
/// # Errors
/// 500 if the object cannot be read; those of authorization.
pub(crate) async fn warn(registry: &Registry, call: &Call, answer: &mut Answer) -> Result<(), Status> {
    let writes = matches!(call.verb(), Verb::Create | Verb::Update | Verb::Patch);
    let Answer::Object(written) = answer else { return Ok(()) };
    if !writes || call.subresource().is_some() || call.kind.references.is_empty() {
        return Ok(());
    }
    let object: Value = serde_json::from_slice(&written.bytes).map_err(Status::internal)?;
    let kinds = registry.kinds.now();
    for Missing { path, kind, target } in missing(&kinds, &call.kind.references, &object)? {
        let name = target.name.clone().unwrap_or_default();
        let warning = format!("{path}: {} {name:?} does not exist", kind.kind().singular);
        let request = Request { verb: Verb::Get, target, params: Params::default(), body: None };
        let may_know = Attributes::of(call.identity.subject(), &request);
        if registry.gate.decide(&may_know).await?.allowed && !written.warnings.contains(&warning) {
            written.warnings.push(warning);
        }
    }
    Ok(())
}

/// A reference that leads nowhere.
struct Missing<'a> {
    path: &'a str,
    kind: Arc<Served>,
    target: Target,
}

fn missing<'a>(
    kinds: &Kinds,
    references: &'a [RelationEdge],
    object: &Value,
) -> Result<Vec<Missing<'a>>, Status> {
    let namespace = object["metadata"]["namespace"].as_str();
    let mut all = Vec::new();
    for edge in references {
        let Some(kind) = kinds.all().iter().find(|served| served.kind().name == edge.to) else { continue };
        let namespace = namespace.filter(|_| kind.kind().is_namespaced());
        for found in edge.found(object).into_iter().filter(|found| !found.is_optional) {
            let Some(name) = found.value.as_str() else { continue };
            if !kind.window.has(&kind.key(namespace, name)?) {
                let target = Target { namespace: namespace.map(str::to_owned), ..Target::all(kind.kind()) };
                all.push(Missing { path: &edge.path, kind: kind.clone(), target: target.named(name) });
            }
        }
    }
    Ok(all)
}

/// The relations of a kind that name one other object.
pub(crate) fn of(entry: &orch_api::KindEntry) -> Vec<RelationEdge> {
    let names = |edge: &RelationEdge| matches!(edge.verb.as_str(), "references" | "runsOn");
    RelationEdge::of(entry).into_iter().filter(names).collect()
}
