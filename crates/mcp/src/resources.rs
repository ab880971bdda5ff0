//! Resources: schemas, the relation graph, objects and the state of the cluster, each under a URI.
//!
//! - `orch://ontology`: the kinds and how they relate. `orch://cluster`: how the cluster is.
//! - `orch://schema/KIND`: the JSON schema of a kind.
//! - `orch://object/KIND/NAME` or `orch://object/KIND/NAMESPACE/NAME`: an object. Secret values are never in it.

use futures::{StreamExt, future, stream};
use orch_api::{Client as _, Params, Request, Target, Verb, WatchStream};
use orch_client::Accept;
use percent_encoding::percent_decode_str;
use rmcp::model::{Resource, ResourceTemplate};
use serde_json::{Map, Value, json};

use crate::answer::{BYTES_PER_TOKEN, MOST_TOKENS};
use crate::ask::Ask;
use crate::failure::{Code, Failure, MAYBE_UNTRUSTED};
use crate::tools::summarized;

const SCHEME: &str = "orch://";
const JSON: &str = "application/json";

/// What a URI names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Ontology,
    Cluster,
    Schema(String),
    Object { kind: String, namespace: Option<String>, name: String },
}

impl Place {
    /// Reads a URI, whose parts may be percent-encoded. None if it names nothing.
    pub(crate) fn parse(uri: &str) -> Option<Self> {
        let decoded = |part: &str| percent_decode_str(part).decode_utf8().ok().map(|part| part.into_owned());
        let parts = uri.strip_prefix(SCHEME)?.split('/').map(decoded).collect::<Option<Vec<String>>>()?;
        if parts.iter().any(|part| part.is_empty() || part.contains('/')) {
            return None;
        }
        match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["ontology"] => Some(Self::Ontology),
            ["cluster"] => Some(Self::Cluster),
            ["schema", kind] => Some(Self::Schema((*kind).to_owned())),
            ["object", kind, name] => {
                Some(Self::Object { kind: (*kind).to_owned(), namespace: None, name: (*name).to_owned() })
            }
            ["object", kind, namespace, name] => Some(Self::Object {
                kind: (*kind).to_owned(),
                namespace: Some((*namespace).to_owned()),
                name: (*name).to_owned(),
            }),
            _ => None,
        }
    }
}

/// The resources that are always there.
pub(crate) fn published() -> Vec<Resource> {
    let resource = |uri: &str, name: &str, about: &str| {
        Resource::new(format!("{SCHEME}{uri}"), name).with_description(about).with_mime_type(JSON)
    };
    vec![
        resource("ontology", "ontology", "The kinds, and how they relate"),
        resource("cluster", "cluster", "How the cluster is: nodes, pods and workloads by their states"),
    ]
}

/// The resources that there are many of.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = |uri: &str, name: &str, about: &str| {
        ResourceTemplate::new(format!("{SCHEME}{uri}"), name).with_description(about).with_mime_type(JSON)
    };
    vec![
        template("schema/{kind}", "schema", "The JSON schema of a kind"),
        template(
            "object/{kind}/{namespace}/{name}",
            "object",
            "An object in a namespace; changes can be subscribed to",
        ),
        template(
            "object/{kind}/{name}",
            "cluster_object",
            "An object of the cluster, or in the namespace default",
        ),
    ]
}

/// Reads a resource as the caller, as text.
///
/// # Errors
/// Also if it is longer than any answer may be: tools show it in parts.
pub(crate) async fn read(ask: &Ask, uri: &str) -> Result<String, Failure> {
    let mut value = value(ask, uri).await?;
    let most = (MOST_TOKENS as f64 * BYTES_PER_TOKEN) as usize;
    let mut text = value.to_string();
    if text.len() > most && matches!(Place::parse(uri), Some(Place::Schema(_))) {
        undescribed(&mut value);
        text = value.to_string();
    }
    match text.len() > most {
        false => Ok(text),
        true => Err(Failure::argument(format!(
            "{uri} has {} bytes, which is more than an answer may have",
            text.len()
        ))
        .fix("use the tools `get` with fields, or `explain`, which show it in parts")),
    }
}

async fn value(ask: &Ask, uri: &str) -> Result<Value, Failure> {
    match Place::parse(uri).ok_or_else(|| unknown(uri))? {
        Place::Ontology => Ok(serde_json::to_value(ask.graph().await?)?),
        Place::Cluster => cluster(ask).await,
        Place::Schema(kind) => Ok(reachable(ask.schema_document(ask.kind(&kind).await?).await?)),
        Place::Object { kind, namespace, name } => {
            let (resource, target) = ask.located(&kind, &name, namespace.as_deref()).await?;
            let object = ask.view(resource, false).await?.of(ask.get(target).await?);
            Ok(json!({"untrusted": MAYBE_UNTRUSTED, "object": object}))
        }
    }
}

/// A schema with those of its components that it refers to.
fn reachable(mut document: Value) -> Value {
    let mut all = document["components"]["schemas"].take();
    let (mut kept, mut wanted) = (Map::new(), Vec::new());
    references(&document, &mut wanted);
    while let Some(name) = wanted.pop() {
        if let Some(schema) = all.get_mut(&name).map(Value::take).filter(|schema| !schema.is_null()) {
            references(&schema, &mut wanted);
            kept.insert(name, schema);
        }
    }
    document["components"]["schemas"] = kept.into();
    document
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            found.extend(name.map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Takes the descriptions out of a schema.
fn undescribed(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "description" || !value.is_string());
            fields.values_mut().for_each(undescribed);
        }
        Value::Array(items) => items.iter_mut().for_each(undescribed),
        _ => {}
    }
}

pub(crate) fn unknown(uri: &str) -> Failure {
    let failure = Failure::new(Code::NotFound, format!("{uri:?} names no resource"));
    failure.fix("see resources/list and resources/templates/list")
}

/// How the cluster is: of each kind that people look at first, how many objects are in which state.
async fn cluster(ask: &Ask) -> Result<Value, Failure> {
    let version: Value = serde_json::from_slice(&ask.client.get_raw("/version", Accept::Json).await?)?;
    let mut status = json!({"version": version["gitVersion"], "untrusted": MAYBE_UNTRUSTED});
    for kind in ["nodes", "workloads", "pods"] {
        // What the caller may not list is left out, with the reason.
        status[kind] = match summarized(ask, kind).await {
            Ok(summary) => summary,
            Err(failure) => failure.to_value(),
        };
    }
    Ok(status)
}

/// A watch of what a URI names, which ends with it.
pub(crate) async fn watch(ask: &Ask, uri: &str) -> Result<WatchStream, Failure> {
    let watch = |target: Target, params: Params| {
        ask.client.watch(Request { verb: Verb::Watch, target, params, body: None })
    };
    match Place::parse(uri).ok_or_else(|| unknown(uri))? {
        Place::Object { kind, namespace, name } => {
            // A name that no object can have is refused here.
            let (_, target) = ask.located(&kind, &name, namespace.as_deref()).await?;
            let name = target.name.clone().unwrap_or_default();
            let collection = Target { name: None, ..target };
            let field_selector = Some(format!("metadata.name={name}"));
            let params = Params { field_selector, ..Params::default() };
            let at = ask.page(collection.clone(), params.clone(), Accept::Json).await?;
            Ok(watch(collection, Params { resource_version: Some(at.revision), ..params }).await?)
        }
        Place::Ontology | Place::Schema(_) => {
            let definitions = ask.kind("customresourcedefinitions").await?.collection(None);
            let at = ask.page(definitions.clone(), one(), Accept::Json).await?;
            Ok(watch(definitions, Params { resource_version: Some(at.revision), ..Params::default() })
                .await?)
        }
        Place::Cluster => {
            let mut all = Vec::new();
            for kind in ["nodes", "workloads", "pods"] {
                let target = ask.kind(kind).await?.collection(None);
                let at = ask.page(target.clone(), one(), Accept::Json).await?;
                all.push(
                    watch(target, Params { resource_version: Some(at.revision), ..Params::default() })
                        .await?,
                );
            }
            Ok(joined(all))
        }
    }
}

/// Several watches as one, which ends when the first of them does: what goes on would be deaf to what that one watched.
fn joined(watches: Vec<WatchStream>) -> WatchStream {
    let ended = |watch: WatchStream| watch.map(Some).chain(stream::once(async { None }));
    stream::select_all(watches.into_iter().map(ended).map(StreamExt::boxed))
        .scan((), |(), event| future::ready(event))
        .boxed()
}

/// A list that is asked for its revision.
fn one() -> Params {
    Params { limit: Some(1), ..Params::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn watches_that_are_joined_end_together() {
        let silent = || stream::pending().boxed();
        let failing = || stream::iter([Err(orch_api::Status::internal("cut off"))]).boxed();
        let heard: Vec<_> = joined(vec![silent(), failing(), silent()]).collect().await;
        assert_eq!(heard.len(), 1);
    }

    #[test]
    fn uris_name_places() {
        let object = |namespace: Option<&str>| Place::Object {
            kind: "pod".into(),
            namespace: namespace.map(str::to_owned),
            name: "web".into(),
        };
        assert_eq!(Place::parse("orch://object/pod/web"), Some(object(None)));
        assert_eq!(Place::parse("orch://object/pod/shop/web"), Some(object(Some("shop"))));
        assert_eq!(Place::parse("orch://schema/pod"), Some(Place::Schema("pod".into())));
        let encoded =
            |name: &str| Place::Object { kind: "clusterrole".into(), namespace: None, name: name.into() };
        assert_eq!(Place::parse("orch://object/clusterrole/system%3Amcp"), Some(encoded("system:mcp")));
        // Once, and no more: what it says then is refused where names are checked.
        assert_eq!(Place::parse("orch://object/clusterrole/%252e"), Some(encoded("%2e")));
        for nothing in [
            "orch://",
            "orch://schema/",
            "orch://object/pod",
            "file:///etc/passwd",
            "orch://other",
            "orch://object/pod/%ff",
            "orch://object/pod/a%2Fb",
        ] {
            assert_eq!(Place::parse(nothing), None, "{nothing}");
        }
    }
}
