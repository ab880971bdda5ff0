//! The default roles, and who has them: Kubernetes' own, as far as what they are about is there, and Orch's kinds.

use orch_api::{LabelSelector, Metadata, Resource as _, Selector};
use orch_ontology::{
    AggregationRule, CERTIFICATES_GROUP, CertificateSigningRequest, Change, ClusterRole, ClusterRoleBinding,
    Plan, PolicyRule, RBAC_GROUP, RoleRef, Subject,
};

/// Says whether a default object is mended at every start.
pub(super) const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");
const AGGREGATE_TO: &str = "rbac.authorization.k8s.io/aggregate-to-";

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

const CORE: &str = "";
const APPS: &str = "apps";
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTOSCALING: &str = "autoscaling";
const BATCH: &str = "batch";
const COORDINATION: &str = "coordination.k8s.io";
const DISCOVERY: &str = "discovery.k8s.io";
const EVENTS: &str = "events.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const ORCH: &str = "orch.dev";
const POLICY: &str = "policy";

/// The ClusterRoles that every cluster has.
pub fn default_roles() -> Vec<ClusterRole> {
    let mut roles = vec![
        role("cluster-admin", vec![on(&["*"], "*", &["*"]), PolicyRule::on_paths(&["*"], &["*"])]),
        role("system:discovery", vec![PolicyRule::on_paths(&["get"], &DISCOVERY_PATHS)]),
        role("system:public-info-viewer", vec![PolicyRule::on_paths(&["get"], &PUBLIC_PATHS)]),
        role("system:basic-user", basic_user()),
        role("system:mcp", vec![PolicyRule::on_paths(&["get", "post", "delete"], &["/mcp"])]),
        role("system:monitoring", vec![PolicyRule::on_paths(&["get"], &MONITORING_PATHS)]),
        role("system:auth-delegator", auth_delegator()),
        role("system:service-account-issuer-discovery", vec![PolicyRule::on_paths(&["get"], &ISSUER_PATHS)]),
        role("system:node", node()),
        role("system:node-proxier", node_proxier()),
        role(
            NODE_CLIENT,
            vec![on(&["create"], CERTIFICATES_GROUP, &["certificatesigningrequests/nodeclient"])],
        ),
        role(
            SELF_NODE_CLIENT,
            vec![on(&["create"], CERTIFICATES_GROUP, &["certificatesigningrequests/selfnodeclient"])],
        ),
        approver(CertificateSigningRequest::CLIENT_SIGNER),
        approver(CertificateSigningRequest::NODE_CLIENT_SIGNER),
        approver(CertificateSigningRequest::NODE_SERVING_SIGNER),
        labelled("system:aggregate-to-admin", "admin", admin()),
        labelled("system:aggregate-to-edit", "edit", edit()),
        labelled("system:aggregate-to-view", "view", view()),
    ];
    let mut aggregated =
        vec![aggregated("view", None), aggregated("edit", Some("admin")), aggregated("admin", None)];
    // Each takes over what the one before it has: the controller that keeps them so finds nothing to do.
    label(&mut aggregated[0], "edit");
    for mut role in aggregated {
        role.rules = role.aggregate(&roles);
        roles.push(role);
    }
    roles
}

/// Who has which of the default roles.
pub fn default_role_bindings() -> Vec<ClusterRoleBinding> {
    let authenticated = || Subject::group("system:authenticated");
    vec![
        binding("cluster-admin", vec![Subject::group(orch_api::MASTERS)]),
        binding("system:discovery", vec![authenticated()]),
        binding("system:basic-user", vec![authenticated()]),
        // What its tools do is authorized as whoever calls them.
        binding("system:mcp", vec![authenticated()]),
        binding("system:public-info-viewer", vec![authenticated(), Subject::group("system:unauthenticated")]),
        binding("system:monitoring", vec![Subject::group("system:monitoring")]),
        binding("system:service-account-issuer-discovery", vec![Subject::group("system:serviceaccounts")]),
        binding("system:node-proxier", vec![Subject::user("system:kube-proxy")]),
        // A node replaces its certificate before it expires.
        binding(SELF_NODE_CLIENT, vec![Subject::group("system:nodes")]),
    ]
}

/// A ClusterRole of this name, and the binding of the same name that gives it to a user: what a part of Orch may do.
pub fn granted(user: &str, rules: Vec<PolicyRule>) -> (ClusterRole, ClusterRoleBinding) {
    (role(user, rules), binding(user, vec![Subject::user(user)]))
}

/// Whoever has it is given a certificate of any node.
const NODE_CLIENT: &str = "system:certificates.k8s.io:certificatesigningrequests:nodeclient";
/// Whoever has it, and is a node, is given another certificate of that node.
const SELF_NODE_CLIENT: &str = "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient";

/// The right to approve requests to one signer.
fn approver(signer: &str) -> ClusterRole {
    let name = signer.rsplit('/').next().unwrap_or(signer);
    let rule = on(&["approve"], CERTIFICATES_GROUP, &["signers"]).named(&[signer]);
    role(&format!("system:certificates.k8s.io:{name}-approver"), vec![rule])
}

const DISCOVERY_PATHS: [&str; 14] = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/ontology",
    "/ontology/*",
    "/ontology",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];
const PUBLIC_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
const MONITORING_PATHS: [&str; 8] =
    ["/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/metrics/slis", "/readyz", "/readyz/*"];
const ISSUER_PATHS: [&str; 2] = ["/.well-known/openid-configuration", "/openid/v1/jwks"];

fn on(verbs: &[&str], group: &str, resources: &[&str]) -> PolicyRule {
    PolicyRule::on(verbs, &[group], resources)
}

fn basic_user() -> Vec<PolicyRule> {
    vec![
        on(&["create"], AUTHORIZATION, &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        on(&["create"], AUTHENTICATION, &["selfsubjectreviews"]),
        // Nobody sees changes but of what they may get.
        on(&["get", "list"], Change::KIND.group, &[Change::KIND.plural]),
        // A plan takes the rights that its changes take, and only who made it can apply it.
        on(&["create"], Plan::KIND.group, &["plans", "plans/apply"]),
    ]
}

fn auth_delegator() -> Vec<PolicyRule> {
    vec![
        on(&["create"], AUTHENTICATION, &["tokenreviews"]),
        on(&["create"], AUTHORIZATION, &["subjectaccessreviews"]),
    ]
}

/// What the node authorizer allows each node about itself, as a role: nobody has it by default.
fn node() -> Vec<PolicyRule> {
    vec![
        on(&["create", "get", "list", "patch", "update", "watch"], CORE, &["nodes"]),
        on(&["get", "patch", "update"], CORE, &["nodes/status"]),
        on(&["delete", "get", "list", "watch"], CORE, &["pods"]),
        on(&["patch", "update"], CORE, &["pods/status"]),
        on(READ, CORE, &["configmaps", "persistentvolumeclaims", "secrets", "serviceaccounts", "services"]),
        on(&["create"], CORE, &["serviceaccounts/token"]),
        on(&["create", "get", "list", "watch"], CERTIFICATES_GROUP, &["certificatesigningrequests"]),
        PolicyRule::on(&["create", "patch", "update"], &[CORE, EVENTS], &["events"]),
        on(&["create", "delete", "get", "patch", "update"], COORDINATION, &["leases"]),
        on(READ, DISCOVERY, &["endpointslices"]),
    ]
}

fn node_proxier() -> Vec<PolicyRule> {
    vec![
        on(&["list", "watch"], CORE, &["endpoints", "services"]),
        on(READ, CORE, &["nodes"]),
        PolicyRule::on(&["create", "patch", "update"], &[CORE, EVENTS], &["events"]),
        on(&["list", "watch"], DISCOVERY, &["endpointslices"]),
    ]
}

fn admin() -> Vec<PolicyRule> {
    vec![
        on(&["create"], AUTHORIZATION, &["localsubjectaccessreviews"]),
        on(&all(), RBAC_GROUP, &["rolebindings", "roles"]),
    ]
}

fn edit() -> Vec<PolicyRule> {
    vec![
        on(
            READ,
            CORE,
            &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"],
        ),
        on(&["impersonate"], CORE, &["serviceaccounts"]),
        on(WRITE, CORE, &["pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"]),
        on(&["create"], CORE, &["pods/eviction"]),
        on(
            WRITE,
            CORE,
            &[
                "configmaps",
                "events",
                "persistentvolumeclaims",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "secrets",
                "serviceaccounts",
                "services",
                "services/proxy",
            ],
        ),
        on(&["create"], CORE, &["serviceaccounts/token"]),
        on(
            WRITE,
            APPS,
            &[
                "daemonsets",
                "deployments",
                "deployments/rollback",
                "deployments/scale",
                "replicasets",
                "replicasets/scale",
                "statefulsets",
                "statefulsets/scale",
            ],
        ),
        on(WRITE, AUTOSCALING, &["horizontalpodautoscalers"]),
        on(WRITE, BATCH, &["cronjobs", "jobs"]),
        on(WRITE, POLICY, &["poddisruptionbudgets"]),
        on(WRITE, NETWORKING, &["ingresses", "networkpolicies"]),
        on(&all(), COORDINATION, &["leases"]),
        // Whoever edits may use the namespace's accounts and Secrets anyway, by pods.
        on(WRITE, ORCH, &["gitsyncs", "workloads", "workloads/scale"]),
    ]
}

fn view() -> Vec<PolicyRule> {
    vec![
        on(
            READ,
            CORE,
            &[
                "configmaps",
                "endpoints",
                "persistentvolumeclaims",
                "persistentvolumeclaims/status",
                "pods",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "serviceaccounts",
                "services",
                "services/status",
            ],
        ),
        on(
            READ,
            CORE,
            &[
                "bindings",
                "events",
                "limitranges",
                "namespaces/status",
                "pods/log",
                "pods/status",
                "replicationcontrollers/status",
                "resourcequotas",
                "resourcequotas/status",
            ],
        ),
        on(READ, CORE, &["namespaces"]),
        on(READ, DISCOVERY, &["endpointslices"]),
        on(
            READ,
            APPS,
            &[
                "controllerrevisions",
                "daemonsets",
                "daemonsets/status",
                "deployments",
                "deployments/scale",
                "deployments/status",
                "replicasets",
                "replicasets/scale",
                "replicasets/status",
                "statefulsets",
                "statefulsets/scale",
                "statefulsets/status",
            ],
        ),
        on(READ, AUTOSCALING, &["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
        on(READ, BATCH, &["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
        on(READ, POLICY, &["poddisruptionbudgets", "poddisruptionbudgets/status"]),
        on(READ, NETWORKING, &["ingresses", "ingresses/status", "networkpolicies"]),
        on(READ, EVENTS, &["events"]),
        on(READ, ORCH, &["gitsyncs", "gitsyncs/status", "workloads", "workloads/scale", "workloads/status"]),
    ]
}

fn all() -> Vec<&'static str> {
    WRITE.iter().chain(READ).copied().collect()
}

fn metadata(name: &str) -> Metadata {
    Metadata {
        labels: [(BOOTSTRAPPING.0.to_owned(), BOOTSTRAPPING.1.to_owned())].into(),
        annotations: [(AUTOUPDATE.to_owned(), "true".to_owned())].into(),
        ..Metadata::named(None, name)
    }
}

fn role(name: &str, rules: Vec<PolicyRule>) -> ClusterRole {
    ClusterRole { metadata: metadata(name), rules, ..ClusterRole::default() }
}

fn label(role: &mut ClusterRole, to: &str) {
    role.metadata.labels.insert(format!("{AGGREGATE_TO}{to}"), "true".to_owned());
}

/// A role whose rules another one takes over.
fn labelled(name: &str, to: &str, rules: Vec<PolicyRule>) -> ClusterRole {
    let mut role = role(name, rules);
    label(&mut role, to);
    role
}

/// A role that takes over the rules of those that are labelled for it.
fn aggregated(name: &str, to: Option<&str>) -> ClusterRole {
    let label_of = format!("{AGGREGATE_TO}{name}");
    let selector = Selector::new(LabelSelector::match_labels([(label_of, "true".to_owned())]));
    let mut role = role(name, Vec::new());
    role.aggregation_rule = Some(AggregationRule { cluster_role_selectors: vec![selector] });
    if let Some(to) = to {
        label(&mut role, to);
    }
    role
}

fn binding(role: &str, subjects: Vec<Subject>) -> ClusterRoleBinding {
    ClusterRoleBinding {
        metadata: metadata(role),
        subjects,
        role_ref: RoleRef::cluster_role(role),
        ..ClusterRoleBinding::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &str) -> Vec<PolicyRule> {
        default_roles().into_iter().find(|role| role.metadata.name == name).unwrap().rules
    }

    fn may(role: &str, verb: &str, group: &str, resource: &str, subresource: &str) -> bool {
        rules(role).iter().any(|rule| rule.has_verb(verb) && rule.has_resource(group, resource, subresource))
    }

    #[test]
    fn the_roles_for_people_build_on_each_other() {
        for (verb, group, resource, subresource, view, edit, admin) in [
            ("list", "", "pods", "", true, true, true),
            ("get", "", "pods", "log", true, true, true),
            ("get", "", "secrets", "", false, true, true),
            ("create", "", "pods", "exec", false, true, true),
            ("create", "", "pods", "attach", false, true, true),
            ("create", "", "pods", "portforward", false, true, true),
            ("update", "orch.dev", "workloads", "scale", false, true, true),
            ("list", "orch.dev", "gitsyncs", "", true, true, true),
            ("create", "orch.dev", "gitsyncs", "", false, true, true),
            ("update", "orch.dev", "gitsyncs", "status", false, false, false),
            ("create", "rbac.authorization.k8s.io", "rolebindings", "", false, false, true),
            ("get", "", "nodes", "", false, false, false),
            ("update", "", "namespaces", "", false, false, false),
            ("create", "rbac.authorization.k8s.io", "clusterroles", "", false, false, false),
        ] {
            let found = ["view", "edit", "admin"].map(|role| may(role, verb, group, resource, subresource));
            assert_eq!(found, [view, edit, admin], "{verb} {resource}/{subresource}");
        }
    }

    #[test]
    fn aggregated_roles_are_made_as_their_controller_would_make_them() {
        let roles = default_roles();
        for role in roles.iter().filter(|role| role.aggregation_rule.is_some()) {
            assert_eq!(role.rules, role.aggregate(&roles), "{}", role.metadata.name);
        }
    }

    #[test]
    fn every_binding_gives_a_role_that_there_is() {
        let roles = default_roles();
        for binding in default_role_bindings() {
            let given = binding.role_ref.name.as_str();
            assert!(roles.iter().any(|role| role.metadata.name == given), "{given}");
        }
    }
}
