//! What else is served on the same port: to callers who are known, and to strangers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt as _, StreamExt as _};
use http::{Request, Response};
use orch_apiserver::{
    Audit, AuditFile, AuditLog, AuditPolicy, Caller, Config, FlowLimits, Identity, Mount, Visit, Visitors,
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use crate::fairness::until;
use crate::host::{DEADLINE, Host, MAPS, RBAC, Reply, map, text};

const HOOK: &str = "system:orch:hook";

/// Tells how many bytes it was sent, and what came of labelling a ConfigMap as itself.
fn answer(caller: Caller, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
    async move {
        let sent = to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let labels = json!({"metadata": {"labels": {"told": "yes"}}});
        let patch = Request::patch(format!("{MAPS}/told?fieldManager=hook"))
            .header("content-type", "application/merge-patch+json")
            .body(Body::from(labels.to_string()))
            .unwrap();
        let patched = caller.send(patch).await.status().as_u16();
        let user = caller.identity().user.clone();
        Response::new(Body::from(json!({"user": user, "sent": sent.len(), "patched": patched}).to_string()))
    }
    .boxed()
}

fn mounts() -> Vec<Mount> {
    let acting_as = Identity::new(HOOK, [""; 0]);
    vec![
        Mount { path: "/hooks", visitors: Visitors::Strangers { acting_as }, serve: Arc::new(answer) },
        Mount { path: "/agents", visitors: Visitors::Known, serve: Arc::new(answer) },
    ]
}

async fn start(change: impl FnOnce(&mut Config)) -> Host {
    let host = Host::guarded_with(|config| {
        config.mounts = mounts();
        change(config);
    })
    .await;
    host.make_namespace("default").await;
    host.post(MAPS, map("told", json!({}))).await.is(201);
    host
}

async fn let_the_hook_patch(host: &Host) {
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]);
    let role = json!({"metadata": {"name": "hook"}, "rules": rules});
    host.post(&format!("{RBAC}/clusterroles"), role).await.is(201);
    host.bind("hook", HOOK, "").await;
}

async fn post(host: &Host, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Reply {
    let request = crate::host::client(&host.authority, None).post(host.url(path)).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Reply::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn strangers_reach_what_is_open_to_them_and_the_api_as_its_user_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let file = AuditFile { path: path.clone(), max_bytes: 1 << 20, keep: 1 };
    let audit = Audit { log: AuditLog::open(file).unwrap(), policy: AuditPolicy::default() };
    let host = start(|config| config.audit = Some(audit)).await;
    // What would be refused, or would count, elsewhere is nothing here.
    let headers = [("authorization", "Bearer nobody's"), ("impersonate-user", "admin")];
    let told = post(&host, "/hooks/a/b", &headers, "hello").await.is(200);
    assert_eq!(told, json!({"user": HOOK, "sent": 5, "patched": 403}));
    let_the_hook_patch(&host).await;
    let told = post(&host, "/hooks", &headers, "").await.is(200);
    assert_eq!(told, json!({"user": HOOK, "sent": 0, "patched": 200}));
    assert_eq!(host.get(&format!("{MAPS}/told")).await.is(200)["metadata"]["labels"]["told"], "yes");
    // Who is known is a stranger there, too.
    let told = host.post("/hooks", json!({})).await.is(200);
    assert_eq!(told["user"], HOOK);

    // It is recorded with the address that it came from.
    let recorded = async {
        loop {
            let log = std::fs::read_to_string(&path).unwrap();
            let complete = log.rsplit_once('\n').map_or("", |(complete, _)| complete);
            let events = complete.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let of_hook: Vec<Value> = events.filter(|event| event["user"]["username"] == HOOK).collect();
            if of_hook.len() == 3 {
                break of_hook;
            }
            tokio::task::yield_now().await;
        }
    };
    for event in tokio::time::timeout(DEADLINE, recorded).await.expect("it is not recorded in time") {
        assert_eq!((text(&event["verb"]), text(&event["sourceIPs"][0])), ("patch", "127.0.0.1"), "{event}");
    }
}

#[tokio::test]
async fn strangers_reach_nothing_else() {
    let host = start(|_| {}).await;
    for path in ["/agents", "/agents/hooks", "/hook", "/hooksies", "/hooks%2Fa", "/%68ooks", "/x/../hooks2"] {
        post(&host, path, &[], "").await.fails(401, "Unauthorized", "Unauthorized");
    }
    // A path that is only read as one that is open does not lead there, whoever asks.
    host.post("/hooks%2Fa", json!({})).await.fails(405, "MethodNotAllowed", "");
    assert_eq!(host.post("/agents", json!({})).await.is(200)["user"], "admin");
    let token = [("authorization", "Bearer secret")];
    post(&host, "/agents", &token, "").await.fails(403, "Forbidden", "/agents");
}

#[tokio::test]
async fn strangers_send_little_and_soon() {
    let host = start(|_| {}).await;
    const MIB: usize = 1024 * 1024;
    assert_eq!(post(&host, "/hooks", &[], vec![b'a'; MIB]).await.is(200)["sent"], MIB);
    let limit = "limit is 1048576";
    let too_much = || vec![b'a'; MIB + 1];
    post(&host, "/hooks", &[], too_much()).await.fails(413, "RequestEntityTooLarge", limit);
    let in_pieces = futures::stream::iter([Ok::<_, std::io::Error>(too_much())]);
    let in_pieces = reqwest::Body::wrap_stream(in_pieces);
    post(&host, "/hooks", &[], in_pieces).await.fails(413, "RequestEntityTooLarge", limit);

    let mut sending = Box::pin(post(&host, "/hooks", &[], endless()));
    let slow = loop {
        // The server counts from when it begins to read.
        match tokio::time::timeout(Duration::from_millis(50), &mut sending).await {
            Ok(reply) => break reply,
            Err(_) => host.clock.advance(Duration::from_secs(10)),
        }
    };
    slow.fails(408, "Timeout", "within 10 s");
}

/// A body that begins and does not end.
fn endless() -> reqwest::Body {
    let begun = futures::stream::iter([Ok::<_, std::io::Error>(vec![b'{'])]);
    reqwest::Body::wrap_stream(begun.chain(futures::stream::pending()))
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_keep_strangers_waiting_and_nobody_else() {
    let flows = FlowLimits { seats_per_caller: 1, patience: DEADLINE, ..FlowLimits::default() };
    let host = start(|config| config.flows = flows).await;
    let alice = host.user("alice", &["dev"]);
    let slow = post(&host, "/hooks", &[], endless());
    let (mut slow, mut next) = (Box::pin(slow), Box::pin(post(&host, "/hooks", &[], "next")));
    let until_it_has_its_seat = until(&host, "apiserver_flowcontrol_current_executing_requests", 1);
    tokio::select! {
        reply = &mut slow => panic!("it was answered: {reply:?}"),
        () = until_it_has_its_seat => {}
    }
    let others = async {
        until(&host, "apiserver_flowcontrol_current_inqueue_requests", 1).await;
        assert_eq!(alice.get(host.url("/version")).send().await.unwrap().status(), 200);
        assert_eq!(host.post("/agents", json!({})).await.is(200)["patched"], 200);
    };
    tokio::select! {
        reply = &mut slow => panic!("it was answered: {reply:?}"),
        reply = &mut next => panic!("it had a seat: {reply:?}"),
        () = others => {}
    }
    drop(slow);
    assert_eq!(next.await.is(200)["sent"], 4, "seats come back");
}

/// A mount that answers when it is let, and tells how many requests it works on.
fn slow() -> (Mount, Arc<Semaphore>, watch::Receiver<usize>) {
    let (gate, (begun, count)) = (Arc::new(Semaphore::new(0)), watch::channel(0));
    let opens = gate.clone();
    let serve = move |_: Caller, _: Request<Body>| {
        let opens = opens.clone();
        begun.send_modify(|count| *count += 1);
        async move {
            opens.acquire().await.unwrap().forget();
            Response::new(Body::empty())
        }
        .boxed()
    };
    (Mount { path: "/slow", visitors: Visitors::Known, serve: Arc::new(serve) }, gate, count)
}

fn visit(host: &Host, client: &reqwest::Client) -> impl Future<Output = u16> + 'static {
    let sent = client.post(host.url("/slow")).send();
    async move { sent.await.unwrap().status().as_u16() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mount_works_on_keeps_nobody_out() {
    let (mount, gate, mut begun) = slow();
    let host = start(|config| {
        config.flows = FlowLimits { requests: 2, ..FlowLimits::default() };
        config.mounts.push(mount);
    })
    .await;
    let (greedy, alice) = (host.user("greedy", &["system:masters"]), host.user("alice", &["dev"]));
    let visits: Vec<_> = (0..5).map(|_| tokio::spawn(visit(&host, &greedy))).collect();
    let all = begun.wait_for(|count| *count == 5);
    tokio::time::timeout(DEADLINE, all).await.expect("some were refused").unwrap();
    assert_eq!(alice.get(host.url("/version")).send().await.unwrap().status(), 200);
    gate.add_permits(5);
    assert_eq!(join_all(visits).await.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [200; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_works_on_so_many_requests_of_a_caller_at_a_time() {
    let (mount, gate, mut begun) = slow();
    let host = start(|config| {
        config.flows = FlowLimits { visits_per_caller: 2, ..FlowLimits::default() };
        config.mounts.push(mount);
    })
    .await;
    let (greedy, bob) = (host.user("greedy", &["system:masters"]), host.user("bob", &["system:masters"]));
    let first = [tokio::spawn(visit(&host, &greedy)), tokio::spawn(visit(&host, &greedy))];
    tokio::time::timeout(DEADLINE, begun.wait_for(|count| *count == 2)).await.unwrap().unwrap();
    let refused = greedy.post(host.url("/slow")).send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    Reply::of(refused).await.fails(429, "TooManyRequests", "");
    let other = tokio::spawn(visit(&host, &bob));
    tokio::time::timeout(DEADLINE, begun.wait_for(|count| *count == 3)).await.unwrap().unwrap();
    gate.add_permits(4);
    for visit in first.into_iter().chain([other]) {
        assert_eq!(visit.await.unwrap(), 200);
    }
    assert_eq!(visit(&host, &greedy).await, 200, "what was answered counts no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mount_has_answered_and_works_on_still_counts() {
    let kept: Arc<std::sync::Mutex<Vec<Visit>>> = Arc::default();
    let keeps = kept.clone();
    let serve = move |_: Caller, request: Request<Body>| {
        keeps.lock().unwrap().extend(request.extensions().get::<Visit>().cloned());
        futures::future::ready(Response::new(Body::empty())).boxed()
    };
    let host = start(|config| {
        config.flows = FlowLimits { visits_per_caller: 1, ..FlowLimits::default() };
        config.mounts.push(Mount { path: "/slow", visitors: Visitors::Known, serve: Arc::new(serve) });
    })
    .await;
    let greedy = host.user("greedy", &["system:masters"]);
    assert_eq!(visit(&host, &greedy).await, 200);
    assert_eq!(visit(&host, &greedy).await, 429);
    drop(std::mem::take(&mut *kept.lock().unwrap()));
    assert_eq!(visit(&host, &greedy).await, 200, "it has done what was asked for");
    assert_eq!(visit(&host, &greedy).await, 429);
    kept.lock().unwrap()[0].end();
    assert_eq!(visit(&host, &greedy).await, 200, "what is left is a stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_for_mounts_are_bounded_and_come_in_time() {
    let flows = FlowLimits { requests: 1, ..FlowLimits::default() };
    let host = start(|config| config.flows = flows).await;
    let (slow, alice) = (host.user("slow", &["system:masters"]), host.user("alice", &["dev"]));
    let too_much = slow.post(host.url("/agents")).body(vec![b'a'; 3 * 1024 * 1024 + 1]).send();
    Reply::of(too_much.await.unwrap()).await.fails(413, "RequestEntityTooLarge", "limit is 3145728");

    let mut sending = Box::pin(slow.post(host.url("/agents")).body(endless()).send());
    let mut is_first = true;
    let late = loop {
        // The server counts from when it begins to read.
        match tokio::time::timeout(Duration::from_millis(50), &mut sending).await {
            Ok(reply) => break reply.unwrap(),
            Err(_) => {
                if std::mem::take(&mut is_first) {
                    let other = alice.get(host.url("/version")).send().await.unwrap();
                    assert_eq!(other.status(), 200, "a body that comes slowly keeps nobody out");
                }
                host.clock.advance(Duration::from_secs(60));
            }
        }
    };
    Reply::of(late).await.fails(408, "Timeout", "within 60 s");
}
