//! How the value at one place merges, by its type and by what it is; and which item of a list is which.

use std::collections::BTreeMap;

use serde_json::Value;

use super::path::{PathElement, Scalar};
use crate::schema::{ListType, Type, Types};

/// How a value merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As a whole.
    Leaf,
    /// Field by field.
    Fields,
    /// Item by item.
    Items,
}

/// The shape of a value. Without a type it is deduced: objects merge, lists do not. `None` for a `null`
/// whose type leaves it open: it takes the shape of what it stands against.
pub(super) fn shape(ty: Option<Type<'_>>, value: &Value) -> Option<Shape> {
    let types = ty.map_or(Types::ANY, |t| t.types);
    match value {
        Value::Null if types == Types::OBJECT => Some(of_object(ty)),
        Value::Null if types == Types::ARRAY => Some(of_list(ty)),
        Value::Null => None,
        Value::Object(_) if types.contains(Types::OBJECT) => Some(of_object(ty)),
        Value::Array(_) if types.contains(Types::ARRAY) => Some(of_list(ty)),
        _ => Some(Shape::Leaf),
    }
}

fn of_object(ty: Option<Type<'_>>) -> Shape {
    if ty.is_some_and(|t| t.atomic_map) { Shape::Leaf } else { Shape::Fields }
}

fn of_list(ty: Option<Type<'_>>) -> Shape {
    if ty.is_none_or(|t| t.list == ListType::Atomic) { Shape::Leaf } else { Shape::Items }
}

/// The step that leads to an item of a set or map list.
///
/// Absent key fields take their default; without one they are left out, which tells the item apart from
/// those that have the field. Fails on an item that has no key at all, or is of the wrong type.
pub(super) fn item_step(list: Type<'_>, item: &Value) -> Result<PathElement, String> {
    match &list.node().list {
        ListType::Map(keys) => {
            let Some(object) = item.as_object() else {
                return Err("associative list with keys may not have non-map elements".to_owned());
            };
            let default = |key: &str| list.items()?.property(key)?.node().default.clone();
            let key: BTreeMap<String, Scalar> = keys
                .iter()
                .filter_map(|key| {
                    let value = object.get(key).filter(|v| !v.is_null()).cloned().or_else(|| default(key))?;
                    Some((key.clone(), Scalar(value)))
                })
                .collect();
            if key.is_empty() {
                return Err(format!(
                    "associative list with keys has an element that omits all key fields {keys:?} (and doesn't have default values for any key fields)"
                ));
            }
            Ok(PathElement::Key(key))
        }
        _ => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            scalar => Ok(PathElement::Value(Scalar(scalar.clone()))),
        },
    }
}

/// The items of a list with the steps that lead to them.
pub(super) fn items<'v>(
    list: Type<'_>,
    value: Option<&'v Value>,
) -> Result<Vec<(PathElement, &'v Value)>, String> {
    let items = value.and_then(Value::as_array).into_iter().flatten().enumerate();
    items
        .map(|(index, item)| match item_step(list, item) {
            Ok(step) => Ok((step, item)),
            Err(problem) => Err(format!("element {index}: {problem}")),
        })
        .collect()
}

/// The type of a field. `None`: nothing is known about it, it is deduced from the value.
pub(super) fn field_type<'a>(ty: Option<Type<'a>>, name: &str) -> Option<Type<'a>> {
    ty?.field(name).filter(|t| !t.is_any())
}

/// The type of the items of a list.
pub(super) fn item_type(list: Type<'_>) -> Option<Type<'_>> {
    list.items().filter(|t| !t.is_any())
}
