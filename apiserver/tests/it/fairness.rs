//! One caller's requests do not keep another's waiting.

use std::sync::Arc;

use futures::future::join_all;
use orch_apiserver::FlowLimits;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::testing::FaultyStore;
use reqwest::{Client, Response};
use serde_json::json;

use crate::host::{DEADLINE, Host, MAPS, Reply, map};

const GREEDY: usize = 500;

async fn start(flows: FlowLimits) -> (Host, Arc<FaultyStore<EmbeddedStore>>) {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("store"))).unwrap();
    let store = Arc::new(FaultyStore::new(Arc::new(store)));
    let kinds = orch_ontology::KINDS.clone();
    let host = Host::configured(directory, store.clone(), kinds, |config| config.flows = flows).await;
    host.post("/api/v1/namespaces", json!({"metadata": {"name": "default"}})).await.is(201);
    (host, store)
}

async fn get(host: &Host, client: &Client, path: &str) -> Response {
    client.get(host.url(path)).send().await.unwrap()
}

/// What `/metrics` says of a counter or gauge of everybody's share.
async fn figure(host: &Host, name: &str) -> usize {
    let text = host.get("/metrics").await.text;
    let start = format!("{name}{{priority_level=\"global-default\"");
    let line = text.lines().find(|line| line.starts_with(&start));
    line.and_then(|line| line.rsplit(' ').next()).map_or(0, |value| value.parse().unwrap())
}

pub(crate) async fn until(host: &Host, name: &str, expected: usize) {
    let reached = async { while figure(host, name).await != expected {} };
    let reached = tokio::time::timeout(DEADLINE, reached).await;
    assert!(reached.is_ok(), "{name} does not get to {expected}");
}

async fn create(host: &Host, client: &Client, name: String) -> Response {
    client.post(host.url(MAPS)).json(&map(&name, json!({}))).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_500_requests_keeps_no_other_waiting() {
    let flows = FlowLimits {
        seats: 8,
        seats_per_caller: 4,
        queue_per_caller: 490,
        patience: DEADLINE,
        ..FlowLimits::default()
    };
    let (host, store) = start(flows).await;
    let (greedy, polite) = (host.user("greedy", &["dev"]), host.user("polite", &["dev"]));
    store.set_commits_stalled(true);
    let rush = join_all((0..GREEDY).map(|number| create(&host, &greedy, format!("m{number}"))));
    let others = async {
        until(&host, "apiserver_flowcontrol_current_inqueue_requests", 490).await;
        assert_eq!(get(&host, &polite, MAPS).await.status(), 200);
        let busy = figure(&host, "apiserver_flowcontrol_current_executing_requests").await;
        assert_eq!(busy, 4, "the greedy one has not gone on");
        store.set_commits_stalled(false);
    };
    let (answers, ()) = tokio::join!(rush, others);

    let count = |code: u16| answers.iter().filter(|answer| answer.status() == code).count();
    assert_eq!((count(201), count(429)), (494, 6), "the greedy one is served too, as far as its queue goes");
    let refused = answers.into_iter().find(|answer| answer.status() == 429).unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    Reply::of(refused).await.fails(429, "TooManyRequests", "please try again later");
    assert_eq!(figure(&host, "apiserver_flowcontrol_rejected_requests_total").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_requests_may_be_under_way_and_no_more() {
    let (host, store) = start(FlowLimits { requests: 2, ..FlowLimits::default() }).await;
    let client = host.user("alice", &["dev"]);
    // Watches that have begun do not count.
    let path = format!("{MAPS}?watch=1");
    let watches = [get(&host, &client, &path).await, get(&host, &client, &path).await];
    store.set_commits_stalled(true);
    let writes = join_all((0..2).map(|number| create(&host, &client, format!("m{number}"))));
    let refused = async {
        loop {
            let reply = get(&host, &client, "/livez").await;
            if reply.status() == 429 {
                return reply;
            }
        }
    };
    let others = async {
        let refused = tokio::time::timeout(DEADLINE, refused).await.expect("nobody is refused");
        assert_eq!(refused.headers()["retry-after"], "1");
        Reply::of(refused).await.fails(429, "TooManyRequests", "please try again later");
        store.set_commits_stalled(false);
    };
    let (written, ()) = tokio::join!(writes, others);
    assert!(written.iter().all(|answer| answer.status() == 201), "{written:?}");
    assert_eq!(get(&host, &client, "/livez").await.status(), 200);
    drop(watches);
}

#[tokio::test]
async fn a_caller_may_have_so_many_watches() {
    let flows = FlowLimits { long_running_per_caller: 2, ..FlowLimits::default() };
    let (host, _) = start(flows).await;
    let (alice, bob) = (host.user("alice", &["dev"]), host.user("bob", &["dev"]));
    let path = format!("{MAPS}?watch=1");
    let mut watches = vec![get(&host, &alice, &path).await, get(&host, &alice, &path).await];
    assert_eq!(watches.iter().map(|watch| watch.status().as_u16()).collect::<Vec<_>>(), [200, 200]);
    Reply::of(get(&host, &alice, &path).await).await.fails(429, "TooManyRequests", "");
    assert_eq!(get(&host, &bob, &path).await.status(), 200, "another caller has its own");
    assert_eq!(get(&host, &alice, MAPS).await.status(), 200, "other requests are not counted");
    watches.pop();
    until(&host, "apiserver_longrunning_requests", 1).await;
    assert_eq!(get(&host, &alice, &path).await.status(), 200);
}

#[tokio::test]
async fn streams_are_counted_with_watches() {
    let (host, _) = start(FlowLimits { long_running_per_caller: 0, ..FlowLimits::default() }).await;
    host.get("/api/v1/namespaces/default/pods/web/log").await.fails(429, "TooManyRequests", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_bodies_of_a_caller_may_be_on_their_way() {
    let (host, _) = start(FlowLimits { bodies_per_caller: 1, ..FlowLimits::default() }).await;
    let (slow, alice) = (host.user("slow", &["system:masters"]), host.user("alice", &["dev"]));
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for path in [MAPS, reviews] {
        let endless =
            reqwest::Body::wrap_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let sending = tokio::spawn(slow.post(host.url(path)).body(endless).send());
        let refused = async {
            loop {
                let reply = create(&host, &slow, "a".to_owned()).await;
                if reply.status() == 429 {
                    return reply;
                }
            }
        };
        let refused = tokio::time::timeout(DEADLINE, refused).await.expect("nobody is refused");
        Reply::of(refused).await.fails(429, "TooManyRequests", "please try again later");
        assert_eq!(get(&host, &slow, MAPS).await.status(), 200, "what has no body is not counted");
        assert_eq!(create(&host, &alice, format!("by-alice-{}", path.len())).await.status(), 201);
        sending.abort();
        let free = async { while create(&host, &slow, "b".to_owned()).await.status() == 429 {} };
        tokio::time::timeout(DEADLINE, free).await.expect("who went away is still counted");
    }
}
