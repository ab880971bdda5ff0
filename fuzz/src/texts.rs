//! What is written as text: quantities, selectors, manifests, expressions.

use std::hint::black_box;

use orch_api::fields::FieldQuery;
use orch_api::labels::LabelQuery;
use orch_api::{JsonPath, Quantity};
use orch_cel::{Budget, Expression, Variable};
use orch_client::manifest::Manifest;
use serde_json::json;

/// A quantity that is read is printed as one that is equal; adding and comparing never fails.
pub fn quantity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    let printed = quantity.to_string();
    let again: Quantity = printed.parse().unwrap_or_else(|error| panic!("{printed:?} is not read: {error}"));
    assert_eq!(again, quantity, "printed as {printed}");
    assert_eq!(again.to_string(), printed);
    black_box((quantity.value(), quantity.milli(), quantity.is_negative()));
    if let Some(zero) = quantity.checked_sub(again) {
        assert!(zero.is_zero());
    }
    black_box(quantity.checked_add(again));
}

/// Label and field selectors, and JSON paths: what is read is printed as something that selects the same.
pub fn selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(query) = text.parse::<LabelQuery>() {
        let printed = query.to_string();
        let again: LabelQuery =
            printed.parse().unwrap_or_else(|error| panic!("{printed:?} is not read: {error}"));
        assert_eq!(again.to_string(), printed);
        for labels in [json!({}), json!({"a": "b", "x": "1"}), json!({"a": ""})] {
            let labels = serde_json::from_value(labels).unwrap();
            assert_eq!(again.matches(&labels), query.matches(&labels), "{text:?} and {printed:?}");
        }
    }
    if let Ok(query) = text.parse::<FieldQuery>() {
        let printed = query.to_string();
        let again: FieldQuery =
            printed.parse().unwrap_or_else(|error| panic!("{printed:?} is not read: {error}"));
        assert_eq!(again.to_string(), printed);
        let lookup = |field: &str| Some(field.to_owned());
        assert_eq!(again.matches(lookup), query.matches(lookup), "{text:?} and {printed:?}");
    }
    if let Ok(path) = JsonPath::parse(text) {
        drop(path.values(&json!({"a": {"b": [1, {"c": 2}]}, "items": []})));
    }
}

/// Manifests, with the places of all that they hold.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for document in Manifest::parse("fuzz.yaml", text) {
        match document {
            Ok(manifest) => {
                for field in ["metadata.name", "spec.containers[0].image", "a.b[1].c", ""] {
                    drop((manifest.locate(field), manifest.snippet(field)));
                }
            }
            Err(error) => drop((error.to_string(), error.hint())),
        }
    }
}

/// Expressions are refused, or evaluated within their budget.
pub fn cel(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(expression) = Expression::compile(text, &["self", "oldSelf"]) else { return };
    let value =
        json!({"replicas": 3, "name": "web", "list": [1, 2, 3], "map": {"a": "b"}, "text": "x".repeat(100)});
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let (new, old) = (Variable::new(&value, &schema), Variable::new(&value, &schema));
    drop(expression.evaluate(&[("self", &new), ("oldSelf", &old)], &mut Budget::of_an_object()));
}
