//! From what was named to the pods that stand behind it: the pod itself, or the pods that an object owns.

use orch_api::{Object as _, Params, Target};
use orch_client::ApiResource;
use serde_json::Value;

use super::{Failure, Session, select};

/// The kind whose objects have a subresource: the server says that pods are those with logs.
async fn with_subresource<'a>(session: &'a Session, subresource: &str) -> Result<&'a ApiResource, Failure> {
    let resources = &session.discovery().await?.resources;
    let found =
        resources.iter().find(|resource| resource.subresources.iter().any(|name| name == subresource));
    found.ok_or_else(|| {
        Failure::new(format!("the server serves no kind with the subresource {subresource:?}"))
    })
}

/// The pods behind `web`, `pod/web` or `workload/web`, oldest first.
pub(super) async fn behind(session: &Session, word: &str, subresource: &str) -> Result<Vec<Value>, Failure> {
    let pods = with_subresource(session, subresource).await?;
    let namespace = session.namespace().await?;
    let Some((kind, name)) = word.split_once('/') else {
        return Ok(vec![session.get(pods.collection(Some(namespace)).named(word)).await?]);
    };
    let resource = session.discovery().await?.resolve(kind)?;
    let owner = session.get(resource.collection(Some(namespace)).named(name)).await?;
    if resource == pods {
        return Ok(vec![owner]);
    }
    let owner_namespace = Some(owner.namespace()).filter(|namespace| !namespace.is_empty());
    let (items, _) = session.list(pods.collection(owner_namespace), Params::default()).await?;
    let mut owned: Vec<_> = items.into_iter().filter(|pod| is_owned(pod, owner.uid())).collect();
    if owned.is_empty() {
        let hint = format!("`orchctl describe {word}` may say why");
        return Err(Failure::new(format!("{} has no pods", select::label(resource, name))).hint(hint));
    }
    owned.sort_by_cached_key(|pod| {
        (pod.text(&["metadata", "creationTimestamp"]).to_owned(), pod.name().to_owned())
    });
    Ok(owned)
}

/// The pods with these labels.
pub(super) async fn labelled(
    session: &Session,
    selector: &str,
    subresource: &str,
) -> Result<Vec<Value>, Failure> {
    let pods = with_subresource(session, subresource).await?;
    let params = Params { label_selector: Some(selector.to_owned()), ..Params::default() };
    let (items, _) = session.list(pods.collection(Some(session.namespace().await?)), params).await?;
    if items.is_empty() {
        return Err(Failure::new(format!("no pods with the labels {selector}")));
    }
    Ok(items)
}

fn is_owned(object: &Value, uid: &str) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.is_some_and(|owners| owners.iter().any(|owner| owner.text(&["uid"]) == uid))
}

/// Where a pod is.
pub(super) async fn target(session: &Session, pod: &Value, subresource: &str) -> Result<Target, Failure> {
    let pods = with_subresource(session, subresource).await?;
    Ok(pods.collection(Some(pod.namespace())).named(pod.name()))
}

/// The names of a pod's containers.
pub(super) fn containers(pod: &Value) -> Vec<String> {
    let containers = pod["spec"]["containers"].as_array();
    containers.into_iter().flatten().map(|container| container.text(&["name"]).to_owned()).collect()
}

/// Whether a command can be run in the pod.
pub(super) fn is_running(pod: &Value) -> bool {
    pod.text(&["status", "phase"]) == "Running" && !pod.is_terminating()
}
