//! Strategic merge patch: Kubernetes' own, which merges lists by key and knows directives.
//!
//! Kubernetes keeps a patch strategy beside each list's merge rules; here the list type of the schema says
//! both: map lists merge by their first key, sets unite, atomic lists are replaced.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use super::PatchError;
use crate::schema::{ListType, Schema, Type};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch to a copy of `object`.
///
/// Understands `$patch: replace|delete`, `$retainKeys`, `$setElementOrder/<field>` and
/// `$deleteFromPrimitiveList/<field>`. Only for kinds whose schema has list types; user-defined kinds
/// answer `415` in Kubernetes.
pub fn strategic_merge_patch(schema: &Schema, object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Some(patch) = patch.as_object() else {
        return Err(PatchError::Malformed("a strategic merge patch is an object".to_owned()));
    };
    merge_object(Some(schema.root()), object.as_object(), patch).map(Value::Object)
}

fn merge_object(
    ty: Option<Type<'_>>,
    original: Option<&Map<String, Value>>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, PatchError> {
    match patch.get(DIRECTIVE).map(|d| d.as_str().unwrap_or_default()) {
        None => {}
        Some("replace") => return Ok(plain_object(patch)),
        Some("delete") => return Ok(Map::new()),
        Some(other) => return malformed(format!("unknown patch type found: {other}")),
    }
    let mut out = original.cloned().unwrap_or_default();
    retain_keys(&mut out, patch)?;
    for name in touched_fields(patch) {
        let field = ty.and_then(|t| t.field(name));
        let order = list(patch.get(&format!("{SET_ORDER}{name}")), SET_ORDER)?;
        match (patch.get(name), out.get(name)) {
            (Some(Value::Null), _) => {
                out.remove(name);
            }
            (Some(Value::Object(theirs)), Some(Value::Object(ours))) => {
                let merged = merge_object(field, Some(ours), theirs)?;
                out.insert(name.to_owned(), merged.into());
            }
            (Some(Value::Array(theirs)), ours) if ours.is_none_or(Value::is_array) => {
                let ours = ours.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                out.insert(name.to_owned(), merge_list(field, ours, theirs, order)?.into());
            }
            (None, Some(Value::Array(ours))) => {
                if let (Some(order), Some(key)) = (order, MergeKey::of(field)) {
                    let sorted = key.sorted(ours.clone(), &key.places(order), &key.places(ours));
                    out.insert(name.to_owned(), sorted.into());
                }
            }
            (Some(theirs), _) => {
                out.insert(name.to_owned(), plain(theirs));
            }
            (None, _) => {}
        }
    }
    delete_values(&mut out, patch)?;
    Ok(out)
}

/// The fields that a patch says something about, by value or by order.
fn touched_fields(patch: &Map<String, Value>) -> BTreeSet<&str> {
    patch
        .keys()
        .filter_map(|key| match key.strip_prefix(SET_ORDER) {
            Some(name) => Some(name),
            None => (!is_directive(key)).then_some(key.as_str()),
        })
        .collect()
}

fn is_directive(key: &str) -> bool {
    key == DIRECTIVE || key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_VALUES)
}

fn retain_keys(out: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    let Some(keys) = list(patch.get(RETAIN_KEYS), RETAIN_KEYS)? else { return Ok(()) };
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let is_retained = |name: &String| keys.contains(name.as_str());
    if patch.iter().any(|(name, value)| !is_directive(name) && !value.is_null() && !is_retained(name)) {
        return malformed("Invalid patch format of retainKeys".to_owned());
    }
    out.retain(|name, _| is_retained(name));
    Ok(())
}

fn delete_values(out: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    for (key, values) in patch {
        let Some(name) = key.strip_prefix(DELETE_VALUES) else { continue };
        let Some(values) = list(Some(values), DELETE_VALUES)? else { continue };
        if let Some(items) = out.get_mut(name).and_then(Value::as_array_mut) {
            let values: HashSet<&Value> = values.iter().collect();
            items.retain(|item| !values.contains(item));
        }
    }
    Ok(())
}

fn merge_list(
    ty: Option<Type<'_>>,
    ours: &[Value],
    theirs: &[Value],
    order: Option<&[Value]>,
) -> Result<Vec<Value>, PatchError> {
    let Some(key) = MergeKey::of(ty) else {
        return Ok(theirs.iter().map(plain).collect());
    };
    let replaces = theirs.iter().any(|item| item.get(DIRECTIVE).is_some_and(|d| d == "replace"));
    let mut merged = Merged::of(if replaces { &[] } else { ours }, &key);
    let mut given = Vec::new();
    for item in theirs {
        let id = key.id(item);
        match (item.get(DIRECTIVE).map(|d| d.as_str().unwrap_or_default()), id) {
            (Some("replace"), _) => {}
            (_, None) => return no_key(item, &key),
            (Some("delete"), Some(id)) => merged.delete(id),
            (Some(other), _) => return malformed(format!("unknown patch type found: {other}")),
            (None, Some(id)) => {
                given.push(item);
                merged.merge(ty.and_then(Type::items), id, item)?;
            }
        }
    }
    let merged = merged.items.into_iter().flatten().collect();
    if replaces {
        return Ok(merged);
    }
    let order = match order {
        None => key.places(given),
        Some(order) => {
            let order = key.places(order);
            if given.iter().any(|item| !order.contains_key(&key.id(item))) {
                return malformed("The order in patch list doesn't match $setElementOrder list".to_owned());
            }
            order
        }
    };
    Ok(key.sorted(merged, &order, &key.places(ours)))
}

/// A list while a patch is merged into it. Cost of each item of the patch: a look at where it is.
struct Merged<'v> {
    /// Deleted ones leave a gap.
    items: Vec<Option<Value>>,
    places: HashMap<&'v Value, Vec<usize>>,
}

impl<'v> Merged<'v> {
    fn of(items: &'v [Value], key: &MergeKey<'_>) -> Self {
        let mut places = HashMap::<_, Vec<usize>>::new();
        for (place, item) in items.iter().enumerate() {
            key.id(item).into_iter().for_each(|id| places.entry(id).or_default().push(place));
        }
        Self { items: items.iter().cloned().map(Some).collect(), places }
    }

    fn delete(&mut self, id: &Value) {
        for place in self.places.remove(id).into_iter().flatten() {
            self.items[place] = None;
        }
    }

    fn merge(&mut self, ty: Option<Type<'_>>, id: &'v Value, item: &'v Value) -> Result<(), PatchError> {
        let found = self.places.get(id).and_then(|places| self.items[places[0]].as_mut());
        match (found, item.as_object()) {
            (Some(found), Some(patch)) => *found = merge_object(ty, found.as_object(), patch)?.into(),
            (Some(_), None) => {}
            (None, _) => {
                self.places.insert(id, vec![self.items.len()]);
                self.items.push(Some(plain(item)));
            }
        }
        Ok(())
    }
}

/// Where in a list the items are, by what tells them apart; of equal ones the first.
type Places<'v> = HashMap<Option<&'v Value>, usize>;

/// What tells the items of a merging list apart.
enum MergeKey<'a> {
    Field(&'a str),
    Value,
}

impl<'a> MergeKey<'a> {
    /// `None` for lists that are replaced.
    fn of(ty: Option<Type<'a>>) -> Option<Self> {
        match &ty?.node().list {
            ListType::Map(keys) => keys.first().map(|key| Self::Field(key)),
            ListType::Set => Some(Self::Value),
            ListType::Atomic => None,
        }
    }

    fn id<'v>(&self, item: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Field(name) => item.get(name),
            Self::Value => Some(item),
        }
    }

    fn places<'v>(&self, list: impl IntoIterator<Item = &'v Value>) -> Places<'v> {
        let mut places = Places::new();
        for (place, item) in list.into_iter().enumerate() {
            places.entry(self.id(item)).or_insert(place);
        }
        places
    }

    /// The items in `order` as far as it names them; the others are put before the first of those that
    /// they stood before in the `live` list, else at the end.
    fn sorted(&self, items: Vec<Value>, order: &Places<'_>, live: &Places<'_>) -> Vec<Value> {
        let place = |list: &Places<'_>, item: &Value| list.get(&self.id(item)).copied();
        let (mut named, mut others): (Vec<Value>, Vec<Value>) =
            items.into_iter().partition(|item| place(order, item).is_some());
        named.sort_by_key(|item| place(order, item));
        others.sort_by_key(|item| place(live, item));
        let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
        let mut out = Vec::new();
        loop {
            let other_first = match (others.peek(), named.peek()) {
                (None, None) => return out,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(other), Some(named)) => {
                    matches!((place(live, other), place(live, named)), (Some(a), Some(b)) if a < b)
                }
            };
            out.extend(if other_first { others.next() } else { named.next() });
        }
    }
}

/// A value of a patch where there was none: without directives and nulls.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => plain_object(fields).into(),
        Value::Array(items) => {
            let kept = items
                .iter()
                .filter(|item| item.get(DIRECTIVE).is_none_or(|d| d != "delete" && d != "replace"));
            kept.map(plain).collect()
        }
        other => other.clone(),
    }
}

fn plain_object(fields: &Map<String, Value>) -> Map<String, Value> {
    let kept = fields.iter().filter(|(name, value)| !is_directive(name) && !value.is_null());
    kept.map(|(name, value)| (name.clone(), plain(value))).collect()
}

fn list<'v>(value: Option<&'v Value>, what: &str) -> Result<Option<&'v [Value]>, PatchError> {
    match value {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(_) => malformed(format!("invalid patch format of {}", what.trim_end_matches('/'))),
    }
}

fn malformed<T>(problem: String) -> Result<T, PatchError> {
    Err(PatchError::Malformed(problem))
}

fn no_key<T>(item: &Value, key: &MergeKey<'_>) -> Result<T, PatchError> {
    let key = match key {
        MergeKey::Field(name) => (*name).to_owned(),
        MergeKey::Value => String::new(),
    };
    Err(PatchError::NoMergeKey { item: item.to_string(), key })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn schema() -> Arc<Schema> {
        let port = json!({"type": "object", "properties": {"port": {"type": "integer"}, "name": {"type": "string"}}});
        Schema::compile(&json!({"type": "object", "properties": {
            "finalizers": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "args": {"type": "array", "items": {"type": "string"}},
            "strategy": {"type": "object", "properties": {"type": {"type": "string"}, "rolling": {"type": "object",
                "properties": {"surge": {"type": "integer"}}}}},
            "containers": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {
                    "name": {"type": "string"}, "image": {"type": "string"},
                    "ports": {"type": "array", "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["port", "protocol"], "items": port},
                }}},
        }}))
        .unwrap()
    }

    #[test]
    fn lists_merge_by_key_and_directives_are_obeyed() {
        for (what, object, patch, expected) in [
            (
                "items merge by key, new ones follow",
                json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}),
                json!({"containers": [{"name": "c"}, {"name": "a", "image": "2"}]}),
                json!({"containers": [{"name": "c"}, {"name": "a", "image": "2"}, {"name": "b"}]}),
            ),
            (
                "items are deleted by directive",
                json!({"containers": [{"name": "a"}, {"name": "b"}]}),
                json!({"containers": [{"name": "a", "$patch": "delete"}]}),
                json!({"containers": [{"name": "b"}]}),
            ),
            (
                "lists are replaced by directive",
                json!({"containers": [{"name": "a"}, {"name": "b"}]}),
                json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
                json!({"containers": [{"name": "c"}]}),
            ),
            (
                "objects are replaced and emptied by directive",
                json!({"strategy": {"type": "A", "rolling": {"surge": 1}}}),
                json!({"strategy": {"$patch": "replace", "type": "B"}}),
                json!({"strategy": {"type": "B"}}),
            ),
            (
                "retained keys drop the others",
                json!({"strategy": {"type": "A", "rolling": {"surge": 1}}}),
                json!({"strategy": {"$retainKeys": ["type"], "type": "B"}}),
                json!({"strategy": {"type": "B"}}),
            ),
            (
                "order is set, and others keep their place",
                json!({"containers": [{"name": "x"}, {"name": "a"}, {"name": "b"}]}),
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b", "image": "1"}]}),
                json!({"containers": [{"name": "x"}, {"name": "b", "image": "1"}, {"name": "a"}]}),
            ),
            (
                "order alone is enough",
                json!({"containers": [{"name": "a"}, {"name": "b"}]}),
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
                json!({"containers": [{"name": "b"}, {"name": "a"}]}),
            ),
            (
                "sets unite and lose values by directive",
                json!({"finalizers": ["a", "b"]}),
                json!({"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}),
                json!({"finalizers": ["c", "b"]}),
            ),
            (
                "atomic lists are replaced",
                json!({"args": ["a"]}),
                json!({"args": ["b"]}),
                json!({"args": ["b"]}),
            ),
            (
                "null removes",
                json!({"args": ["a"], "strategy": {"type": "A"}}),
                json!({"args": null, "strategy": {"type": null, "rolling": {"surge": null}}}),
                json!({"strategy": {"rolling": {}}}),
            ),
            (
                "what is new loses directives and nulls",
                json!({}),
                json!({"containers": [{"name": "a", "image": null, "$setElementOrder/ports": [{"port": 1}], "ports": [{"port": 1}]}]}),
                json!({"containers": [{"name": "a", "ports": [{"port": 1}]}]}),
            ),
        ] {
            assert_eq!(strategic_merge_patch(&schema(), &object, &patch), Ok(expected), "{what}");
        }
    }

    /// Each item costs the same, however many there are: item by item, this would take many minutes.
    #[test]
    fn long_lists_merge_in_little_time() {
        const MANY: usize = 100_000;
        let containers = |names: &mut dyn Iterator<Item = usize>, image: &str| -> Value {
            names.map(|name| json!({"name": name.to_string(), "image": image})).collect()
        };
        let words = |numbers: &mut dyn Iterator<Item = usize>| -> Value {
            numbers.map(|number| number.to_string()).collect()
        };
        let object =
            json!({"containers": containers(&mut (0..MANY), "1"), "finalizers": words(&mut (0..MANY))});
        let mut theirs = containers(&mut (1..MANY).rev(), "2");
        theirs.as_array_mut().unwrap().push(json!({"$patch": "delete", "name": "0"}));
        let patch = json!({
            "containers": theirs,
            "$setElementOrder/containers": containers(&mut (0..MANY).rev(), "2"),
            "finalizers": words(&mut (MANY..2 * MANY)),
            "$deleteFromPrimitiveList/finalizers": words(&mut (0..MANY)),
        });
        let merged = strategic_merge_patch(&schema(), &object, &patch).unwrap();
        assert!(
            merged["containers"] == containers(&mut (1..MANY).rev(), "2"),
            "the patch's order and images"
        );
        assert!(merged["finalizers"] == words(&mut (MANY..2 * MANY)));
        let order = json!({"$setElementOrder/containers": containers(&mut (0..MANY).rev(), "")});
        let sorted = strategic_merge_patch(&schema(), &object, &order).unwrap();
        assert!(sorted["containers"] == containers(&mut (0..MANY).rev(), "1"));
        let keys: Vec<String> = (0..MANY).map(|n| format!("k{n}")).collect();
        let fields: Map<String, Value> = keys.iter().map(|key| (key.clone(), json!(1))).collect();
        let mut retained = fields.clone();
        retained.insert(RETAIN_KEYS.into(), json!(keys));
        let merged = strategic_merge_patch(&schema(), &json!(fields), &json!(retained)).unwrap();
        assert!(merged == json!(fields));
    }

    #[test]
    fn malformed_patches_are_refused() {
        for (patch, code) in [
            (json!([]), 400),
            (json!({"strategy": {"$patch": "frobnicate"}}), 400),
            (json!({"strategy": {"$retainKeys": "x"}}), 400),
            (json!({"strategy": {"$retainKeys": ["rolling"], "type": "B"}}), 400),
            (json!({"$setElementOrder/containers": [{"name": "x"}], "containers": [{"name": "y"}]}), 400),
            (json!({"containers": [{"image": "x"}]}), 422),
        ] {
            let object = json!({"strategy": {"type": "A"}, "containers": []});
            let error = strategic_merge_patch(&schema(), &object, &patch).unwrap_err();
            assert_eq!(error.code(), code, "{patch}: {error}");
        }
    }
}
