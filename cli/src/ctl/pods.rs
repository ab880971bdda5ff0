//! From what was named to the pods that stand behind it: the pod itself, or the pods that an object owns or selects.

use orch_api::labels::Labels;
use orch_api::{LabelQuery, LabelSelector, Object as _, Params, Target};
use orch_client::ApiResource;
use serde::Deserialize as _;
use serde_json::Value;

use super::{Failure, Session, select};

/// Names the container of a pod that is meant where none is given.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The kind whose objects have a subresource: the server says that pods are those with logs.
async fn with_subresource<'a>(session: &'a Session, subresource: &str) -> Result<&'a ApiResource, Failure> {
    let resources = &session.discovery().await?.resources;
    let found =
        resources.iter().find(|resource| resource.subresources.iter().any(|name| name == subresource));
    found.ok_or_else(|| {
        Failure::new(format!("the server serves no kind with the subresource {subresource:?}"))
    })
}

/// What stands behind a word.
pub(super) enum Behind {
    /// The pod that was named.
    Pod(Value),
    /// Pods that come and go.
    Group(Box<Group>),
}

/// The pods that an object owns, or those with certain labels.
pub(super) struct Group {
    /// The object.
    pub(super) object: Value,
    pub(super) collection: Target,
    pub(super) params: Params,
    /// The owner's uid.
    owner: Option<String>,
    /// The group in words, and what may say why there are no pods.
    label: String,
    hint: Option<String>,
}

impl Behind {
    /// The pods, oldest first; at least one.
    pub(super) async fn pods(self, session: &Session) -> Result<Vec<Value>, Failure> {
        let group = match self {
            Self::Pod(pod) => return Ok(vec![pod]),
            Self::Group(group) => group,
        };
        let (pods, _) = group.list(session).await?;
        if pods.is_empty() {
            return Err(Failure::new(group.label).hint(group.hint));
        }
        Ok(pods)
    }
}

impl Group {
    /// The pods that there are, oldest first, and the list's revision.
    pub(super) async fn list(&self, session: &Session) -> Result<(Vec<Value>, String), Failure> {
        let (mut pods, revision) = session.list(self.collection.clone(), self.params.clone()).await?;
        pods.retain(|pod| self.has(pod));
        pods.sort_by_cached_key(|pod| {
            (pod.text(&["metadata", "creationTimestamp"]).to_owned(), pod.name().to_owned())
        });
        Ok((pods, revision))
    }

    /// Whether a pod that has the labels belongs to the group.
    pub(super) fn has(&self, pod: &Value) -> bool {
        self.owner.as_ref().is_none_or(|uid| is_owned(pod, uid))
    }
}

/// What stands behind `web`, `pod/web` or `workload/web`.
pub(super) async fn behind(session: &Session, word: &str, subresource: &str) -> Result<Behind, Failure> {
    let pods = with_subresource(session, subresource).await?;
    let namespace = session.namespace().await?;
    let Some((kind, name)) = word.split_once('/') else {
        return Ok(Behind::Pod(session.get(pods.collection(Some(namespace)).named(word)).await?));
    };
    let resource = session.discovery().await?.resolve(kind)?;
    let owner = session.get(resource.collection(Some(namespace)).named(name)).await?;
    if resource == pods {
        return Ok(Behind::Pod(owner));
    }
    let owner_namespace = Some(owner.namespace()).filter(|namespace| !namespace.is_empty());
    let selected = selected(&owner);
    Ok(Behind::Group(Box::new(Group {
        collection: pods.collection(owner_namespace),
        params: Params { label_selector: selected.clone(), ..Params::default() },
        owner: selected.is_none().then(|| owner.uid().to_owned()),
        label: format!("{} has no pods", select::label(resource, name)),
        hint: Some(format!("`orchctl describe {word}` may say why")),
        object: owner,
    })))
}

/// The labels of the pods that an object selects and does not own, as a service does: they are a plain map. What makes pods owns
/// them.
fn selected(object: &Value) -> Option<String> {
    let labels = Labels::deserialize(&object["spec"]["selector"]).ok().filter(|labels| !labels.is_empty())?;
    Some(LabelQuery::from(&LabelSelector::match_labels(labels)).to_string())
}

/// The pods with these labels.
pub(super) async fn labelled(session: &Session, selector: &str, subresource: &str) -> Result<Group, Failure> {
    let pods = with_subresource(session, subresource).await?;
    Ok(Group {
        collection: pods.collection(Some(session.namespace().await?)),
        params: Params { label_selector: Some(selector.to_owned()), ..Params::default() },
        owner: None,
        object: Value::Null,
        label: format!("no pods with the labels {selector}"),
        hint: None,
    })
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

/// The names of a pod's containers, in the order in which they begin.
pub(super) fn containers(pod: &Value) -> Vec<String> {
    ["initContainers", "containers"].into_iter().flat_map(|list| names(pod, list)).collect()
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let containers = pod["spec"][list].as_array();
    containers.into_iter().flatten().map(|container| container.text(&["name"]).to_owned()).collect()
}

/// The container that is meant where none is given: the one that the pod says, else its first.
pub(super) fn default_container(pod: &Value) -> Option<String> {
    let said = pod.text(&["metadata", "annotations", DEFAULT_CONTAINER]);
    let is_said = containers(pod).iter().any(|name| name == said);
    if is_said { Some(said.to_owned()) } else { names(pod, "containers").into_iter().next() }
}

/// A container of a pod, as its manifest has it; null if there is none of this name.
pub(super) fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let lists = ["initContainers", "containers"].into_iter();
    let mut containers = lists.flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    containers.find(|container| container.text(&["name"]) == name).unwrap_or(&Value::Null)
}

/// The first pod behind a word that runs.
pub(super) async fn running(session: &Session, word: &str, subresource: &str) -> Result<Value, Failure> {
    let behind = behind(session, word, subresource).await?;
    first_running(session, word, behind).await
}

/// The first pod that runs of those behind a word.
pub(super) async fn first_running(session: &Session, word: &str, behind: Behind) -> Result<Value, Failure> {
    let found = behind.pods(session).await?;
    let phase = found.first().map_or("Unknown", |pod| pod.text(&["status", "phase"])).to_owned();
    found.into_iter().find(is_running).ok_or_else(|| {
        let described = if word.contains('/') { word.to_owned() } else { format!("pod {word}") };
        let hint = format!("`orchctl describe {described}` may say why");
        Failure::new(format!("{word} is not running (its phase is {phase})")).hint(hint)
    })
}

/// Whether a command can be run in the pod.
fn is_running(pod: &Value) -> bool {
    pod.text(&["status", "phase"]) == "Running" && !pod.is_terminating()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_says_which_container_is_meant() {
        let pod = |said: &str| {
            json!({"metadata": {"annotations": {DEFAULT_CONTAINER: said}}, "spec": {
                "initContainers": [{"name": "prepare", "tty": true}],
                "containers": [{"name": "proxy"}, {"name": "web"}]}})
        };
        assert_eq!(default_container(&pod("web")).as_deref(), Some("web"));
        assert_eq!(default_container(&pod("gone")).as_deref(), Some("proxy"));
        assert_eq!(default_container(&json!({})), None);
        assert_eq!(containers(&pod("")), ["prepare", "proxy", "web"]);
        assert_eq!(container(&pod(""), "prepare")["tty"], true);
    }

    #[test]
    fn what_selects_pods_by_a_map_of_labels_owns_none() {
        let of = |selector: Value| selected(&json!({"spec": {"selector": selector}}));
        assert_eq!(of(json!({"app": "web", "tier": "a"})).as_deref(), Some("app in (web),tier in (a)"));
        assert_eq!(
            [of(json!({})), of(Value::Null), of(json!({"matchLabels": {"app": "web"}}))],
            [None, None, None]
        );
    }
}
