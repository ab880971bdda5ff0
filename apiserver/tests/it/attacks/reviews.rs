//! What reviews say, and to whom.

use serde_json::json;

use super::{caller, view_in_default};
use crate::host::Host;
#[tokio::test]
async fn reviews_say_what_is_decided_and_to_whom_they_may() {
    let host = Host::guarded().await;
    view_in_default(&host, "ann").await;
    let ann = caller(&host, "ann", &[]);
    let reviews = "/apis/authorization.k8s.io/v1";
    let attributes =
        |verb: &str, namespace: &str| json!({"verb": verb, "resource": "pods", "namespace": namespace});
    for (verb, namespace, allowed) in
        [("list", "default", true), ("list", "other", false), ("delete", "default", false)]
    {
        let asked = json!({"spec": {"resourceAttributes": attributes(verb, namespace)}});
        let own = ann.post(&format!("{reviews}/selfsubjectaccessreviews"), asked.clone()).await.is(201);
        assert_eq!(own["status"]["allowed"], allowed, "{own}");
        let mut of_ann = asked;
        of_ann["spec"]["user"] = "ann".into();
        let by_admin = host.post(&format!("{reviews}/subjectaccessreviews"), of_ann.clone()).await.is(201);
        assert_eq!(by_admin["status"], own["status"]);
        ann.post(&format!("{reviews}/subjectaccessreviews"), of_ann.clone()).await.fails(
            403,
            "Forbidden",
            "",
        );
        let local = format!("{reviews}/namespaces/{namespace}/localsubjectaccessreviews");
        assert_eq!(host.post(&local, of_ann.clone()).await.is(201)["status"], own["status"]);
        of_ann["spec"]["resourceAttributes"]["namespace"] = "kube-system".into();
        host.post(&local, of_ann).await.fails(422, "Invalid", "must match");
    }
    let reason = ann
        .post(
            &format!("{reviews}/selfsubjectaccessreviews"),
            json!({"spec": {"resourceAttributes": attributes("list", "default")}}),
        )
        .await
        .is(201);
    assert_eq!(
        reason["status"]["reason"],
        r#"RBAC: allowed by RoleBinding "ann-view/default" of ClusterRole "view" to User "ann""#
    );
    let rules = ann
        .post(&format!("{reviews}/selfsubjectrulesreviews"), json!({"spec": {"namespace": "default"}}))
        .await
        .is(201);
    assert!(rules["status"]["resourceRules"].to_string().contains("pods/log"), "{rules}");
    assert!(rules["status"]["nonResourceRules"].to_string().contains("/openapi/*"), "{rules}");
    host.post(&format!("{reviews}/selfsubjectaccessreviews"), json!({"spec": {}})).await.fails(
        422,
        "Invalid",
        "exactly one of",
    );
    let path = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}});
    assert_eq!(
        ann.post(&format!("{reviews}/selfsubjectaccessreviews"), path).await.is(201)["status"]["allowed"],
        false
    );
    let who = ann.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await.is(201);
    assert_eq!(who["status"]["userInfo"]["username"], "ann");
}
