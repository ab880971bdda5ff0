//! Patches and server-side apply on objects of a kind with every sort of list. Inputs are an object, `---`, and what changes it.

use std::sync::LazyLock;

use orch_api::apply::{self, FieldSet, Writer};
use orch_api::patch;
use orch_api::{Schema, Time};
use orch_ontology::KINDS;
use serde_json::Value;

use crate::halves;

static POD: LazyLock<&'static Schema> = LazyLock::new(|| {
    let entry = KINDS.iter().find(|entry| entry.kind.name == "Pod").unwrap();
    &*entry.schema
});

fn values(data: &[u8]) -> Option<(Value, Value)> {
    let (object, change) = halves(data)?;
    Some((serde_json::from_str(object).ok()?, serde_json::from_str(change).ok()?))
}

/// JSON patches are applied or refused.
pub fn json_patch(data: &[u8]) {
    let Some((object, change)) = values(data) else { return };
    drop(patch::json_patch(&object, &change));
}

/// A merge patch has no more to say about what it has made.
pub fn merge_patch(data: &[u8]) {
    let Some((object, change)) = values(data) else { return };
    if let Ok(once) = patch::merge_patch(&object, &change) {
        assert_eq!(patch::merge_patch(&once, &change), Ok(once));
    }
}

/// Strategic merge patches are applied or refused.
pub fn strategic_patch(data: &[u8]) {
    let Some((object, change)) = values(data) else { return };
    drop(patch::strategic_merge_patch(&POD, &object, &change));
}

/// What is applied twice changes nothing the second time.
pub fn apply(data: &[u8]) {
    let Some((object, change)) = values(data) else { return };
    let (reset, now) = (FieldSet::default(), Time::new("2026-01-01T00:00:00Z".parse().unwrap()));
    let by = Writer { manager: "fuzz", api_version: "v1", subresource: "", now, reset: &reset };
    let Ok(first) = apply::apply(&POD, Some(&object), &change, &by, true) else { return };
    let second = apply::apply(&POD, Some(&first.object), &change, &by, true);
    match second {
        Ok(second) => assert!(!second.changed, "{} became {}", first.object, second.object),
        Err(error) => panic!("what was applied cannot be applied again: {error}"),
    }
}
