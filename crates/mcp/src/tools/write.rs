//! `apply` and `delete`: the two ways of changing what is there.

use orch_api::{Body, MediaType, Object as _, Params, Propagation, Request, Target, Verb};
use orch_client::manifest::Manifest;
use orch_client::{ApiResource, Applied};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{self, ArgKind, MAX_TOKENS, NAMESPACE, REASON, may, must};
use super::{Effect, Entry, plans};
use crate::answer::Answer;
use crate::ask::{Ask, DEFAULT_NAMESPACE, FIELD_MANAGER};
use crate::failure::{Code, Failure};
use crate::order;

pub(super) const APPLY: Entry = Entry {
    name: "apply",
    about: "Make what manifests say (server-side apply), or carry out a plan.",
    effect: Effect::Changes,
    takes: &[
        may("manifests", ArgKind::Text, "YAML or JSON, one or more documents"),
        may("plan", ArgKind::Text, "name of a plan, instead of manifests"),
        NAMESPACE,
        may("dry_run", ArgKind::Flag, ""),
        may("force", ArgKind::Flag, "take fields over from other managers"),
        REASON,
        MAX_TOKENS,
    ],
    gives: &[("results", "array"), ("left_out", "integer")],
    run: |ask, arguments, _| {
        Box::pin(async move {
            let apply: Apply = args::read(arguments)?;
            match (&apply.manifests, &apply.plan) {
                (Some(manifests), None) => manifests_applied(ask, manifests, &apply).await,
                (None, Some(plan)) => plan_applied(ask, plan, &apply).await,
                _ => Err(Failure::argument("give either `manifests` or `plan`")),
            }
        })
    },
};

pub(super) const DELETE: Entry = Entry {
    name: "delete",
    about: "Delete one object and, after it, what it owns.",
    effect: Effect::Changes,
    takes: &[
        must("kind", ArgKind::Text, ""),
        must("name", ArgKind::Text, ""),
        NAMESPACE,
        may("uid", ArgKind::Text, "only if it is this one"),
        may("propagation", ArgKind::One(&["Background", "Foreground", "Orphan"]), ""),
        may("dry_run", ArgKind::Flag, ""),
        REASON,
        MAX_TOKENS,
    ],
    gives: &[("deleted", "string"), ("pending", "string")],
    run: |ask, arguments, _| Box::pin(delete(ask, arguments)),
};

#[derive(Deserialize)]
struct Apply {
    manifests: Option<String>,
    plan: Option<String>,
    namespace: Option<String>,
    dry_run: Option<bool>,
    force: Option<bool>,
    reason: Option<String>,
}

async fn plan_applied(ask: &Ask, plan: &str, apply: &Apply) -> Result<Answer, Failure> {
    if apply.force.unwrap_or(false) {
        let failure = Failure::argument("a plan is applied as it was made: `force` goes with manifests only");
        return Err(
            failure.fix("leave `force` out; or apply the manifests themselves, which takes fields over")
        );
    }
    plans::carry_out(ask, plan, apply.reason.as_deref(), apply.dry_run.unwrap_or(false)).await
}

/// Applies one object after the other, what is referred to first. The first that fails does not keep the others from being
/// tried, and those that fail are told first; if all fail, the tool does.
async fn manifests_applied(ask: &Ask, text: &str, apply: &Apply) -> Result<Answer, Failure> {
    let mut objects = read(text)?;
    order::by_references(ask.graph().await?, &mut objects);
    let (mut results, mut failures) = (Vec::new(), Vec::new());
    let mut since: Option<Ask> = None;
    for object in objects {
        let mut done = one(since.as_ref().unwrap_or(ask), &object, apply).await;
        // A kind may be defined by an object before this one.
        if !results.is_empty() && done.as_ref().is_err_and(|(_, failure)| failure.code == Code::UnknownKind) {
            done = one(since.insert(ask.anew()), &object, apply).await;
        }
        match done {
            Ok(result) => results.push(result),
            Err(failed) => failures.push(failed),
        }
    }
    if results.is_empty() {
        return Err(all_failed(failures));
    }
    let head = if failures.is_empty() { json!({}) } else { json!({"failed": failures.len()}) };
    let told = |(object, failure): (String, Failure)| {
        let mut told = failure.to_value();
        told["object"] = object.into();
        told
    };
    let results = failures.into_iter().map(told).chain(results).collect();
    Ok(Answer::of(head).list("results", results).once())
}

/// Of one object that failed its failure; of several the first one's, with what each failed of.
fn all_failed(failures: Vec<(String, Failure)>) -> Failure {
    let cause = |(object, failure): &(String, Failure)| json!({"object": object, "code": failure.code.as_str(), "message": failure.message});
    let causes: Vec<Value> = failures.iter().map(cause).collect();
    match (failures.into_iter().next(), causes.len()) {
        (Some((_, only)), 1) => only,
        (Some((object, mut first)), many) => {
            first.message = format!("none of {many} objects could be applied; {object}: {}", first.message);
            first.causes(causes)
        }
        (None, _) => Failure::argument("`manifests` holds no object"),
    }
}

/// The objects that a text holds.
pub(super) fn read(text: &str) -> Result<Vec<Value>, Failure> {
    let mut objects = Vec::new();
    for manifest in Manifest::each("manifests", text) {
        objects.push(manifest.map_err(|error| Failure::argument(error.to_string()))?.object);
    }
    match objects.is_empty() {
        true => Err(Failure::argument("`manifests` holds no object")),
        false => Ok(objects),
    }
}

async fn one(ask: &Ask, object: &Value, apply: &Apply) -> Result<Value, (String, Failure)> {
    let label = format!("{} {}", object.kind(), object.name());
    applied(ask, object, apply).await.map_err(|failure| (label, failure))
}

async fn applied(ask: &Ask, object: &Value, apply: &Apply) -> Result<Value, Failure> {
    let (resource, target) = placed(ask, object, apply.namespace.as_deref()).await?;
    // Whoever may write an object need not be one who may read it.
    let before = match ask.find(target.clone()).await {
        Err(failure) if failure.code == Code::Forbidden => None,
        before => Some(before?),
    };
    let dry_run = apply.dry_run.unwrap_or(false);
    let params = Params {
        dry_run,
        force: apply.force.unwrap_or(false),
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..because(apply.reason.as_deref())
    };
    let body = Body { media_type: MediaType::Apply, ..Body::json(object)? };
    let after = ask.send(Request { verb: Verb::Patch, target, params, body: Some(body) }).await?;
    let action = match before.map(|before| Applied::between(resource, before.as_ref(), &after)) {
        Some(Applied::Created) => "created",
        Some(Applied::Changed) => "changed",
        Some(Applied::Unchanged) => "unchanged",
        None => "applied",
    };
    let mut result = json!({"object": format!("{} {}", after.kind(), place(&after)), "action": action,
        "uid": after.uid(), "revision": after.resource_version()});
    if dry_run {
        result["dry_run"] = true.into();
    }
    Ok(result)
}

/// Where an object is or will be.
pub(super) async fn target(ask: &Ask, object: &Value, namespace: Option<&str>) -> Result<Target, Failure> {
    Ok(placed(ask, object, namespace).await?.1)
}

async fn placed<'a>(
    ask: &'a Ask,
    object: &Value,
    namespace: Option<&str>,
) -> Result<(&'a ApiResource, Target), Failure> {
    let resource = ask.kind_of(object).await?;
    let own = Some(object.namespace()).filter(|own| !own.is_empty());
    if let (Some(own), Some(given), true) = (own, namespace, resource.namespaced)
        && own != given
    {
        return Err(Failure::argument(format!("the manifest says namespace {own}, the argument {given}")));
    }
    if object.name().is_empty() {
        return Err(Failure::argument(format!("a {} in the manifests has no metadata.name", object.kind())));
    }
    let namespace = own.or(namespace).unwrap_or(DEFAULT_NAMESPACE);
    Ok((resource, resource.collection(Some(namespace)).named(object.name())))
}

/// The parameters of a write that say why it is made.
pub(super) fn because(reason: Option<&str>) -> Params {
    let other = reason.map(|reason| ("reason".to_owned(), reason.to_owned())).into_iter().collect();
    Params { other, ..Params::default() }
}

fn place(object: &Value) -> String {
    match object.namespace() {
        "" => object.name().to_owned(),
        namespace => format!("{namespace}/{}", object.name()),
    }
}

#[derive(Deserialize)]
struct Delete {
    kind: String,
    name: String,
    namespace: Option<String>,
    uid: Option<String>,
    propagation: Option<String>,
    dry_run: Option<bool>,
    reason: Option<String>,
}

async fn delete(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
    let delete: Delete = args::read(arguments)?;
    let target = ask.object(&delete.kind, &delete.name, delete.namespace.as_deref()).await?;
    let propagation = delete.propagation.as_deref().map(|word| match word {
        "Foreground" => Propagation::Foreground,
        "Orphan" => Propagation::Orphan,
        _ => Propagation::Background,
    });
    let params =
        Params { dry_run: delete.dry_run.unwrap_or(false), propagation, ..because(delete.reason.as_deref()) };
    let options = delete.uid.map(|uid| {
        Body::json(&json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}))
    });
    let request = Request { verb: Verb::Delete, target: target.clone(), params, body: options.transpose()? };
    let answered = ask.send(request).await?;
    if delete.dry_run.unwrap_or(false) {
        return Ok(Answer::of(json!({"deleted": target.to_string(), "dry_run": true})));
    }
    let finalizers: Vec<&str> = answered["metadata"]["finalizers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Ok(Answer::of(match (answered.is_terminating(), finalizers.is_empty()) {
        (false, _) => json!({"deleted": target.to_string()}),
        (true, true) => json!({"deleted": target.to_string(), "pending": "it is ending; `wait` for delete"}),
        (true, false) => {
            let pending = format!("held by the finalizers {}; `wait` for delete", finalizers.join(", "));
            json!({"deleted": target.to_string(), "pending": pending})
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use parking_lot::Mutex;

    use super::*;
    use crate::answer::Page;

    /// An API of which nothing can be read, and which serves Widgets once it has been told what they are.
    fn blind() -> orch_client::Local {
        let defined = Arc::new(Mutex::new(false));
        Arc::new(move |request| {
            let (path, defined) = (request.uri().path().to_owned(), defined.clone());
            async move {
                let kind = |group: &str, plural: &str, kind: &str| {
                    let resource = json!({"resource": plural, "responseKind": {"kind": kind}, "scope": "Cluster",
                        "singularResource": "", "verbs": ["patch"]});
                    json!({"metadata": {"name": group}, "versions": [{"version": "v1", "resources": [resource]}]})
                };
                let mut groups = vec![kind("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition")];
                groups.extend((*defined.lock()).then(|| kind("example.com", "widgets", "Widget")));
                let mut code = http::StatusCode::OK;
                let answer = match (request.method().as_str(), path.as_str()) {
                    (_, "/ontology") => json!({"nodes": [], "edges": []}),
                    (_, "/apis") => json!({"kind": "APIGroupDiscoveryList", "items": groups}),
                    (_, "/api") => json!({"kind": "APIGroupDiscoveryList", "items": []}),
                    ("PATCH", path) => {
                        *defined.lock() |= path.contains("customresourcedefinitions");
                        let name = path.rsplit('/').next().unwrap_or_default();
                        json!({"kind": "Object", "metadata": {"name": name, "uid": "1", "resourceVersion": "2"}})
                    }
                    _ => {
                        code = http::StatusCode::FORBIDDEN;
                        json!(orch_api::Status::failure(orch_api::Reason::Forbidden, "not yours"))
                    }
                };
                let mut response = http::Response::new(answer.to_string().into());
                *response.status_mut() = code;
                response
            }
            .boxed()
        })
    }

    #[tokio::test]
    async fn a_kind_and_its_first_object_are_applied_together_by_who_may_read_neither() {
        let client = orch_client::HttpClient::local(blind()).unwrap();
        let ask = Ask::new(client, false, Arc::default());
        let manifests = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com}}\n---\n\
            {apiVersion: example.com/v1, kind: Widget, metadata: {name: first}}\n---\n\
            {apiVersion: example.com/v1, kind: Gadget, metadata: {name: none}}\n";
        let Value::Object(arguments) = json!({"manifests": manifests}) else { panic!("not an object") };
        let page = Page::read("apply", None, None).unwrap();
        let answer = (APPLY.run)(&ask, arguments, &page).await.unwrap().cut("apply", &page).unwrap();
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results[0]["error"]["code"], "unknown_kind", "{answer}");
        assert_eq!(
            (&results[1]["action"], &results[2]["action"]),
            (&json!("applied"), &json!("applied")),
            "{answer}"
        );
        assert_eq!(results[2]["object"], "Object first", "{answer}");
    }

    #[test]
    fn if_all_objects_fail_each_says_why() {
        let missing = |name: &str| (name.to_owned(), Failure::new(Code::NotFound, format!("no {name}")));
        assert_eq!(all_failed(vec![missing("ConfigMap a")]), missing("ConfigMap a").1);
        let failure = all_failed(vec![missing("ConfigMap a"), missing("ConfigMap b")]).to_value();
        assert_eq!(failure["error"]["code"], "not_found");
        assert_eq!(
            failure["error"]["causes"][1],
            json!({"object": "ConfigMap b", "code": "not_found", "message": "no ConfigMap b"})
        );
    }
}
