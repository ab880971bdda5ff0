//! Checking an object against its schema; every error is collected.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{Additional, Dialect, ListType, Node, Rule, Schema, Type, Types, suggest};
use crate::field_error::{FieldError, FieldPath};

/// Of so many unknown fields it is told what was probably meant: finding that out is work.
const MAX_SUGGESTIONS: usize = 10;

impl Schema {
    /// Everything wrong with an object, in the order of its fields: unknown fields, wrong types, missing
    /// fields, values out of their list or range, duplicates. Empty if the object conforms; at most
    /// [`FieldError::MAX_TOLD`], and one that counts the others.
    ///
    /// `null` under a named field counts as absent. Cost: linear in the object.
    pub fn check(&self, object: &Value) -> Vec<FieldError> {
        self.run(object, Mode { unknown: true, values: true, required: true, strictly_closed: false })
    }

    /// As [`check`](Self::check) but without unknown fields, for objects that were pruned.
    pub fn check_values(&self, object: &Value) -> Vec<FieldError> {
        self.run(object, Mode { unknown: false, values: true, required: true, strictly_closed: false })
    }

    /// As [`check_values`](Self::check_values) but of a change: what has not changed is not asked again, so that a schema that
    /// has become stricter does not bar old objects from being written. Items of lists are compared with those that have
    /// the same keys, if the list has keys.
    pub fn check_change(&self, object: &Value, old: &Value) -> Vec<FieldError> {
        let mode = Mode { unknown: false, values: true, required: true, strictly_closed: false };
        self.root().run(object, Some(old), mode)
    }

    /// As [`check_values`](Self::check_values) but without missing fields: for a partial object, as
    /// server-side apply sends it. Items of map lists must still have a key.
    pub fn check_partial(&self, object: &Value) -> Vec<FieldError> {
        self.run(object, Mode { unknown: false, values: true, required: false, strictly_closed: false })
    }

    /// Only the unknown fields, the first few with a suggestion if a known field was probably meant. Kubernetes
    /// answers these as `400 strict decoding error: unknown field "spec.foo"` under strict validation.
    pub fn unknown_fields(&self, object: &Value) -> Vec<FieldError> {
        self.run(object, Mode { unknown: true, values: false, required: false, strictly_closed: false })
    }

    fn run(&self, object: &Value, mode: Mode) -> Vec<FieldError> {
        self.root().run(object, None, mode)
    }
}

impl Type<'_> {
    /// Everything wrong with a value for this place, unknown fields included.
    pub(super) fn check(self, value: &Value) -> Vec<FieldError> {
        let mode = Mode { unknown: true, values: true, required: true, strictly_closed: false };
        self.run(value, None, mode)
    }

    fn run(self, value: &Value, old: Option<&Value>, mode: Mode) -> Vec<FieldError> {
        let mut checker = Checker {
            mode,
            dialect: self.schema.dialect,
            path: Vec::new(),
            above: Vec::new(),
            errors: Vec::new(),
            omitted: 0,
            unknown: 0,
        };
        checker.value(self, value, old);
        let more = (checker.omitted > 0).then(|| FieldError::omitted(checker.omitted));
        checker.errors.extend(more);
        checker.errors
    }
}

#[derive(Debug, Clone, Copy)]
struct Mode {
    unknown: bool,
    values: bool,
    required: bool,
    /// Inside an alternative: only `additionalProperties: false` closes an object.
    strictly_closed: bool,
}

enum Step<'a> {
    Field(&'a str),
    Entry(&'a str),
    Item(usize),
}

pub(super) struct Checker<'a> {
    mode: Mode,
    pub(super) dialect: Dialect,
    path: Vec<Step<'a>>,
    /// The types above the current one; as many as there are steps.
    above: Vec<Type<'a>>,
    errors: Vec<FieldError>,
    /// How many errors there are beside these.
    omitted: usize,
    /// How many of all are about unknown fields.
    unknown: usize,
}

/// What tells the items of a map list apart: the values of its keys.
type Keys<'a> = Vec<Option<&'a Value>>;

impl<'a> Checker<'a> {
    fn value(&mut self, ty: Type<'a>, value: &'a Value, old: Option<&'a Value>) {
        if old == Some(value) {
            return;
        }
        let Some(actual) = Types::of(value) else {
            if self.mode.values && !ty.nullable && !ty.is_any() {
                self.wrong_type(&ty, value);
            }
            return;
        };
        if !ty.types.contains(actual) {
            if self.mode.values {
                self.wrong_type(&ty, value);
            }
            return;
        }
        let before = self.found();
        match value {
            Value::Object(object) => self.object(ty, object, old),
            Value::Array(items) => self.array(ty, items, old),
            _ => {}
        }
        if self.mode.values {
            self.limits(&ty, value);
            if self.found() == before {
                self.branches(ty, value);
            }
        }
    }

    fn object(&mut self, ty: Type<'a>, object: &'a Map<String, Value>, old: Option<&'a Value>) {
        for (name, value) in object {
            let old = old.and_then(|old| old.get(name));
            if let Some(property) = ty.property(name) {
                if !value.is_null() || property.nullable {
                    self.descend(Step::Field(name), ty, property, (value, old));
                }
            } else if let Some(entries) = ty.entries() {
                self.descend(Step::Entry(name), ty, entries, (value, old));
            } else if self.mode.unknown && self.is_closed(&ty) {
                self.unknown(ty, name);
            }
        }
        if self.mode.required {
            for name in &ty.node().required {
                let absent = match object.get(name) {
                    None => true,
                    Some(value) => value.is_null() && ty.property(name).is_none_or(|p| !p.nullable),
                };
                if absent && ty.property(name).is_none_or(|p| p.default.is_none()) {
                    self.report(|checker| FieldError::required(checker.here().child(name), ""));
                }
            }
        }
    }

    fn is_closed(&self, ty: &Node) -> bool {
        !ty.accepts_any_field()
            && !ty.is_any()
            && (!self.mode.strictly_closed || ty.additional == Additional::Forbidden)
    }

    fn array(&mut self, ty: Type<'a>, items: &'a [Value], old: Option<&'a Value>) {
        if let Some(item_type) = ty.items() {
            let before = counterparts(&ty.node().list, old);
            for (index, item) in items.iter().enumerate() {
                let old = before.as_ref().and_then(|(keys, old)| old.get(&keys_of(keys, item)).copied());
                self.descend(Step::Item(index), ty, item_type, (item, old));
            }
        }
        if self.mode.values {
            match &ty.node().list {
                ListType::Atomic => {}
                ListType::Set => self.duplicate_values(items),
                ListType::Map(keys) => self.duplicate_keys(ty, keys, items),
            }
        }
    }

    fn duplicate_values(&mut self, items: &[Value]) {
        let mut seen = HashSet::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if !seen.insert(item) {
                self.report(|checker| FieldError::duplicate(checker.here().index(index), item.clone()));
            }
        }
    }

    fn duplicate_keys(&mut self, ty: Type<'a>, keys: &[String], items: &[Value]) {
        let mut seen: HashSet<Keys<'_>> = HashSet::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if !item.is_object() {
                continue;
            }
            let default = |key: &str| ty.items()?.property(key)?.node().default.as_ref();
            let found: Keys<'_> = keys.iter().map(|key| item.get(key).or_else(|| default(key))).collect();
            if found.iter().all(Option::is_none) {
                self.missing_key(index, &keys[0]);
            } else if seen.contains(&found) {
                self.report(|checker| checker.duplicate(index, keys, &found));
            }
            seen.insert(found);
        }
    }

    /// Reports that an item lacks a key, unless that has been reported as a missing field.
    fn missing_key(&mut self, index: usize, key: &str) {
        let missing = FieldError::required(self.here().index(index).child(key), "");
        // As many errors as are kept are few.
        if !self.errors.contains(&missing) {
            self.report(|_| missing);
        }
    }

    fn duplicate(&self, index: usize, keys: &[String], found: &[Option<&Value>]) -> FieldError {
        let item = self.here().index(index);
        match found {
            [Some(value)] => FieldError::duplicate(item.child(&keys[0]), Value::clone(value)),
            _ => {
                let shown = keys.iter().zip(found).filter_map(|(k, v)| Some((k.clone(), v.cloned()?)));
                FieldError::duplicate(item, shown.collect::<Map<_, _>>())
            }
        }
    }

    fn branches(&mut self, ty: Type<'a>, value: &'a Value) {
        for group in &ty.node().branches {
            let mode = Mode { strictly_closed: true, ..self.mode };
            if group.rule == Rule::AllOf {
                let outer = std::mem::replace(&mut self.mode, mode);
                group.of.iter().for_each(|&id| self.value(ty.schema.node(id), value, None));
                self.mode = outer;
                continue;
            }
            let fits = |ty: Type<'a>| ty.run(value, None, mode).is_empty();
            let valid = group.of.iter().filter(|&&id| fits(ty.schema.node(id))).count();
            let problem = match group.rule {
                Rule::AnyOf if valid == 0 => "must validate at least one schema (anyOf)".to_owned(),
                Rule::OneOf if valid == 0 => {
                    "must validate one and only one schema (oneOf). Found none valid".to_owned()
                }
                Rule::OneOf if valid > 1 => {
                    format!("must validate one and only one schema (oneOf). Found {valid} valid alternatives")
                }
                Rule::Not if valid > 0 => "must not validate the schema (not)".to_owned(),
                _ => continue,
            };
            self.report(|checker| {
                let detail = format!("\"{}\" {problem}", checker.here().as_str());
                FieldError::invalid(checker.here(), value.clone(), detail)
            });
        }
    }

    fn descend(
        &mut self,
        step: Step<'a>,
        parent: Type<'a>,
        ty: Type<'a>,
        (value, old): (&'a Value, Option<&'a Value>),
    ) {
        self.path.push(step);
        self.above.push(parent);
        self.value(ty, value, old);
        self.above.pop();
        self.path.pop();
    }

    /// Notes an error; of very many, only how many there are.
    pub(super) fn report(&mut self, error: impl FnOnce(&Self) -> FieldError) {
        if self.errors.len() < FieldError::MAX_TOLD {
            self.errors.push(error(self));
        } else {
            self.omitted += 1;
        }
    }

    /// How many errors there are by now.
    fn found(&self) -> usize {
        self.errors.len() + self.omitted
    }

    fn unknown(&mut self, ty: Type<'a>, name: &str) {
        self.unknown += 1;
        let suggests = self.unknown <= MAX_SUGGESTIONS;
        self.report(|checker| {
            let suggestion = suggests.then(|| checker.suggestion(ty, name)).flatten();
            FieldError::unknown(checker.here().child(name), suggestion)
        });
    }

    fn suggestion(&self, ty: Type<'a>, name: &str) -> Option<String> {
        let here = self.here();
        let ancestors =
            self.above.iter().enumerate().map(|(n, &ty)| (self.path_of(n).as_str().to_owned(), ty));
        suggest::field(name, (here.as_str().to_owned(), ty), ancestors)
    }

    fn wrong_type(&mut self, ty: &Node, value: &Value) {
        self.report(|checker| {
            let actual = Types::of(value).map_or("null", Types::name);
            let (here, expected) = (checker.here(), ty.type_name_in_errors());
            let detail = format!("{} in body must be of type {expected}: \"{actual}\"", here.as_str());
            FieldError::type_invalid(here, actual, detail)
        });
    }

    pub(super) fn here(&self) -> FieldPath {
        self.path_of(self.path.len())
    }

    fn path_of(&self, steps: usize) -> FieldPath {
        self.path[..steps].iter().fold(FieldPath::root(), |path, step| match step {
            Step::Field(name) => path.child(name),
            Step::Entry(key) => path.key(key),
            Step::Item(index) => path.index(*index),
        })
    }
}

/// The keys of a list, and its items as they were before; none if its items cannot be told apart.
fn counterparts<'a>(
    list: &'a ListType,
    old: Option<&'a Value>,
) -> Option<(&'a [String], HashMap<Keys<'a>, &'a Value>)> {
    let ListType::Map(keys) = list else { return None };
    let mut items = HashMap::new();
    for item in old?.as_array()? {
        items.entry(keys_of(keys, item)).or_insert(item);
    }
    Some((keys, items))
}

fn keys_of<'a>(keys: &[String], item: &'a Value) -> Keys<'a> {
    keys.iter().map(|key| item.get(key)).collect()
}

impl Node {
    fn type_name_in_errors(&self) -> &'static str {
        if self.int_or_string { "integer or string" } else { self.types.name() }
    }
}
