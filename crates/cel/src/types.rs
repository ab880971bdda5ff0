//! What a schema tells of the values that an expression sees: their types, and how large they can be.

use serde_json::Value as Json;

use crate::value::escape;

/// The largest request, in bytes: what bounds values that their schema does not.
const LARGEST_REQUEST: u64 = 3 * 1024 * 1024;
/// The length of times and durations as text.
const LONGEST_TIME: u64 = 32;

/// What is known of a value before there is one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type<'s> {
    /// Nothing.
    Any,
    /// It is true or false.
    Bool,
    /// It is a number.
    Number,
    /// It is a text of at most so many bytes.
    Text(u64),
    /// It is `null`, a time, or something else without a size.
    Other,
    /// It is a list of at most so many items.
    List(Box<Type<'s>>, u64),
    /// It is a map of at most so many entries.
    Map(Box<Type<'s>>, u64),
    /// It is an object, whose fields a schema names.
    Object(&'s Json),
}

impl<'s> Type<'s> {
    /// The type of the values of a schema. Cost: that of its depth in lists and maps.
    pub(crate) fn of(schema: &'s Json) -> Self {
        let keyword = |name: &str| schema.get(name).and_then(Json::as_str).unwrap_or_default();
        let most = |name: &str| schema.get(name).and_then(Json::as_u64);
        match keyword("type") {
            "boolean" => Self::Bool,
            "integer" | "number" => Self::Number,
            "string" => match keyword("format") {
                "date" | "date-time" | "duration" => Self::Other,
                "byte" => Self::Text(most("maxLength").unwrap_or(LARGEST_REQUEST)),
                // A character is up to four bytes.
                _ => Self::Text(longest(schema).min(LARGEST_REQUEST)),
            },
            "array" => {
                let items = schema.get("items").unwrap_or(&Json::Null);
                let room = LARGEST_REQUEST / (smallest(items) + 1);
                Self::List(Box::new(Self::of(items)), most("maxItems").unwrap_or(room))
            }
            "object" => match schema.get("additionalProperties").filter(|entries| entries.is_object()) {
                Some(entries) => {
                    let room = LARGEST_REQUEST / (smallest(entries) + 4);
                    Self::Map(Box::new(Self::of(entries)), most("maxProperties").unwrap_or(room))
                }
                None if is_open(schema) => Self::Any,
                None => Self::Object(schema),
            },
            _ => Self::Any,
        }
    }

    /// The type of a field, as an expression names it.
    ///
    /// # Errors
    /// If there is no such field.
    pub(crate) fn field(&self, name: &str) -> Result<Self, ()> {
        match self {
            Self::Object(schema) => {
                let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
                let mut properties = properties.filter(|(known, _)| escape(known) == name);
                match properties.next() {
                    Some((_, schema)) => Ok(Self::of(schema)),
                    // What all objects have is not told by every schema.
                    None if ["apiVersion", "kind", "metadata"].contains(&name) => Ok(Self::Any),
                    None => Err(()),
                }
            }
            Self::Map(entries, _) => Ok((**entries).clone()),
            _ => Ok(Self::Any),
        }
    }

    /// What a loop over the value sees in each round.
    pub(crate) fn item(&self) -> Self {
        match self {
            Self::List(item, _) => (**item).clone(),
            // Keys are not counted, as in Kubernetes.
            Self::Map(..) => Self::Text(0),
            _ => Self::Any,
        }
    }

    /// How many characters, items or entries there are at most.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Text(size) | Self::List(_, size) | Self::Map(_, size) => *size,
            Self::Any => LARGEST_REQUEST,
            Self::Bool | Self::Number | Self::Other | Self::Object(_) => 1,
        }
    }

    /// The type of what is one or the other.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            // An empty list says nothing of what could be in it.
            (Self::List(_, 0), list @ Self::List(..)) | (list @ Self::List(..), Self::List(_, 0)) => list,
            (Self::Text(one), Self::Text(two)) => Self::Text(one.max(two)),
            (Self::List(item, one), Self::List(other, two)) => {
                Self::List(Box::new(item.or(*other)), one.max(two))
            }
            (one, two) if one == two => one,
            _ => Self::Any,
        }
    }
}

/// Whether values may have fields that the schema does not name, or fields that are added to what it says.
fn is_open(schema: &Json) -> bool {
    let flag = |name: &str| schema.get(name) == Some(&Json::Bool(true));
    flag("x-kubernetes-preserve-unknown-fields")
        || flag("x-kubernetes-embedded-resource")
        || schema.get("properties").is_none()
}

fn longest(schema: &Json) -> u64 {
    let listed = schema.get("enum").and_then(Json::as_array);
    let listed =
        listed.and_then(|values| values.iter().map(|value| value.as_str().map_or(0, str::len)).max());
    let limit = || schema.get("maxLength").and_then(Json::as_u64).map(|most| most.saturating_mul(4));
    listed.map(|most| most as u64).or_else(limit).unwrap_or(LARGEST_REQUEST)
}

/// The length of the shortest JSON that fits the schema.
fn smallest(schema: &Json) -> u64 {
    match schema.get("type").and_then(Json::as_str).unwrap_or_default() {
        "boolean" => 4,
        "integer" | "number" => 1,
        "string" if matches!(schema.get("format").and_then(Json::as_str), Some("date-time" | "date")) => {
            LONGEST_TIME
        }
        "object" => {
            let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
            let field = |name: &str| {
                let property = schema.get("properties").and_then(|properties| properties.get(name));
                name.len() as u64 + 4 + property.map_or(1, smallest)
            };
            2 + required.filter_map(Json::as_str).map(field).sum::<u64>()
        }
        _ => 2,
    }
}

/// How many values of a schema fit into one request.
pub(crate) fn most(schema: &Json) -> u64 {
    LARGEST_REQUEST / (smallest(schema) + 1) + 1
}
