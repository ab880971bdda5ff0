//! Objects in, decisions out.

use orch_api::{
    Asked, Attributes, Authorizer, Change, Decision, FieldQuery, Followed, Resource, ResourceAttributes,
    Subject, Verb,
};
use serde_json::{Value, json};

use crate::Authorization;
use crate::told::{kind_of, tell};

const GROUP: &str = "rbac.authorization.k8s.io";

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

fn role(namespace: &str, name: &str, rules: Value) -> Value {
    json!({"kind": if namespace.is_empty() { "ClusterRole" } else { "Role" },
        "metadata": {"namespace": namespace, "name": name}, "rules": rules})
}

fn binding(namespace: &str, name: &str, role: (&str, &str), subject: (&str, &str)) -> Value {
    let group = if subject.0 == "ServiceAccount" { "" } else { GROUP };
    json!({"kind": if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" },
        "metadata": {"namespace": namespace, "name": name},
        "roleRef": {"apiGroup": GROUP, "kind": role.0, "name": role.1},
        "subjects": [{"kind": subject.0, "name": subject.1, "apiGroup": group}]})
}

fn pod(namespace: &str, name: &str, node: &str, secret: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"namespace": namespace, "name": name, "uid": format!("u-{name}"), "generation": 1},
        "spec": {"nodeName": node, "serviceAccountName": format!("sa-{name}"),
            "volumes": [{"name": "v", "secret": {"secretName": secret}}], "containers": []}})
}

fn knowing(objects: &[Value]) -> Authorization {
    let authorization = Authorization::new();
    tell(&authorization, objects, true);
    authorization
}

/// `get pods/log a/p`: verb, resource with group after a dot, namespace and name.
fn ask(authorization: &Authorization, user: &str, groups: &[&str], line: &str) -> Decision {
    let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    let words: Vec<&str> = line.split(' ').collect();
    let (verb, what) = (words[0], words[1]);
    let subject = Subject { user, groups: &groups };
    if what.starts_with('/') {
        return authorization.decide(&Attributes { subject, verb, asked: Asked::Path(what) });
    }
    let (resource, subresource) = what.split_once('/').unwrap_or((what, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (namespace, name) = words.get(2).map_or(("", ""), |place| place.split_once('/').unwrap());
    let fields: FieldQuery = words.get(3).map(|text| text.parse().unwrap()).unwrap_or_default();
    let asked = ResourceAttributes {
        group,
        version: "v1",
        resource,
        subresource,
        namespace,
        name: name.into(),
        fields,
    };
    authorization.decide(&Attributes { subject, verb, asked: Asked::Resource(Box::new(asked)) })
}

fn may(authorization: &Authorization, user: &str, line: &str) -> bool {
    ask(authorization, user, &[], line).allowed
}

fn shop() -> Authorization {
    knowing(&[
        role(
            "",
            "reader",
            json!([rule(&["get", "list"], "", &["pods"]), {"verbs": ["get"], "nonResourceURLs": ["/metrics"]}]),
        ),
        role("a", "reader", json!([rule(&["get"], "", &["pods", "pods/log"])])),
        binding("a", "ann", ("Role", "reader"), ("User", "ann")),
        binding("a", "bob", ("ClusterRole", "reader"), ("User", "bob")),
        binding("", "ops", ("ClusterRole", "reader"), ("Group", "ops")),
        binding("a", "web", ("Role", "reader"), ("ServiceAccount", "web")),
    ])
}

#[test]
fn what_a_binding_gives_counts_where_it_is() {
    let shop = shop();
    for (user, line, expected) in [
        ("ann", "get pods a/p", true),
        ("ann", "get pods/log a/p", true),
        ("ann", "get pods/exec a/p", false),
        ("ann", "list pods a/", false),
        ("ann", "get pods b/p", false),
        ("ann", "delete pods a/p", false),
        ("bob", "list pods a/", true),
        ("bob", "list pods", false),
        ("bob", "list pods b/", false),
        ("bob", "get /metrics", false),
        ("system:serviceaccount:a:web", "get pods a/p", true),
        ("system:serviceaccount:b:web", "get pods a/p", false),
        ("web", "get pods a/p", false),
        ("", "get pods a/p", false),
    ] {
        assert_eq!(may(&shop, user, line), expected, "{user}: {line}");
    }
    assert!(ask(&shop, "x", &["ops"], "list pods").allowed);
    assert!(ask(&shop, "x", &["ops"], "get /metrics").allowed);
    assert!(!ask(&shop, "ops", &[], "list pods").allowed, "a group is not a user");
}

#[test]
fn the_reason_is_kubernetes_own() {
    let shop = shop();
    for (user, groups, line, reason) in [
        (
            "ann",
            vec![],
            "get pods a/p",
            r#"RBAC: allowed by RoleBinding "ann/a" of Role "reader" to User "ann""#,
        ),
        (
            "x",
            vec!["ops"],
            "list pods",
            r#"RBAC: allowed by ClusterRoleBinding "ops" of ClusterRole "reader" to Group "ops""#,
        ),
        (
            "system:serviceaccount:a:web",
            vec![],
            "get pods a/p",
            r#"RBAC: allowed by RoleBinding "web/a" of Role "reader" to ServiceAccount "web/a""#,
        ),
        ("nobody", vec![], "get pods a/p", ""),
    ] {
        assert_eq!(&*ask(&shop, user, &groups, line).reason, reason);
    }
}

#[test]
fn changes_are_seen_at_once_and_a_lost_role_says_so() {
    let shop = shop();
    tell(&shop, &[role("", "reader", json!([]))], false);
    assert!(may(&shop, "ann", "get pods a/p"), "another role of this name");
    let refused = ask(&shop, "bob", &[], "list pods a/");
    assert_eq!(
        refused,
        Decision::denied(r#"RBAC: clusterrole.rbac.authorization.k8s.io "reader" not found"#)
    );
    tell(&shop, &[role("", "reader", json!([rule(&["*"], "*", &["*"])]))], true);
    assert!(may(&shop, "bob", "delete workloads.orch.dev a/w"));
    tell(&shop, &[binding("a", "bob", ("ClusterRole", "reader"), ("User", "bob"))], false);
    assert!(!may(&shop, "bob", "list pods a/"));
}

#[test]
fn beginning_anew_forgets_what_was() {
    let shop = shop();
    let all = [
        role("b", "r", json!([rule(&["get"], "", &["pods"])])),
        binding("b", "b", ("Role", "r"), ("User", "ann")),
    ];
    let bytes: Vec<_> = all.iter().map(|object| (kind_of(object), object.to_string().into_bytes())).collect();
    let mut objects = bytes.iter().zip(["r", "b"]).map(|((kind, bytes), name)| Followed {
        kind,
        namespace: "b",
        name,
        object: Some(bytes),
    });
    shop.replace(&mut objects);
    assert!(may(&shop, "ann", "get pods b/p"));
    assert!(!may(&shop, "ann", "get pods a/p") && !ask(&shop, "x", &["ops"], "list pods").allowed);
}

#[test]
fn the_masters_may_do_everything_before_there_is_any_role() {
    let nothing = Authorization::new();
    for line in ["delete nodes /n", "get /metrics", "impersonate users"] {
        assert!(ask(&nothing, "admin", &["system:masters"], line).allowed, "{line}");
        assert!(!may(&nothing, "admin", line), "{line}");
    }
}

#[test]
fn a_node_reaches_what_is_its_own_and_nothing_else() {
    let cluster = knowing(&[pod("a", "mine", "n1", "mine"), pod("a", "theirs", "n2", "theirs")]);
    for (line, expected) in [
        ("get pods a/mine", true),
        ("get pods a/theirs", false),
        ("get pods b/mine", false),
        ("list pods", false),
        ("list pods a/", false),
        ("watch pods / spec.nodeName=n1", true),
        ("watch pods / spec.nodeName=n2", false),
        ("watch pods / spec.nodeName!=n2", false),
        ("update pods/status a/mine", true),
        ("update pods/status a/theirs", false),
        ("update pods a/mine", false),
        ("delete pods a/mine", true),
        ("delete pods a/theirs", false),
        ("create pods a/", false),
        ("create pods/binding a/mine", false),
        ("create pods/exec a/mine", false),
        ("get secrets a/mine", true),
        ("watch secrets a/mine", true),
        ("get secrets a/theirs", false),
        ("get secrets b/mine", false),
        ("list secrets a/", false),
        ("list secrets", false),
        ("update secrets a/mine", false),
        ("get configmaps a/mine", false),
        ("get serviceaccounts a/sa-mine", true),
        ("get serviceaccounts a/sa-theirs", false),
        ("create serviceaccounts/token a/sa-mine", true),
        ("create serviceaccounts/token a/sa-theirs", false),
        ("get nodes /n1", true),
        ("get nodes /n2", false),
        ("list nodes", false),
        ("update nodes/status /n1", true),
        ("update nodes/status /n2", false),
        ("delete nodes /n1", false),
        ("update leases.coordination.k8s.io kube-node-lease/n1", true),
        ("update leases.coordination.k8s.io kube-node-lease/n2", false),
        ("update leases.coordination.k8s.io default/n1", false),
        ("create events a/", true),
        ("list events", false),
        ("create clusterrolebindings.rbac.authorization.k8s.io", false),
        ("get /metrics", false),
    ] {
        let decision = ask(&cluster, "system:node:n1", &["system:nodes"], line);
        assert_eq!(decision.allowed, expected, "{line}: {decision:?}");
    }
    let stranger = |user: &str, groups: &[&str]| ask(&cluster, user, groups, "get pods a/mine").allowed;
    assert!(!stranger("system:node:n1", &[]), "the name alone is not enough");
    assert!(!stranger("system:node:", &["system:nodes"]) && !stranger("n1", &["system:nodes"]));
    let refused = ask(&cluster, "system:node:n1", &["system:nodes"], "get secrets a/theirs");
    assert_eq!(&*refused.reason, "no relationship found between node 'n1' and this object");
}

#[test]
fn what_a_node_reaches_goes_with_the_pod() {
    let cluster = knowing(&[pod("a", "p", "", "s")]);
    let reaches = |node: &str| {
        ask(&cluster, &format!("system:node:{node}"), &["system:nodes"], "get secrets a/s").allowed
    };
    assert!(!reaches("") && !reaches("n1"));
    tell(&cluster, &[pod("a", "p", "n1", "s")], true);
    assert!(reaches("n1") && !reaches("n2"));
    // A pod of the same name, bound elsewhere.
    let mut other = pod("a", "p", "n2", "s");
    other["metadata"]["uid"] = "another".into();
    tell(&cluster, &[other.clone()], true);
    assert!(!reaches("n1") && reaches("n2"));
    tell(&cluster, &[other], false);
    assert!(!reaches("n2"));
}

fn write(authorization: &Authorization, user: &str, old: Option<&Value>, new: &Value) -> Result<(), String> {
    let groups = ["system:authenticated".to_owned()];
    let kind = kind_of(new);
    let verb = if old.is_some() { Verb::Update } else { Verb::Create };
    let change = Change {
        subject: Subject { user, groups: &groups },
        verb,
        kind: &kind,
        subresource: "",
        new: Some(new),
        old,
    };
    authorization.admit(&change).map_err(|status| status.message)
}

/// Ann may do everything with pods in `a`, and write roles and bindings there and in the cluster.
fn climbing() -> Authorization {
    let all_kinds = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"];
    knowing(&[
        role(
            "",
            "rbac-writer",
            json!([rule(&["*"], GROUP, &all_kinds).as_object().map(|rule| {
                let mut rule = rule.clone();
                rule.insert("verbs".into(), json!(["create", "update", "get"]));
                rule
            })]),
        ),
        role("a", "pods", json!([rule(&["get", "list"], "", &["pods"])])),
        role(
            "",
            "cluster-admin",
            json!([rule(&["*"], "*", &["*"]), {"verbs": ["*"], "nonResourceURLs": ["*"]}]),
        ),
        binding("", "ann", ("ClusterRole", "rbac-writer"), ("User", "ann")),
        binding("a", "ann", ("Role", "pods"), ("User", "ann")),
    ])
}

#[test]
fn a_role_gives_no_more_than_its_writer_has() {
    let cluster = climbing();
    assert_eq!(write(&cluster, "ann", None, &role("a", "r", json!([rule(&["get"], "", &["pods"])]))), Ok(()));
    let more = role("a", "r", json!([rule(&["get", "delete", "watch"], "", &["pods", "secrets"])]));
    assert_eq!(
        write(&cluster, "ann", None, &more).unwrap_err(),
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is attempting to \
         grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"watch\"]}\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\" \"watch\"]}"
    );
    let elsewhere = role("b", "r", json!([rule(&["get"], "", &["pods"])]));
    assert!(
        write(&cluster, "ann", None, &elsewhere).is_err(),
        "what is held in one namespace is not held in another"
    );
    let everywhere = role("", "r", json!([rule(&["get"], "", &["pods"])]));
    assert!(write(&cluster, "ann", None, &everywhere).is_err(), "nor in the cluster");
    assert!(
        write(&cluster, "ann", Some(&role("a", "r", json!([]))), &more).is_err(),
        "an update is no way around"
    );
    assert_eq!(write(&cluster, "ann", Some(&more), &more), Ok(()), "what changes nothing gives nothing");
}

#[test]
fn a_role_that_gathers_others_needs_everything() {
    let cluster = climbing();
    let mut gathering = role("", "r", json!([]));
    gathering["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let refused = write(&cluster, "ann", None, &gathering).unwrap_err();
    assert_eq!(
        refused,
        "clusterroles.rbac.authorization.k8s.io \"r\" is forbidden: must have cluster-admin privileges to use the aggregationRule"
    );
    assert!(write(&cluster, "ann", Some(&gathering), &role("", "r", json!([]))).is_err());
}

#[test]
fn a_binding_gives_no_more_than_its_writer_has() {
    let cluster = climbing();
    let bind = |namespace: &str, role: (&str, &str)| binding(namespace, "x", role, ("User", "ann"));
    assert_eq!(write(&cluster, "ann", None, &bind("a", ("Role", "pods"))), Ok(()));
    for climbing in [bind("a", ("ClusterRole", "cluster-admin")), bind("", ("ClusterRole", "cluster-admin"))]
    {
        let refused = write(&cluster, "ann", None, &climbing).unwrap_err();
        assert!(
            refused
                .contains("is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"*\"]"),
            "{refused}"
        );
    }
    let missing = write(&cluster, "ann", None, &bind("a", ("Role", "nothing"))).unwrap_err();
    assert_eq!(missing, r#"roles.rbac.authorization.k8s.io "nothing" not found"#);
}

#[test]
fn who_may_escalate_or_bind_gives_what_they_do_not_have() {
    let cluster = climbing();
    let rule_of = |verb: &str, resource: &str, name: &str| {
        let mut rule = rule(&[verb], GROUP, &[resource]);
        rule["resourceNames"] = json!([name]);
        let trusted = role("", &format!("{verb}-{name}"), json!([rule]));
        tell(
            &cluster,
            &[
                trusted.clone(),
                binding(
                    "",
                    verb,
                    ("ClusterRole", trusted["metadata"]["name"].as_str().unwrap()),
                    ("User", "bea"),
                ),
            ],
            true,
        );
    };
    rule_of("bind", "clusterroles", "cluster-admin");
    rule_of("escalate", "clusterroles", "existing");
    let admin = binding("a", "x", ("ClusterRole", "cluster-admin"), ("User", "bea"));
    assert_eq!(write(&cluster, "bea", None, &admin), Ok(()));
    let other = binding("a", "x", ("ClusterRole", "rbac-writer"), ("User", "bea"));
    assert!(write(&cluster, "bea", None, &other).is_err());
    let secrets = |name: &str| role("", name, json!([rule(&["get"], "", &["secrets"])]));
    let empty = |name: &str| role("", name, json!([]));
    assert_eq!(write(&cluster, "bea", Some(&empty("existing")), &secrets("existing")), Ok(()));
    assert!(write(&cluster, "bea", Some(&empty("other")), &secrets("other")).is_err());
}

#[test]
fn a_role_of_countless_rules_is_answered_at_once() {
    let words: Vec<String> = (0..20_000).map(|number| format!("r{number}")).collect();
    let huge = role("a", "r", json!([{"verbs": words, "apiGroups": words, "resources": words}]));
    assert!(write(&climbing(), "ann", None, &huge).is_err());
}

#[test]
fn a_node_asks_for_tokens_of_its_own_pods_only() {
    let cluster = knowing(&[pod("a", "mine", "n1", "s"), pod("a", "theirs", "n2", "s")]);
    let groups = ["system:nodes".to_owned()];
    let token = |account: &str, bound: Value| {
        let account = json!({"metadata": {"namespace": "a", "name": account}});
        let request = json!({"spec": {"boundObjectRef": bound}});
        let kind = orch_ontology::ServiceAccount::KIND;
        let change = Change {
            subject: Subject { user: "system:node:n1", groups: &groups },
            verb: Verb::Create,
            kind: &kind,
            subresource: "token",
            new: Some(&request),
            old: Some(&account),
        };
        cluster.admit(&change).map_err(|status| status.message)
    };
    let bound = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
    assert_eq!(token("sa-mine", bound("mine", "u-mine")), Ok(()));
    for (account, refused, why) in [
        ("sa-mine", json!(null), "not bound to a pod"),
        ("sa-mine", bound("mine", ""), "without a uid"),
        ("sa-mine", bound("mine", "another"), "does not match"),
        ("sa-theirs", bound("theirs", "u-theirs"), "different node"),
        ("sa-theirs", bound("mine", "u-mine"), "that the pod does not use"),
    ] {
        let message = token(account, refused).unwrap_err();
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn everything_that_somebody_may_do_is_listed() {
    let shop = shop();
    let groups = ["ops".to_owned()];
    let rights = shop.rights(Subject { user: "ann", groups: &groups }, "a");
    assert_eq!(rights.resource_rules.len(), 2);
    assert_eq!(rights.non_resource_rules, [json!({"verbs": ["get"], "nonResourceURLs": ["/metrics"]})]);
    assert!(rights.resource_rules.contains(&rule(&["get"], "", &["pods", "pods/log"])));
}
