//! [`Ask`]: what tools ask of the API, as whoever called them.

use std::collections::BTreeSet;
use std::sync::Arc;

use orch_api::{
    Client as _, Object as _, Params, RelationGraph, Request, Schema, Target, Verb, VersionMatch,
};
use orch_client::{Accept, ApiResource, Discovery, HttpClient};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::failure::{Code, Failure};
use crate::known::Known;
use crate::secrets;

/// The namespace that is meant where none is given.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";
/// Objects to a page of the API.
pub(crate) const PAGE_OBJECTS: u64 = 500;
/// Who writes, where the caller doesn't say.
pub(crate) const FIELD_MANAGER: &str = "mcp";

/// The API, for the time of one call, in which the server is asked no more than once what it serves.
pub(crate) struct Ask {
    pub(crate) client: HttpClient,
    pub(crate) may_exec: bool,
    known: Arc<Known>,
    discovery: OnceCell<Arc<Discovery>>,
    graph: OnceCell<Arc<RelationGraph>>,
}

/// A page of a list, as the API gives it.
pub(crate) struct Listed {
    pub(crate) items: Vec<Value>,
    pub(crate) cont: Option<String>,
    pub(crate) revision: String,
}

impl Ask {
    pub(crate) fn new(client: HttpClient, may_exec: bool, known: Arc<Known>) -> Self {
        Self { client, may_exec, known, discovery: OnceCell::new(), graph: OnceCell::new() }
    }

    /// The same, where the server is asked anew what it serves.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.client.clone(), self.may_exec, self.known.clone())
    }

    /// What the server serves.
    pub(crate) async fn discovery(&self) -> Result<&Discovery, Failure> {
        Ok(self.discovery.get_or_try_init(|| self.known.discovery.of(&self.client)).await?)
    }

    /// How the kinds relate.
    pub(crate) async fn graph(&self) -> Result<&RelationGraph, Failure> {
        Ok(self.graph.get_or_try_init(|| self.known.graph(&self.client)).await?)
    }

    /// The kind that a word means.
    pub(crate) async fn kind(&self, word: &str) -> Result<&ApiResource, Failure> {
        self.discovery().await?.resolve(word).map_err(|unknown| {
            let failure = Failure::new(Code::UnknownKind, unknown.to_string());
            failure.meant(unknown.suggestion.as_deref())
        })
    }

    /// The kind that an object says that it has.
    pub(crate) async fn kind_of(&self, object: &Value) -> Result<&ApiResource, Failure> {
        let (api_version, kind) = (object.api_version(), object.kind());
        let discovery = self.discovery().await?;
        discovery.of_kind(api_version, kind).ok_or_else(|| {
            let failure =
                Failure::new(Code::UnknownKind, format!("the server has no {kind} in {api_version}"));
            match discovery.nearest_kind(api_version, kind) {
                Some(meant) => failure.fix(format!("did you mean {meant}?")),
                None => failure,
            }
        })
    }

    /// One object's place.
    pub(crate) async fn object(
        &self,
        kind: &str,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<Target, Failure> {
        Ok(self.located(kind, name, namespace).await?.1)
    }

    /// One object's kind and place. A kind before the name, as in `pod/web`, is the one that counts.
    pub(crate) async fn located(
        &self,
        kind: &str,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<(&ApiResource, Target), Failure> {
        let (kind, name) = match name.split_once('/') {
            Some((kind, name)) => (kind, name),
            None => (kind, name),
        };
        let resource = self.kind(kind).await?;
        let target = resource.collection(Some(namespace.unwrap_or(DEFAULT_NAMESPACE))).named(name);
        target.check()?;
        Ok((resource, target))
    }

    /// The kind that a front door for it needs, such as `Plan`.
    pub(crate) async fn served(&self, plural: &str, what: &str) -> Result<&ApiResource, Failure> {
        let resources = &self.discovery().await?.resources;
        resources
            .iter()
            .find(|resource| resource.plural == plural && resource.group == "orch.dev")
            .ok_or_else(|| {
                let failure =
                    Failure::new(Code::NotServed, format!("this server does not serve {plural}.orch.dev"));
                failure.fix(format!("{what}; or ask for a server that does"))
            })
    }

    /// Whether objects of a kind hold secrets.
    pub(crate) async fn is_sensitive(&self, resource: &ApiResource) -> Result<bool, Failure> {
        let named = (resource.api_version(), resource.kind.as_str());
        let nodes = &self.graph().await?.nodes;
        Ok(nodes
            .iter()
            .any(|node| node.sensitive && (&node.api_version, node.kind.as_str()) == (&named.0, named.1)))
    }

    /// Carries out a request and reads the answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Value, Failure> {
        Ok(serde_json::from_slice(&self.client.send(request).await?)?)
    }

    /// Reads an object.
    pub(crate) async fn get(&self, target: Target) -> Result<Value, Failure> {
        self.send(Request { verb: Verb::Get, target, params: Params::default(), body: None }).await
    }

    /// Reads an object, or nothing if there is none.
    pub(crate) async fn find(&self, target: Target) -> Result<Option<Value>, Failure> {
        match self.get(target).await {
            Err(failure) if failure.code == Code::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Reads one page of a collection.
    pub(crate) async fn page(
        &self,
        target: Target,
        params: Params,
        accept: Accept,
    ) -> Result<Listed, Failure> {
        let request = Request { verb: Verb::List, target, params, body: None };
        let mut list: Value = serde_json::from_slice(&self.client.send_as(request, accept).await?)?;
        let text = |name: &str| list["metadata"][name].as_str().unwrap_or_default().to_owned();
        let (cont, revision) =
            (Some(text("continue")).filter(|cont| !cont.is_empty()), text("resourceVersion"));
        let items = match list["kind"] == "Table" {
            true => rows(&list),
            false => {
                if let Value::Array(items) = list["items"].take() {
                    items
                } else {
                    Vec::new()
                }
            }
        };
        Ok(Listed { items, cont, revision })
    }

    /// Goes through a collection, page by page, up to a number of objects: no more is kept of it than `take` keeps. True if there are
    /// more.
    pub(crate) async fn each(
        &self,
        target: &Target,
        params: &Params,
        accept: Accept,
        most: usize,
        mut take: impl FnMut(Value),
    ) -> Result<bool, Failure> {
        let (mut many, mut cont) = (0, None);
        loop {
            let params = Params { limit: Some(PAGE_OBJECTS), cont, ..params.clone() };
            let page = self.page(target.clone(), params, accept).await?;
            many += page.items.len();
            page.items.into_iter().for_each(&mut take);
            cont = page.cont;
            if cont.is_none() || many >= most {
                return Ok(cont.is_some());
            }
        }
    }

    /// The published schema of a kind.
    pub(crate) async fn schema(&self, resource: &ApiResource) -> Result<Arc<Schema>, Failure> {
        Schema::compile(&self.schema_document(resource).await?).map_err(Failure::internal)
    }

    /// The published schema of a kind as a document with what it refers to.
    pub(crate) async fn schema_document(&self, resource: &ApiResource) -> Result<Value, Failure> {
        let prefix = if resource.group.is_empty() { "api" } else { "apis" };
        let path = format!("/openapi/v3/{prefix}/{}", resource.api_version());
        let mut document: Value = serde_json::from_slice(&self.client.get_raw(&path, Accept::Json).await?)?;
        let components = document["components"].take();
        let is_meant = |gvk: &Value| {
            gvk["group"] == resource.group.as_str()
                && gvk["version"] == resource.version.as_str()
                && gvk["kind"] == resource.kind.as_str()
        };
        let kinds = |schema: &Value| {
            schema["x-kubernetes-group-version-kind"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(is_meant))
        };
        let schemas = components["schemas"].as_object();
        let name = schemas.and_then(|schemas| schemas.iter().find(|(_, schema)| kinds(schema)));
        let missing =
            || Failure::new(Code::NotServed, format!("no schema of {} is published", resource.kind));
        let name = name.map(|(name, _)| name.clone()).ok_or_else(missing)?;
        Ok(json!({"$ref": format!("#/components/schemas/{name}"), "components": components}))
    }

    /// How objects of a kind are shown: without secrets, unless they were asked for.
    pub(crate) async fn view(&self, resource: &ApiResource, reveal: bool) -> Result<View, Failure> {
        Ok(View { hides: !reveal && self.is_sensitive(resource).await? })
    }

    /// The objects that an object owns, through others too, of a kind with this subresource: of a workload its pods. Of each `kept` is
    /// kept.
    pub(crate) async fn behind<T>(
        &self,
        target: &Target,
        subresource: &str,
        kept: impl Fn(&Value) -> T,
    ) -> Result<Vec<T>, Failure> {
        let object = self.get(target.clone()).await?;
        let discovery = self.discovery().await?;
        let serving = |resource: &&ApiResource| resource.subresources.iter().any(|name| name == subresource);
        let pods = discovery.resources.iter().find(serving).ok_or_else(|| {
            Failure::new(Code::NotServed, format!("the server serves no kind with {subresource:?}"))
        })?;
        if *target.plural == *pods.plural && *target.group == *pods.group {
            return Ok(vec![kept(&object)]);
        }
        let collection = |resource: &ApiResource| resource.collection(target.namespace.as_deref());
        let mut owners = BTreeSet::from([object.uid().to_owned()]);
        for between in self.between(target, pods).await? {
            let take = |object: Value| {
                if is_owned(&object, &owners) {
                    owners.insert(object.uid().to_owned());
                }
            };
            self.each(&collection(between), &Params::default(), Accept::Json, usize::MAX, take).await?;
        }
        let mut found = Vec::new();
        let take = |pod: Value| found.extend(is_owned(&pod, &owners).then(|| kept(&pod)));
        self.each(&collection(pods), &Params::default(), Accept::Json, usize::MAX, take).await?;
        Ok(found)
    }

    /// The kinds that objects of a kind own and that own others in turn, nearest first.
    async fn between(&self, target: &Target, end: &ApiResource) -> Result<Vec<&ApiResource>, Failure> {
        let graph = self.graph().await?;
        let resources = &self.discovery().await?.resources;
        let from = resources.iter().find(|r| *r.plural == *target.plural && *r.group == *target.group);
        let mut reached: Vec<&str> = from.iter().map(|from| from.kind.as_str()).collect();
        let mut at = 0;
        while let Some(kind) = reached.get(at).copied() {
            let owned = graph.edges.iter().filter(|edge| edge.verb == "owns" && edge.from == kind);
            for edge in owned {
                if edge.to != end.kind && !reached.contains(&edge.to.as_str()) {
                    reached.push(&edge.to);
                }
            }
            at += 1;
        }
        let resource =
            |kind: &&str| resources.iter().find(|resource| resource.kind == **kind && resource.can("list"));
        Ok(reached.iter().skip(1).filter_map(resource).collect())
    }
}

/// How objects of a kind are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    hides: bool,
}

impl View {
    /// An object without what only the server needs, and without what is hidden.
    pub(crate) fn of(self, mut object: Value) -> Value {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        if self.hides {
            secrets::hide(&mut object);
        }
        object
    }
}

fn is_owned(object: &Value, owners: &BTreeSet<String>) -> bool {
    let references = object["metadata"]["ownerReferences"].as_array();
    references.is_some_and(|all| all.iter().any(|owner| owners.contains(owner.text(&["uid"]))))
}

/// The rows of a table as objects: columns that are always shown under their names, and where the object is.
fn rows(table: &Value) -> Vec<Value> {
    let columns = table["columnDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |row: &Value| {
        let cells = row["cells"].as_array().map(Vec::as_slice).unwrap_or_default();
        let shown =
            columns.iter().zip(cells).filter(|(column, _)| column["priority"].as_i64().unwrap_or(0) == 0);
        let mut object: serde_json::Map<String, Value> = shown
            .map(|(column, cell)| (column["name"].as_str().unwrap_or_default().to_lowercase(), cell.clone()))
            .collect();
        let namespace = row["object"].namespace();
        if !namespace.is_empty() {
            object.insert("namespace".into(), namespace.into());
        }
        Value::Object(object)
    };
    table["rows"].as_array().into_iter().flatten().map(row).collect()
}

/// A list read again at the revision at which it was read before.
pub(crate) fn at_revision(params: Params, revision: &str) -> Params {
    Params {
        resource_version: Some(revision.to_owned()),
        resource_version_match: Some(VersionMatch::Exact),
        ..params
    }
}
