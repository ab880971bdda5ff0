//! The [`Client`] seam, and [`Api`]: typed calls on it.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::watch::decode;
use crate::{Body, Event, ListMeta, Params, Patch, Request, Resource, Status, Target, Verb, WatchEvent};

/// Events of a watch, in order. Ends when the server ends the watch; the last item may be an error. `E` is what the
/// events are read as: the raw [`WatchEvent`], or an [`Event`](enum@crate::Event) of a type.
pub type WatchStream<E = WatchEvent<Bytes>> = BoxStream<'static, Result<E, Status>>;

/// A way to reach the API: in the process, or over HTTP. The second seam.
///
/// Both ways run the whole pipeline and answer alike, byte for byte.
#[async_trait]
pub trait Client: Send + Sync + 'static {
    /// Carries out any request but a watch, and answers with the object, list or [`Status`] as JSON.
    ///
    /// # Errors
    /// The server's [`Status`]; or one with reason `ServiceUnavailable` if the server cannot be reached, in which case a
    /// write may or may not have happened.
    async fn send(&self, request: Request) -> Result<Bytes, Status>;

    /// Starts a watch. `request.verb` is [`Verb::Watch`].
    ///
    /// # Errors
    /// As [`Client::send`]; 410 if the revision to start from has been compacted.
    async fn watch(&self, request: Request) -> Result<WatchStream, Status>;
}

/// The objects that a watch tells of, as they are after each change; none where one is gone. Ends when the watch does, or when its
/// revision is too old: then it is time to look again.
///
/// # Errors
/// As [`Client::watch`], but for 410; so do the items.
pub async fn watch_states(
    client: &dyn Client,
    request: Request,
) -> Result<WatchStream<Option<Value>>, Status> {
    let events = match client.watch(request).await {
        Err(status) if status.code == 410 => return Ok(stream::empty().boxed()),
        events => events?,
    };
    let events = events.map(|event| event.and_then(WatchEvent::decode::<Value>));
    let events = events.take_while(|event| {
        let is_too_old = event.as_ref().is_err_and(|status| status.code == 410);
        future::ready(!is_too_old)
    });
    let states = events.filter_map(|event| {
        future::ready(match event {
            Ok(Event::Bookmark { .. }) => None,
            Ok(Event::Deleted(_)) => Some(Ok(None)),
            Ok(Event::Added(object) | Event::Modified(object)) => Some(Ok(Some(object))),
            Err(status) => Some(Err(status)),
        })
    });
    Ok(states.boxed())
}

/// A list of objects of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// The list's revision, and how to go on.
    pub metadata: ListMeta,
    /// The objects.
    #[serde(default = "Vec::new")]
    pub items: Vec<T>,
}

/// Typed calls on the objects of one kind, everywhere or in one namespace. Cheap to make and to clone.
pub struct Api<K> {
    client: Arc<dyn Client>,
    namespace: Option<String>,
    field_manager: Option<String>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        let (namespace, field_manager) = (self.namespace.clone(), self.field_manager.clone());
        Self { client: self.client.clone(), namespace, field_manager, kind: PhantomData }
    }
}

impl<K: Resource> Api<K> {
    /// The objects of a kind of the cluster, or of all namespaces.
    pub fn all(client: Arc<dyn Client>) -> Self {
        Self { client, namespace: None, field_manager: None, kind: PhantomData }
    }

    /// The objects in one namespace.
    pub fn namespaced(client: Arc<dyn Client>, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..Self::all(client) }
    }

    /// Names the writer of all writes through this handle.
    pub fn manager(self, field_manager: impl Into<String>) -> Self {
        Self { field_manager: Some(field_manager.into()), ..self }
    }

    /// The object of this name.
    ///
    /// # Errors
    /// Not found, or as [`Client::send`].
    pub async fn get(&self, name: &str) -> Result<K, Status> {
        self.call(Verb::Get, self.object(name), Params::default(), None).await
    }

    /// The object of this name, or none.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn find(&self, name: &str) -> Result<Option<K>, Status> {
        match self.get(name).await {
            Err(status) if status.code == 404 => Ok(None),
            other => other.map(Some),
        }
    }

    /// The objects that `params` selects.
    ///
    /// # Errors
    /// As [`Client::send`]; 410 if `params.cont` has expired.
    pub async fn list(&self, params: Params) -> Result<List<K>, Status> {
        self.call(Verb::List, self.collection(), params, None).await
    }

    /// Makes an object, in the object's own namespace if this handle is for all of them.
    ///
    /// # Errors
    /// Already exists, invalid, or as [`Client::send`].
    pub async fn create(&self, object: &K) -> Result<K, Status> {
        let target = Target { name: None, ..self.target_of(object) };
        self.call(Verb::Create, target, self.writing(), Some(Body::json(object)?)).await
    }

    /// Replaces an object. If `object` carries a resourceVersion, the stored object must still have it.
    ///
    /// # Errors
    /// Conflict, not found, invalid, or as [`Client::send`].
    pub async fn update(&self, object: &K) -> Result<K, Status> {
        self.call(Verb::Update, self.target_of(object), self.writing(), Some(Body::json(object)?)).await
    }

    /// Replaces an object's status.
    ///
    /// # Errors
    /// As [`Api::update`].
    pub async fn update_status(&self, object: &K) -> Result<K, Status> {
        self.update_subresource(object, "status").await
    }

    /// Replaces the part of an object that a subresource is about, such as a certificate request's `approval`.
    ///
    /// # Errors
    /// As [`Api::update`].
    pub async fn update_subresource(&self, object: &K, subresource: &'static str) -> Result<K, Status> {
        let target = self.target_of(object).subresource(subresource);
        self.call(Verb::Update, target, self.writing(), Some(Body::json(object)?)).await
    }

    /// Changes an object.
    ///
    /// # Errors
    /// Conflict, not found, invalid, or as [`Client::send`].
    pub async fn patch(&self, name: &str, patch: &Patch, params: Params) -> Result<K, Status> {
        let params =
            Params { field_manager: params.field_manager.or_else(|| self.field_manager.clone()), ..params };
        self.call(Verb::Patch, self.object(name), params, Some(patch.body()?)).await
    }

    /// Posts to a subresource of an object, such as a pod's `binding`. Answers with whatever the server says.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn post(
        &self,
        name: &str,
        subresource: &'static str,
        body: &impl Serialize,
    ) -> Result<Bytes, Status> {
        let target = self.object(name).subresource(subresource);
        self.client.send(self.request(Verb::Create, target, self.writing(), Some(Body::json(body)?))).await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// Not found, or as [`Client::send`].
    pub async fn delete(&self, name: &str, params: Params) -> Result<(), Status> {
        self.client.send(self.request(Verb::Delete, self.object(name), params, None)).await.map(drop)
    }

    /// Follows the objects that `params` selects, from `params.resource_version` on.
    ///
    /// # Errors
    /// 410 if the revision has been compacted; or as [`Client::watch`].
    pub async fn watch(&self, params: Params) -> Result<WatchStream<Event<K>>, Status> {
        let events = self.client.watch(self.request(Verb::Watch, self.collection(), params, None)).await?;
        Ok(events.map(|event| event.and_then(WatchEvent::decode)).boxed())
    }

    fn collection(&self) -> Target {
        match &self.namespace {
            Some(namespace) => Target::in_namespace(&K::KIND, namespace),
            None => Target::all(&K::KIND),
        }
    }

    fn object(&self, name: &str) -> Target {
        self.collection().named(name)
    }

    fn target_of(&self, object: &K) -> Target {
        let metadata = object.metadata();
        let collection = match (&self.namespace, &metadata.namespace) {
            (None, Some(namespace)) => Target::in_namespace(&K::KIND, namespace),
            _ => self.collection(),
        };
        collection.named(&metadata.name)
    }

    fn writing(&self) -> Params {
        Params { field_manager: self.field_manager.clone(), ..Params::default() }
    }

    fn request(&self, verb: Verb, target: Target, params: Params, body: Option<Body>) -> Request {
        Request { verb, target, params, body }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        verb: Verb,
        target: Target,
        params: Params,
        body: Option<Body>,
    ) -> Result<T, Status> {
        decode(&self.client.send(self.request(verb, target, params, body)).await?)
    }
}
