//! From a JSON Schema document to the arena of nodes.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::flatten::{self, Flat, Flattener};
use super::{
    Additional, Bound, Branches, Dialect, Limits, ListType, MAX_NODES, Node, NodeId, Relation, Rule, Schema,
    SchemaError, Types,
};

pub(super) fn compile(document: &Value, dialect: Dialect) -> Result<Schema, SchemaError> {
    let mut compiler =
        Compiler { flattener: Flattener::new(document), nodes: Vec::new(), known: HashMap::new() };
    let mut top = document.clone();
    if let Some(top) = top.as_object_mut() {
        top.remove("$defs");
        top.remove("definitions");
    }
    let root = compiler.node(&top, dialect)?;
    Ok(Schema { nodes: compiler.nodes, root, dialect })
}

struct Compiler<'a> {
    flattener: Flattener<'a>,
    nodes: Vec<Node>,
    /// Equal subschemas are one node; this is also what ends recursion through `$ref`.
    known: HashMap<(Dialect, String), NodeId>,
}

impl Compiler<'_> {
    fn node(&mut self, schema: &Value, dialect: Dialect) -> Result<NodeId, SchemaError> {
        // A structural schema has no references but to what is shared by all kinds.
        let dialect = if schema.get("$ref").is_some() { Dialect::Derived } else { dialect };
        let text = (dialect, schema.to_string());
        if let Some(&id) = self.known.get(&text) {
            return Ok(id);
        }
        let index = u32::try_from(self.nodes.len()).map_err(|_| SchemaError::TooLarge)?;
        if self.nodes.len() >= MAX_NODES {
            return Err(SchemaError::TooLarge);
        }
        let id = NodeId(index);
        self.known.insert(text, id);
        self.nodes.push(Node::default());
        let flat = match dialect {
            Dialect::Derived => self.flattener.flatten(schema)?,
            Dialect::Structural => flatten::structural(schema)?,
        };
        let node = self.build(flat, dialect)?;
        self.nodes[id.0 as usize] = node;
        Ok(id)
    }

    fn build(&mut self, flat: Flat, dialect: Dialect) -> Result<Node, SchemaError> {
        let k = Keywords(&flat.keywords);
        let mut node = scalar_keywords(&k)?;
        for (name, schema) in k.object("properties")?.into_iter().flatten() {
            node.properties.insert(name.clone(), self.node(schema, dialect)?);
        }
        node.additional = match k.get("additionalProperties") {
            None => Additional::Unmentioned,
            Some(Value::Bool(false)) => Additional::Forbidden,
            Some(Value::Bool(true)) => Additional::Any,
            Some(schema) => Additional::Typed(self.node(schema, dialect)?),
        };
        node.items = k.get("items").map(|schema| self.node(schema, dialect)).transpose()?;
        node.types = types(&k, &node)?;
        let groups = flat.any_of.iter().map(|of| (Rule::AnyOf, of));
        let groups = groups.chain(flat.one_of.iter().map(|of| (Rule::OneOf, of)));
        for (rule, of) in groups.chain(flat.all_of.iter().map(|of| (Rule::AllOf, of))) {
            let of = of.iter().map(|schema| self.node(schema, dialect)).collect::<Result<_, _>>()?;
            node.branches.push(Branches { rule, of });
        }
        if let Some(not) = k.get("not") {
            node.branches.push(Branches { rule: Rule::Not, of: vec![self.node(not, dialect)?] });
        }
        Ok(node)
    }
}

fn scalar_keywords(k: &Keywords<'_>) -> Result<Node, SchemaError> {
    Ok(Node {
        description: k.string("description")?.map(str::to_owned),
        nullable: k.flag("nullable")?,
        format: k.string("format")?.map(str::to_owned),
        allowed: match k.get("const") {
            Some(value) => Some(vec![value.clone()]),
            None => k.list("enum")?.map(|values| values.iter().filter(|v| !v.is_null()).cloned().collect()),
        },
        default: k.get("default").filter(|d| !d.is_null()).cloned(),
        required: k.strings("required")?,
        list: list_type(k)?,
        atomic_map: k.string("x-kubernetes-map-type")? == Some("atomic"),
        preserve_unknown: k.flag("x-kubernetes-preserve-unknown-fields")?,
        int_or_string: k.flag("x-kubernetes-int-or-string")?,
        relations: relations(k)?,
        limits: limits(k)?.map(Box::new),
        ..Node::default()
    })
}

fn types(k: &Keywords<'_>, node: &Node) -> Result<Types, SchemaError> {
    const EXPECTED: SchemaError =
        SchemaError::Keyword { keyword: "type", expected: "a type name or a list of them" };
    let names: Vec<&str> = match k.get("type") {
        None => Vec::new(),
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            names.iter().map(|n| n.as_str().ok_or(EXPECTED)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(EXPECTED),
    };
    let mut types = Types::default();
    for name in names.into_iter().filter(|n| *n != "null") {
        types = types.union(Types::parse(name).ok_or(EXPECTED)?);
    }
    Ok(match types {
        _ if node.int_or_string => Types::STRING.union(Types::INTEGER).union(types),
        Types(0) => inferred(node),
        known => known,
    })
}

/// The type of a schema that does not name one.
fn inferred(node: &Node) -> Types {
    if !node.properties.is_empty() || matches!(node.additional, Additional::Typed(_)) {
        return Types::OBJECT;
    }
    if node.items.is_some() {
        return Types::ARRAY;
    }
    match &node.allowed {
        Some(values) => values.iter().filter_map(Types::of).fold(Types::default(), Types::union),
        None => Types::ANY,
    }
}

fn list_type(k: &Keywords<'_>) -> Result<ListType, SchemaError> {
    match k.string("x-kubernetes-list-type")? {
        Some("map") => match k.strings("x-kubernetes-list-map-keys")? {
            keys if keys.is_empty() => Err(SchemaError::Keyword {
                keyword: "x-kubernetes-list-map-keys",
                expected: "given when the list type is map",
            }),
            keys => Ok(ListType::Map(keys)),
        },
        Some("set") => Ok(ListType::Set),
        Some("atomic") => Ok(ListType::Atomic),
        Some(_) => {
            Err(SchemaError::Keyword { keyword: "x-kubernetes-list-type", expected: "atomic, set or map" })
        }
        None if k.flag("uniqueItems")? => Ok(ListType::Set),
        None => Ok(ListType::Atomic),
    }
}

fn relations(k: &Keywords<'_>) -> Result<Vec<Relation>, SchemaError> {
    let Some(value) = k.get("x-relation") else { return Ok(Vec::new()) };
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let relation = |target: &str, by_kind| {
        let verb = text("verb")?.to_owned();
        Some(Relation { verb, target: target.to_owned(), by_kind })
    };
    let found = match (text("target"), value.get("target").and_then(Value::as_array)) {
        (Some(target), _) => relation(target, false).map(|one| vec![one]),
        (None, Some(all)) => all.iter().map(|target| relation(target.as_str()?, true)).collect(),
        (None, None) => None,
    };
    found.ok_or(SchemaError::Keyword { keyword: "x-relation", expected: "an object with verb and target" })
}

fn limits(k: &Keywords<'_>) -> Result<Option<Limits>, SchemaError> {
    let limits = Limits {
        pattern: k.string("pattern")?.map(pattern).transpose()?,
        minimum: bound(k, "minimum", "exclusiveMinimum")?,
        maximum: bound(k, "maximum", "exclusiveMaximum")?,
        multiple_of: k.number("multipleOf")?,
        min_length: k.size("minLength")?,
        max_length: k.size("maxLength")?,
        min_items: k.size("minItems")?,
        max_items: k.size("maxItems")?,
        min_properties: k.size("minProperties")?,
        max_properties: k.size("maxProperties")?,
    };
    const LIMITING: [&str; 12] = [
        "pattern",
        "minimum",
        "exclusiveMinimum",
        "maximum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
    ];
    Ok(LIMITING.iter().any(|keyword| k.get(keyword).is_some()).then_some(limits))
}

fn pattern(pattern: &str) -> Result<Regex, SchemaError> {
    Regex::new(pattern)
        .map_err(|e| SchemaError::Pattern { pattern: pattern.to_owned(), problem: e.to_string() })
}

/// Both spellings: `exclusiveMinimum: 3` (JSON Schema) and `minimum: 3, exclusiveMinimum: true` (OpenAPI).
fn bound(
    k: &Keywords<'_>,
    inclusive: &'static str,
    exclusive: &'static str,
) -> Result<Option<Bound>, SchemaError> {
    let at = k.number(inclusive)?;
    Ok(match k.get(exclusive) {
        Some(Value::Bool(exclusive)) => at.map(|at| Bound { at, exclusive: *exclusive }),
        Some(_) => k.number(exclusive)?.map(|at| Bound { at, exclusive: true }),
        None => at.map(|at| Bound { at, exclusive: false }),
    })
}

/// Typed access to the keywords of one level.
struct Keywords<'a>(&'a Map<String, Value>);

impl<'a> Keywords<'a> {
    fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.0.get(keyword)
    }

    fn typed<T>(
        &self,
        keyword: &'static str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SchemaError> {
        self.get(keyword)
            .map(|value| read(value).ok_or(SchemaError::Keyword { keyword, expected }))
            .transpose()
    }

    fn string(&self, keyword: &'static str) -> Result<Option<&'a str>, SchemaError> {
        self.typed(keyword, "a string", Value::as_str)
    }

    fn flag(&self, keyword: &'static str) -> Result<bool, SchemaError> {
        Ok(self.typed(keyword, "a boolean", Value::as_bool)?.unwrap_or(false))
    }

    fn number(&self, keyword: &'static str) -> Result<Option<f64>, SchemaError> {
        self.typed(keyword, "a number", Value::as_f64)
    }

    fn size(&self, keyword: &'static str) -> Result<Option<usize>, SchemaError> {
        self.typed(keyword, "a non-negative integer", |v| usize::try_from(v.as_u64()?).ok())
    }

    fn list(&self, keyword: &'static str) -> Result<Option<&'a Vec<Value>>, SchemaError> {
        self.typed(keyword, "a list", Value::as_array)
    }

    fn object(&self, keyword: &'static str) -> Result<Option<&'a Map<String, Value>>, SchemaError> {
        self.typed(keyword, "an object", Value::as_object)
    }

    fn strings(&self, keyword: &'static str) -> Result<Vec<String>, SchemaError> {
        let read = |v: &Value| v.as_array()?.iter().map(|s| s.as_str().map(str::to_owned)).collect();
        Ok(self.typed(keyword, "a list of strings", read)?.unwrap_or_default())
    }
}
