//! create, update, patch, apply.

use serde_json::{Value, json};

use crate::host::{Host, MAPS, PODS, WORKLOADS, map, pod, revision, text, workload};

#[tokio::test]
async fn a_new_object_gets_its_identity_from_the_server() {
    let host = Host::start().await;
    let mut sent = map("a", json!({"x": "1"}));
    sent["metadata"]["uid"] = "mine".into();
    sent["metadata"]["creationTimestamp"] = "1999-01-01T00:00:00Z".into();
    sent["metadata"]["generation"] = 7.into();
    let made = host.post(MAPS, sent).await.is(201);
    let metadata = &made["metadata"];
    assert_eq!(text(&metadata["uid"]).len(), 36, "{made}");
    assert_eq!(metadata["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata.get("generation"), None);
    assert_eq!(metadata["managedFields"][0]["manager"], "tester");
    assert_eq!(host.get(&format!("{MAPS}/a")).await.is(200), made);
    host.post(MAPS, map("a", json!({}))).await.fails(409, "AlreadyExists", "configmaps \"a\" already exists");
}

#[tokio::test]
async fn generated_names_are_unique() {
    let host = Host::start().await;
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let made = host.post(MAPS, json!({"metadata": {"generateName": "web-"}})).await.is(201);
        let name = text(&made["metadata"]["name"]).to_owned();
        assert!(name.len() == 9 && name.starts_with("web-"), "{name}");
        assert!(names.insert(name));
    }
    let long = "x".repeat(100);
    let made = host.post(MAPS, json!({"metadata": {"generateName": long}})).await.is(201);
    assert_eq!(text(&made["metadata"]["name"]).len(), 63);
}

#[tokio::test]
async fn what_does_not_fit_the_path_is_a_bad_request() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let changed = |field: &str, value: &str| {
        let mut object = map("a", json!({}));
        *object.pointer_mut(field).unwrap_or(&mut Value::Null) = value.into();
        object
    };
    let mut elsewhere = map("a", json!({}));
    elsewhere["metadata"]["namespace"] = "elsewhere".into();
    for (body, message) in [
        (
            changed("/kind", "Secret"),
            "the kind in the data (Secret) does not match the expected kind (ConfigMap)",
        ),
        (
            changed("/apiVersion", "v2"),
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (
            elsewhere.clone(),
            "the namespace of the object (elsewhere) does not match the namespace on the request (default)",
        ),
        (
            json!({"metadata": {}}),
            "the name of the object (a based on URL) was undeterminable: name must be provided",
        ),
        (changed("/metadata/name", "b"), "the name of the object (b) does not match the name on the URL (a)"),
    ] {
        host.put(&format!("{MAPS}/a"), body).await.fails(400, "BadRequest", message);
    }
    let why = "the namespace of the provided object does not match the namespace sent on the request";
    host.post(MAPS, elsewhere).await.fails(400, "BadRequest", why);
    let mut versioned = map("b", json!({}));
    versioned["metadata"]["resourceVersion"] = "1".into();
    host.post(MAPS, versioned).await.fails(400, "BadRequest", "resourceVersion should not be set");
    let nowhere = "/api/v1/namespaces/nowhere/configmaps";
    host.post(nowhere, map("a", json!({}))).await.fails(404, "NotFound", "namespaces \"nowhere\" not found");
}

#[tokio::test]
async fn what_is_not_valid_is_refused_with_every_cause() {
    let host = Host::start().await;
    let reply = host.post(MAPS, json!({"metadata": {"name": "Bad Name", "labels": {"a": "b c"}}})).await;
    let status =
        reply.fails(422, "Invalid", "ConfigMap \"Bad Name\" is invalid: [metadata.name: Invalid value");
    let fields: Vec<&str> =
        status["details"]["causes"].as_array().unwrap().iter().map(|c| text(&c["field"])).collect();
    assert_eq!(fields, ["metadata.name", "metadata.labels"]);
    let mut wrong = workload("web", 1);
    wrong["spec"]["replicas"] = "three".into();
    let why = "Workload in version \"v1\" cannot be handled as a Workload: spec.replicas: Invalid value: \"string\"";
    let status = host.post(WORKLOADS, wrong).await.fails(400, "BadRequest", why);
    assert_eq!(status["details"]["causes"][0]["field"], "spec.replicas");
    host.post(MAPS, map("a", json!({"a": 1}))).await.fails(400, "BadRequest", "data[a]");
    host.post(WORKLOADS, json!({"metadata": {"name": "web"}})).await.fails(422, "Invalid", "Required value");
}

#[tokio::test]
async fn unknown_fields_are_refused_told_or_ignored_as_asked() {
    let host = Host::start().await;
    let mut typo = workload("web", 1);
    typo["spec"]["replicaz"] = 2.into();
    let status = host.post(WORKLOADS, typo.clone()).await.fails(
        400,
        "BadRequest",
        "strict decoding error: unknown field \"spec.replicaz\"",
    );
    assert!(text(&status["message"]).contains("did you mean `replicas`?"), "{status}");
    assert_eq!(status["details"]["causes"][0]["field"], "spec.replicaz");
    let warned = host.post(&format!("{WORKLOADS}?fieldValidation=Warn&dryRun=All"), typo.clone()).await;
    assert_eq!(
        warned.headers["warning"],
        "299 - \"unknown field \\\"spec.replicaz\\\" (did you mean `replicas`?)\""
    );
    assert_eq!(warned.is(201)["spec"].get("replicaz"), None);
    let ignored = host.post(&format!("{WORKLOADS}?fieldValidation=Ignore"), typo).await;
    assert!(!ignored.headers.contains_key("warning"));
    ignored.is(201);
    let patch = json!({"spec": {"replicaz": 3}});
    // A patch is not malformed but makes something that is not valid.
    let status =
        host.merge(&format!("{WORKLOADS}/web"), patch).await.fails(422, "Invalid", "patch: Invalid value");
    assert!(text(&status["message"]).contains("unknown field \"spec.replicaz\""), "{status}");
    assert_eq!(status["details"]["causes"][1]["field"], "spec.replicaz");
    host.post(&format!("{WORKLOADS}?fieldValidation=strict"), workload("b", 1)).await.fails(
        422,
        "Invalid",
        "fieldValidation",
    );
}

#[tokio::test]
async fn repeated_fields_are_refused_told_or_ignored_as_asked() {
    let host = Host::start().await;
    let body = r#"{"metadata": {"name": "a", "labels": {"x": "1", "x": "2"}}, "data": {"k": "1"}, "data": {"k": "2"}}"#;
    let send = async |method: reqwest::Method, path: String, media_type: &str, body: &str| {
        let request = host.request(method, &path).header("content-type", media_type);
        host.send(request.body(body.to_owned())).await
    };
    let post = reqwest::Method::POST;
    let refused = send(post.clone(), MAPS.into(), "application/json", body).await;
    let status = refused.fails(
        400,
        "BadRequest",
        "strict decoding error: duplicate field \"metadata.labels.x\", duplicate field \"data\"",
    );
    assert_eq!(status["details"]["causes"][0]["field"], "metadata.labels.x");
    let yaml = "metadata:\n  name: a\n  name: a\n";
    let refused = send(post.clone(), MAPS.into(), "application/yaml", yaml).await;
    refused.fails(400, "BadRequest", "duplicate field \"metadata.name\"");
    let warned = send(post.clone(), format!("{MAPS}?fieldValidation=Warn"), "application/json", body).await;
    let warnings: Vec<_> = warned.headers.get_all("warning").iter().collect();
    assert_eq!(
        warnings,
        ["299 - \"duplicate field \\\"metadata.labels.x\\\"\"", "299 - \"duplicate field \\\"data\\\"\""]
    );
    assert_eq!(warned.is(201)["data"]["k"], "2");

    // The same for every kind of write.
    let (put, patch) = (reqwest::Method::PUT, reqwest::Method::PATCH);
    let merge = r#"{"data": {"m": "1", "m": "2"}}"#;
    let apply = r#"{"apiVersion": "v1", "kind": "ConfigMap", "data": {"n": "1", "n": "2"}}"#;
    for (method, media_type, body, field, (code, reason)) in [
        (&put, "application/json", body, "metadata.labels.x", (400, "BadRequest")),
        (&patch, "application/merge-patch+json", merge, "data.m", (422, "Invalid")),
        (&patch, "application/strategic-merge-patch+json", merge, "data.m", (422, "Invalid")),
        (&patch, "application/apply-patch+yaml", apply, "data.n", (400, "BadRequest")),
    ] {
        let path = |validation: &str| format!("{MAPS}/a?fieldManager=m&fieldValidation={validation}");
        let refused = send(method.clone(), path("Strict"), media_type, body).await;
        refused.fails(code, reason, &format!("duplicate field \"{field}\""));
        let warned = send(method.clone(), path("Warn"), media_type, body).await;
        assert!(warned.headers["warning"].to_str().unwrap().contains(field), "{media_type}");
        warned.is(200);
        let ignored = send(method.clone(), path("Ignore"), media_type, body).await;
        assert!(!ignored.headers.contains_key("warning"), "{media_type}");
        ignored.is(200);
    }
}

#[tokio::test]
async fn managers_have_names_that_can_be_printed() {
    let host = Host::start().await;
    let long = "x".repeat(129);
    let post =
        async |manager: &str| host.post(&format!("{MAPS}?fieldManager={manager}"), map("a", json!({}))).await;
    let why =
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes";
    post(&long).await.fails(422, "Invalid", why);
    post("a%07").await.fails(422, "Invalid", "invalid character U+0007 (at position 1)");
    let request = host.request(reqwest::Method::POST, MAPS).header("user-agent", "kubectl/v1.37 (linux)");
    let made = host.send(request.json(&map("b", json!({"x": "1"})))).await.is(201);
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "kubectl");
}

#[tokio::test]
async fn applying_a_secret_s_texts_again_changes_nothing() {
    let host = Host::start().await;
    let path = "/api/v1/namespaces/default/secrets/s";
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"password": "hunter2"}});
    let made = host.apply(path, "m", secret.clone()).await.is(201);
    assert_eq!(made["data"]["password"], "aHVudGVyMg==");
    host.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(host.apply(path, "m", secret.clone()).await.is(200), made);
    assert_eq!(host.merge(path, json!({"stringData": {"password": "hunter2"}})).await.is(200), made);
    let mut other = secret;
    other["stringData"]["password"] = "hunter3".into();
    let changed = host.apply(path, "m", other).await.is(200);
    assert_eq!(changed["data"]["password"], "aHVudGVyMw==");
}

#[tokio::test]
async fn an_update_states_what_it_believes_or_overwrites() {
    let host = Host::start().await;
    let path = format!("{MAPS}/a");
    host.put(&path, map("a", json!({}))).await.fails(404, "NotFound", "configmaps \"a\" not found");
    let first = host.post(MAPS, map("a", json!({"x": "1"}))).await.is(201);
    let second = host.put(&path, map("a", json!({"x": "2"}))).await.is(200);
    assert!(revision(&second) > revision(&first));
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    let mut stale = first.clone();
    stale["data"]["x"] = "3".into();
    host.put(&path, stale).await.fails(
        409,
        "Conflict",
        "the object has been modified; please apply your changes to the latest version",
    );
    let mut other = map("a", json!({}));
    other["metadata"]["uid"] = "another".into();
    host.put(&path, other).await.fails(409, "Conflict", "Precondition failed: UID in precondition: another");
    let mut garbled = second.clone();
    garbled["metadata"]["resourceVersion"] = "new".into();
    host.put(&path, garbled).await.fails(422, "Invalid", "metadata.resourceVersion");
    let mut python = second.clone();
    python["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00+00:00".into();
    python["metadata"]["managedFields"][0]["time"] = "2026-01-01T00:00:00+00:00".into();
    assert_eq!(host.put(&path, python).await.is(200), second);
    let mut reborn = second.clone();
    reborn["metadata"]["creationTimestamp"] = "1999-01-01T00:00:00Z".into();
    assert_eq!(host.put(&path, reborn).await.is(200), second);
}

#[tokio::test]
async fn a_write_that_changes_nothing_writes_nothing() {
    let host = Host::start().await;
    let made = host.post(WORKLOADS, workload("web", 1)).await.is(201);
    let path = format!("{WORKLOADS}/web");
    let before = host.store.revision().await.unwrap();
    assert_eq!(host.put(&path, made.clone()).await.is(200), made);
    assert_eq!(host.put(&path, workload("web", 1)).await.is(200), made);
    assert_eq!(host.merge(&path, json!({"spec": {"replicas": 1}})).await.is(200), made);
    let applied = host.apply(&path, "m", workload("web", 1)).await.is(200);
    let again = host.store.revision().await.unwrap();
    assert_eq!(host.apply(&path, "m", workload("web", 1)).await.is(200), applied);
    assert_eq!((revision(&made), host.store.revision().await.unwrap()), (before.0, again));
}

#[tokio::test]
async fn a_dry_run_does_everything_but_write() {
    let host = Host::start().await;
    let made = host.post(MAPS, map("a", json!({"x": "1"}))).await.is(201);
    let before = host.store.revision().await.unwrap();
    let path = format!("{MAPS}/a?dryRun=All");
    let new = host.post(&format!("{MAPS}?dryRun=All"), map("b", json!({}))).await.is(201);
    assert!(new["metadata"]["uid"].is_string() && new["metadata"].get("resourceVersion").is_none(), "{new}");
    host.post(&format!("{MAPS}?dryRun=All"), map("a", json!({}))).await.fails(409, "AlreadyExists", "");
    host.post(&format!("{MAPS}?dryRun=All"), map("B", json!({}))).await.fails(422, "Invalid", "");
    assert_eq!(host.put(&path, map("a", json!({"x": "2"}))).await.is(200)["data"]["x"], "2");
    assert_eq!(host.merge(&path, json!({"data": {"x": "3"}})).await.is(200)["data"]["x"], "3");
    host.delete(&path).await.is(200);
    host.delete(&format!("{MAPS}?dryRun=All")).await.is(200);
    assert_eq!(host.store.revision().await.unwrap(), before);
    assert_eq!(host.get(&format!("{MAPS}/a")).await.is(200), made);
    host.delete(&format!("{MAPS}/a?dryRun=Some")).await.fails(422, "Invalid", "dryRun");
}

#[tokio::test]
async fn spec_and_status_are_written_apart() {
    let host = Host::start().await;
    let (path, status_path) = (format!("{WORKLOADS}/web"), format!("{WORKLOADS}/web/status"));
    let mut sent = workload("web", 1);
    sent["status"] = json!({"replicas": 9});
    let made = host.post(WORKLOADS, sent).await.is(201);
    assert_eq!(made["metadata"]["generation"], 1);
    assert_ne!(made["status"]["replicas"], 9);
    let mut both = made.clone();
    both["spec"]["replicas"] = 5.into();
    both["status"]["replicas"] = 5.into();
    let updated = host.put(&status_path, both.clone()).await.is(200);
    assert_eq!((&updated["spec"]["replicas"], &updated["status"]["replicas"]), (&json!(1), &json!(5)));
    assert_eq!(updated["metadata"]["generation"], 1);
    both["metadata"]["resourceVersion"] = updated["metadata"]["resourceVersion"].clone();
    both["status"]["replicas"] = 7.into();
    let updated = host.put(&path, both).await.is(200);
    assert_eq!((&updated["spec"]["replicas"], &updated["status"]["replicas"]), (&json!(5), &json!(5)));
    assert_eq!(updated["metadata"]["generation"], 2);
    let labelled = host.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    assert_eq!(labelled["metadata"]["generation"], 2);
    let patched =
        host.merge(&status_path, json!({"spec": {"replicas": 0}, "status": {"replicas": 3}})).await.is(200);
    assert_eq!((&patched["spec"]["replicas"], &patched["status"]["replicas"]), (&json!(5), &json!(3)));
    assert_eq!(host.get(&status_path).await.is(200), patched);
    let stale = host.put(&status_path, made).await;
    stale.fails(409, "Conflict", "the object has been modified");
}

#[tokio::test]
async fn patches_of_every_kind_change_what_they_say() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({"x": "1", "y": "1"}))).await.is(201);
    let path = format!("{MAPS}/a");
    let merged = host.merge(&path, json!({"data": {"x": null, "z": "1"}})).await.is(200);
    assert_eq!(merged["data"], json!({"y": "1", "z": "1"}));
    let operations = json!([{"op": "test", "path": "/data/y", "value": "1"}, {"op": "replace", "path": "/data/y", "value": "2"}]);
    let patched = host.patch(&path, "application/json-patch+json", operations.clone()).await.is(200);
    assert_eq!(patched["data"]["y"], "2");
    host.patch(&path, "application/json-patch+json", operations).await.fails(422, "Invalid", "test failed");
    let strategic = "application/strategic-merge-patch+json";
    assert_eq!(host.patch(&path, strategic, json!({"data": {"w": "1"}})).await.is(200)["data"]["w"], "1");
    let malformed = json!([{"op": "fly", "path": "/data"}]);
    host.patch(&path, "application/json-patch+json", malformed).await.fails(400, "BadRequest", "");
    host.patch(&path, "application/json", json!({})).await.fails(
        415,
        "UnsupportedMediaType",
        "accepted media types",
    );
    host.merge(&path, json!({"metadata": {"name": "b"}})).await.fails(
        400,
        "BadRequest",
        "does not match the name on the URL",
    );
    host.merge(&path, json!({"metadata": {"uid": "b"}})).await.fails(409, "Conflict", "UID in precondition");
    host.merge(&path, json!({"metadata": {"resourceVersion": "1"}})).await.fails(409, "Conflict", "modified");
    host.merge(&format!("{MAPS}/none"), json!({})).await.fails(404, "NotFound", "");
    host.merge(&format!("{path}?force=true"), json!({})).await.fails(422, "Invalid", "force");
}

#[tokio::test]
async fn concurrent_patches_are_all_kept() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let path = format!("{MAPS}/a");
    let patches = (0..64).map(|n| host.merge(&path, json!({"data": {format!("k{n}"): "1"}})));
    for reply in futures::future::join_all(patches).await {
        reply.is(200);
    }
    assert_eq!(host.get(&path).await.is(200)["data"].as_object().unwrap().len(), 64);
}

#[tokio::test]
async fn applying_makes_merges_and_refuses_to_take_what_others_own() {
    let host = Host::start().await;
    let path = format!("{WORKLOADS}/web");
    let unnamed = host.patch(&path, "application/apply-patch+yaml", workload("web", 1)).await;
    unnamed.fails(422, "Invalid", "fieldManager: Required value");
    let made = host.apply(&path, "alice", workload("web", 1)).await.is(201);
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Apply");
    assert_eq!(made["metadata"]["generation"], 1);
    let status = host.apply(&path, "bob", workload("web", 2)).await.fails(
        409,
        "Conflict",
        "conflict with \"alice\": .spec.replicas",
    );
    let cause = &status["details"]["causes"][0];
    assert_eq!((text(&cause["reason"]), text(&cause["field"])), ("FieldManagerConflict", ".spec.replicas"));
    let forced = host.apply(&path, "bob&force=true", workload("web", 2)).await.is(200);
    assert_eq!((&forced["spec"]["replicas"], &forced["metadata"]["generation"]), (&json!(2), &json!(2)));
    let mut labelled = workload("web", 2);
    labelled["metadata"]["labels"] = json!({"a": "b"});
    host.apply(&path, "bob", labelled).await.is(200);
    let dropped = host.apply(&path, "bob", workload("web", 2)).await.is(200);
    assert_eq!(dropped["metadata"].get("labels"), None, "{dropped}");
    let mut believing = workload("web", 2);
    believing["metadata"]["resourceVersion"] = "1".into();
    believing["metadata"]["labels"] = json!({"c": "d"});
    host.apply(&path, "bob", believing).await.fails(409, "Conflict", "modified");
    let mut other = workload("new", 2);
    other["metadata"]["uid"] = "gone".into();
    host.apply(&format!("{WORKLOADS}/new"), "bob", other).await.fails(409, "Conflict", "uid mismatch");
}

#[tokio::test]
async fn applying_yaml_and_applying_at_once_both_work() {
    let host = Host::start().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: 'no'}\n";
    let request = host.request(reqwest::Method::PATCH, &format!("{MAPS}/a?fieldManager=m"));
    let request = request.header("content-type", "application/apply-patch+yaml").body(yaml);
    assert_eq!(host.send(request).await.is(201)["data"]["x"], "no");
    let path = format!("{MAPS}/many");
    let writers = (0..16).map(|n| {
        let (manager, data) = (format!("m{n}"), json!({format!("k{n}"): "1"}));
        let (host, path) = (&host, &path);
        async move { host.apply(path, &manager, map("many", data)).await }
    });
    let replies = futures::future::join_all(writers).await;
    assert_eq!(replies.iter().filter(|reply| reply.code == 201).count(), 1);
    assert_eq!(host.get(&path).await.is(200)["data"].as_object().unwrap().len(), 16);
}

#[tokio::test]
async fn binding_a_pod_is_a_command_on_it() {
    let host = Host::start().await;
    host.post(PODS, pod("p")).await.is(201);
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    let status = host.post(&format!("{PODS}/p/binding"), binding.clone()).await.is(201);
    assert_eq!((text(&status["kind"]), text(&status["status"])), ("Status", "Success"));
    assert_eq!(host.get(&format!("{PODS}/p")).await.is(200)["spec"]["nodeName"], "n1");
    host.post(&format!("{PODS}/p/binding"), binding.clone()).await.fails(409, "Conflict", "");
    host.post(&format!("{PODS}/none/binding"), binding.clone()).await.fails(404, "NotFound", "");
    host.post(&format!("{PODS}/p/binding"), json!({"kind": "Pod"})).await.fails(400, "BadRequest", "Binding");
    host.get(&format!("{PODS}/p/binding")).await.fails(405, "MethodNotAllowed", "");
}

#[tokio::test]
async fn a_node_reports_on_itself_from_the_start() {
    let host = Host::start_empty().await;
    let node = json!({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "4"}}});
    let made = host.post("/api/v1/nodes", node).await.is(201);
    assert_eq!(made["status"]["capacity"]["cpu"], "4");
}
