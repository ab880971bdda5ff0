//! [`HttpClient`] against real servers on loopback that answer what a Kubernetes API server answers, or break.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures::{StreamExt, stream};
use orch_api::{Client, EventType, Params, Patch, Reason, Request, Target, Verb};
use orch_client::{Accept, Credentials, ExecOptions, HttpClient, Streams};
use serde_json::json;
use server::{Authority, Server};

const PODS: &str = "/api/v1/namespaces/default/pods";

fn target(path: &str) -> Target {
    Target::parse(path.trim_start_matches('/').split('/')).unwrap()
}

fn request(verb: Verb, path: &str) -> Request {
    Request { verb, target: target(path), params: Params::default(), body: None }
}

/// A body that is sent piece by piece: what comes before an error is sent before it.
fn in_pieces(pieces: Vec<Result<&'static str, &'static str>>) -> Body {
    Body::from_stream(stream::iter(pieces).then(|piece| async move {
        tokio::task::yield_now().await;
        piece
    }))
}

async fn not_found(uri: Uri) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound",
        "message": format!("nothing at {uri}"), "code": 404});
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

#[tokio::test]
async fn a_request_arrives_as_it_was_meant() {
    let echo = |method: axum::http::Method, uri: Uri, headers: HeaderMap, body: String| async move {
        let header = |name| {
            headers.get(name).and_then(|v: &header::HeaderValue| v.to_str().ok()).unwrap_or("").to_owned()
        };
        axum::Json(json!([
            method.as_str(),
            uri.to_string(),
            header(header::CONTENT_TYPE),
            header(header::AUTHORIZATION),
            body
        ]))
    };
    let server = Server::plain(Router::new().fallback(echo)).await;
    let client = server.client(|connection| connection.credentials = Credentials::Token("t0ken".into()));
    let patch = Request {
        params: Params { dry_run: true, field_manager: Some("a b".into()), ..Params::default() },
        body: Some(Patch::Apply(json!({"a": 1})).body().unwrap()),
        ..request(Verb::Patch, &format!("{PODS}/web"))
    };
    let answer: serde_json::Value = serde_json::from_slice(&client.send(patch).await.unwrap()).unwrap();
    let uri = format!("{PODS}/web?dryRun=All&fieldManager=a+b");
    assert_eq!(answer, json!(["PATCH", uri, "application/apply-patch+yaml", "Bearer t0ken", "{\"a\":1}"]));
}

#[tokio::test]
async fn a_token_file_is_read_for_each_request() {
    let echo =
        |headers: HeaderMap| async move { headers[header::AUTHORIZATION].to_str().unwrap().to_owned() };
    let server = Server::plain(Router::new().fallback(echo)).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let client = server.client(|connection| connection.credentials = Credentials::TokenFile(file.clone()));
    for token in ["one", "two"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        assert_eq!(client.get_raw("/", Accept::Any).await.unwrap(), format!("Bearer {token}"));
    }
    std::fs::remove_file(&file).unwrap();
    assert!(client.get_raw("/", Accept::Any).await.unwrap_err().is(&Reason::Unauthorized));
}

#[tokio::test]
async fn errors_are_the_servers_and_warnings_are_heard() {
    let warn = || async { ([(header::WARNING, r#"299 - "unknown field \"spec.x\"""#)], "{}") };
    let router = Router::new().route(&format!("{PODS}/warned"), get(warn)).fallback(not_found);
    let server = Server::plain(router).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = heard.clone();
    let client =
        server.client(|_| {}).on_warning(Arc::new(move |text| sink.lock().unwrap().push(text.to_owned())));
    client.send(request(Verb::Get, &format!("{PODS}/warned"))).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [r#"unknown field "spec.x""#]);
    let status = client.send(request(Verb::Get, &format!("{PODS}/web"))).await.unwrap_err();
    assert_eq!((status.code, status.message), (404, format!("nothing at {PODS}/web")));
}

#[tokio::test]
async fn a_watch_delivers_events_and_says_when_it_breaks_off() {
    const EVENT: &str = "{\"type\":\"ADDED\",\"object\":{\"n\":1}}\n";
    let watch = |uri: Uri| async move {
        assert!(uri.query().unwrap().contains("watch=true"));
        let broken = uri.query().unwrap().contains("resourceVersion=7");
        let mut chunks: Vec<Result<&str, &str>> = vec![Ok(&EVENT[..9]), Ok(&EVENT[9..]), Ok(EVENT)];
        if broken {
            chunks.push(Err("pulled the plug"));
        }
        in_pieces(chunks)
    };
    let server = Server::plain(Router::new().route(PODS, get(watch))).await;
    let client = server.client(|_| {});
    for (resource_version, broken) in [("6", false), ("7", true)] {
        let params = Params { resource_version: Some(resource_version.into()), ..Params::default() };
        let watch = client.watch(Request { params, ..request(Verb::Watch, PODS) }).await.unwrap();
        let events: Vec<_> = watch.collect().await;
        assert_eq!(events[1].as_ref().unwrap().event_type, EventType::Added);
        assert_eq!(events[1].as_ref().unwrap().object, "{\"n\":1}");
        assert_eq!(events.len(), if broken { 3 } else { 2 }, "{events:?}");
        assert!(events[2..].iter().all(|last| last.as_ref().unwrap_err().is(&Reason::ServiceUnavailable)));
    }
}

#[tokio::test]
async fn who_is_not_there_is_said_with_what_to_do() {
    let server = Server::plain(Router::new()).await;
    let client = server.client(|_| {});
    let address = server.stop().await;
    let status = client.send(request(Verb::List, PODS)).await.unwrap_err();
    assert!(status.is(&Reason::ServiceUnavailable));
    assert_eq!(
        status.message,
        format!("cannot reach http://{address}: connection refused; is `orchd up` running?")
    );
}

#[tokio::test]
async fn client_and_server_know_each_other_by_certificate() {
    let authority = Authority::new();
    let whoami = |axum::Extension(server::Peer(name)): axum::Extension<server::Peer>,
                  headers: axum::http::Version| async move {
        format!("{} over {headers:?}", name.unwrap_or("nobody".into()))
    };
    let server = Server::tls(Router::new().fallback(whoami), &authority).await;

    let known = server.client(|connection| {
        connection.tls.authority = Some(authority.pem());
        connection.tls.identity = Some(authority.issue("admin"));
    });
    assert_eq!(known.get_raw("/", Accept::Any).await.unwrap(), "admin over HTTP/2.0");

    let unknown = server.client(|connection| connection.tls.insecure = true);
    assert_eq!(unknown.get_raw("/", Accept::Any).await.unwrap(), "nobody over HTTP/2.0");

    let other_name = server.client(|connection| {
        connection.tls.authority = Some(authority.pem());
        connection.tls.server_name = Some("another.example".into());
    });
    let status = other_name.get_raw("/", Accept::Any).await.unwrap_err();
    assert!(status.message.contains("not valid for name"), "{status}");

    let stranger = server.client(|connection| connection.tls.authority = Some(Authority::new().pem()));
    let status = stranger.get_raw("/", Accept::Any).await.unwrap_err();
    assert!(status.message.contains("is the kubeconfig that of this server?"), "{status}");
}

#[tokio::test]
async fn a_server_is_asked_for_by_the_name_that_the_kubeconfig_gives_it() {
    let authority = Authority::new();
    let name = |axum::Extension(server::Asked(name)): axum::Extension<server::Asked>| async move {
        let name = name.unwrap_or("nobody".into());
        Response::builder().status(403).body(Body::from(name)).unwrap()
    };
    let server = Server::tls(Router::new().fallback(name), &authority).await;
    let named = |server_name: Option<&str>| {
        server.client(|connection| {
            connection.tls.authority = Some(authority.pem());
            connection.tls.server_name = server_name.map(str::to_owned);
        })
    };
    for (server_name, expected) in
        [(Some(server::NAME), server::NAME), (Some("127.0.0.1"), "nobody"), (None, "nobody")]
    {
        let client = named(server_name);
        let asked = client.get_raw("/", Accept::Any).await.unwrap_err().message;
        assert!(asked.ends_with(expected), "{asked}");
        let over = client.exec(target(&format!("{PODS}/web")), &ExecOptions::default()).await;
        let asked = over.err().unwrap().message;
        assert!(asked.ends_with(expected), "{asked}");
    }
}

#[tokio::test]
async fn discovery_is_read_in_either_form() {
    let aggregated = |resources: serde_json::Value, group: &str| {
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": [
            {"metadata": {"name": group}, "versions": [{"version": "v1", "resources": resources, "freshness": "Current"}]}]})
    };
    let pods = json!([{"resource": "pods", "responseKind": {"group": "", "version": "", "kind": "Pod"}, "scope": "Namespaced",
        "singularResource": "pod", "shortNames": ["po"], "categories": ["all"], "verbs": ["get", "list"],
        "subresources": [{"subresource": "log", "verbs": ["get"]}]}]);
    let workloads = json!([{"resource": "workloads", "responseKind": {"kind": "Workload"}, "scope": "Namespaced",
        "singularResource": "workload", "verbs": ["get"]}]);
    let (core, groups) = (aggregated(pods, ""), aggregated(workloads, "orch.dev"));
    let modern = Router::new()
        .route("/api", get(|| async { axum::Json(core) }))
        .route("/apis", get(|| async { axum::Json(groups) }));

    let plain = [
        ("/api", json!({"kind": "APIVersions", "versions": ["v1"]})),
        (
            "/apis",
            json!({"kind": "APIGroupList", "groups": [{"name": "orch.dev", "versions": [{"groupVersion": "orch.dev/v1", "version": "v1"}]}]}),
        ),
        (
            "/api/v1",
            json!({"kind": "APIResourceList", "resources": [
            {"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": ["get", "list"], "shortNames": ["po"], "categories": ["all"]},
            {"name": "pods/log", "singularName": "", "namespaced": true, "kind": "Pod", "verbs": ["get"]}]}),
        ),
        (
            "/apis/orch.dev/v1",
            json!({"kind": "APIResourceList", "resources": [
            {"name": "workloads", "singularName": "workload", "namespaced": true, "kind": "Workload", "verbs": ["get"]}]}),
        ),
    ];
    let old = plain
        .into_iter()
        .fold(Router::new(), |router, (path, body)| router.route(path, get(|| async { axum::Json(body) })));

    let mut found = Vec::new();
    for router in [modern, old] {
        let server = Server::plain(router).await;
        found.push(server.client(|_| {}).discovery().await.unwrap());
    }
    assert_eq!(found[0].resources, found[1].resources);
    let pods = found[0].resolve("po").unwrap();
    assert_eq!(
        (pods.kind.as_str(), &pods.subresources[..], pods.namespaced),
        ("Pod", &["log".to_owned()][..], true)
    );
    assert_eq!(found[0].resolve("workloads").unwrap().resource(), "workloads.orch.dev");
}

#[tokio::test]
async fn what_is_known_of_a_server_is_sent_again_only_if_it_has_changed() {
    // The names of the kinds, and how often they were sent.
    let state = Arc::new(Mutex::new((vec!["pods"], 0)));
    let served = state.clone();
    let root = move |uri: Uri, headers: HeaderMap| async move {
        let mut state = served.lock().unwrap();
        let etag = format!("{:?}", state.0.join("-"));
        if headers.get("if-none-match").is_some_and(|known| *known == *etag) {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        state.1 += usize::from(uri.path() == "/apis");
        let resource = |name: &&str| {
            json!({"resource": name, "responseKind": {"kind": "Kind"}, "scope": "Namespaced",
                "singularResource": "", "verbs": ["get"]})
        };
        let resources: Vec<_> = state.0.iter().map(resource).collect();
        let list = json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "g"}, "versions": [{"version": "v1", "resources": resources}]}]});
        ([("etag", etag)], axum::Json(list)).into_response()
    };
    let server =
        Server::plain(Router::new().route("/api", get(root.clone())).route("/apis", get(root))).await;
    let (client, known) = (server.client(|_| {}), orch_client::KnownDiscovery::default());
    for _ in 0..3 {
        assert!(known.of(&client).await.unwrap().resolve("pods").is_ok());
    }
    assert_eq!(state.lock().unwrap().1, 1, "sent once, and asked about twice");
    state.lock().unwrap().0.push("widgets");
    for _ in 0..2 {
        assert!(known.of(&client).await.unwrap().resolve("widgets").is_ok(), "a new kind is there at once");
    }
    assert_eq!(state.lock().unwrap().1, 2);
}

/// Runs `cat`, in effect: echoes the input to both outputs, and ends with code 7 at its end.
async fn cat(uri: Uri, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    assert_eq!(headers[header::USER_AGENT], "an agent");
    assert_eq!(
        uri.query(),
        Some("command=sh&command=-c&command=a+%26+b&container=web&stdin=true&stdout=true&stderr=true")
    );
    upgrade.protocols(["v5.channel.k8s.io"]).on_upgrade(|mut socket| async move {
        while let Some(Ok(Message::Binary(frame))) = socket.recv().await {
            if frame[..] == [255, 0] {
                break;
            }
            assert_eq!(frame[0], 0);
            for channel in [1, 2] {
                let echo: Vec<u8> = [&[channel][..], &frame[1..]].concat();
                socket.send(Message::Binary(echo.into())).await.unwrap();
            }
        }
        let outcome = json!({"kind": "Status", "status": "Failure", "reason": "NonZeroExitCode", "message": "exit code 7",
            "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}, "metadata": {}});
        let frame = [&[3][..], outcome.to_string().as_bytes()].concat();
        socket.send(Message::Binary(frame.into())).await.unwrap();
    })
}

#[tokio::test]
async fn a_command_gets_its_input_and_gives_output_and_exit_code() {
    let authority = Authority::new();
    let router = Router::new().route(&format!("{PODS}/web/exec"), any(cat)).fallback(not_found);
    let server = Server::tls(router, &authority).await;
    let client = server.client(|connection| connection.tls.authority = Some(authority.pem()));
    let client = client.named("an agent");
    let options = ExecOptions {
        container: Some("web".into()),
        command: ["sh", "-c", "a & b"].map(String::from).to_vec(),
        stdin: true,
        ..ExecOptions::default()
    };
    let exec = client.exec(target(&format!("{PODS}/web")), &options).await.unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let code = exec.run(Streams::new(Some(&b"hello"[..]), &mut stdout, &mut stderr)).await.unwrap();
    assert_eq!((code, &stdout[..], &stderr[..]), (7, &b"hello"[..], &b"hello"[..]));

    let refused = client.exec(target(&format!("{PODS}/none")), &options).await.err().unwrap();
    assert!(refused.is(&Reason::NotFound) && refused.message.contains("/none/exec"), "{refused}");
}

/// Accepts a WebSocket of any protocol that is asked for, and is never heard of again.
async fn dead(upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["v5.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"]).on_upgrade(|socket| async move {
        std::future::pending::<()>().await;
        drop(socket);
    })
}

#[tokio::test]
async fn a_dead_network_is_noticed_while_a_command_runs() {
    let server = Server::plain(Router::new().fallback(any(dead))).await;
    let client: HttpClient = server.client(|_| {});
    let exec = client.exec(target(&format!("{PODS}/web")), &ExecOptions::default()).await.unwrap();
    tokio::time::pause();
    let streams = Streams::new(None::<tokio::io::Empty>, tokio::io::sink(), tokio::io::sink());
    let broken = exec.run(streams).await.unwrap_err();
    assert!(
        broken.is(&Reason::ServiceUnavailable) && broken.message.contains("no answer for 30 s"),
        "{broken}"
    );
}

#[tokio::test]
async fn a_dead_network_is_noticed_while_ports_are_forwarded() {
    let server = Server::plain(Router::new().fallback(any(dead))).await;
    let client: HttpClient = server.client(|_| {});
    let way = client.forward(target(&format!("{PODS}/web"))).await.unwrap();
    tokio::time::pause();
    way.lost().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_take_connections_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let connection = orch_client::Connection {
        server: url,
        tls: orch_client::TlsSettings { insecure: true, ..Default::default() },
        credentials: Credentials::None,
        namespace: "default".into(),
    };
    let client = HttpClient::new(&connection).unwrap();
    let refused = client.exec(target(&format!("{PODS}/web")), &ExecOptions::default()).await.err().unwrap();
    assert!(refused.message.contains("no answer within 10 s"), "{refused}");
}

#[tokio::test]
async fn a_log_is_read_as_it_arrives_and_a_break_is_an_error() {
    let log = || async { in_pieces(vec![Ok("one\n"), Ok("two\n"), Err("cut")]) };
    let server = Server::plain(Router::new().route(&format!("{PODS}/web/log"), get(log))).await;
    let client: HttpClient = server.client(|_| {});
    let chunks: Vec<_> =
        client.stream(request(Verb::Get, &format!("{PODS}/web/log"))).await.unwrap().collect().await;
    let text: Vec<u8> = chunks.iter().flatten().flat_map(|chunk| chunk.to_vec()).collect();
    assert_eq!(String::from_utf8(text).unwrap(), "one\ntwo\n");
    assert!(chunks.last().unwrap().is_err());
}
