//! `diagnose`: what is wrong, why, and what to do.

use jiff::Timestamp;
use orch_api::Object as _;
use orch_diagnose::{Scope, diagnose as causes_of, gather};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{self, ArgKind, CURSOR, MAX_TOKENS, NAMESPACE, may};
use super::{Effect, Entry};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::failure::{Failure, MAYBE_UNTRUSTED};

pub(super) const DIAGNOSE: Entry = Entry {
    name: "diagnose",
    about: "Find what is wrong with an object or the cluster: ranked causes, evidence, and a fix (with `changes` for `plan`).",
    effect: Effect::Reads,
    takes: &[
        may("kind", ArgKind::Text, "none: the cluster"),
        may("name", ArgKind::Text, ""),
        NAMESPACE,
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("healthy", "boolean"), ("causes", "array"), ("cursor", "string")],
    run: |ask, arguments, _| Box::pin(diagnose(ask, arguments)),
};

#[derive(Deserialize)]
struct Diagnose {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
}

async fn diagnose(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
    let Diagnose { kind, name, namespace } = args::read(arguments)?;
    let scope = match (kind, name) {
        (None, None) => Scope::Cluster,
        (Some(kind), Some(name)) => {
            let target = ask.object(&kind, &name, namespace.as_deref()).await?;
            Scope::Object(Box::new(ask.get(target).await?))
        }
        _ => return Err(Failure::argument("give both `kind` and `name`, or neither for the cluster")),
    };
    let subject = match &scope {
        Scope::Cluster => "the cluster".to_owned(),
        Scope::Object(object) => format!("{} {}", object.kind(), object.name()),
    };
    let world = gather(&ask.client, scope).await?;
    // Of a large cluster it takes its time.
    let judged = tokio::task::spawn_blocking(move || {
        let found = causes_of(&world, Timestamp::now());
        (world, found)
    });
    let (world, found) = judged.await.map_err(Failure::internal)?;
    let mut head = json!({"subject": subject, "untrusted": MAYBE_UNTRUSTED,
        "looked_at": {"pods": world.pods.len(), "nodes": world.nodes.len(), "events": world.events.len()}});
    if let Some(healthy) = world.is_healthy(&found) {
        head["healthy"] = healthy.into();
    }
    if !world.unread.is_empty() {
        head["not_read"] = world.unread.clone().into();
    }
    let causes = found.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>()?;
    Ok(Answer::of(head).list("causes", causes))
}
