//! Concurrent clients while everything fails that can: what they did is linearizable, and watches tell the store's history.

use std::time::Duration;

use orch_api::{Params, Verb};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clients::{Acknowledged, Client, Notes, ask, follow, listed, revision_of};
use crate::register;
use crate::site::Site;
use crate::stream::{self, Change, Sight, objects_at};

const CLIENTS: u64 = 6;
const FOLLOWERS: u64 = 3;
/// Operations that are answered before and after each fault.
const BETWEEN: usize = 120;
const DEADLINE: Duration = Duration::from_secs(180);

/// What goes wrong.
enum Fault {
    /// All connections to a server are lost.
    Cut(usize),
    /// A server is killed.
    Kill(usize),
    /// A server that was killed is started again.
    Start(usize),
    /// etcd is killed and started again.
    Store,
    /// A server's connections to etcd are lost.
    CutStore(usize),
}

impl Fault {
    async fn happen(&self, site: &mut Site) {
        match *self {
            Self::Cut(member) => site.members[member].way.cut(),
            Self::Kill(member) => site.members[member].kill(),
            Self::Start(member) => site.members[member].start_again(),
            Self::CutStore(member) => site.members[member].store.as_ref().unwrap().cut(),
            Self::Store => {
                let etcd = site.etcd.as_mut().unwrap();
                etcd.kill();
                etcd.resume().await;
            }
        }
    }
}

/// Runs the clients through the faults, and checks all that they noted. Each inner list is what happens at once.
async fn survive(mut site: Site, faults: &[&[Fault]]) {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let (notes, servers, stop) = (Notes::new(), site.clients(), CancellationToken::new());
    let list = ask(&servers[0], Verb::List, None, Params::default(), None).await.unwrap();
    let start = revision_of(&list);
    let (until, reached) = watch::channel(None);
    let (mut clients, mut followers) = (JoinSet::new(), JoinSet::new());
    for number in 0..CLIENTS {
        clients.spawn(Client::new(servers.clone(), notes.clone(), seed ^ number).work(stop.clone()));
    }
    for number in 0..FOLLOWERS {
        followers.spawn(follow(servers.clone(), seed ^ (1000 + number), reached.clone()));
    }
    for together in faults {
        notes.answered(BETWEEN, DEADLINE).await;
        for fault in *together {
            fault.happen(&mut site).await;
        }
    }
    notes.answered(BETWEEN, DEADLINE).await;
    stop.cancel();
    timeout(DEADLINE, clients.join_all()).await.unwrap();
    let body = json!({"metadata": {"name": "key-end"}, "data": {"value": notes.value().to_string()}});
    let end = ask(&servers[0], Verb::Create, None, Params::default(), Some(body)).await.unwrap();
    until.send_replace(Some(revision_of(&end)));
    let sights = timeout(DEADLINE, followers.join_all()).await.expect("a watch has not told everything");
    let history = site.history(start).await;
    verify(&notes, &sights, &history, revision_of(&end));
}

fn verify(notes: &Notes, sights: &[Vec<Sight>], history: &[Change], end: u64) {
    for (key, operations) in notes.operations.lock().unwrap().iter() {
        register::check(operations).unwrap_or_else(|problem| panic!("{key}: {problem}"));
    }
    for sights in sights {
        assert!(stream::check(sights, history).unwrap_or_else(|problem| panic!("{problem}")) >= end);
    }
    for (revision, objects) in notes.lists.lock().unwrap().iter() {
        assert_eq!(*objects, objects_at(history, *revision), "the list at {revision}");
    }
    let mut acknowledged = notes.acknowledged.lock().unwrap().clone();
    for write in &acknowledged {
        assert!(history.contains(&write.change), "{write:?} was acknowledged and is lost");
    }
    acknowledged.sort_by_key(|write| write.change.revision);
    in_order(&acknowledged);
    let events = sights.iter().flatten().filter(|sight| matches!(sight, Sight::Event(..))).count();
    eprintln!(
        "{} writes acknowledged, {} in the history, {events} events seen",
        acknowledged.len(),
        history.len()
    );
    assert!(events > 0 && !acknowledged.is_empty());
}

/// Revisions grow as time does, over all objects: no write has a lower one than a write that had returned before.
fn in_order(by_revision: &[Acknowledged]) {
    let mut latest_invocation = 0;
    for write in by_revision {
        assert!(write.returned > latest_invocation, "{write:?} is older than its revision says");
        latest_invocation = latest_invocation.max(write.invoked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_one_server_on_the_embedded_store() {
    use Fault::{Cut, Kill, Start};
    let crash: &[Fault] = &[Kill(0), Start(0)];
    survive(Site::embedded().await, &[&[Cut(0)], crash, &[Cut(0)], crash, crash]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_two_servers_over_one_etcd() {
    use Fault::{Cut, CutStore, Kill, Start, Store};
    let site = Site::over_etcd(2, &["--runtime", "none"]).await;
    let faults: &[&[Fault]] = &[
        &[Cut(0)],
        &[Kill(1)],
        &[Start(1)],
        &[Store],
        &[CutStore(0), Cut(1)],
        &[Kill(0)],
        &[Start(0)],
        &[Store, CutStore(1)],
    ];
    survive(site, faults).await;
}

/// The test can fail: a read that may be stale, by `resourceVersion=0`, of a server that the store's changes do not reach, is not
/// a consistent read, and the checker says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_read_of_a_real_server_is_told_from_a_consistent_one() {
    let site = Site::over_etcd(2, &["--runtime", "none"]).await;
    let (notes, servers) = (Notes::new(), site.clients());
    let mut client = Client::new(servers.clone(), notes.clone(), 0);
    assert!(client.create(&servers[0], "key-0").await);
    // The other server has seen it.
    assert!(client.read(&servers[1], "key-0").await);
    let known = ask(&servers[0], Verb::Get, Some("key-0"), Params::default(), None).await.unwrap();
    let known = (crate::clients::value_of(&known), revision_of(&known).to_string());
    site.members[1].store.as_ref().unwrap().close();
    assert!(client.update(&servers[0], "key-0", known).await);
    register::check(&notes.operations.lock().unwrap()["key-0"]).unwrap();
    assert!(client.read_at(&servers[1], "key-0", Some("0")).await);
    let operations = notes.operations.lock().unwrap()["key-0"].clone();
    register::check(&operations).unwrap_err();
    drop(operations);
    // A consistent read of it waits for the store, and is right once it is back.
    let reading = {
        let server = servers[1].clone();
        tokio::spawn(async move { ask(&server, Verb::List, None, Params::default(), None).await })
    };
    site.members[1].store.as_ref().unwrap().open();
    let list = reading.await.unwrap();
    let latest = ask(&servers[0], Verb::List, None, Params::default(), None).await.unwrap();
    if let Ok(list) = list {
        assert_eq!(listed(&list).1, listed(&latest).1);
    }
}
