//! Tables and metadata by `Accept`.

use reqwest::Method;
use serde_json::json;

use crate::host::{Host, MAPS, WORKLOADS, map, text, workload};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

#[tokio::test]
async fn a_table_has_the_kind_s_columns_and_a_row_for_each_object() {
    let host = Host::start().await;
    for name in ["a", "b"] {
        host.post(WORKLOADS, workload(name, 2)).await.is(201);
    }
    host.clock.advance(std::time::Duration::from_secs(300));
    let get = |path: String| host.request(Method::GET, &path).header("accept", TABLE);
    let reply = host.send(get(WORKLOADS.to_owned())).await;
    assert_eq!(reply.headers["content-type"], "application/json;as=Table;g=meta.k8s.io;v=v1");
    let table = reply.is(200);
    let columns = table["columnDefinitions"].as_array().unwrap();
    assert_eq!((text(&columns[0]["name"]), text(&columns[0]["format"])), ("Name", "name"));
    let age = columns.iter().position(|column| column["name"] == "Age").unwrap();
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
    let row = &table["rows"][0];
    assert_eq!((text(&row["cells"][0]), text(&row["cells"][age])), ("a", "5m"));
    assert_eq!(row["cells"].as_array().unwrap().len(), columns.len());
    assert_eq!(
        (text(&row["object"]["kind"]), text(&row["object"]["metadata"]["name"])),
        ("PartialObjectMetadata", "a")
    );
    let one = host.send(get(format!("{WORKLOADS}/b?includeObject=Object"))).await.is(200);
    assert_eq!(text(&one["rows"][0]["object"]["kind"]), "Workload");
    let none = host.send(get(format!("{WORKLOADS}?includeObject=None&limit=1"))).await.is(200);
    assert_eq!(none["rows"][0].get("object"), None);
    assert!(none["metadata"]["continue"].is_string());
    host.send(get(format!("{WORKLOADS}?includeObject=Some"))).await.fails(400, "BadRequest", "includeObject");
    host.send(get(format!("{WORKLOADS}/none"))).await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn metadata_can_be_had_alone() {
    let host = Host::start().await;
    let made = host.post(MAPS, map("a", json!({"x": "1"}))).await.is(201);
    let one =
        host.send(host.request(Method::GET, &format!("{MAPS}/a")).header("accept", METADATA)).await.is(200);
    assert_eq!(
        one,
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]})
    );
    let list = host.send(host.request(Method::GET, MAPS).header("accept", METADATA_LIST)).await.is(200);
    assert_eq!((text(&list["kind"]), &list["items"][0]), ("PartialObjectMetadataList", &one));
    let refused = host.send(host.request(Method::GET, MAPS).header("accept", "text/html")).await;
    refused.fails(406, "NotAcceptable", "application/json");
}

#[tokio::test]
async fn yaml_is_answered_to_those_that_accept_it() {
    let host = Host::start().await;
    let yaml = |method: Method, path: &str| host.request(method, path).header("accept", "application/yaml");
    let post = yaml(Method::POST, MAPS).header("content-type", "application/yaml");
    let made = host.send(post.body("metadata: {name: a}\ndata: {x: \"no\"}\n")).await;
    assert_eq!((made.code, made.headers["content-type"].to_str().unwrap()), (201, "application/yaml"));
    assert!(
        made.text.contains("\nkind: ConfigMap\n") && made.text.contains("\n  x: \"no\"\n"),
        "{}",
        made.text
    );
    let list = host.send(yaml(Method::GET, MAPS)).await;
    assert!(list.text.contains("kind: ConfigMapList") && list.text.contains("\nitems:\n- "), "{}", list.text);
    let none = host.send(yaml(Method::GET, &format!("{MAPS}/none"))).await;
    assert_eq!((none.code, none.headers["content-type"].to_str().unwrap()), (404, "application/yaml"));
    assert!(none.text.contains("reason: NotFound\n"), "{}", none.text);
    let put = yaml(Method::PUT, &format!("{MAPS}/a")).header("content-type", "application/yaml");
    host.send(put.body("metadata: {name: a}\ndata: {x: \"yes\"}\n")).await.is(200);
    assert_eq!(host.get(&format!("{MAPS}/a")).await.is(200)["data"]["x"], "yes");
    let deleted = host.send(yaml(Method::DELETE, &format!("{MAPS}/a"))).await;
    assert!(deleted.text.contains("status: Success"), "{}", deleted.text);
    let watch = host.send(yaml(Method::GET, &format!("{MAPS}?watch=1"))).await;
    assert!(watch.code == 406 && watch.text.contains("application/json;stream=watch"), "{}", watch.text);
}

#[tokio::test]
async fn people_see_indented_json() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({"x": "1"}))).await.is(201);
    let path = format!("{MAPS}/a?pretty=true");
    assert!(host.get(&path).await.text.contains("\n  \"data\": {\n    \"x\": \"1\"\n  }"));
    let curl = host.send(host.request(Method::GET, MAPS).header("user-agent", "curl/8")).await;
    assert!(curl.text.starts_with("{\n") && text(&curl.body["kind"]) == "ConfigMapList", "{}", curl.text);
}

#[tokio::test]
async fn a_watch_can_be_a_table_whose_columns_come_once() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    host.post(MAPS, map("b", json!({}))).await.is(201);
    let request = host.request(Method::GET, &format!("{MAPS}?watch=1")).header("accept", TABLE);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let mut lines = crate::host::Lines::of(response);
    let first = lines.next().await.unwrap();
    assert_eq!((text(&first["type"]), text(&first["object"]["kind"])), ("ADDED", "Table"));
    assert!(!first["object"]["columnDefinitions"].as_array().unwrap().is_empty());
    let second = lines.next().await.unwrap();
    assert_eq!(second["object"]["columnDefinitions"], json!([]));
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
}
