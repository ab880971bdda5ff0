//! [`KindEntry`]: a kind with its type erased, which is all that the server knows of it.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::age::age;
use crate::{
    Deletion, FieldError, Form, Kind, Owns, Prerequisite, Resource, Scale, Schema, SchemaError, Status, Verb,
};

/// A kind with its type erased: the server, `explain`, garbage collection and the docs work from this alone, so that
/// kinds written in Rust and kinds defined by users are served by the same code.
#[derive(Clone)]
pub struct KindEntry {
    /// The kind's names and scope.
    pub kind: Kind,
    /// The kind's JSON Schema (2020-12) with `$defs`, as published.
    pub document: Arc<Value>,
    /// The same schema, compiled for checking, merging and explaining.
    pub schema: Arc<Schema>,
    /// Defaults and validates an object whose shape has been checked; `old` is the object as stored.
    pub admit: Admit,
    /// What a delete means for the object; see [`Resource::deletion`].
    pub deletion: fn(&mut Value, Option<i64>) -> Result<Deletion, Status>,
    /// What `get` prints, the name and the age included.
    pub columns: Vec<Column>,
    /// Subresources beyond `status`.
    pub subresources: Vec<Subresource>,
    /// Fields beyond name and namespace that field selectors may name.
    pub selectable: &'static [&'static str],
    /// The kinds whose objects this kind makes.
    pub owns: Vec<Kind>,
    /// Whether the status of a new object is kept; see [`Resource::STATUS_ON_CREATE`].
    pub status_on_create: bool,
    /// Whether a delete is answered with the object; see [`Resource::RETURNS_DELETED`].
    pub returns_deleted: bool,
    /// Whether one request may delete many objects; see [`Resource::DELETES_COLLECTIONS`].
    pub deletes_collections: bool,
    /// Until when an object is kept; see [`Resource::EXPIRES`].
    pub expires: Option<fn(&Value) -> Option<Timestamp>>,
    /// Whether changes are kept in the history; see [`Resource::RECORDED`].
    pub recorded: bool,
    /// Whether the objects are the changes of all others; see [`Resource::IS_HISTORY`].
    pub is_history: bool,
    /// Where a new object says who makes it; see [`Resource::REQUESTER`].
    pub requester: Option<&'static str>,
    /// What must be there when an object is made; see [`Resource::PREREQUISITE`].
    pub prerequisite: Option<Prerequisite>,
    /// Whether the objects are plans; see [`Resource::IS_PLAN`].
    pub is_plan: bool,
    /// The kind that this one is another form of, if it is one; see [`Resource::FORM`].
    pub form: Option<Form>,
    /// How objects of this kind define kinds, if they do.
    pub defines: Option<Defines>,
    /// What is particular to a kind that an object defines; none for kinds written in Rust.
    pub custom: Option<Custom>,
}

/// Defaults and validates an object; see [`KindEntry::admit`].
pub type Admit = Arc<dyn Fn(&mut Value, Option<&Value>) -> Result<(), Vec<FieldError>> + Send + Sync>;

/// How objects of a kind define kinds, which are then served like all others.
#[derive(Clone, Copy)]
pub struct Defines {
    /// The part of an object that its definition depends on: the kinds are made again only when it changes.
    pub identity: fn(&Value) -> Value,
    /// The kinds that an object defines: one for each version that is served. Pure; may take a while (schemas and rules are
    /// compiled). Fails only for objects that [`KindEntry::admit`] would refuse.
    pub kinds: fn(&Value) -> Result<Definition, Vec<FieldError>>,
}

/// The kinds that one object defines. They are served together or not at all: not if another definition has a name of
/// theirs already.
#[derive(Clone)]
pub struct Definition {
    /// The kinds. All have the same group and plural.
    pub kinds: Vec<KindEntry>,
    /// The names have been accepted before: they win over those of definitions that have not got so far.
    pub established: bool,
}

/// What is particular to a kind that an object defines. Beyond this, [`KindEntry::schema`] says more than for kinds written
/// in Rust: fields that it does not know are dropped from stored objects, and its defaults are filled in.
#[derive(Clone)]
pub struct Custom {
    /// The `apiVersion` under which objects are stored, whatever version they are written in.
    pub stored_as: Arc<str>,
    /// The definition is being deleted: no new objects.
    pub closed: bool,
    /// The kind of lists.
    pub list_kind: Arc<str>,
    /// What is answered as a warning with every request, because the version is deprecated.
    pub warning: Option<Arc<str>>,
}

impl KindEntry {
    /// Erases the type of `K`.
    ///
    /// # Errors
    /// If the schema derived from `K` is not structural: a mistake in the type's definition.
    pub fn of<K: Resource>() -> Result<Self, SchemaError> {
        let document = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<K>().to_value();
        let schema = Schema::compile(&document)?;
        Ok(Self {
            admit: Arc::new(admit::<K>),
            deletion: deletion::<K>,
            columns: K::columns(),
            subresources: K::subresources(),
            selectable: K::SELECTABLE,
            status_on_create: K::STATUS_ON_CREATE,
            returns_deleted: K::RETURNS_DELETED,
            deletes_collections: K::DELETES_COLLECTIONS,
            expires: K::EXPIRES,
            recorded: K::RECORDED,
            is_history: K::IS_HISTORY,
            requester: K::REQUESTER,
            prerequisite: K::PREREQUISITE,
            is_plan: K::IS_PLAN,
            form: K::FORM,
            ..Self::plain(K::KIND, document, schema)
        })
    }

    /// A kind about which there is nothing special: what is not known by a type is to be added.
    pub fn plain(kind: Kind, document: Value, schema: Arc<Schema>) -> Self {
        Self {
            kind,
            document: Arc::new(document),
            schema,
            admit: Arc::new(|_, _| Ok(())),
            deletion: |_, _| Ok(Deletion::Now),
            columns: vec![Column::object_name(), Column::age()],
            subresources: Vec::new(),
            selectable: &[],
            owns: Vec::new(),
            status_on_create: false,
            returns_deleted: false,
            deletes_collections: true,
            expires: None,
            recorded: true,
            is_history: false,
            requester: None,
            prerequisite: None,
            is_plan: false,
            form: None,
            defines: None,
            custom: None,
        }
    }

    /// The kind in whose form, and at whose place, the objects are kept: mostly this one.
    pub fn kept_as(&self) -> &Kind {
        self.form.as_ref().map_or(&self.kind, |form| &form.of)
    }

    /// Records that objects of this kind define kinds.
    pub fn defines(self, defines: Defines) -> Self {
        Self { defines: Some(defines), ..self }
    }

    /// Records that `K` makes objects of kind `Owned`. `K` must be the type that this entry was made of.
    pub fn owns<K: Owns<Owned>, Owned: Resource>(mut self) -> Self {
        debug_assert_eq!(self.kind, K::KIND, "owns() names another kind than the entry");
        self.owns.push(Owned::KIND);
        self
    }
}

fn decode<K: Resource>(value: &Value) -> Result<K, Vec<FieldError>> {
    K::deserialize(value).map_err(|error| vec![FieldError::invalid("", Value::Null, error.to_string())])
}

fn admit<K: Resource>(value: &mut Value, old: Option<&Value>) -> Result<(), Vec<FieldError>> {
    let mut object: K = decode(value)?;
    let old = old.map(decode::<K>).transpose()?;
    object.prepare(old.as_ref());
    let errors = object.validate(old.as_ref());
    if !errors.is_empty() {
        return Err(errors);
    }
    *value =
        encode(&object).map_err(|error| vec![FieldError::invalid("", Value::Null, error.to_string())])?;
    Ok(())
}

fn deletion<K: Resource>(value: &mut Value, asked: Option<i64>) -> Result<Deletion, Status> {
    let mut object = K::deserialize(&*value).map_err(|error| Status::internal(error.to_string()))?;
    if let Some(why) = object.undeletable() {
        return Err(Status::forbidden(&K::KIND, &object.metadata().name, why));
    }
    let deletion = object.deletion(asked);
    *value = encode(&object).map_err(|error| Status::internal(error.to_string()))?;
    Ok(deletion)
}

fn encode<K: Resource>(object: &K) -> Result<Value, serde_json::Error> {
    serde_json::to_value(object)
}

/// Makes the cell of an object, at a time (for ages).
pub type Cell = Arc<dyn Fn(&Value, Timestamp) -> Value + Send + Sync>;

/// A column of `get`'s table.
#[derive(Clone)]
pub struct Column {
    /// The heading.
    pub name: Cow<'static, str>,
    /// The OpenAPI type of the cells: `string`, `integer`, `boolean`, `date`.
    pub cell_type: &'static str,
    /// What the column says, for people.
    pub description: Cow<'static, str>,
    /// 0 is always shown, 1 only by `-o wide`.
    pub priority: i32,
    /// What stands in the column.
    pub cell: Cell,
}

impl Column {
    /// A column of strings that is always shown.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
        cell: impl Fn(&Value, Timestamp) -> Value + Send + Sync + 'static,
    ) -> Self {
        let (name, description) = (name.into(), description.into());
        Self { name, cell_type: "string", description, priority: 0, cell: Arc::new(cell) }
    }

    /// A column whose cells are the value at a JSON pointer, or empty.
    pub fn at(name: &'static str, description: &'static str, pointer: &'static str) -> Self {
        Self::new(name, description, move |object, _| object.pointer(pointer).cloned().unwrap_or_default())
    }

    /// `NAME`: `metadata.name`.
    pub fn object_name() -> Self {
        Self::at("Name", "Name must be unique within a namespace.", "/metadata/name")
    }

    /// `AGE`: how long ago the object was made.
    pub fn age() -> Self {
        Self::new("Age", "How long ago the object was made.", |object, now| {
            Self::age_of(object.pointer("/metadata/creationTimestamp"), now).into()
        })
    }

    /// How long ago a time in an object was; `<unknown>` if it is not given.
    pub fn age_of(time: Option<&Value>, now: Timestamp) -> String {
        let since = time.and_then(Value::as_str).and_then(|time| time.parse().ok());
        since.map_or_else(|| "<unknown>".to_owned(), |since| age(since, now))
    }

    /// The same column with cells of this type.
    pub fn cell_type(self, cell_type: &'static str) -> Self {
        Self { cell_type, ..self }
    }

    /// The same column, shown only by `-o wide`.
    pub fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }
}

/// A path below an object with a meaning of its own. `status` is not among them: the server derives it from the kind.
#[derive(Clone)]
pub struct Subresource {
    /// The last segment of the path, such as `binding`.
    pub name: &'static str,
    /// The kind of the body, such as `Binding`.
    pub kind: Kind,
    /// What a request does.
    pub action: Action,
}

impl Subresource {
    /// `scale`, of a kind that keeps its numbers there.
    pub fn scale(scale: Scale) -> Self {
        Self { name: "scale", kind: Scale::KIND, action: Action::Scale(scale) }
    }

    /// What may be asked of the subresource of objects of a kind: a view of the object is put in its place, a command is
    /// posted. Everything else is 405.
    pub fn verbs(&self, of: &Kind) -> &'static [Verb] {
        match self.action {
            Action::Transform(_) if self.kind == *of => &[Verb::Update],
            Action::Transform(_) | Action::Token(_) | Action::Evict | Action::Apply => &[Verb::Create],
            Action::Scale(_) => &[Verb::Get, Verb::Patch, Verb::Update],
            Action::Stream(_) => &[Verb::Create, Verb::Get],
        }
    }
}

/// What a request to a subresource does.
#[derive(Clone)]
pub enum Action {
    /// `create` (`update`, if the body is of the object's own kind) turns the stored object and the request's body into the
    /// object to store. Pure. The body has been checked against nothing but JSON's syntax. What comes out is stored as it
    /// is: the rules for ordinary updates ([`Resource::prepare`], [`Resource::validate`]) are not applied, because going
    /// beyond them is what it is for.
    Transform(fn(object: &Value, body: &Value, now: Timestamp) -> Result<Value, Status>),
    /// `get`, `update` and `patch` see an `autoscaling/v1` Scale in place of the object.
    Scale(Scale),
    /// The request is passed on, upgrade and streams included, to the object that serves this one.
    Stream(Backend),
    /// `create` issues a token, whose bearer acts as the object. It may be bound to an object of one of these kinds, and
    /// ends with it.
    Token(&'static [TokenBinding]),
    /// `create` deletes the object, as the `deleteOptions` in the body say.
    Evict,
    /// `create` carries out the plan that the object is.
    Apply,
}

/// A kind whose objects tokens can be bound to.
#[derive(Debug, Clone, Copy)]
pub struct TokenBinding {
    /// The kind.
    pub kind: Kind,
    /// JSON pointer to the name, in the object, of the account that the token must be of; `/spec/serviceAccountName` of a
    /// pod.
    pub account: Option<&'static str>,
    /// JSON pointer to the name, in the object, of another one that the token tells of too, and its kind: a pod's node.
    pub host: Option<(&'static str, Kind)>,
    /// Whether requests made with the token tell of the object.
    pub is_told: bool,
}

/// Who serves an object's streams: for a pod, the node that runs it.
#[derive(Clone)]
pub struct Backend {
    /// The kind of the serving object.
    pub kind: Kind,
    /// JSON pointer to its name in the object asked for, such as `/spec/nodeName`.
    pub name: &'static str,
    /// The `host:port` of the serving object's HTTPS server, if it has one.
    pub address: fn(&Value) -> Option<String>,
}
