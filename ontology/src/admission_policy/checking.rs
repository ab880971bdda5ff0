//! Whether a policy's expressions fit the kinds that it names: fields that there are not, results of the wrong type.

use std::collections::BTreeSet;

use orch_cel::{Expression, ResultType};
use serde::Serialize;
use serde_json::Value;

use super::{ExpressionWarning, PolicyExpressions, ValidatingAdmissionPolicySpec};

/// So many kinds are looked at.
const MOST_KINDS: usize = 10;

/// A kind that a policy is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedKind {
    /// Its group and version.
    pub api_version: String,
    /// Its name.
    pub kind: String,
    /// What its objects look like: a schema without references.
    pub schema: Value,
}

/// A resource by group, version and plural.
type Resource = (String, String, String);

/// The resources that a policy names, ten at most: rules that leave something open name none.
pub fn named_resources(spec: &ValidatingAdmissionPolicySpec) -> BTreeSet<Resource> {
    let is_named = |names: &[String]| names.iter().all(|name| !name.contains(['*', '/']));
    let rules = spec.match_constraints.iter().flat_map(|of| &of.resource_rules);
    let named = rules.filter(|rule| {
        [&rule.api_groups, &rule.api_versions, &rule.resources].into_iter().all(|names| is_named(names))
    });
    let resources = named.flat_map(|rule| {
        let groups = rule.api_groups.iter();
        let versions = groups.flat_map(|group| rule.api_versions.iter().map(move |version| (group, version)));
        versions.flat_map(|(group, version)| {
            rule.resources.iter().map(move |resource| (group.clone(), version.clone(), resource.clone()))
        })
    });
    resources.take(MOST_KINDS).collect()
}

/// What cannot be meant in a policy about these kinds. Expressions that cannot be compiled at all are refused when the policy
/// is written, and say nothing here. Cost: milliseconds for each expression.
pub fn type_check(spec: &ValidatingAdmissionPolicySpec, kinds: &[CheckedKind]) -> Vec<ExpressionWarning> {
    let Ok(expressions) = PolicyExpressions::compile(spec) else { return Vec::new() };
    let warning = |(field_ref, expression, expected): (String, &Expression, ResultType)| {
        let lines: Vec<String> = kinds
            .iter()
            .filter_map(|kind| {
                let problem = problem(expression, &kind.schema, expected)?;
                Some(format!("{}, Kind={}: {problem}", kind.api_version, kind.kind))
            })
            .collect();
        (!lines.is_empty()).then(|| ExpressionWarning { field_ref, warning: lines.join("\n") })
    };
    placed(&expressions).into_iter().filter_map(warning).collect()
}

/// Every expression with its place and what it should result in.
fn placed(expressions: &PolicyExpressions) -> Vec<(String, &Expression, ResultType)> {
    let mut all = Vec::new();
    for (index, condition) in expressions.match_conditions.iter().enumerate() {
        all.push((format!("spec.matchConditions[{index}].expression"), condition, ResultType::Bool));
    }
    for (index, variable) in expressions.variables.iter().enumerate() {
        let at = format!("spec.variables[{index}].expression");
        all.push((at, &variable.expression, ResultType::Unknown));
    }
    for (index, (rule, message)) in expressions.validations.iter().enumerate() {
        let at = format!("spec.validations[{index}]");
        all.push((format!("{at}.expression"), rule, ResultType::Bool));
        all.extend(message.iter().map(|text| (format!("{at}.messageExpression"), text, ResultType::Text)));
    }
    for (index, annotation) in expressions.audit_annotations.iter().enumerate() {
        let at = format!("spec.auditAnnotations[{index}].valueExpression");
        // Null is a value, too: nothing is recorded.
        all.push((at, annotation, ResultType::Unknown));
    }
    all
}

fn problem(expression: &Expression, schema: &Value, expected: ResultType) -> Option<String> {
    let variables = [("object", Some(schema)), ("oldObject", Some(schema))];
    let result = match expression.check(&variables) {
        Ok(checked) => checked.result,
        Err(error) => return Some(error.to_string()),
    };
    let fits = result == expected || result == ResultType::Unknown || expected == ResultType::Unknown;
    let wanted = if expected == ResultType::Bool { "bool" } else { "string" };
    (!fits).then(|| format!("must evaluate to {wanted}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(written: Value) -> ValidatingAdmissionPolicySpec {
        serde_json::from_value(written).unwrap()
    }

    fn kind(name: &str, schema: Value) -> CheckedKind {
        CheckedKind { api_version: "example.com/v1".into(), kind: name.into(), schema }
    }

    #[test]
    fn an_expression_is_told_about_each_kind_that_it_does_not_fit() {
        let of = |field: &str| json!({"type": "object", "properties": {field: {"type": "integer"}}});
        let policy = spec(json!({
            "variables": [{"name": "size", "expression": "object.size"}],
            "validations": [
                {"expression": "object.size > 1", "messageExpression": "object.size"},
                {"expression": "variables.size > 1 && request.operation == 'CREATE'"},
                {"expression": "object.metadata.name"},
                {"expression": "has(oldObject.width) ? 1 : 2"},
            ],
        }));
        let found = type_check(&policy, &[kind("Box", of("size")), kind("Plank", of("width"))]);
        let shown: Vec<String> =
            found.into_iter().map(|found| format!("{}\n{}", found.field_ref, found.warning)).collect();
        insta::assert_snapshot!(shown.join("\n\n"), @r"
        spec.variables[0].expression
        example.com/v1, Kind=Plank: compilation failed: undefined field 'size'

        spec.validations[0].expression
        example.com/v1, Kind=Plank: compilation failed: undefined field 'size'

        spec.validations[0].messageExpression
        example.com/v1, Kind=Box: must evaluate to string
        example.com/v1, Kind=Plank: compilation failed: undefined field 'size'

        spec.validations[3].expression
        example.com/v1, Kind=Box: compilation failed: undefined field 'width'
        example.com/v1, Kind=Plank: must evaluate to bool
        ");
    }

    #[test]
    fn rules_that_leave_something_open_name_no_resource() {
        let rule = |groups: &str, versions: &str, resources: &[&str]| json!({"apiGroups": [groups], "apiVersions": [versions], "operations": ["*"], "resources": resources});
        let policy = spec(json!({"matchConstraints": {"resourceRules": [
            rule("*", "v1", &["pods"]), rule("", "*", &["pods"]), rule("", "v1", &["pods/*"]), rule("", "v1", &["*"]),
            rule("", "v1", &["pods", "configmaps"]), rule("orch.dev", "v1", &["workloads"]),
        ]}}));
        let named: Vec<String> = named_resources(&policy)
            .into_iter()
            .map(|(group, version, resource)| format!("{group}/{version}/{resource}"))
            .collect();
        assert_eq!(named, ["/v1/configmaps", "/v1/pods", "orch.dev/v1/workloads"]);
    }
}
