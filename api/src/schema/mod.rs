//! Structural schemas: what an object of a kind may look like, compiled once and walked by everything.
//!
//! A [`Schema`] is compiled from a JSON Schema document: what `schemars` derives from a Rust type, or the
//! `openAPIV3Schema` of a user-defined kind. Compiling makes it *structural*: references are resolved and
//! shared, `allOf` is merged, `anyOf`/`oneOf` alternatives are united, so that each place in an object has
//! exactly one [`Node`]. Kubernetes' extensions (`x-kubernetes-list-type` and its kin) and the relations of
//! the ontology (`x-relation`) are kept on the nodes.
//!
//! It is deliberately not a general JSON Schema validator: `if`, `patternProperties`, `dependentSchemas` and
//! remote references have no place in a structural schema and are ignored or refused.
//!
//! Start with [`Schema::compile`], [`Schema::compile_structural`] and [`Schema::check`]; `flatten.rs` holds the rules that make a schema
//! structural.

mod check;
mod compile;
mod defaults;
mod flatten;
mod limits;
mod outline;
mod prune;
mod suggest;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

pub use suggest::nearest;
pub use walk::RelationAt;

/// A compiled structural schema. Immutable; share it by `Arc`.
///
/// Nodes live in one arena and point to each other by index, so recursive types cost nothing and equal
/// subschemas are one node.
#[derive(Debug)]
pub struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
    dialect: Dialect,
}

/// How a document says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Dialect {
    /// As `schemars` derives it from a type: alternatives bring fields of their own.
    Derived,
    /// Structural already: alternatives only restrict values.
    Structural,
}

impl Schema {
    /// Compiles a JSON Schema 2020-12 document (`$defs` and `$ref` inside it, no remote references).
    ///
    /// Fails when a reference leads nowhere or only to itself, a pattern is not a regular expression, a
    /// keyword has the wrong type, or the schema unfolds to more than [`MAX_NODES`] nodes. Cost: linear in
    /// the document; done once per kind.
    pub fn compile(document: &Value) -> Result<Arc<Self>, SchemaError> {
        compile::compile(document, Dialect::Derived).map(Arc::new)
    }

    /// Compiles the `openAPIV3Schema` of a user-defined kind, which is structural as it is: `allOf`, `anyOf`, `oneOf` and
    /// `not` restrict values and say nothing about what fields there are. A `$ref` leads to a schema that
    /// [`compile`](Self::compile) would take (the metadata that all kinds share). Fails and costs as `compile`.
    pub fn compile_structural(document: &Value) -> Result<Arc<Self>, SchemaError> {
        compile::compile(document, Dialect::Structural).map(Arc::new)
    }

    /// The type of the whole object.
    pub fn root(&self) -> Type<'_> {
        self.node(self.root)
    }

    fn node(&self, id: NodeId) -> Type<'_> {
        Type { schema: self, node: &self.nodes[id.0 as usize] }
    }
}

/// More nodes than any sane kind has (a Pod has about 900); a guard against schemas that unfold without end.
pub const MAX_NODES: usize = 50_000;

/// Why a document is not a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A `$ref` names nothing in the document.
    #[error("schema reference {0:?} leads nowhere")]
    DanglingRef(String),
    /// References, `allOf` or `anyOf` nest without end.
    #[error("schema reference cycle without a type in between, at {0:?}")]
    Cycle(String),
    /// A keyword's value has the wrong shape.
    #[error("schema keyword `{keyword}` must be {expected}")]
    Keyword {
        /// The keyword.
        keyword: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// `pattern` is not a regular expression.
    #[error("schema pattern {pattern:?} is not a regular expression: {problem}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What the parser says.
        problem: String,
    },
    /// The schema unfolds to more than [`MAX_NODES`] nodes.
    #[error("schema has more than {MAX_NODES} nodes")]
    TooLarge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct NodeId(u32);

/// A place in a schema: a [`Node`] and the schema that it belongs to. Cheap to copy.
///
/// Dereferences to its [`Node`].
#[derive(Debug, Clone, Copy)]
pub struct Type<'a> {
    schema: &'a Schema,
    node: &'a Node,
}

impl<'a> Type<'a> {
    /// The node itself, with the schema's lifetime.
    pub fn node(self) -> &'a Node {
        self.node
    }

    /// The type of the named property; not of other entries of a map.
    pub fn property(self, name: &str) -> Option<Type<'a>> {
        self.node.properties.get(name).map(|&id| self.schema.node(id))
    }

    /// The type of whatever may stand under `name`: the property, or the entry of a map.
    ///
    /// `None` when no such field is known: it is unknown, or below something that preserves unknown fields.
    pub fn field(self, name: &str) -> Option<Type<'a>> {
        self.property(name).or_else(|| self.entries())
    }

    /// The type of the entries of a map (`additionalProperties`).
    pub fn entries(self) -> Option<Type<'a>> {
        match self.node.additional {
            Additional::Typed(id) => Some(self.schema.node(id)),
            _ => None,
        }
    }

    /// The type of the items of a list.
    pub fn items(self) -> Option<Type<'a>> {
        self.node.items.map(|id| self.schema.node(id))
    }

    /// All named properties in alphabetical order.
    pub fn properties(self) -> impl Iterator<Item = (&'a str, Type<'a>)> {
        self.node.properties.iter().map(move |(name, &id)| (name.as_str(), self.schema.node(id)))
    }

    fn same(self, other: Type<'_>) -> bool {
        std::ptr::eq(self.node, other.node)
    }
}

impl std::ops::Deref for Type<'_> {
    type Target = Node;
    fn deref(&self) -> &Node {
        self.node
    }
}

/// What may stand at one place of an object.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// The text for users: what `explain` prints.
    pub description: Option<String>,
    /// Which JSON types are accepted.
    pub types: Types,
    /// Whether `null` is a value here that is kept, rather than a way to say "absent".
    pub nullable: bool,
    /// `format`: `int32`, `date-time`, …
    pub format: Option<String>,
    /// The closed list of values, if there is one.
    pub allowed: Option<Vec<Value>>,
    /// The value of an absent field.
    pub default: Option<Value>,
    /// Properties that must be present.
    pub required: Vec<String>,
    /// How the list merges and what makes its items unique.
    pub list: ListType,
    /// Whether the object is replaced as a whole rather than merged field by field.
    pub atomic_map: bool,
    /// Fields that the schema does not name are kept.
    pub preserve_unknown: bool,
    /// An integer or a string.
    pub int_or_string: bool,
    /// What the value refers to: several kinds where the `kind` beside it says which.
    pub relations: Vec<Relation>,
    properties: BTreeMap<String, NodeId>,
    additional: Additional,
    items: Option<NodeId>,
    limits: Option<Box<Limits>>,
    branches: Vec<Branches>,
}

impl Node {
    /// Whether anything at all may stand here: nothing is known about the type.
    pub fn is_any(&self) -> bool {
        self.types == Types::ANY && self.properties.is_empty() && self.items.is_none()
    }

    /// Whether this object accepts fields of any name (a map, or unknown fields are preserved).
    pub fn accepts_any_field(&self) -> bool {
        self.preserve_unknown || matches!(self.additional, Additional::Any | Additional::Typed(_))
    }

    /// Kubernetes' word for the type: `Object`, `[]string` is composed by the caller from [`Type::items`].
    pub fn type_name(&self) -> &'static str {
        if self.int_or_string { "IntOrString" } else { self.types.name() }
    }
}

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Types(u8);

impl Types {
    /// `object`
    pub const OBJECT: Self = Self(1);
    /// `array`
    pub const ARRAY: Self = Self(2);
    /// `string`
    pub const STRING: Self = Self(4);
    /// `integer`
    pub const INTEGER: Self = Self(8);
    /// `number`, which includes integers.
    pub const NUMBER: Self = Self(8 | 16);
    /// `boolean`
    pub const BOOLEAN: Self = Self(32);
    /// Everything.
    pub const ANY: Self = Self(63);

    /// Whether every type of `other` is accepted.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether strings, numbers or booleans are accepted.
    pub fn has_scalar(self) -> bool {
        self.0 & (Self::STRING.0 | Self::NUMBER.0 | Self::BOOLEAN.0) != 0
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The type of a value; `None` for `null`.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(n) if n.is_f64() => Self(16),
            Value::Number(_) => Self::INTEGER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        })
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::OBJECT,
            "array" => Self::ARRAY,
            "string" => Self::STRING,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "boolean" => Self::BOOLEAN,
            _ => return None,
        })
    }

    /// The name of the type; of several, those a person would list.
    pub fn name(self) -> &'static str {
        match self {
            Self::OBJECT => "object",
            Self::ARRAY => "array",
            Self::STRING => "string",
            Self::INTEGER => "integer",
            Self::NUMBER => "number",
            Self::BOOLEAN => "boolean",
            t if t == Self::STRING.union(Self::INTEGER) => "integer or string",
            t if t == Self::STRING.union(Self::NUMBER) => "number or string",
            t if t == Self::ANY => "any",
            _ => "one of several types",
        }
    }
}

/// How a list merges: `x-kubernetes-list-type` with `x-kubernetes-list-map-keys`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListType {
    /// Replaced as a whole. Kubernetes' default.
    #[default]
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects, told apart by the values of these fields.
    Map(Vec<String>),
}

/// What a field refers to: `x-relation`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation {
    /// `owns`, `selects`, `runsOn`, `references`.
    pub verb: String,
    /// The kind that is referred to.
    pub target: String,
    /// Whether it is only referred to where the `kind` beside the field names it.
    pub by_kind: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Additional {
    /// Not mentioned: the object is closed, but an alternative of an `anyOf` is not.
    #[default]
    Unmentioned,
    /// `additionalProperties: false`
    Forbidden,
    /// `additionalProperties: true`
    Any,
    Typed(NodeId),
}

#[derive(Debug, Clone, Default)]
struct Limits {
    pattern: Option<Regex>,
    minimum: Option<Bound>,
    maximum: Option<Bound>,
    multiple_of: Option<f64>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    min_properties: Option<usize>,
    max_properties: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    at: f64,
    exclusive: bool,
}

/// Alternatives that say more than the united node does.
#[derive(Debug, Clone)]
struct Branches {
    rule: Rule,
    of: Vec<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    AllOf,
    AnyOf,
    OneOf,
    Not,
}

#[cfg(test)]
mod tests;
