//! Relations between kinds, as types: a field of type [`Ref`] or [`Selector`] *is* the relation.
//!
//! On the wire a [`Ref`] is a plain name, a [`Selector`] a plain label selector and [`MatchLabels`] a plain map of labels. Their
//! schemas carry `x-relation: {verb, target}`, from which the relation graph is read back; several targets stand for the one
//! that the `kind` beside the field names.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use crate::labels::Labels;
use crate::{LabelSelector, Resource};

/// `Self` makes objects of kind `K`, and they are deleted when it is.
pub trait Owns<K: Resource>: Resource {}

/// How one kind relates to another. A new verb is made only when machinery treats it differently.
pub trait RelationVerb: 'static {
    /// The verb on the wire.
    const NAME: &'static str;
}

/// The object needs the other one in order to work.
pub enum References {}

/// The object runs on the other one.
pub enum RunsOn {}

impl RelationVerb for References {
    const NAME: &'static str = "references";
}

impl RelationVerb for RunsOn {
    const NAME: &'static str = "runsOn";
}

/// What a name can refer to: a kind, or [`OneOf`] two.
pub trait Referent: 'static {
    /// `target` of `x-relation`.
    fn target() -> serde_json::Value;
}

impl<K: Resource> Referent for K {
    fn target() -> serde_json::Value {
        K::KIND.name.into()
    }
}

/// One of two kinds: the `kind` beside the name says which.
pub enum OneOf<A, B> {
    /// Never made: the type is all there is.
    #[doc(hidden)]
    Never(std::convert::Infallible, PhantomData<fn() -> (A, B)>),
}

impl<A: Resource, B: Resource> Referent for OneOf<A, B> {
    fn target() -> serde_json::Value {
        json!([A::KIND.name, B::KIND.name])
    }
}

/// The name of an object of kind `K`, in the same namespace if `K` lives in one.
pub struct Ref<K, V = References> {
    name: String,
    relation: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Ref<K, V> {
    /// A reference to the object of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), relation: PhantomData }
    }

    /// The name referred to.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether the reference names nothing.
    pub fn is_empty(&self) -> bool {
        self.name.is_empty()
    }
}

impl<K, V> Default for Ref<K, V> {
    fn default() -> Self {
        Self::new("")
    }
}

impl<K, V> Clone for Ref<K, V> {
    fn clone(&self) -> Self {
        Self::new(self.name.clone())
    }
}

impl<K, V> PartialEq for Ref<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<K, V> Eq for Ref<K, V> {}

impl<K, V> Debug for Ref<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.name, f)
    }
}

impl<K, V> fmt::Display for Ref<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl<K, V> From<&str> for Ref<K, V> {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl<K, V> From<String> for Ref<K, V> {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl<K, V> Serialize for Ref<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name.serialize(serializer)
    }
}

impl<'de, K, V> Deserialize<'de> for Ref<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl<K: Referent, V: RelationVerb> JsonSchema for Ref<K, V> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}{}Ref", K::target(), V::NAME).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-relation": {"verb": V::NAME, "target": K::target()}})
    }
}

/// Selects objects of kind `K` by their labels.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Selector<K> {
    /// The labels asked for.
    pub labels: LabelSelector,
    #[serde(skip)]
    target: PhantomData<fn() -> K>,
}

impl<K> Selector<K> {
    /// Selects what the label selector selects.
    pub fn new(labels: LabelSelector) -> Self {
        Self { labels, target: PhantomData }
    }
}

impl<K> Default for Selector<K> {
    fn default() -> Self {
        Self::new(LabelSelector::default())
    }
}

impl<K> Clone for Selector<K> {
    fn clone(&self) -> Self {
        Self::new(self.labels.clone())
    }
}

impl<K> PartialEq for Selector<K> {
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels
    }
}

impl<K> Debug for Selector<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.labels, f)
    }
}

impl<K> Deref for Selector<K> {
    type Target = LabelSelector;

    fn deref(&self) -> &LabelSelector {
        &self.labels
    }
}

impl<K: Resource> JsonSchema for Selector<K> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Selector", K::KIND.name).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<LabelSelector>();
        schema.insert("x-relation".into(), json!({"verb": "selects", "target": K::KIND.name}));
        schema
    }
}

/// Selects objects of kind `K` that carry all these labels: the older form of a [`Selector`], a plain map. Without labels it
/// selects nothing.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct MatchLabels<K> {
    /// The labels asked for.
    pub labels: Labels,
    #[serde(skip)]
    target: PhantomData<fn() -> K>,
}

impl<K> MatchLabels<K> {
    /// Selects what carries these labels.
    pub fn new(labels: Labels) -> Self {
        Self { labels, target: PhantomData }
    }

    /// Whether there are no labels: nothing is selected.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        !self.is_empty() && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl<K> Default for MatchLabels<K> {
    fn default() -> Self {
        Self::new(Labels::new())
    }
}

impl<K> Clone for MatchLabels<K> {
    fn clone(&self) -> Self {
        Self::new(self.labels.clone())
    }
}

impl<K> PartialEq for MatchLabels<K> {
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels
    }
}

impl<K> Debug for MatchLabels<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.labels, f)
    }
}

impl<K: Resource> JsonSchema for MatchLabels<K> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}MatchLabels", K::KIND.name).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": {"type": "string"},
            "x-kubernetes-map-type": "atomic",
            "x-relation": {"verb": "selects", "target": K::KIND.name},
        })
    }
}
