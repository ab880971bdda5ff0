//! Telling an authorizer of objects, in tests and measurements.

use orch_api::{Authorizer, Followed, Kind};
use orch_ontology::KINDS;
use serde_json::Value;

/// Tells of objects that are there, or that are gone.
pub(crate) fn tell(authorization: &impl Authorizer, objects: &[Value], present: bool) {
    let told: Vec<(Kind, Vec<u8>, &Value)> =
        objects.iter().map(|object| (kind_of(object), object.to_string().into_bytes(), object)).collect();
    let mut followed = told.iter().map(|(kind, bytes, object)| Followed {
        kind,
        namespace: object["metadata"]["namespace"].as_str().unwrap_or_default(),
        name: object["metadata"]["name"].as_str().unwrap_or_default(),
        object: present.then_some(&**bytes),
    });
    authorization.take(&mut followed);
}

/// The kind of an object.
pub(crate) fn kind_of(object: &Value) -> Kind {
    KINDS
        .iter()
        .map(|entry| entry.kind)
        .find(|kind| kind.name == object["kind"])
        .expect("a kind that there is")
}
