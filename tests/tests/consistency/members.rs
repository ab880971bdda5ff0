//! Two API servers over one etcd: each shows what the other acknowledged, either may die, and controllers act once.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use orch_store::testing::EtcdServer;
use orch_store::{ChangeKind, Prefix, Revision, Store as _};
use orch_tests::{Orchd, Run, binary, wait_for};
use tokio::task::block_in_place;

use crate::site::Site;

const DEADLINE: Duration = Duration::from_secs(90);
/// A lease lasts 15 s from its last renewal; then come lists of all kinds, and the work itself.
const FAILOVER: Duration = Duration::from_secs(45);

fn workload(replicas: u32) -> String {
    format!(
        "apiVersion: orch.dev/v1\nkind: Workload\nmetadata: {{name: app, namespace: default}}\nspec:\n  replicas: {replicas}\n  \
         template:\n    metadata: {{labels: {{app: app}}}}\n    spec: {{containers: [{{name: app, image: 'registry.test/app:1'}}]}}\n"
    )
}

fn ready(orch: &Orchd, replicas: u32, deadline: Duration) {
    wait_for(&format!("{replicas} ready replicas"), deadline, || {
        let path = "-o=jsonpath={.status.readyReplicas}";
        let status = orch.kubectl(&["get", "workload", "app", path]).stdout;
        if status.trim() == replicas.to_string() { Ok(()) } else { Err(format!("{status} are ready")) }
    });
}

/// Who runs the controllers, and how often that has changed.
fn leader(orch: &Orchd) -> (String, u32) {
    let path = "-o=jsonpath={.spec.holderIdentity} {.spec.leaseTransitions}";
    let lease = orch.kubectl(&["get", "lease", "orch-controllers", "-n", "kube-system", path]).ok();
    let (holder, transitions) = lease.trim().split_once(' ').unwrap();
    (holder.to_owned(), transitions.parse().unwrap())
}

/// The names of all pods that were ever made.
async fn pods_ever_made(etcd: &EtcdServer) -> BTreeSet<String> {
    let store = etcd.store().await;
    let (end, mut reached) = (store.revision().await.unwrap(), Revision::ZERO);
    let mut watch = store.watch(&Prefix::new("/registry/core/pods").unwrap(), reached).await.unwrap();
    let mut names = BTreeSet::new();
    while reached < end {
        let batch = watch.next().await.unwrap().unwrap();
        reached = batch.revision;
        let puts = batch.changes.into_iter().filter(|change| matches!(change.kind, ChangeKind::Put(_)));
        names.extend(puts.map(|change| change.key.as_str().to_owned()));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shows_what_the_other_has_acknowledged() {
    let site = Site::over_etcd(2, &["--runtime", "none"]).await;
    block_in_place(|| {
        let [one, two] = [0, 1].map(|member| &site.members[member].orch);
        let mut watch = two.kubectl_spawn(&["get", "configmaps", "--watch", "-o", "name"]);
        for round in 0..5 {
            for (here, there) in [(one, two), (two, one)] {
                let name = format!("map-{round}");
                let made = here.kubectl(&["create", "configmap", &name, "--from-literal=a=1"]);
                if made.code == Some(0) {
                    there.kubectl(&["get", "configmap", &name]).ok();
                    assert!(there.kubectl(&["get", "configmaps", "-o", "name"]).ok().contains(&name));
                    watch.line_with(&name, DEADLINE);
                } else {
                    // The one that came second is told that it is there; it then changes it for the other to see.
                    assert!(
                        made.stderr.contains("AlreadyExists") || made.stderr.contains("already exists"),
                        "{made:?}"
                    );
                    here.kubectl(&["label", "configmap", &name, "seen=yes"]).ok();
                    let seen =
                        there.kubectl(&["get", "configmap", &name, "-o=jsonpath={.metadata.labels.seen}"]);
                    assert_eq!(seen.ok(), "yes");
                }
            }
        }
        // A role that one has acknowledged lets a user in at the other.
        one.kubectl(&["create", "clusterrolebinding", "jane", "--clusterrole=view", "--user=jane"]).ok();
        wait_for("the other to know the role", DEADLINE, || {
            let answer = two.kubectl(&["auth", "can-i", "list", "pods", "--as=jane"]);
            if answer.stdout.trim() == "yes" { Ok(()) } else { Err(answer.stdout) }
        });
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_run_in_one_at_a_time_and_nothing_is_made_twice() {
    // The first is the node, and runs no controllers: those are in the two others.
    let first = ["--runtime", "simulated", "--simulate-nodes", "3", "--controllers", "false"];
    let mut site = Site::over_etcd(3, &first).await;
    let (before, after) = block_in_place(|| {
        let node = &site.members[0].orch;
        node.kubectl_with(&["apply", "-f", "-"], &workload(10)).ok();
        ready(node, 10, DEADLINE);
        let before = leader(node);
        // Its log says who leads.
        let leads = |member: usize| site.members[member].orch.log().contains(&before.0);
        let leading = if leads(1) { 1 } else { 2 };
        assert!(leads(leading) && !leads(3 - leading), "{before:?}");
        site.members[leading].kill();
        let killed = Instant::now();
        let other = &site.members[3 - leading].orch;
        other.kubectl_with(&["apply", "-f", "-"], &workload(15)).ok();
        ready(other, 15, FAILOVER);
        eprintln!("15 pods are ready {:?} after the leader's death", killed.elapsed());
        let after = leader(other);
        // One that stops hands over at once.
        site.members[leading].start_again();
        let stopped = Instant::now();
        site.members[3 - leading].orch.stop();
        let back = &site.members[leading].orch;
        back.kubectl_with(&["apply", "-f", "-"], &workload(20)).ok();
        ready(back, 20, DEADLINE);
        eprintln!("20 pods are ready {:?} after the leader's end", stopped.elapsed());
        assert_eq!(leader(back).1, after.1 + 1);
        (before, after)
    });
    assert_ne!(before.0, after.0);
    assert_eq!(after.1, before.1 + 1);
    let made = pods_ever_made(site.etcd.as_ref().unwrap()).await;
    assert_eq!(made.len(), 20, "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_keys_of_its_own_does_not_join() {
    let site = Site::over_etcd(1, &["--runtime", "none"]).await;
    let directory = tempfile::tempdir().unwrap();
    let endpoint = site.etcd.as_ref().unwrap().endpoint();
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--runtime",
        "none",
        "--store",
        "etcd",
        "--etcd-endpoints",
        endpoint,
    ];
    let problem = block_in_place(|| {
        let mut orchd = Command::new(binary("orchd"));
        Run::new(orchd.args(args).arg("--data-dir").arg(directory.path()), "").fails()
    });
    assert!(
        problem.contains("another certificate authority") && problem.contains("copy the directory pki"),
        "{problem}"
    );
}
