//! Examples: of each kind one manifest that is accepted and one that is refused.

/// Manifests of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The kind's name.
    pub kind: &'static str,
    /// A manifest that is accepted, in YAML.
    pub valid: &'static str,
    /// A manifest that is refused, in YAML. It begins with the errors, each after `# refused: `.
    pub refused: &'static str,
}

impl Example {
    /// The errors that the refused manifest gets.
    pub fn errors(&self) -> impl Iterator<Item = &'static str> {
        self.refused.lines().map_while(|line| line.strip_prefix("# refused: "))
    }
}

macro_rules! example {
    ($kind:literal, $file:literal) => {
        Example {
            kind: $kind,
            valid: include_str!(concat!("../examples/", $file, ".yaml")),
            refused: include_str!(concat!("../examples/", $file, ".refused.yaml")),
        }
    };
}

/// An example of every kind, in the order of [`KINDS`](crate::KINDS).
pub fn examples() -> Vec<Example> {
    vec![
        example!("Namespace", "namespace"),
        example!("Node", "node"),
        example!("Pod", "pod"),
        example!("ConfigMap", "configmap"),
        example!("Secret", "secret"),
        example!("ServiceAccount", "serviceaccount"),
        example!("Service", "service"),
        example!("EndpointSlice", "endpointslice"),
        example!("Event", "event"),
        example!("Event", "event.events.k8s.io"),
        example!("Lease", "lease"),
        example!("Role", "role"),
        example!("ClusterRole", "clusterrole"),
        example!("RoleBinding", "rolebinding"),
        example!("ClusterRoleBinding", "clusterrolebinding"),
        example!("CertificateSigningRequest", "certificatesigningrequest"),
        example!("CustomResourceDefinition", "customresourcedefinition"),
        example!("ValidatingAdmissionPolicy", "validatingadmissionpolicy"),
        example!("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybinding"),
        example!("Change", "change"),
        example!("Plan", "plan"),
        example!("GitSync", "gitsync"),
        example!("Workload", "workload"),
    ]
}
