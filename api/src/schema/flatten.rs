//! Making a JSON Schema structural, one level at a time: after [`Flattener::flatten`] a schema has no
//! `$ref`, `allOf` or nullable wrapper left, and what its alternatives say about properties is united.
//!
//! Rules: outer keywords win over referenced ones; `null` alternatives make a field optional; a single
//! remaining alternative is merged; several constants become an `enum`; several types become a type list;
//! objects unite their properties (and what differs per alternative is checked by the branches).

use serde_json::{Map, Value, json};

use super::SchemaError;

const MAX_NESTING: usize = 64;

/// One level of a schema without indirection.
#[derive(Debug, Default)]
pub(super) struct Flat {
    pub(super) keywords: Map<String, Value>,
    /// Alternatives that the united keywords do not express.
    pub(super) any_of: Vec<Vec<Value>>,
    pub(super) one_of: Vec<Vec<Value>>,
    /// Of structural schemas only: others are merged.
    pub(super) all_of: Vec<Vec<Value>>,
}

/// One level of a schema that is structural as it is: alternatives say nothing about what fields there are.
pub(super) fn structural(schema: &Value) -> Result<Flat, SchemaError> {
    let Value::Object(object) = schema else {
        return Err(SchemaError::Keyword { keyword: "schema", expected: "an object" });
    };
    let mut keywords = object.clone();
    let mut group = |keyword| -> Result<Vec<Vec<Value>>, SchemaError> {
        let list = take_list(&mut keywords, keyword)?;
        Ok(if list.is_empty() { Vec::new() } else { vec![list] })
    };
    let (any_of, one_of, all_of) = (group("anyOf")?, group("oneOf")?, group("allOf")?);
    Ok(Flat { keywords, any_of, one_of, all_of })
}

pub(super) struct Flattener<'a> {
    document: &'a Value,
}

impl<'a> Flattener<'a> {
    pub(super) fn new(document: &'a Value) -> Self {
        Self { document }
    }

    pub(super) fn flatten(&self, schema: &Value) -> Result<Flat, SchemaError> {
        self.flatten_at(schema, MAX_NESTING)
    }

    fn flatten_at(&self, schema: &Value, depth: usize) -> Result<Flat, SchemaError> {
        let object = match schema {
            Value::Bool(true) => return Ok(Flat::default()),
            Value::Bool(false) => {
                return Ok(Flat {
                    keywords: Map::from_iter([("enum".into(), json!([]))]),
                    ..Flat::default()
                });
            }
            Value::Object(object) => object,
            _ => return Err(SchemaError::Keyword { keyword: "schema", expected: "an object or a boolean" }),
        };
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(SchemaError::Cycle(schema.to_string().chars().take(120).collect()));
        };
        let mut own = object.clone();
        let base = match own.remove("$ref") {
            Some(Value::String(reference)) => self.flatten_at(self.resolve(&reference)?, deeper)?,
            Some(_) => return Err(SchemaError::Keyword { keyword: "$ref", expected: "a string" }),
            None => Flat::default(),
        };
        let all_of = take_list(&mut own, "allOf")?;
        let any_of = take_list(&mut own, "anyOf")?;
        let one_of = take_list(&mut own, "oneOf")?;
        let mut flat = Flat { keywords: own, ..Flat::default() };
        flat.absorb(base);
        for part in &all_of {
            flat.absorb(self.flatten_at(part, deeper)?);
        }
        self.unite(&mut flat, any_of, deeper, false)?;
        self.unite(&mut flat, one_of, deeper, true)?;
        Ok(flat)
    }

    fn resolve(&self, reference: &str) -> Result<&'a Value, SchemaError> {
        reference
            .strip_prefix('#')
            .and_then(|pointer| self.document.pointer(pointer))
            .ok_or_else(|| SchemaError::DanglingRef(reference.to_owned()))
    }

    fn unite(
        &self,
        flat: &mut Flat,
        alternatives: Vec<Value>,
        depth: usize,
        one_of: bool,
    ) -> Result<(), SchemaError> {
        let kept: Vec<Value> = alternatives.into_iter().filter(|a| !is_null(a)).collect();
        let mut flats = kept.iter().map(|a| self.flatten_at(a, depth)).collect::<Result<Vec<_>, _>>()?;
        if flats.len() == 1 {
            flat.absorb(flats.remove(0));
            return Ok(());
        }
        if flats.is_empty() {
            return Ok(());
        }
        let covered = all_enumerated(&flats) || all_plain_types(&flats);
        flat.absorb(Flat { keywords: united(&flats), ..Flat::default() });
        if !covered {
            if one_of { flat.one_of.push(kept) } else { flat.any_of.push(kept) }
        }
        Ok(())
    }
}

impl Flat {
    /// Adds what `other` says; what is said here already wins, properties and required fields unite.
    fn absorb(&mut self, other: Flat) {
        for (keyword, theirs) in other.keywords {
            match self.keywords.get_mut(&keyword) {
                None => {
                    self.keywords.insert(keyword, theirs);
                }
                Some(ours) => merge_keyword(&keyword, ours, theirs),
            }
        }
        self.any_of.extend(other.any_of);
        self.one_of.extend(other.one_of);
    }
}

fn merge_keyword(keyword: &str, ours: &mut Value, theirs: Value) {
    match (keyword, ours, theirs) {
        ("properties", Value::Object(ours), Value::Object(theirs)) => {
            for (name, schema) in theirs {
                match ours.get_mut(&name) {
                    None => {
                        ours.insert(name, schema);
                    }
                    Some(own) if *own != schema => *own = json!({"allOf": [own.take(), schema]}),
                    Some(_) => {}
                }
            }
        }
        ("required", Value::Array(ours), Value::Array(theirs)) => {
            for name in theirs {
                if !ours.contains(&name) {
                    ours.push(name);
                }
            }
        }
        _ => {}
    }
}

/// The keywords that hold for any of several alternatives.
fn united(flats: &[Flat]) -> Map<String, Value> {
    let mut out = Map::new();
    if let Some(types) = flats.iter().map(types_of).collect::<Option<Vec<_>>>() {
        let mut names: Vec<Value> = types.into_iter().flatten().collect();
        names.dedup();
        out.insert("type".into(), names.into());
    }
    if let Some(values) = flats.iter().map(values_of).collect::<Option<Vec<_>>>() {
        out.insert("enum".into(), values.into_iter().flatten().collect());
    }
    let mut properties: Map<String, Value> = Map::new();
    for (name, schema) in flats.iter().filter_map(|f| f.keywords.get("properties")?.as_object()).flatten() {
        match properties.get_mut(name) {
            None => {
                properties.insert(name.clone(), schema.clone());
            }
            Some(own) if own != schema => *own = json!({"anyOf": [own.take(), schema]}),
            Some(_) => {}
        }
    }
    if !properties.is_empty() {
        out.insert("properties".into(), properties.into());
    }
    for keyword in ["additionalProperties", "items"] {
        let said: Vec<&Value> = flats
            .iter()
            .filter_map(|f| f.keywords.get(keyword))
            .filter(|v| **v != Value::Bool(false))
            .collect();
        match said.as_slice() {
            [] => continue,
            [one] => out.insert(keyword.into(), (*one).clone()),
            [one, rest @ ..] if rest.iter().all(|r| r == one) => out.insert(keyword.into(), (*one).clone()),
            _ => out.insert(keyword.into(), json!({"anyOf": said})),
        };
    }
    out
}

fn types_of(flat: &Flat) -> Option<Vec<Value>> {
    match flat.keywords.get("type") {
        Some(Value::Array(names)) => Some(names.clone()),
        Some(name) => Some(vec![name.clone()]),
        None => match values_of(flat)?.first()? {
            Value::String(_) => Some(vec!["string".into()]),
            _ => None,
        },
    }
}

fn values_of(flat: &Flat) -> Option<Vec<Value>> {
    match (flat.keywords.get("const"), flat.keywords.get("enum")) {
        (Some(value), _) => Some(vec![value.clone()]),
        (None, Some(Value::Array(values))) => Some(values.clone()),
        _ => None,
    }
}

fn all_enumerated(flats: &[Flat]) -> bool {
    flats.iter().all(|f| values_of(f).is_some())
}

fn all_plain_types(flats: &[Flat]) -> bool {
    let plain = |k: &String| matches!(k.as_str(), "type" | "description" | "title" | "format");
    flats.iter().all(|f| {
        f.keywords.contains_key("type")
            && f.keywords.keys().all(plain)
            && f.any_of.is_empty()
            && f.one_of.is_empty()
    })
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|t| t == "null")
        || schema.get("const").is_some_and(Value::is_null)
        || schema.get("enum").is_some_and(|e| *e == json!([null]))
}

fn take_list(object: &mut Map<String, Value>, keyword: &'static str) -> Result<Vec<Value>, SchemaError> {
    match object.remove(keyword) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(SchemaError::Keyword { keyword, expected: "a list of schemas" }),
    }
}
