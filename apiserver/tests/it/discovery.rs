//! What the server says of itself: groups, resources, schemas, version.

use reqwest::Method;
use serde_json::{Value, json};

use crate::host::{Host, Reply, text};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

async fn get_as(host: &Host, path: &str, accept: &str) -> Reply {
    host.send(host.request(Method::GET, path).header("accept", accept)).await
}

fn find<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|item| item[field] == value).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn plain_discovery_tells_groups_and_resources() {
    let host = Host::start().await;
    for slash in ["", "/"] {
        assert_eq!(host.get(&format!("/api{slash}")).await.is(200)["versions"], json!(["v1"]));
        let groups = host.get(&format!("/apis{slash}")).await.is(200);
        let group = find(&groups["groups"], "name", "orch.dev");
        assert_eq!(group["preferredVersion"], json!({"groupVersion": "orch.dev/v1", "version": "v1"}));
        assert_eq!(host.get(&format!("/apis/orch.dev{slash}")).await.is(200)["kind"], "APIGroup");
        let core = host.get(&format!("/api/v1{slash}")).await.is(200);
        let pods = find(&core["resources"], "name", "pods");
        assert_eq!((text(&pods["singularName"]), &pods["shortNames"]), ("pod", &json!(["po"])));
        assert!(!find(&core["resources"], "name", "pods/status").is_null());
        assert!(!find(&core["resources"], "name", "pods/log").is_null());
        let group = host.get(&format!("/apis/orch.dev/v1{slash}")).await.is(200);
        let workloads = find(&group["resources"], "name", "workloads");
        assert_eq!((&workloads["namespaced"], text(&workloads["kind"])), (&json!(true), "Workload"));
    }
    host.get("/apis/nobody.dev").await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn questions_are_listed_and_namespaces_go_one_by_one() {
    let host = Host::start().await;
    let access = host.get("/apis/authorization.k8s.io/v1").await.is(200);
    let review = find(&access["resources"], "name", "subjectaccessreviews");
    assert_eq!(
        (&review["kind"], &review["verbs"], text(&review["singularName"])),
        (&json!("SubjectAccessReview"), &json!(["create"]), "subjectaccessreview")
    );
    let groups = get_as(&host, "/apis", AGGREGATED).await.is(200);
    let groups = groups["items"].as_array().unwrap();
    assert!(groups.iter().any(|group| group["metadata"]["name"] == "authentication.k8s.io"));
    let core = host.get("/api/v1").await.is(200);
    let namespaces = find(&core["resources"], "name", "namespaces");
    assert_eq!(namespaces["verbs"], json!(["create", "delete", "get", "list", "patch", "update", "watch"]));
    host.delete("/api/v1/namespaces").await.fails(405, "MethodNotAllowed", "");
}

#[tokio::test]
async fn aggregated_discovery_is_one_document_and_cached_by_its_tag() {
    let host = Host::start().await;
    let reply = get_as(&host, "/apis", AGGREGATED).await;
    let content_type = reply.headers["content-type"].to_str().unwrap().to_owned();
    assert_eq!(content_type, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let tag = reply.headers["etag"].clone();
    let document = reply.is(200);
    let group = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["metadata"]["name"] == "orch.dev")
        .unwrap();
    let workloads = find(&group["versions"][0]["resources"], "resource", "workloads");
    assert_eq!(
        (text(&workloads["scope"]), &workloads["responseKind"]["kind"]),
        ("Namespaced", &json!("Workload"))
    );
    assert_eq!(workloads["subresources"][0]["subresource"], "status");
    let request =
        host.request(Method::GET, "/apis").header("accept", AGGREGATED).header("if-none-match", tag);
    let again = host.send(request).await;
    assert_eq!((again.code, again.text.as_str()), (304, ""));
    let core = get_as(&host, "/api", &AGGREGATED.replace("v=v2;", "v=v9;")).await.is(200);
    assert_eq!(text(&core["apiVersion"]), "apidiscovery.k8s.io/v2beta1");
}

/// Every reference in a document, and whether it leads somewhere.
fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                assert!(
                    document.pointer(target.strip_prefix('#').unwrap()).is_some(),
                    "{target} leads nowhere"
                );
                assert_eq!(fields.len(), 1, "OpenAPI 3.0 ignores what stands beside {target}");
            }
            assert!(!fields.get("type").is_some_and(Value::is_array), "{value}");
            fields.values().for_each(|value| check_references(value, document));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(value, document)),
        _ => {}
    }
}

#[tokio::test]
async fn openapi_describes_every_kind_and_what_its_operations_take() {
    let host = Host::start().await;
    let root = host.get("/openapi/v3").await.is(200);
    // This server keeps no history.
    for entry in orch_ontology::KINDS.iter().filter(|entry| !entry.is_history) {
        let kind = entry.kind;
        let path = format!("{}/{}", if kind.group.is_empty() { "api" } else { "apis" }, kind.api_version());
        let url = text(&root["paths"][&path]["serverRelativeURL"]).to_owned();
        let document = host.get(&url).await.is(200);
        check_references(&document, &document);
        let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.name});
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let own = schemas.values().filter(|schema| schema["x-kubernetes-group-version-kind"] == json!([gvk]));
        let own: Vec<&Value> = own.collect();
        assert!(own.len() == 1 && own[0]["properties"]["metadata"].is_object(), "{kind}");
        let place = if kind.is_namespaced() { "namespaces/{namespace}/" } else { "" };
        let patch = &document["paths"][format!("/{path}/{place}{}/{{name}}", kind.plural)]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"], gvk);
        for parameter in ["fieldValidation", "dryRun", "fieldManager"] {
            assert!(!find(&patch["parameters"], "name", parameter).is_null(), "{kind}: {parameter}");
        }
        for subresource in &entry.subresources {
            let object = format!("/{path}/{place}{}/{{name}}", kind.plural);
            let told = &document["paths"][format!("{object}/{}", subresource.name)];
            let gvk = json!({"group": subresource.kind.group, "version": subresource.kind.version, "kind": subresource.kind.name});
            let mut verbs: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
            verbs.retain(|name| *name != "parameters");
            assert_eq!(
                verbs.len(),
                subresource.verbs(&entry.kind).len(),
                "{kind}/{}: {told}",
                subresource.name
            );
            assert!(verbs.iter().all(|verb| told[verb]["x-kubernetes-group-version-kind"] == gvk), "{told}");
        }
    }
    host.get("/openapi/v3/apis/nobody.dev/v1").await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn the_version_is_one_that_clients_understand() {
    let host = Host::start().await;
    let version = host.get("/version").await.is(200);
    assert_eq!((text(&version["major"]), text(&version["minor"])), ("1", "33"));
    assert!(text(&version["gitVersion"]).starts_with("v1.33.0+orch"));
    let metrics = host.get("/metrics").await.text;
    assert!(metrics.contains("apiserver_storage_objects{resource=\"namespaces\"} 1"), "{metrics}");
}

#[tokio::test]
async fn openapi_v2_says_the_same_in_older_words() {
    let host = Host::start().await;
    let document = host.get("/openapi/v2").await.is(200);
    assert_eq!(document["swagger"], "2.0");
    let workload = &document["definitions"]["dev.orch.v1.Workload"];
    assert_eq!(workload["x-kubernetes-group-version-kind"][0]["kind"], "Workload");
    let patch = &document["paths"]["/apis/orch.dev/v1/namespaces/{namespace}/workloads/{name}"]["patch"];
    assert!(patch["consumes"].as_array().unwrap().contains(&json!("application/apply-patch+yaml")));
    let parameters = patch["parameters"].as_array().unwrap();
    let of = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name).unwrap();
    assert_eq!((&of("fieldValidation")["type"], &of("body")["in"]), (&json!("string"), &json!("body")));
    // Every reference leads somewhere, and none into OpenAPI 3.
    let text = document.to_string();
    assert!(!text.contains("#/components/") && !text.contains("\"nullable\":true"));
    for (_, rest) in
        text.match_indices("\"$ref\":\"#/definitions/").map(|(at, found)| text.split_at(at + found.len()))
    {
        let name = rest.split('"').next().unwrap();
        assert!(document["definitions"].get(name).is_some(), "{name}");
    }
    let request = host.request(reqwest::Method::GET, "/openapi/v2").header("accept", "text/html");
    host.send(request).await.fails(406, "NotAcceptable", "application/json");
}

#[tokio::test]
async fn openapi_v2_is_had_in_protobuf() {
    let host = Host::start().await;
    let get = |tag: &str| {
        let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        let request = host.request(reqwest::Method::GET, "/openapi/v2").header("accept", protobuf);
        host.send(request.header("if-none-match", tag))
    };
    let document = get("").await;
    assert_eq!(document.code, 200);
    let content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    assert_eq!(document.headers["content-type"], content_type);
    assert!(document.text.starts_with("\n\u{3}2.0"), "the first field is the version");
    // Every definition and path of the JSON document is in it.
    let json = host.get("/openapi/v2").await.is(200);
    for part in ["definitions", "paths"] {
        let names = json[part].as_object().unwrap();
        assert!(names.len() > 10 && names.keys().all(|name| document.text.contains(name.as_str())), "{part}");
    }
    assert_eq!(get(document.headers["etag"].to_str().unwrap()).await.code, 304);
}
