//! The `scale` subresource: how many, without knowing of what. The same for every kind that says where its numbers are.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{Kind, Object as _};

/// Makes the text of a label selector of an object.
pub type SelectorOf = Arc<dyn Fn(&Value) -> String + Send + Sync>;

/// Where a kind keeps the numbers that `autoscaling/v1` Scale is about, as JSON pointers.
#[derive(Clone)]
pub struct Scale {
    /// How many are wanted, such as `/spec/replicas`.
    pub spec_replicas: Cow<'static, str>,
    /// How many there are, such as `/status/replicas`.
    pub status_replicas: Cow<'static, str>,
    /// Which pods they are; empty if the kind does not say.
    pub selector: SelectorOf,
}

impl fmt::Debug for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scale")
            .field("spec_replicas", &self.spec_replicas)
            .field("status_replicas", &self.status_replicas)
            .finish_non_exhaustive()
    }
}

impl Scale {
    /// The kind of the subresource's bodies.
    pub const KIND: Kind = Kind::namespaced("autoscaling", "v1", "Scale", "", "scale");

    /// The numbers of an object as a Scale.
    pub fn read(&self, object: &Value) -> Value {
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
        let mut metadata = Map::new();
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if let Some(value) = object["metadata"].get(field) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        let mut scale = json!({
            "apiVersion": Self::KIND.api_version(),
            "kind": Self::KIND.name,
            "metadata": metadata,
            "spec": {},
            "status": {"replicas": number(&self.status_replicas).unwrap_or(0)},
        });
        if let Some(wanted) = number(&self.spec_replicas) {
            scale["spec"]["replicas"] = wanted.into();
        }
        let selector = (self.selector)(object);
        if !selector.is_empty() {
            scale["status"]["selector"] = selector.into();
        }
        scale
    }

    /// Puts the number that a Scale wants (none is 0, as in Kubernetes) into an object, with the caller's belief: uid and
    /// revision.
    pub fn write(&self, object: &mut Value, scale: &Value) {
        put(object, &self.spec_replicas, wanted(scale).into());
        for (field, belief) in [("uid", scale.uid()), ("resourceVersion", scale.resource_version())] {
            match belief {
                "" => drop(object["metadata"].as_object_mut().and_then(|metadata| metadata.remove(field))),
                belief => object["metadata"][field] = belief.into(),
            }
        }
    }

    /// The configuration that a manager applies to the object by applying a Scale.
    pub fn configuration(&self, kind: &Kind, scale: &Value) -> Value {
        let mut config = json!({
            "apiVersion": kind.api_version(), "kind": kind.name, "metadata": {"name": scale.name()},
        });
        if !scale.resource_version().is_empty() {
            config["metadata"]["resourceVersion"] = scale.resource_version().into();
        }
        if scale.pointer("/spec/replicas").is_some_and(|replicas| !replicas.is_null()) {
            put(&mut config, &self.spec_replicas, wanted(scale).into());
        }
        config
    }
}

/// How many a Scale wants.
fn wanted(scale: &Value) -> i64 {
    scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0)
}

/// Sets the value at a JSON pointer of field names, making the objects on the way.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for step in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[step];
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: Kind = Kind::namespaced("g", "v1", "Set", "sets", "set");

    #[test]
    fn numbers_are_read_and_written_where_the_kind_keeps_them() {
        let scale = Scale {
            spec_replicas: "/spec/size/wanted".into(),
            status_replicas: "/status/there".into(),
            selector: Arc::new(|object| format!("set={}", object.name())),
        };
        let mut object =
            json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "3"}, "status": {"there": 2}});
        let mut read = scale.read(&object);
        assert_eq!(read["spec"], json!({}));
        assert_eq!(read["status"], json!({"replicas": 2, "selector": "set=a"}));
        read["spec"]["replicas"] = 5.into();
        scale.write(&mut object, &read);
        assert_eq!(object["spec"], json!({"size": {"wanted": 5}}));
        assert_eq!(object["metadata"]["resourceVersion"], "3");
        scale.write(&mut object, &json!({"spec": {"replicas": 1}}));
        assert_eq!(object["metadata"], json!({"name": "a"}));
        assert_eq!(
            scale.configuration(&SETS, &json!({"metadata": {"name": "a"}, "spec": {"replicas": 4}}))["spec"],
            json!({"size": {"wanted": 4}})
        );
    }
}
