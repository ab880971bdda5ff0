//! What clients send: limits, malformed bodies, media types, protobuf.

use reqwest::Method;
use serde_json::json;

use crate::host::{Host, MAPS, client_over, map, text};

async fn post_as(
    host: &Host,
    media_type: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> crate::host::Reply {
    let mut request = host.request(Method::POST, MAPS).body(body);
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type);
    }
    host.send(request).await
}

#[tokio::test]
async fn bodies_are_read_by_their_media_type() {
    let host = Host::start().await;
    let body = |name: &str| map(name, json!({"x": "1"})).to_string();
    post_as(&host, None, body("none")).await.is(201);
    post_as(&host, Some("application/json; charset=utf-8"), body("json")).await.is(201);
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata: {x: \"1\"}\n";
    post_as(&host, Some("application/yaml"), yaml).await.is(201);
    for (media_type, body, code, message) in [
        (Some("text/plain"), "{}", 415, "application/json"),
        (Some("application/merge-patch+json"), "{}", 415, "application/json"),
        (None, "{\"a\": 1,\n oops}", 400, "line 2 column 2"),
        (Some("application/yaml"), "a: [1", 400, "line"),
        (Some("application/vnd.kubernetes.protobuf"), "not protobuf", 400, "protobuf"),
        (None, "[]", 400, "not an object"),
        (None, "", 400, "no body"),
        (None, "{\"metadata\": 7}", 400, "metadata"),
    ] {
        let reply = post_as(&host, media_type, body).await;
        let reason = if code == 415 { "UnsupportedMediaType" } else { "BadRequest" };
        reply.fails(code, reason, message);
    }
    host.get(&format!("{MAPS}/yaml")).await.is(200);
}

#[tokio::test]
async fn kubectl_s_protobuf_is_understood() {
    let host = Host::start().await;
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let meta = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
    let data = [field(1, b"key"), field(2, b"value")].concat();
    let object = [field(1, &field(1, b"proto")), field(2, &data)].concat();
    let body = [b"k8s\0".to_vec(), field(1, &meta), field(2, &object)].concat();
    let made = post_as(&host, Some("application/vnd.kubernetes.protobuf"), body).await.is(201);
    assert_eq!(made["data"], json!({"key": "value"}));
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_server_lives_on() {
    let host = Host::limited().await;
    let of = |bytes: usize| map("big", json!({"x": "x".repeat(bytes)})).to_string();
    let reply = post_as(&host, None, of(4 << 20)).await;
    reply.fails(413, "RequestEntityTooLarge", "limit is 3145728");
    let chunks = (0..64).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10]));
    let endless = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    post_as(&host, None, endless).await.fails(413, "RequestEntityTooLarge", "");
    let mut annotated = map("a", json!({}));
    annotated["metadata"]["annotations"] = json!({"a": "x".repeat(300 << 10)});
    host.post(MAPS, annotated).await.fails(422, "Invalid", "metadata.annotations: Too long");
    let workload = json!({"metadata": {"name": "w"}, "spec": {"template": {"spec": {"containers": [
        {"name": "c", "image": "i", "args": ["x".repeat(1_700_000)]}]}}}});
    host.post(crate::host::WORKLOADS, workload).await.fails(413, "RequestEntityTooLarge", "bytes");
    let http1 = client_over(&host.authority, Some(&host.credentials()), &[b"http/1.1"]);
    for client in [&host.admin, &http1] {
        let headers = client.get(host.url(MAPS)).header("x-large", "x".repeat(100 << 10)).send().await;
        assert_eq!(headers.unwrap().status(), 431);
        let big = client.post(host.url(MAPS)).body(of(8 << 20)).send().await.unwrap();
        assert_eq!(big.status(), 413);
        assert!(big.text().await.unwrap().contains("Request entity too large"));
    }
    let deep = format!("{{\"data\":{}1{}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    post_as(&host, None, deep).await.fails(400, "BadRequest", "recursion limit");
    host.post(MAPS, map("a", json!({}))).await.is(201);
}

#[tokio::test]
async fn odd_paths_are_answered_and_hurt_nobody() {
    let host = Host::start().await;
    for path in [
        format!("{MAPS}/..%2F..%2Fsecrets"),
        format!("{MAPS}/%00"),
        format!("{MAPS}/{}", "x".repeat(2_000)),
        "/api/v1/namespaces/a%2Fb/configmaps".to_owned(),
        format!("{MAPS}/%ff"),
    ] {
        let reply = host.get(&path).await;
        assert!(
            (400..500).contains(&reply.code) && text(&reply.body["kind"]) == "Status",
            "{path}: {}",
            reply.text
        );
    }
}
