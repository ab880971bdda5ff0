//! `x-kubernetes-validations`: the rules in CEL that objects of a defined kind must keep, compiled once.
//!
//! A rule that names `oldSelf` is about changes: it is asked only where there is an old value to compare with. Other rules are
//! not asked again of a value that has not changed, so that a new rule does not bar old objects from being written.

use orch_api::{FieldError, FieldPath, JsonPath};
use orch_cel::{Budget, CelError, Checked, Expression, Outcome, ResultType, Variable};
use serde::Deserialize as _;
use serde_json::Value;

use super::ValidationRule;

const REASONS: [&str; 4] =
    ["FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate"];
const SELF: &str = "self";
const OLD_SELF: &str = "oldSelf";

/// A place in a schema that has rules, or below which there are some.
#[derive(Debug)]
pub(super) struct Rules {
    /// What tells the types of the values that rules see; null where there are no rules.
    schema: Value,
    type_name: String,
    /// What tells the items of a list apart, if it has rules below.
    list_keys: Vec<String>,
    rules: Vec<Rule>,
    properties: Vec<(String, Rules)>,
    items: Option<Box<Rules>>,
    entries: Option<Box<Rules>>,
}

#[derive(Debug)]
struct Rule {
    written: ValidationRule,
    expression: Expression,
    message: Option<Expression>,
    field_path: Vec<String>,
    is_transition: bool,
}

impl Rules {
    /// Compiles all rules of a schema. None if there are none.
    ///
    /// # Errors
    /// What is wrong with each rule, with its path in the schema.
    pub(super) fn compile(schema: &Value, path: &FieldPath) -> Result<Option<Self>, Vec<FieldError>> {
        let mut compiler = Compiler::default();
        let rules = compiler.place(schema, path, At { has_old: true, times: Some(1) });
        if compiler.errors.is_empty() { Ok(rules) } else { Err(compiler.errors) }
    }

    /// Everything that is wrong with the rules of a schema that somebody writes: beyond what [`compile`](Self::compile)
    /// finds, fields that there are not, results of the wrong type, and rules that could cost too much. Schemas that are
    /// stored are not asked for these again.
    pub(super) fn review(schema: &Value, path: &FieldPath) -> Vec<FieldError> {
        let mut compiler = Compiler { review: true, ..Compiler::default() };
        compiler.place(schema, path, At { has_old: true, times: Some(1) });
        if compiler.cost > Budget::PER_SCHEMA.saturating_mul(ROOM) {
            let why = format!(
                "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by {} ({HINT})",
                factor(compiler.cost, Budget::PER_SCHEMA)
            );
            compiler.errors.push(FieldError::forbidden(path, why));
        }
        compiler.errors
    }

    /// Every rule that the object, or the change from `old`, breaks.
    pub(super) fn check(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut check = Check { budget: Budget::of_an_object(), errors: Vec::new(), over: false };
        check.place(self, object, old, &FieldPath::root());
        check.errors
    }
}

/// Estimates are not exactly those of Kubernetes: rules that it accepts must not be refused. What rules really cost is bounded when
/// they are asked.
const ROOM: u64 = 4;
const HINT: &str = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared";

/// How much too much something costs.
fn factor(cost: u64, most: u64) -> String {
    match cost as f64 / most as f64 {
        factor if factor > 100.0 => "factor of more than 100x".to_owned(),
        factor => format!("factor of {factor:.1}x"),
    }
}

/// What is true of a place in a schema because of what is above it.
#[derive(Clone, Copy)]
struct At {
    /// Whether there can be an old value to compare with: not below lists whose items cannot be told apart.
    has_old: bool,
    /// How many values there can be at the place in one object; none if nothing but the size of a request bounds them.
    times: Option<u64>,
}

#[derive(Default)]
struct Compiler {
    errors: Vec<FieldError>,
    /// Whether types and costs are looked at, too.
    review: bool,
    /// What all rules taken together can cost at most.
    cost: u64,
}

impl Compiler {
    /// Compiles a place and what is below it.
    fn place(&mut self, schema: &Value, path: &FieldPath, at: At) -> Option<Rules> {
        let written = schema.get("x-kubernetes-validations").and_then(Value::as_array);
        let rules_at = path.child("x-kubernetes-validations");
        let mut rules = Vec::new();
        for (index, written) in written.into_iter().flatten().enumerate() {
            let path = rules_at.index(index);
            match rule(written, schema, &path, at.has_old) {
                Ok(rule) => {
                    if self.review {
                        self.review(&rule, schema, &path, at.times);
                    }
                    rules.push(rule);
                }
                Err(errors) => self.errors.extend(errors),
            }
        }
        let mut properties = Vec::new();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = path.child("properties").key(name);
            properties.extend(self.place(property, &path, at).map(|rules| (name.clone(), rules)));
        }
        let most = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let most = most("maxItems").or_else(|| most("maxProperties"));
        let times = at.times.zip(most).map(|(times, most)| times.saturating_mul(most));
        let entries = schema.get("additionalProperties").filter(|entries| entries.is_object());
        let entries =
            entries.and_then(|of| self.place(of, &path.child("additionalProperties"), At { times, ..at }));
        let is_map = schema.get("x-kubernetes-list-type").is_some_and(|of| of == "map");
        let items = schema.get("items").filter(|items| items.is_object());
        let below = At { has_old: at.has_old && is_map, times };
        let items = items.and_then(|of| self.place(of, &path.child("items"), below));
        if rules.is_empty() && properties.is_empty() && items.is_none() && entries.is_none() {
            return None;
        }
        Some(Rules::of(schema, rules, properties, items, entries))
    }

    /// Looks at what a rule names, results in, and can cost.
    fn review(&mut self, rule: &Rule, schema: &Value, path: &FieldPath, times: Option<u64>) {
        let times = times.unwrap_or_else(|| orch_cel::most_values(schema));
        let old = if rule.written.optional_old_self == Some(true) { None } else { Some(schema) };
        let variables = [(SELF, Some(schema)), (OLD_SELF, old)];
        let message = rule.message.as_ref().zip(rule.written.message_expression.as_deref());
        let expressions = [
            Some((&rule.expression, rule.written.rule.as_str(), "rule", ResultType::Bool)),
            message.map(|(message, source)| (message, source, "messageExpression", ResultType::Text)),
        ];
        for (expression, source, field, expected) in expressions.into_iter().flatten() {
            let at = path.child(field);
            let Checked { result, cost } = match expression.check(&variables) {
                Ok(checked) => checked,
                Err(error) => {
                    self.errors.push(FieldError::invalid(at, source, error.to_string()));
                    continue;
                }
            };
            if result != expected && result != ResultType::Unknown {
                let why = match expected {
                    ResultType::Bool => "cel expression must evaluate to a bool",
                    _ => "messageExpression must evaluate to a string",
                };
                self.errors.push(FieldError::invalid(&at, source, why));
            }
            let cost = cost.saturating_mul(times);
            self.cost = self.cost.saturating_add(cost);
            if cost > Budget::PER_RULE.saturating_mul(ROOM) {
                let factor = factor(cost, Budget::PER_RULE);
                let why = format!("estimated {field} cost exceeds budget by {factor} ({HINT})");
                self.errors.push(FieldError::forbidden(at, why));
            }
        }
    }
}

impl Rules {
    fn of(
        schema: &Value,
        rules: Vec<Rule>,
        properties: Vec<(String, Self)>,
        items: Option<Self>,
        entries: Option<Self>,
    ) -> Self {
        let (items, entries) = (items.map(Box::new), entries.map(Box::new));
        let type_name = schema.get("type").and_then(Value::as_str).unwrap_or("integer or string").to_owned();
        let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
        let list_keys = keys.filter_map(Value::as_str).map(str::to_owned).collect();
        let schema = if rules.is_empty() { Value::Null } else { types_of(schema) };
        Self { schema, type_name, list_keys, rules, properties, items, entries }
    }
}

/// As much of a schema as tells how rules see a value. Definitions are large, and most of what they say is for people.
fn types_of(schema: &Value) -> Value {
    let mut types = serde_json::Map::new();
    for keyword in ["type", "format", "x-kubernetes-int-or-string"] {
        types.extend(schema.get(keyword).map(|value| (keyword.to_owned(), value.clone())));
    }
    for keyword in ["items", "additionalProperties"] {
        let below = schema.get(keyword).filter(|below| below.is_object());
        types.extend(below.map(|below| (keyword.to_owned(), types_of(below))));
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let properties = properties.iter().map(|(name, below)| (name.clone(), types_of(below)));
        types.insert("properties".to_owned(), properties.collect());
    }
    Value::Object(types)
}

fn rule(written: &Value, schema: &Value, path: &FieldPath, has_old: bool) -> Result<Rule, Vec<FieldError>> {
    let written = ValidationRule::deserialize(written)
        .map_err(|error| vec![FieldError::invalid(path, Value::Null, error.to_string())])?;
    let mut errors = Vec::new();
    let mut compile = |field: &str, source: &str| match Expression::compile(source, &[SELF, OLD_SELF]) {
        Ok(expression) => Some(expression),
        Err(error) => {
            errors.push(FieldError::invalid(path.child(field), source, error.to_string()));
            None
        }
    };
    let expression = compile("rule", &written.rule);
    let message =
        written.message_expression.as_deref().and_then(|source| compile("messageExpression", source));
    let is_transition = expression.as_ref().is_some_and(|expression| expression.uses(OLD_SELF));
    if written.rule.trim().is_empty() {
        errors = vec![FieldError::required(path.child("rule"), "rule is not specified")];
    } else if is_transition && !has_old {
        let why = "oldSelf cannot be used on the uncorrelatable portion of the schema: items of a list can be followed only if its x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(path.child("rule"), written.rule.clone(), why));
    }
    if written.optional_old_self.is_some() && expression.is_some() && !is_transition {
        let why = "may not be set if oldSelf is not used in rule";
        errors.push(FieldError::invalid(path.child("optionalOldSelf"), written.optional_old_self, why));
    }
    if let Some(reason) = written.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        errors.push(FieldError::not_supported(path.child("reason"), reason, &REASONS));
    }
    if written.message.as_deref().is_some_and(|message| message.trim().is_empty() || message.contains('\n')) {
        let why = "message must be non-empty if specified, and not contain line breaks";
        errors.push(FieldError::invalid(path.child("message"), written.message.clone(), why));
    }
    let field_path = field_path(&written, schema).unwrap_or_else(|why| {
        errors.push(FieldError::invalid(path.child("fieldPath"), written.field_path.clone(), why));
        Vec::new()
    });
    match expression {
        Some(expression) if errors.is_empty() => {
            Ok(Rule { written, expression, message, field_path, is_transition })
        }
        _ => Err(errors),
    }
}

/// The fields that lead to the place at fault, which must be in the schema.
fn field_path(written: &ValidationRule, schema: &Value) -> Result<Vec<String>, String> {
    let Some(text) = written.field_path.as_deref() else { return Ok(Vec::new()) };
    let path = JsonPath::parse(text).map_err(|problem| format!("fieldPath is not a path: {problem}"))?;
    let fields = path.fields().filter(|_| text.starts_with(['.', '[']));
    let fields = fields.ok_or("fieldPath must be made of field names, such as .a.b or ['a']")?;
    let below = |schema: &Value, field: &str| {
        let property = schema.get("properties").and_then(|properties| properties.get(field));
        property.or_else(|| schema.get("additionalProperties")).cloned()
    };
    match fields.iter().try_fold(schema.clone(), |schema, field| below(&schema, field)) {
        Some(_) => Ok(fields.into_iter().map(str::to_owned).collect()),
        None => Err("fieldPath must refer to a field of the schema".to_owned()),
    }
}

struct Check {
    budget: Budget,
    errors: Vec<FieldError>,
    /// The budget is spent: no more rules are asked.
    over: bool,
}

impl Check {
    fn place(&mut self, at: &Rules, value: &Value, old: Option<&Value>, path: &FieldPath) {
        if !at.rules.is_empty() {
            self.rules(at, value, old, path);
        }
        if let Value::Object(fields) = value {
            for (name, below) in &at.properties {
                if let Some(field) = fields.get(name) {
                    self.place(below, field, old.and_then(|old| old.get(name)), &path.child(name));
                }
            }
            if let Some(below) = &at.entries {
                for (name, entry) in fields {
                    self.place(below, entry, old.and_then(|old| old.get(name)), &path.key(name));
                }
            }
        }
        if let (Value::Array(items), Some(below)) = (value, &at.items) {
            for (index, item) in items.iter().enumerate() {
                let before = old.and_then(|old| counterpart(&at.list_keys, item, old));
                self.place(below, item, before, &path.index(index));
            }
        }
    }

    fn rules(&mut self, at: &Rules, value: &Value, old: Option<&Value>, path: &FieldPath) {
        let same = old == Some(value);
        let (new, before) = (Variable::new(value, &at.schema), old.map(|old| Variable::new(old, &at.schema)));
        for rule in &at.rules {
            let optional = rule.written.optional_old_self == Some(true);
            let is_asked = if rule.is_transition { old.is_some() || optional } else { !same };
            if self.over || !is_asked {
                continue;
            }
            let maybe = optional.then(|| Variable::optional(old, &at.schema));
            let mut variables = vec![(SELF, &new)];
            variables.extend(maybe.as_ref().or(before.as_ref()).map(|old| (OLD_SELF, old)));
            let outcome = rule.expression.evaluate(&variables, &mut self.budget);
            let error = self.error(rule, outcome, &variables, at, path);
            self.errors.extend(error);
        }
    }

    fn error(
        &mut self,
        rule: &Rule,
        outcome: Result<Outcome, CelError>,
        variables: &[(&str, &Variable<'_>)],
        at: &Rules,
        path: &FieldPath,
    ) -> Option<FieldError> {
        let of = at.type_name.as_str();
        let shown = rule.written.message.clone().unwrap_or_else(|| rule.written.rule.clone());
        match outcome {
            Ok(Outcome::Bool(true)) => None,
            Ok(Outcome::Bool(false)) => {
                let message = self.message(rule, variables);
                let path = rule.field_path.iter().fold(path.clone(), |path, field| path.child(field));
                Some(match rule.written.reason.as_deref() {
                    Some("FieldValueRequired") => FieldError::required(path, message),
                    Some("FieldValueForbidden") => FieldError::forbidden(path, message),
                    Some("FieldValueDuplicate") => FieldError::duplicate(path, of),
                    _ => FieldError::invalid(path, of, message),
                })
            }
            Ok(_) => {
                Some(FieldError::invalid(path, of, format!("rule does not evaluate to a boolean: {shown}")))
            }
            Err(CelError::Cost) => {
                self.over = true;
                let why = format!(
                    "call cost exceeds limit for rule: {shown}: no further validation rules will be run"
                );
                Some(FieldError::invalid(path, of, why))
            }
            Err(error) => Some(FieldError::invalid(path, of, format!("{error} evaluating rule: {shown}"))),
        }
    }

    /// What is said of a broken rule: what the expression says, or else the fixed message.
    fn message(&mut self, rule: &Rule, variables: &[(&str, &Variable<'_>)]) -> String {
        let said = rule.message.as_ref().map(|message| message.evaluate(variables, &mut self.budget));
        match said {
            Some(Ok(Outcome::Text(text))) if !text.trim().is_empty() && !text.contains('\n') => text,
            _ => {
                rule.written.message.clone().unwrap_or_else(|| format!("failed rule: {}", rule.written.rule))
            }
        }
    }
}

/// The item of the old list with the same keys.
fn counterpart<'v>(keys: &[String], item: &Value, old: &'v Value) -> Option<&'v Value> {
    let same = |other: &&Value| keys.iter().all(|key| other.get(key) == item.get(key));
    old.as_array()?.iter().find(same).filter(|_| !keys.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(rules: Value) -> Value {
        json!({"type": "object", "properties": {"spec": {
            "type": "object", "x-kubernetes-validations": rules,
            "properties": {
                "min": {"type": "integer"}, "max": {"type": "integer"},
                "parts": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer",
                        "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "may only grow"}]}}},
                },
            },
        }}})
    }

    fn broken(rules: Value, spec: Value, old: Option<Value>) -> Vec<String> {
        let rules = Rules::compile(&schema(rules), &FieldPath::root()).unwrap().unwrap();
        let old = old.map(|old| json!({"spec": old}));
        rules.check(&json!({"spec": spec}), old.as_ref()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn broken_rules_are_told_as_kubernetes_tells_them() {
        let rule = "self.min <= self.max";
        let spec = json!({"min": 2, "max": 1});
        for (more, expected) in [
            (json!({}), "spec: Invalid value: \"object\": failed rule: self.min <= self.max"),
            (json!({"message": "min is too much"}), "spec: Invalid value: \"object\": min is too much"),
            (
                json!({"messageExpression": "'min must be at most ' + string(self.max)"}),
                "spec: Invalid value: \"object\": min must be at most 1",
            ),
            (
                json!({"fieldPath": ".min", "reason": "FieldValueForbidden", "message": "no"}),
                "spec.min: Forbidden: no",
            ),
        ] {
            let mut written = json!({"rule": rule});
            written.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(broken(json!([written]), spec.clone(), None), [expected]);
        }
        let missing = broken(json!([{"rule": rule}]), json!({"min": 1}), None);
        assert_eq!(
            missing,
            ["spec: Invalid value: \"object\": no such key: max evaluating rule: self.min <= self.max"]
        );
        assert_eq!(broken(json!([{"rule": rule}]), json!({"min": 1, "max": 1}), None), [""; 0]);
    }

    #[test]
    fn rules_about_changes_are_asked_of_changes() {
        let rules = json!([{"rule": "self.min == oldSelf.min", "message": "min is immutable"}]);
        assert_eq!(broken(rules.clone(), json!({"min": 1}), None), [""; 0]);
        let changed = broken(rules, json!({"min": 2}), Some(json!({"min": 1})));
        assert_eq!(changed, ["spec: Invalid value: \"object\": min is immutable"]);
        let optional = json!([{"rule": "oldSelf.hasValue() || self.min == 0", "optionalOldSelf": true, "message": "starts at 0"}]);
        assert_eq!(broken(optional.clone(), json!({"min": 1}), None).len(), 1);
        assert_eq!(broken(optional, json!({"min": 1}), Some(json!({"min": 0}))), [""; 0]);
        let parts = |size: u64| json!({"parts": [{"name": "b", "size": 1}, {"name": "a", "size": size}]});
        let shrunk = broken(json!([]), parts(3), Some(json!({"parts": [{"name": "a", "size": 5}]})));
        assert_eq!(shrunk, ["spec.parts[1].size: Invalid value: \"integer\": may only grow"]);
    }

    #[test]
    fn what_is_unchanged_is_not_asked_again() {
        let rules = json!([{"rule": "self.min <= self.max"}]);
        let spec = json!({"min": 2, "max": 1});
        assert_eq!(broken(rules.clone(), spec.clone(), Some(spec.clone())), [""; 0]);
        assert_eq!(broken(rules, json!({"min": 3, "max": 1}), Some(spec)).len(), 1);
    }

    #[test]
    fn rules_that_cannot_be_meant_are_refused_with_their_path() {
        let list = json!({"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}});
        let list = json!({"type": "object", "properties": {"list": list}});
        for (schema, expected) in [
            (
                schema(json!([{"rule": "sefl.min > 0"}])),
                "properties[spec].x-kubernetes-validations[0].rule: Invalid value: \"sefl.min > 0\": compilation failed: undeclared reference to 'sefl'",
            ),
            (
                schema(json!([{"rule": "true", "fieldPath": ".nothing"}])),
                "properties[spec].x-kubernetes-validations[0].fieldPath: Invalid value: \".nothing\": fieldPath must refer to a field of the schema",
            ),
            (
                schema(json!([{"rule": "true", "reason": "Because"}])),
                "properties[spec].x-kubernetes-validations[0].reason: Unsupported value: \"Because\"",
            ),
            (
                schema(json!([{"rule": " "}])),
                "properties[spec].x-kubernetes-validations[0].rule: Required value",
            ),
            (
                list,
                "properties[list].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used",
            ),
        ] {
            let errors = Rules::compile(&schema, &FieldPath::root()).unwrap_err();
            assert!(errors[0].to_string().starts_with(expected), "{}", errors[0]);
        }
    }

    #[test]
    fn rules_that_could_cost_too_much_are_not_run() {
        let rule = "self.parts.all(a, self.parts.all(b, self.parts.all(c, a.name != b.name || b.name != c.name || true)))";
        let parts: Vec<Value> = (0..200).map(|n| json!({"name": n.to_string()})).collect();
        let errors = broken(json!([{"rule": rule}, {"rule": "false"}]), json!({"parts": parts}), None);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("call cost exceeds limit"), "{errors:?}");
    }
}
