//! [`Resource`]: what a Rust type promises to be a kind of object.

use std::fmt::{self, Debug};
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Column, FieldError, Form, Kind, Metadata, OwnerReference, Subresource};

/// A kind of object, as a Rust type. Its fields are the wire format, its doc comments are what `explain` prints.
///
/// A type lists its fields in wire order, beginning with `api_version: ApiVersion<Self>, kind: KindName<Self>,
/// metadata: Metadata`. Everything else here has a default that fits a plain data kind.
pub trait Resource:
    Serialize + DeserializeOwned + JsonSchema + Clone + Debug + PartialEq + Send + Sync + 'static
{
    /// The kind's names and scope.
    const KIND: Kind;

    /// The fields beyond `metadata.name` and `metadata.namespace` that field selectors may name, in dotted notation.
    const SELECTABLE: &'static [&'static str] = &[];

    /// Whether the status that a new object is sent with is kept, for kinds whose objects report on themselves. Of all
    /// others it is dropped.
    const STATUS_ON_CREATE: bool = false;

    /// Whether a delete that removes an object at once is answered with its last state, rather than with a success: Kubernetes
    /// does so for some kinds, and typed clients expect it of them.
    const RETURNS_DELETED: bool = false;

    /// Whether one request may delete many objects: `deletecollection`. No for kinds of which each carries much with it.
    const DELETES_COLLECTIONS: bool = true;

    /// Until when an object is kept, from its JSON, for kinds whose objects are kept for a while only. The server deletes
    /// what is over within minutes, many at a time.
    const EXPIRES: Option<fn(&serde_json::Value) -> Option<jiff::Timestamp>> = None;

    /// Whether changes are kept in the history. No for kinds whose objects change all the time and say nothing of what
    /// anybody wants.
    const RECORDED: bool = true;

    /// Whether the kind's objects are the changes of all others: the server makes them of its history, and they can only be
    /// read.
    const IS_HISTORY: bool = false;

    /// JSON pointer to the part of a new object in which the server notes who makes it: the fields of a `UserInfo`
    /// (`username`, `uid`, `groups`, `extra`), whatever the caller has written there.
    const REQUESTER: Option<&'static str> = None;

    /// An object that must be there when one of this kind is made, and completes it.
    const PREREQUISITE: Option<Prerequisite> = None;

    /// Whether the objects are plans: their `spec.changes` ([`PlannedChange`](crate::plan::PlannedChange)) are rehearsed when
    /// one is made, and what would come of them becomes its status. They do not change but by being applied.
    const IS_PLAN: bool = false;

    /// The kind that this one is another form of: its objects are that kind's.
    const FORM: Option<Form> = None;

    /// The object's metadata.
    fn metadata(&self) -> &Metadata;

    /// The object's metadata, to be changed.
    fn metadata_mut(&mut self) -> &mut Metadata;

    /// Fills in defaults, and on creation the initial status. Pure; runs before [`Resource::validate`] on every write.
    fn prepare(&mut self, old: Option<&Self>) {
        let _ = old;
    }

    /// Says everything that is wrong with the object, or with the change from `old`. Pure. Shape, types and required
    /// fields have been checked against the schema before; metadata is checked by the server for all kinds alike.
    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        let _ = old;
        Vec::new()
    }

    /// What a delete means for the object: whether it goes at once or has time to end. May change the object, which is
    /// stored unless it goes at once. `asked` is the grace period that the caller gave.
    fn deletion(&mut self, asked: Option<i64>) -> Deletion {
        let _ = asked;
        Deletion::Now
    }

    /// Why the object may never be deleted, if so.
    fn undeletable(&self) -> Option<&'static str> {
        None
    }

    /// What `get` prints: all columns in order, the name and the age among them. Made of [`Column::object_name`],
    /// [`Column::age`] and columns of the kind's own.
    fn columns() -> Vec<Column> {
        vec![Column::object_name(), Column::age()]
    }

    /// Subresources beyond `status`.
    fn subresources() -> Vec<Subresource> {
        Vec::new()
    }

    /// A reference to this object as the managing owner of another.
    fn owner_reference(&self) -> OwnerReference {
        let metadata = self.metadata();
        OwnerReference {
            api_version: Self::KIND.api_version(),
            kind: Self::KIND.name.to_owned(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// An object that must be there when another one is made, and completes it: a pod's service account.
#[derive(Debug, Clone, Copy)]
pub struct Prerequisite {
    /// Its kind, which lives in namespaces as the other's does.
    pub kind: Kind,
    /// What its kind is called in sentences, such as `service account`.
    pub called: &'static str,
    /// Its name, as the new object gives it or by default. Pure; the new object has been checked for nothing.
    pub name: fn(&serde_json::Value) -> String,
    /// Completes the new object, its first argument, from it. Pure; what is malformed is left alone, to be refused later.
    pub complete: fn(&mut serde_json::Value, &serde_json::Value),
}

/// What a delete means for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Nothing stands behind the object: it goes at once unless finalizers hold it.
    Now,
    /// Something runs on its behalf, which has this many seconds to end; whoever runs it deletes the object then with a
    /// grace period of zero.
    Grace {
        /// Seconds until the object may be gone.
        seconds: i64,
    },
    /// The object stays, marked for deletion, until a field of its own says that nothing holds it any longer.
    Held,
}

/// The constant value of `apiVersion` of kind `K`. Has no size; refuses every other value.
pub struct ApiVersion<K>(PhantomData<fn() -> K>);

/// The constant value of `kind` of kind `K`. Has no size; refuses every other value.
pub struct KindName<K>(PhantomData<fn() -> K>);

macro_rules! constant {
    ($type:ident, $value:expr, $what:literal) => {
        impl<K> Default for $type<K> {
            fn default() -> Self {
                Self(PhantomData)
            }
        }

        impl<K> Clone for $type<K> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<K> Copy for $type<K> {}

        impl<K> PartialEq for $type<K> {
            fn eq(&self, _: &Self) -> bool {
                true
            }
        }

        impl<K: Resource> Debug for $type<K> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", $value(K::KIND))
            }
        }

        impl<K: Resource> Serialize for $type<K> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&$value(K::KIND))
            }
        }

        impl<'de, K: Resource> Deserialize<'de> for $type<K> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (found, expected) = (String::deserialize(deserializer)?, $value(K::KIND));
                if found == expected {
                    return Ok(Self(PhantomData));
                }
                Err(D::Error::custom(format!(concat!($what, " is {:?}, expected {:?}"), found, expected)))
            }
        }

        impl<K: Resource> JsonSchema for $type<K> {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                format!("{}{}", K::KIND.name, stringify!($type)).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "const": $value(K::KIND)})
            }
        }
    };
}

constant!(ApiVersion, |kind: Kind| kind.api_version(), "apiVersion");
constant!(KindName, |kind: Kind| kind.name, "kind");
