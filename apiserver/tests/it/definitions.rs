//! Kinds that users define.

use serde_json::{Value, json};

use crate::host::{Host, text};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const TABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";

fn definition() -> Value {
    serde_saphyr::from_str(include_str!("../../../ontology/examples/customresourcedefinition.yaml")).unwrap()
}

fn tab(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": spec})
}

/// A definition of one cluster-wide kind with this schema of its `spec`.
fn widgets(spec: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Cluster",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version("v1", true, &spec)],
        },
    })
}

fn version(name: &str, storage: bool, spec: &Value) -> Value {
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}})
}

fn widget(version: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

async fn with(definition: Value) -> Host {
    let host = Host::start().await;
    host.post(DEFINITIONS, definition).await.is(201);
    host
}

#[tokio::test]
async fn a_defined_kind_is_served_and_shown_at_once() {
    let host = Host::start().await;
    host.get(TABS).await.is(404);
    host.post(DEFINITIONS, definition()).await.is(201);
    assert_eq!(host.get(TABS).await.is(200)["kind"], "CronTabList");
    let resources = host.get("/apis/stable.example.com/v1").await.is(200);
    let names: Vec<&str> =
        resources["resources"].as_array().unwrap().iter().map(|r| text(&r["name"])).collect();
    assert_eq!(names, ["crontabs", "crontabs/status", "crontabs/scale"]);
    assert_eq!(resources["resources"][0]["shortNames"], json!(["ct"]));
    assert_eq!(resources["resources"][0]["categories"], json!(["all"]));
    let groups = host.get("/apis").await.is(200);
    assert!(groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == "stable.example.com"));
    let openapi = host.get("/openapi/v3/apis/stable.example.com/v1").await.is(200);
    let schema = &openapi["components"]["schemas"]["com.example.stable.v1.CronTab"];
    assert_eq!(schema["properties"]["spec"]["properties"]["replicas"]["maximum"], 10);
    host.delete(&format!("{DEFINITIONS}/crontabs.stable.example.com")).await.is(200);
}

#[tokio::test]
async fn objects_of_a_defined_kind_live_like_all_others() {
    let host = with(definition()).await;
    let made = host.post(TABS, tab("a", json!({"schedule": "* * * * *", "image": "red"}))).await.is(201);
    assert_eq!(made["spec"]["replicas"], 1, "defaults are filled in");
    assert_eq!(made["metadata"]["generation"], 1);
    let path = format!("{TABS}/a");
    assert_eq!(host.get(&path).await.is(200), made);
    let changed =
        host.merge(&path, json!({"spec": {"replicas": 3}, "status": {"replicas": 9}})).await.is(200);
    assert_eq!((&changed["metadata"]["generation"], &changed["status"]), (&json!(2), &Value::Null));
    let status = json!({"status": {"replicas": 2, "labelSelector": "app=a"}});
    let changed = host.merge(&format!("{path}/status"), status).await.is(200);
    assert_eq!((&changed["metadata"]["generation"], &changed["status"]["replicas"]), (&json!(2), &json!(2)));
    let scale = host.get(&format!("{path}/scale")).await.is(200);
    assert_eq!(scale["spec"]["replicas"], 3);
    assert_eq!(scale["status"], json!({"replicas": 2, "selector": "app=a"}));
    host.merge(&format!("{path}/scale"), json!({"spec": {"replicas": 5}})).await.is(200);
    assert_eq!(host.get(&path).await.is(200)["spec"]["replicas"], 5);
    host.post(TABS, tab("b", json!({"schedule": "* * * * *", "image": "blue"}))).await.is(201);
    let blue = host.get(&format!("{TABS}?fieldSelector=spec.image%3Dblue")).await.is(200);
    assert_eq!(blue["items"].as_array().unwrap().len(), 1);
    host.get(&format!("{TABS}?fieldSelector=spec.schedule%3Dblue")).await.fails(
        400,
        "BadRequest",
        "spec.schedule",
    );
    let strategic = "application/strategic-merge-patch+json";
    host.patch(&path, strategic, json!({})).await.fails(
        415,
        "UnsupportedMediaType",
        "application/merge-patch+json",
    );
    host.delete(&path).await.is(200);
    host.get(&path).await.fails(404, "NotFound", "crontabs.stable.example.com \"a\" not found");
}

#[tokio::test]
async fn what_a_stricter_schema_refuses_may_stay_until_it_is_changed() {
    let schema = |longest: u64| {
        let names = json!({"type": "array", "items": {"type": "string"}});
        json!({"type": "object", "properties": {
            "note": {"type": "string", "maxLength": longest}, "size": {"type": "integer"}, "names": names,
        }})
    };
    let host = with(widgets(schema(9))).await;
    let path = "/apis/example.com/v1/widgets/a";
    host.post("/apis/example.com/v1/widgets", widget("v1", "a", json!({"note": "too long"}))).await.is(201);
    let versions = json!({"spec": {"versions": [version("v1", true, &schema(3))]}});
    host.merge(&format!("{DEFINITIONS}/widgets.example.com"), versions).await.is(200);
    host.merge(path, json!({"metadata": {"finalizers": ["example.com/keep"]}})).await.is(200);
    host.merge(path, json!({"spec": {"size": 1}})).await.is(200);
    host.apply(path, "ann", widget("v1", "a", json!({"size": 1}))).await.is(200);
    let refused = host.merge(path, json!({"spec": {"note": "as long"}})).await;
    refused.fails(422, "Invalid", "spec.note: Too long: may not be more than 3 bytes");
    host.merge(path, json!({"spec": {"note": "ok"}})).await.is(200);
    host.merge(path, json!({"spec": {"note": "too long"}})).await.is(422);
}

#[tokio::test]
async fn a_conversion_webhook_is_refused_for_what_it_is() {
    let host = Host::start().await;
    let mut definition = widgets(json!({"type": "object"}));
    definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "a", "namespace": "b", "path": "/"}},
    }});
    let refused = host.post(DEFINITIONS, definition.clone()).await;
    refused.fails(
        422,
        "Invalid",
        "spec.conversion.strategy: Invalid value: \"Webhook\": conversion webhooks are not supported",
    );
    definition["spec"]["conversion"]["strategy"] = "None".into();
    let refused = host.post(DEFINITIONS, definition).await;
    refused.fails(422, "Invalid", "spec.conversion.webhook: Forbidden: should not be set");
}

#[tokio::test]
async fn tables_have_the_columns_of_the_definition() {
    let host = with(definition()).await;
    host.post(TABS, tab("a", json!({"schedule": "0 * * * *"}))).await.is(201);
    let request = host.request(reqwest::Method::GET, TABS);
    let table = request.header("accept", "application/json;as=Table;g=meta.k8s.io;v=v1");
    let table = host.send(table).await.is(200);
    let columns: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|column| text(&column["name"])).collect();
    assert_eq!(columns, ["Name", "Schedule", "Replicas", "Age"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", "0 * * * *", 1, "0s"]));
}

#[tokio::test]
async fn values_that_the_schema_does_not_allow_are_refused_in_kubernetes_words() {
    let host = with(definition()).await;
    for (spec, message) in [
        (json!({}), "spec.schedule: Required value"),
        (
            json!({"schedule": "soon"}),
            "spec.schedule: Invalid value: \"soon\": spec.schedule in body should match '^(\\S+\\s+){4}\\S+$'",
        ),
        (
            json!({"schedule": "* * * * *", "replicas": 11}),
            "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
        ),
        (
            json!({"schedule": "* * * * *", "replicas": "x"}),
            "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
        ),
        (
            json!({"schedule": "* * * * *", "timeout": true}),
            "spec.timeout: Invalid value: \"boolean\": spec.timeout in body must be of type integer or string: \"boolean\"",
        ),
        (
            json!({"schedule": "* * * * *", "steps": [{"name": "a"}, {"name": "a"}]}),
            "spec.steps[1].name: Duplicate value: \"a\"",
        ),
    ] {
        host.post(TABS, tab("a", spec)).await.fails(422, "Invalid", message);
    }
    for timeout in [json!("5s"), json!(5)] {
        let spec = json!({"schedule": "* * * * *", "timeout": timeout});
        host.post(&format!("{TABS}?dryRun=All"), tab("a", spec)).await.is(201);
    }
}

#[tokio::test]
async fn unknown_fields_are_treated_as_the_caller_asks() {
    let host = with(definition()).await;
    let object = tab("a", json!({"schedule": "* * * * *", "replcas": 2}));
    host.post(&format!("{TABS}?fieldValidation=Strict"), object.clone()).await.fails(
        400,
        "BadRequest",
        "strict decoding error: unknown field \"spec.replcas\"",
    );
    let warned = host.post(&format!("{TABS}?fieldValidation=Warn"), object.clone()).await;
    assert!(warned.headers["warning"].to_str().unwrap().contains("unknown field"), "{warned:?}");
    assert_eq!(warned.is(201)["spec"].get("replcas"), None);
    let ignored = host.put(&format!("{TABS}/a?fieldValidation=Ignore"), object).await;
    assert!(ignored.headers.get("warning").is_none());
    ignored.is(200);
}

#[tokio::test]
async fn lists_of_type_map_merge_by_key_when_applied() {
    let host = with(definition()).await;
    let path = format!("{TABS}/a");
    let steps = |steps: Value| tab("a", json!({"schedule": "* * * * *", "steps": steps}));
    host.apply(&path, "one", steps(json!([{"name": "x", "run": "1"}]))).await.is(201);
    let both = host.apply(&path, "two", steps(json!([{"name": "y", "run": "2"}]))).await.is(200);
    assert_eq!(both["spec"]["steps"], json!([{"name": "x", "run": "1"}, {"name": "y", "run": "2"}]));
    host.apply(&path, "two", steps(json!([{"name": "x", "run": "3"}]))).await.fails(
        409,
        "Conflict",
        ".spec.steps[name=\"x\"].run",
    );
}

#[tokio::test]
async fn versions_differ_in_nothing_but_their_name_and_schema() {
    let spec = json!({"type": "object", "properties": {"size": {"type": "integer"}}});
    let mut two = widgets(spec.clone());
    two["spec"]["versions"] = json!([version("v1beta1", true, &spec), version("v1", false, &spec)]);
    let host = with(two.clone()).await;
    let (old, new) = ("/apis/example.com/v1beta1/widgets", "/apis/example.com/v1/widgets");
    let mut watch = host.watch(&format!("{new}?watch=true")).await;
    host.post(old, widget("v1beta1", "a", json!({"size": 1}))).await.is(201);
    assert_eq!(host.get(&format!("{new}/a")).await.is(200)["apiVersion"], "example.com/v1");
    assert_eq!(watch.next().await.unwrap()["object"]["apiVersion"], "example.com/v1");
    host.post(new, widget("v1", "b", json!({"size": 2}))).await.is(201);
    let stored = |name: &str| {
        let key = orch_store::Key::new(format!("/registry/example.com/widgets/{name}")).unwrap();
        let store = host.store.clone();
        async move {
            let entry = store.get(&key, orch_store::ReadAt::Latest).await.unwrap().unwrap();
            let object = entry.value.split(|byte| *byte == b'\n').next().unwrap();
            serde_json::from_slice::<Value>(object).unwrap()["apiVersion"].clone()
        }
    };
    assert_eq!(stored("b").await, "example.com/v1beta1", "whatever version it was written in");
    let group = host.get("/apis/example.com").await.is(200);
    assert_eq!(group["preferredVersion"]["version"], "v1");

    let mut moved = host.get(&format!("{DEFINITIONS}/widgets.example.com")).await.is(200);
    assert_eq!(moved["status"]["storedVersions"], json!(["v1beta1"]));
    moved["spec"]["versions"] = json!([version("v1beta1", false, &spec), version("v1", true, &spec)]);
    let moved = host.put(&format!("{DEFINITIONS}/widgets.example.com"), moved).await.is(200);
    assert_eq!(moved["status"]["storedVersions"], json!(["v1beta1", "v1"]));
    assert_eq!(stored("a").await, "example.com/v1beta1");
    let same = host.get(&format!("{old}/a")).await.is(200);
    host.put(&format!("{old}/a"), same).await.is(200);
    assert_eq!(stored("a").await, "example.com/v1", "writing what is there moves it to the storage version");

    let mut one = moved;
    one["spec"]["versions"] = json!([version("v1", true, &spec)]);
    host.put(&format!("{DEFINITIONS}/widgets.example.com"), one).await.fails(
        422,
        "Invalid",
        "status.storedVersions[0]: Invalid value: \"v1beta1\": must appear in spec.versions",
    );
}

#[tokio::test]
async fn a_new_schema_shows_old_objects_as_it_says_and_ends_watches() {
    let host = with(widgets(json!({"type": "object", "properties": {"size": {"type": "integer"}}}))).await;
    let path = "/apis/example.com/v1/widgets";
    host.post(path, widget("v1", "a", json!({"size": 1}))).await.is(201);
    let mut watch = host.watch(&format!("{path}?watch=true")).await;
    assert_eq!(watch.brief().await, "ADDED a");
    let properties = json!({"color": {"type": "string", "default": "red"}});
    let changed = json!({"spec": {"versions": [version("v1", true, &json!({"type": "object", "properties": properties}))]}});
    host.merge(&format!("{DEFINITIONS}/widgets.example.com"), changed).await.is(200);
    assert_eq!(host.get(&format!("{path}/a")).await.is(200)["spec"], json!({"color": "red"}));
    assert_eq!(watch.next().await.unwrap()["object"]["code"], 410);
    let mut watch = host.watch(&format!("{path}?watch=true")).await;
    assert_eq!(watch.brief().await, "ADDED a");
    host.post(path, widget("v1", "b", json!({}))).await.is(201);
    assert_eq!(watch.brief().await, "ADDED b");
}

#[tokio::test]
async fn a_definition_stays_until_its_objects_are_gone_and_takes_no_new_ones() {
    let host = with(widgets(json!({"type": "object"}))).await;
    let (path, own) = ("/apis/example.com/v1/widgets", format!("{DEFINITIONS}/widgets.example.com"));
    host.post(path, widget("v1", "a", json!({}))).await.is(201);
    let mut watch = host.watch(&format!("{path}?watch=true")).await;
    assert_eq!(watch.brief().await, "ADDED a");
    let going = host.delete(&own).await.is(200);
    assert_eq!(going["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    host.post(path, widget("v1", "b", json!({}))).await.fails(
        405,
        "MethodNotAllowed",
        "create not allowed while custom resource definition is terminating",
    );
    host.get(&format!("{path}/a")).await.is(200);
    host.merge(&own, json!({"metadata": {"finalizers": null}})).await.is(200);
    host.get(&own).await.is(404);
    host.get(path).await.is(404);
    assert_eq!(watch.next().await.unwrap()["object"]["code"], 410);
    let groups = host.get("/apis").await.is(200);
    assert!(!groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == "example.com"));
}

#[tokio::test]
async fn names_that_are_taken_are_not_taken_away() {
    let host = with(widgets(json!({"type": "object"}))).await;
    let mut other = widgets(json!({"type": "object"}));
    other["metadata"]["name"] = "gadgets.example.com".into();
    other["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget", "shortNames": ["widget"]});
    host.post(DEFINITIONS, other).await.is(201);
    host.get("/apis/example.com/v1/widgets").await.is(200);
    host.get("/apis/example.com/v1/gadgets").await.is(404);
}

#[tokio::test]
async fn defined_kinds_are_there_when_the_server_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let store = orch_store::embedded::EmbeddedConfig::new(directory.path().join("store"));
    let store = std::sync::Arc::new(orch_store::embedded::EmbeddedStore::open(store).unwrap());
    let first = Host::start_on(tempfile::tempdir().unwrap(), store.clone()).await;
    first.post(DEFINITIONS, widgets(json!({"type": "object"}))).await.is(201);
    first.post("/apis/example.com/v1/widgets", widget("v1", "a", json!({}))).await.is(201);
    let second = Host::start_on(directory, store).await;
    second.api.ready().await;
    second.get("/apis/example.com/v1/widgets/a").await.is(200);
    // What one server is told, the other serves.
    let spec = json!({"type": "object", "properties": {"size": {"type": "integer"}}});
    let more = json!({"spec": {"versions": [version("v1", true, &spec), version("v2", false, &spec)]}});
    second.merge(&format!("{DEFINITIONS}/widgets.example.com"), more).await.is(200);
    first.get("/apis/example.com/v2/widgets/a").await.is(200);
}

#[tokio::test]
async fn open_places_keep_everything_and_embedded_objects_are_objects() {
    let spec = json!({"type": "object", "properties": {
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "object": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        "maybe": {"type": "string", "nullable": true},
        "choice": {"type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    }});
    let host = with(widgets(spec)).await;
    let path = "/apis/example.com/v1/widgets?fieldValidation=Strict";
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"any": 1}});
    let spec = json!({"free": {"a": {"b": [1]}}, "object": pod, "maybe": null, "choice": {"a": 1}});
    let made = host.post(path, widget("v1", "a", spec.clone())).await.is(201);
    assert_eq!(made["spec"], spec);
    for (spec, message) in [
        (json!({"object": {"kind": "Pod"}}), "spec.object.apiVersion: Required value"),
        (
            json!({"object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": 1}}}),
            "spec.object.metadata.labels",
        ),
        (json!({"choice": {"a": 1, "b": 2}}), "must validate one and only one schema (oneOf)"),
    ] {
        host.post(path, widget("v1", "b", spec)).await.fails(422, "Invalid", message);
    }
}

#[tokio::test]
async fn rules_are_asked_of_objects_and_of_their_changes() {
    let rules = json!([
        {"rule": "self.min <= self.max", "messageExpression": "'min must be at most ' + string(self.max)"},
        {"rule": "!has(oldSelf.color) || self.color == oldSelf.color", "message": "color is immutable", "fieldPath": ".color"},
    ]);
    let integer = json!({"type": "integer", "default": 1});
    let properties = json!({"min": integer, "max": integer, "color": {"type": "string"}});
    let spec = json!({"type": "object", "properties": properties, "x-kubernetes-validations": rules});
    let host = with(widgets(spec.clone())).await;
    let path = "/apis/example.com/v1/widgets";
    host.post(path, widget("v1", "a", json!({"min": 2}))).await.fails(
        422,
        "Invalid",
        "Widget.example.com \"a\" is invalid: spec: Invalid value: \"object\": min must be at most 1",
    );
    host.post(path, widget("v1", "a", json!({"color": "red"}))).await.is(201);
    host.merge(&format!("{path}/a"), json!({"spec": {"color": "blue"}})).await.fails(
        422,
        "Invalid",
        "spec.color: Invalid value: \"object\": color is immutable",
    );
    let mut bad = spec;
    bad["x-kubernetes-validations"] = json!([{"rule": "self.min <"}]);
    let bad = json!({"spec": {"versions": [version("v1", true, &bad)]}});
    host.merge(&format!("{DEFINITIONS}/widgets.example.com"), bad).await.fails(
        422,
        "Invalid",
        "spec.versions[0].schema.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value: \"self.min <\": compilation failed",
    );
}

#[tokio::test]
async fn openapi_lists_no_strategic_merge_patch_for_defined_kinds() {
    let host = with(definition()).await;
    let (group_version, _) = TABS.trim_start_matches("/apis/").split_once("/namespaces/").unwrap();
    let document = host.get(&format!("/openapi/v3/apis/{group_version}")).await.is(200);
    let path = format!("{}/{{name}}", TABS.replace("/default/", "/{namespace}/"));
    let patches = document["paths"][&path]["patch"]["requestBody"]["content"].as_object().unwrap();
    let expected =
        ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
    assert_eq!(patches.keys().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_deprecated_version_is_answered_with_a_warning_and_lists_have_their_own_kind() {
    let mut definition = widgets(json!({"type": "object"}));
    definition["spec"]["names"]["listKind"] = "Widgetry".into();
    let mut old = version("v1beta1", false, &json!({"type": "object"}));
    old["deprecated"] = true.into();
    let mut older = version("v1alpha1", false, &json!({"type": "object"}));
    older["deprecated"] = true.into();
    older["deprecationWarning"] = "use v1".into();
    definition["spec"]["versions"].as_array_mut().unwrap().extend([old, older]);
    let host = with(definition).await;
    host.post("/apis/example.com/v1/widgets", widget("v1", "a", json!({}))).await.is(201);
    for (version, expected) in [
        ("v1", None),
        ("v1beta1", Some("299 - \"example.com/v1beta1 Widget is deprecated\"")),
        ("v1alpha1", Some("299 - \"use v1\"")),
    ] {
        for path in ["widgets", "widgets/a", "widgets/none"] {
            let reply = host.get(&format!("/apis/example.com/{version}/{path}")).await;
            let warning = reply.headers.get("warning").map(|value| value.to_str().unwrap());
            assert_eq!(warning, expected, "{version} {path}");
        }
    }
    assert_eq!(host.get("/apis/example.com/v1/widgets").await.is(200)["kind"], "Widgetry");
}

#[tokio::test]
async fn rules_that_name_nothing_or_cost_too_much_are_refused_with_their_path() {
    let host = Host::start().await;
    let with_rule = |rule: Value, most: Value| {
        let mut names = json!({"type": "array", "items": {"type": "string"}});
        names["maxItems"] = most;
        widgets(json!({
            "type": "object", "x-kubernetes-validations": [rule],
            "properties": {"size": {"type": "integer"}, "names": names},
        }))
    };
    let at = "spec.versions[0].schema.openAPIV3Schema.properties[spec].x-kubernetes-validations[0]";
    let pairs = "self.names.all(a, self.names.all(b, a != b))";
    for (rule, problem) in [
        (
            json!({"rule": "self.sise > 0"}),
            format!(
                "{at}.rule: Invalid value: \"self.sise > 0\": compilation failed: undefined field 'sise'"
            ),
        ),
        (
            json!({"rule": "self.size + 1"}),
            format!("{at}.rule: Invalid value: \"self.size + 1\": cel expression must evaluate to a bool"),
        ),
        (
            json!({"rule": "true", "messageExpression": "self.size"}),
            format!(
                "{at}.messageExpression: Invalid value: \"self.size\": messageExpression must evaluate to a string"
            ),
        ),
        (
            json!({"rule": pairs}),
            format!(
                "{at}.rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems"
            ),
        ),
    ] {
        let mut definition = with_rule(rule, Value::Null);
        let names = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            ["properties"]["names"];
        names.as_object_mut().unwrap().remove("maxItems");
        host.post(DEFINITIONS, definition).await.fails(422, "Invalid", &problem);
    }
    let mut bounded = with_rule(json!({"rule": pairs}), json!(20));
    bounded["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["names"]
        ["items"]["maxLength"] = 63.into();
    host.post(DEFINITIONS, bounded).await.is(201);
}

#[tokio::test]
async fn a_kind_in_no_served_version_is_seen_again_when_its_definition_is_being_deleted() {
    let host = with(widgets(json!({"type": "object"}))).await;
    let (path, all) = (format!("{DEFINITIONS}/widgets.example.com"), "/apis/example.com/v1/widgets");
    host.post(all, widget("v1", "a", json!({}))).await.is(201);
    let hide = json!([{"op": "replace", "path": "/spec/versions/0/served", "value": false}]);
    host.patch(&path, "application/json-patch+json", hide).await.is(200);
    host.get(all).await.is(404);
    host.delete(&path).await.is(200);
    assert_eq!(host.get(all).await.is(200)["items"].as_array().unwrap().len(), 1);
    host.post(all, widget("v1", "b", json!({}))).await.is(405);
    host.delete(all).await.is(200);
    host.merge(&path, json!({"metadata": {"finalizers": null}})).await.is(200);
    host.get(all).await.is(404);
}
