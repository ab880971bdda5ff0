use orch_api::{
    Acknowledge, Asked, Attributes, Authorizer, Change, Decision, Kind, Operation, Resource as _, Subject,
};
use orch_ontology::{ConfigMap, Namespace};
use serde_json::{Value, json};

use super::*;

/// A world of config maps and namespaces.
struct Things(Vec<Value>);

impl World for Things {
    fn object(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Value> {
        self.objects(kind, namespace).into_iter().find(|object| object["metadata"]["name"] == name)
    }

    fn objects(&self, kind: &Kind, namespace: &str) -> Vec<Value> {
        let is_meant = |object: &&Value| {
            object["kind"] == kind.name
                && object["metadata"]["namespace"].as_str().unwrap_or_default() == namespace
        };
        self.0.iter().filter(is_meant).cloned().collect()
    }

    fn kind(&self, api_version: &str, name: &str) -> Option<Kind> {
        (api_version == "v1" && name == "ConfigMap").then_some(ConfigMap::KIND)
    }

    fn other_versions(&self, kind: &Kind) -> Vec<Kind> {
        if kind.version == "v2" { vec![WIDGET] } else { Vec::new() }
    }

    fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::new(Roles)
    }
}

/// Ann may create widgets, the robot may look at paths, nobody may do anything else.
struct Roles;

impl Authorizer for Roles {
    fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        let groups = attributes.subject.groups.join(",");
        let may = match (attributes.subject.user, &attributes.asked) {
            ("ann", Asked::Resource(asked)) => {
                (groups.as_str(), attributes.verb, asked.group, asked.resource)
                    == ("people", "create", "example.com", "widgets")
                    && (asked.namespace, asked.subresource) == ("default", "")
            }
            ("system:serviceaccount:default:robot", Asked::Path("/metrics")) => {
                groups == "system:serviceaccounts,system:serviceaccounts:default" && attributes.verb == "get"
            }
            _ => false,
        };
        if may { Decision::allowed("by a role") } else { Decision::denied("no role") }
    }

    fn rights(&self, _: Subject<'_>, _: &str) -> orch_api::Rights {
        orch_api::Rights::default()
    }

    fn admit(&self, _: &Change<'_>) -> Result<(), Status> {
        Ok(())
    }

    fn follows(&self) -> Vec<(Kind, Acknowledge)> {
        Vec::new()
    }

    fn replace(&self, _: &mut dyn Iterator<Item = Followed<'_>>) {}

    fn take(&self, _: &mut dyn Iterator<Item = Followed<'_>>) {}

    fn fork(&self) -> Arc<dyn Authorizer> {
        Arc::new(Self)
    }
}

const WIDGET: Kind = Kind::namespaced("example.com", "v1", "Widget", "widgets", "widget");
const WIDGET2: Kind = Kind::namespaced("example.com", "v2", "Widget", "widgets", "widget");

fn policies(objects: &[(Kind, Value)]) -> Policies {
    let policies = Policies::new();
    let texts: Vec<(Kind, String, String)> = objects
        .iter()
        .map(|(kind, object)| {
            let entry = orch_ontology::KINDS.iter().find(|entry| entry.kind == *kind).unwrap();
            let mut object = object.clone();
            (entry.admit)(&mut object, None).unwrap();
            (*kind, object["metadata"]["name"].as_str().unwrap().to_owned(), object.to_string())
        })
        .collect();
    let followed = |(kind, name, text): &'static (Kind, String, String)| Followed {
        kind,
        namespace: "",
        name,
        object: Some(text.as_bytes()),
    };
    let texts: &'static [(Kind, String, String)] = texts.leak();
    policies.replace(&mut texts.iter().map(followed));
    policies
}

fn policy(spec: Value) -> (Kind, Value) {
    let mut whole = json!({
        "matchConstraints": {"resourceRules": [{
            "apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["widgets"],
        }]},
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    (ValidatingAdmissionPolicy::KIND, json!({"metadata": {"name": "p"}, "spec": whole}))
}

fn binding(spec: Value) -> (Kind, Value) {
    let mut whole = json!({"policyName": "p", "validationActions": ["Deny"]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    (ValidatingAdmissionPolicyBinding::KIND, json!({"metadata": {"name": "b"}, "spec": whole}))
}

fn widget(spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "labels": {"team": "a"}}, "spec": spec})
}

fn request<'a>(object: Option<&'a Value>, old: Option<&'a Value>) -> AdmissionRequest<'a> {
    let operation = match (object, old) {
        (None, _) => Operation::Delete,
        (_, None) => Operation::Create,
        _ => Operation::Update,
    };
    AdmissionRequest {
        operation,
        kind: &WIDGET,
        subresource: "",
        object_kind: &WIDGET,
        namespace: "default",
        name: "w",
        object,
        old,
        user: json!({"username": "ann", "groups": ["people"]}),
        dry_run: false,
    }
}

fn world() -> Things {
    let limits = |name: &str, most: &str, team: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"most": most},
               "metadata": {"name": name, "namespace": "default", "labels": {"team": team}}})
    };
    Things(vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"tier": "test"}}}),
        limits("few", "3", "a"),
        limits("fewer", "2", "a"),
        limits("many", "9", "b"),
    ])
}

fn asked(policies: &Policies, request: &AdmissionRequest<'_>) -> Result<Admitted, String> {
    let mut said = Admitted::default();
    policies.review(request, &world(), &mut said).map_err(|status| status.message).map(|()| said)
}

/// What one policy with one binding says of a new widget of a size.
fn of_size(spec: Value, bound: Value, size: u64) -> Result<Admitted, String> {
    let policies = policies(&[policy(spec), binding(bound)]);
    asked(&policies, &request(Some(&widget(json!({"size": size}))), None))
}

const SMALL: &str = "object.spec.size <= 3";

#[test]
fn what_breaks_a_rule_is_refused_in_kubernetes_words() {
    let small = json!({"validations": [{"expression": SMALL}]});
    assert_eq!(of_size(small.clone(), json!({}), 3), Ok(Admitted::default()));
    let refused = of_size(small, json!({}), 4).unwrap_err();
    assert_eq!(
        refused,
        "widgets.example.com \"w\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression: object.spec.size <= 3"
    );
    for (more, said) in [
        (json!({"message": "too large"}), "denied request: too large"),
        (
            json!({"messageExpression": "'is ' + string(object.spec.size)", "message": "x"}),
            "denied request: is 4",
        ),
        (json!({"messageExpression": "object.nothing", "message": "fixed"}), "denied request: fixed"),
    ] {
        let mut rule = json!({"expression": SMALL});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = of_size(json!({"validations": [rule]}), json!({}), 4).unwrap_err();
        assert!(refused.ends_with(said), "{refused}");
    }
}

#[test]
fn the_reason_decides_the_code() {
    for (reason, code) in [
        (None, 422),
        (Some("Forbidden"), 403),
        (Some("Unauthorized"), 401),
        (Some("RequestEntityTooLarge"), 413),
    ] {
        let policies = policies(&[
            policy(json!({"validations": [{"expression": "false", "reason": reason}]})),
            binding(json!({})),
        ]);
        let widget = widget(json!({}));
        let mut said = Admitted::default();
        let status = policies.review(&request(Some(&widget), None), &world(), &mut said).unwrap_err();
        assert_eq!((status.code, status.details.unwrap().causes.len()), (code, 1), "{reason:?}");
    }
}

#[test]
fn actions_decide_what_follows() {
    let rules = json!({"validations": [{"expression": SMALL, "message": "too large"}]});
    let warned = of_size(rules.clone(), json!({"validationActions": ["Warn", "Audit"]}), 4).unwrap();
    assert_eq!(
        warned.warnings,
        ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': too large"]
    );
    let noted = &warned.annotations["validation.policy.admission.k8s.io/validation_failure"];
    let noted: Value = serde_json::from_str(noted).unwrap();
    assert_eq!(
        noted,
        json!([{"message": "too large", "policy": "p", "binding": "b", "expressionIndex": 0,
                "validationActions": ["Warn", "Audit"]}])
    );
    let annotated = json!({"auditAnnotations": [
        {"key": "size", "valueExpression": "'size ' + string(object.spec.size)"},
        {"key": "none", "valueExpression": "null"},
    ]});
    let annotated = of_size(annotated, json!({}), 4).unwrap();
    assert_eq!(annotated.annotations.into_iter().collect::<Vec<_>>(), [("p/size".into(), "size 4".into())]);
}

#[test]
fn variables_are_evaluated_where_they_are_used() {
    let variables = json!([
        {"name": "size", "expression": "object.spec.size"},
        {"name": "twice", "expression": "variables.size * 2"},
        {"name": "broken", "expression": "object.spec.missing"},
    ]);
    let with = |rule: &str| {
        of_size(json!({"variables": variables, "validations": [{"expression": rule}]}), json!({}), 4)
    };
    assert!(with("variables.twice == 8").is_ok());
    assert!(with("true || variables.broken == 1").is_ok());
    let failed = with("variables.broken == 1").unwrap_err();
    assert!(
        failed.ends_with("expression 'variables.broken == 1' resulted in error: composited variable \"broken\" fails to evaluate: no such key: missing"),
        "{failed}"
    );
}

#[test]
fn what_cannot_be_asked_is_decided_by_the_failure_policy() {
    let failing = |policy: &str| json!({"failurePolicy": policy, "validations": [{"expression": "object.spec.missing == 1"}]});
    let failed = of_size(failing("Fail"), json!({}), 1).unwrap_err();
    assert!(failed.ends_with("resulted in error: no such key: missing"), "{failed}");
    assert!(of_size(failing("Ignore"), json!({}), 1).is_ok());
    let conditions = |condition: &str| json!({"matchConditions": [{"name": "c", "expression": condition}], "validations": [{"expression": "false"}]});
    assert!(of_size(conditions("request.userInfo.username == 'bob'"), json!({}), 1).is_ok());
    assert!(of_size(conditions("request.userInfo.username == 'ann'"), json!({}), 1).is_err());
    assert!(of_size(conditions("object.nothing"), json!({}), 1).is_err());
}

#[test]
fn parameters_are_found_by_name_and_by_label() {
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [{"expression": "params == null || object.spec.size <= int(params.data.most)"}],
    });
    let with = |reference: Value, size| of_size(spec.clone(), json!({"paramRef": reference}), size);
    let named = |name: &str, action: &str| json!({"name": name, "parameterNotFoundAction": action});
    assert!(with(named("few", "Deny"), 3).is_ok() && with(named("few", "Deny"), 4).is_err());
    assert!(with(named("none", "Allow"), 4).is_ok());
    let missing = with(named("none", "Deny"), 1).unwrap_err();
    assert!(
        missing.ends_with("failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"),
        "{missing}"
    );
    let all = json!({"selector": {"matchLabels": {"team": "a"}}, "parameterNotFoundAction": "Deny"});
    assert!(with(all.clone(), 2).is_ok() && with(all, 3).is_err());
    assert!(of_size(spec, json!({}), 100).is_ok(), "a binding without parameters");
}

#[test]
fn selectors_and_rules_say_what_is_meant() {
    let refuse = json!({"validations": [{"expression": "false"}]});
    let held = |resources: Value| of_size(refuse.clone(), json!({"matchResources": resources}), 1).is_err();
    assert!(held(json!({})));
    assert!(held(json!({"namespaceSelector": {"matchLabels": {"tier": "test"}}})));
    assert!(!held(json!({"namespaceSelector": {"matchLabels": {"tier": "live"}}})));
    assert!(held(json!({"objectSelector": {"matchLabels": {"team": "a"}}})));
    assert!(!held(json!({"objectSelector": {"matchLabels": {"team": "b"}}})));
    let rule = |resources: &str, names: Value| json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": [resources], "resourceNames": names}]);
    assert!(!held(json!({"excludeResourceRules": rule("widgets", json!(["w"]))})));
    assert!(held(json!({"excludeResourceRules": rule("widgets", json!(["v"]))})));
    assert!(held(json!({"resourceRules": rule("*", json!([]))})));
    assert!(!held(json!({"resourceRules": rule("*/status", json!([]))})));
}

#[test]
fn a_rule_for_one_version_is_meant_for_the_others_unless_it_says_exact() {
    let is_v1 = json!({"validations": [{"expression": "object.apiVersion == 'example.com/v1' && request.kind.version == 'v1' && request.requestKind.version == 'v2'"}]});
    let mut exact = policy(json!({"validations": [{"expression": "false"}]}));
    exact.1["spec"]["matchConstraints"]["matchPolicy"] = "Exact".into();
    let mut widget = widget(json!({}));
    widget["apiVersion"] = "example.com/v2".into();
    let of_v2 = AdmissionRequest { kind: &WIDGET2, object_kind: &WIDGET2, ..request(Some(&widget), None) };
    assert!(asked(&policies(&[policy(is_v1), binding(json!({}))]), &of_v2).is_ok());
    assert!(asked(&policies(&[exact, binding(json!({}))]), &of_v2).is_ok());
    let refuse = policy(json!({"validations": [{"expression": "false"}]}));
    assert!(asked(&policies(&[refuse, binding(json!({}))]), &of_v2).is_err());
}

#[test]
fn deletions_have_an_old_object_and_no_new_one() {
    let mut rules =
        policy(json!({"validations": [{"expression": "object == null && oldObject.spec.size < 3"}]}));
    rules.1["spec"]["matchConstraints"]["resourceRules"][0]["operations"] = json!(["DELETE"]);
    let policies = policies(&[rules, binding(json!({}))]);
    assert!(asked(&policies, &request(None, Some(&widget(json!({"size": 1}))))).is_ok());
    assert!(asked(&policies, &request(None, Some(&widget(json!({"size": 5}))))).is_err());
    assert!(asked(&policies, &request(Some(&widget(json!({"size": 5}))), None)).is_ok());
}

#[test]
fn kinds_that_no_policy_names_cost_a_look_at_the_index() {
    let policies = policies(&[policy(json!({"validations": [{"expression": "true"}]})), binding(json!({}))]);
    assert_eq!(policies.concern(&WIDGET), Concern::Request);
    assert_eq!(policies.concern(&Namespace::KIND), Concern::Nothing);
    assert_eq!(policies.concern(&ValidatingAdmissionPolicy::KIND), Concern::Nothing);
    let unbound = [policy(json!({"validations": [{"expression": "false"}]}))];
    assert_eq!(super::tests::policies(&unbound).concern(&WIDGET), Concern::Nothing);
}

#[test]
fn rules_ask_what_the_caller_and_service_accounts_may_do() {
    let widgets = "authorizer.group('example.com').resource('widgets')";
    let here = format!("{widgets}.namespace('default')");
    let robot = "authorizer.serviceAccount('default', 'robot')";
    for (rule, passes) in [
        (format!("{here}.check('create').allowed()"), true),
        (format!("{here}.name('w').check('create').allowed()"), true),
        (format!("{here}.check('delete').allowed()"), false),
        (format!("{here}.subresource('status').check('create').allowed()"), false),
        (format!("{widgets}.check('create').allowed()"), false),
        ("authorizer.requestResource.check('create').allowed()".to_owned(), true),
        ("authorizer.requestResource.subresource('scale').check('create').allowed()".to_owned(), false),
        ("authorizer.path('/metrics').check('get').allowed()".to_owned(), false),
        (format!("{robot}.path('/metrics').check('get').allowed()"), true),
        (format!("{robot}.path('/metrics').check('get').reason() == 'by a role'"), true),
        (format!("!{here}.check('create').errored() && {here}.check('create').error() == ''"), true),
        (format!("{here}.fieldSelector('a=b').labelSelector('x').check('create').allowed()"), true),
    ] {
        let outcome = of_size(json!({"validations": [{"expression": rule}]}), json!({}), 1);
        assert_eq!(outcome.is_ok(), passes, "{rule}: {outcome:?}");
    }
    for (rule, problem) in [
        ("authorizer.path(' ').check('get').allowed()", "path must not be empty"),
        ("authorizer.group('').resource('').check('get').allowed()", "resource must not be empty"),
        ("authorizer.group('').check('get').allowed()", "no such overload"),
        (
            "authorizer.serviceAccount('a', 'B').path('/').check('get').allowed()",
            "Invalid service account name",
        ),
        ("object.check('get').allowed()", "no such overload"),
    ] {
        let refused = of_size(json!({"validations": [{"expression": rule}]}), json!({}), 1).unwrap_err();
        assert!(refused.contains(problem), "{rule}: {refused}");
    }
}

#[test]
fn every_expression_but_a_message_asks_for_rights() {
    let may = "authorizer.requestResource.check('create')";
    let spec = json!({
        "matchConditions": [{"name": "c", "expression": format!("{may}.allowed()")}],
        "variables": [{"name": "may", "expression": format!("{may}.allowed()")}],
        "validations": [{"expression": "!variables.may", "message": "who may, must not"}],
        "auditAnnotations": [{"key": "why", "valueExpression": format!("{may}.reason()")}],
    });
    assert!(of_size(spec, json!({}), 1).unwrap_err().contains("who may, must not"));
    let (_, mut message) = policy(
        json!({"validations": [{"expression": "true", "messageExpression": format!("{may}.reason()")}]}),
    );
    let entry =
        orch_ontology::KINDS.iter().find(|entry| entry.kind == ValidatingAdmissionPolicy::KIND).unwrap();
    let problems = (entry.admit)(&mut message, None).unwrap_err();
    assert!(problems[0].to_string().contains("undeclared reference to 'authorizer'"), "{problems:?}");
    let bound = policies(&[
        policy(json!({"validations": [{"expression": format!("{may}.allowed()")}]})),
        binding(json!({})),
    ]);
    assert_eq!(bound.concern(&WIDGET), Concern::World);
}
