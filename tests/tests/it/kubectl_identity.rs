//! kubectl on who is who and who may what: roles, reviews, tokens, certificates.

use crate::kubectl_table::{Case, case};

const AUDITOR_AND_MORE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: auditor, namespace: default}
rules: [{apiGroups: [''], resources: [pods], verbs: [watch]}]
";
/// Of Jane, of the group developers.
const CSR: &str = "
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: jane}
spec:
  request: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHak1GY0NBUUF3SkRFVE1CRUdBMVVFQ2d3S1pHVjJaV3h2Y0dWeWN6RU5NQXNHQTFVRUF3d0VhbUZ1WlRBcQpNQVVHQXl0bGNBTWhBS1EzMUUrL09rMjUvR0pEQy8zZmp3a1VvWDNzOEE0SDltTFBJRFBTdThzbG9BQXdCUVlECksyVndBMEVBRFdnWUdvd29ZN1BxcklaTGFlM280eFNCRExOTDVVV0JBTWdwRHBnQWNSN0dJSXcvMmY3RkZkSVQKYng4eko2VW9PL0g2QzlKSGVGWUVvMUhPL1BaTkRRPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
";
const CSR_OF_ANOTHER_SIGNER: &str = "
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: other}
spec:
  request: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHak1GY0NBUUF3SkRFVE1CRUdBMVVFQ2d3S1pHVjJaV3h2Y0dWeWN6RU5NQXNHQTFVRUF3d0VhbUZ1WlRBcQpNQVVHQXl0bGNBTWhBS1EzMUUrL09rMjUvR0pEQy8zZmp3a1VvWDNzOEE0SDltTFBJRFBTdThzbG9BQXdCUVlECksyVndBMEVBRFdnWUdvd29ZN1BxcklaTGFlM280eFNCRExOTDVVV0JBTWdwRHBnQWNSN0dJSXcvMmY3RkZkSVQKYng4eko2VW9PL0g2QzlKSGVGWUVvMUhPL1BaTkRRPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==
  signerName: example.com/other
  usages: [client auth]
";

/// Roles, reviews, tokens, certificates.
pub(crate) const IDENTITY: &[Case] = &[
    case(
        "a role (protobuf)",
        "create role auditor --verb=get,list --resource=pods,pods/log",
        &["role.rbac.authorization.k8s.io/auditor created"],
    ),
    case(
        "a binding (protobuf)",
        "create rolebinding audits --role=auditor --user=jane --serviceaccount=default:default",
        &["rolebinding.rbac.authorization.k8s.io/audits created"],
    ),
    case("a cluster role", "create clusterrole nodes --verb=get --resource=nodes", &["created"]),
    case("one that gathers others", "create clusterrole gather --aggregation-rule=tier=x", &["created"]),
    case("a cluster binding", "create clusterrolebinding dev --clusterrole=nodes --group=dev", &["created"]),
    case("what somebody else may do", "auth can-i list pods --as jane", &["yes"]),
    case("and may not", "auth can-i delete pods --as jane", &["no"]).fails(&[]),
    case("by a group", "auth can-i get nodes --as joe --as-group dev", &["yes"])
        .warns(&["not namespace scoped"]),
    case("a subresource", "auth can-i get pods --subresource=log --as jane", &["yes"]),
    case("a path", "auth can-i get /metrics --as jane", &["no"]).fails(&[]),
    case("all that somebody may do", "auth can-i --list --as jane", &["pods/log", "[get list]", "/healthz"]),
    case("as somebody else", "auth whoami --as jane --as-group dev", &["jane", "dev"]),
    case("rules that are missing are added", "auth reconcile -f -", &["reconciled"])
        .given(AUDITOR_AND_MORE)
        .warns(&["missing rules added"]),
    case("and then nothing is missing", "auth can-i watch pods --as jane", &["yes"]),
    case("a role described", "describe role auditor", &["Resources", "pods/log"]),
    case("a token", "create token default --duration=20m", &["eyJ"]),
    case("a token for somebody else", "create token default --audience=vault", &["eyJ"]),
    case("a token of nobody", "create token nobody", &[]).fails(&["serviceaccounts \"nobody\" not found"]),
    case("a token that is too short", "create token default --duration=1m", &[])
        .fails(&["may not specify a duration less than 10 minutes"]),
    case("what pods trust", "wait configmap kube-root-ca.crt --for=create --timeout=20s", &["condition met"]),
    case(
        "a request for a certificate",
        "create -f -",
        &["certificatesigningrequest.certificates.k8s.io/jane created"],
    )
    .given(CSR),
    case("is pending", "get csr", &["SIGNERNAME", "REQUESTOR", "CONDITION", "Pending"]),
    case(
        "described",
        "describe csr jane",
        &["Requesting User:", "Common Name:    jane", "Organization:   developers"],
    ),
    case(
        "approved",
        "certificate approve jane",
        &["certificatesigningrequest.certificates.k8s.io/jane approved"],
    ),
    case(
        "and signed",
        "wait csr jane --for=jsonpath={.status.certificate} --timeout=20s",
        &["condition met"],
    ),
    case("as it says", "get csr jane", &["Approved,Issued"]),
    case("one for another signer", "create -f -", &["other created"]).given(CSR_OF_ANOTHER_SIGNER),
    case("denied", "certificate deny other", &["other denied"]),
    case("stays denied", "certificate approve other", &[]).fails(&["is already Denied"]),
    case("deleted", "delete csr jane other", &["\"jane\" deleted", "\"other\" deleted"]),
];
