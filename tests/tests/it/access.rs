//! Rights, as people give, ask for and lose them: with a real kubectl, against a whole cluster.

use std::process::Command;
use std::time::Duration;

use orch_tests::{Orchd, Run, kubectl_path, wait_for};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

/// A cluster that knows a few people by their tokens.
struct Cluster {
    orch: Orchd,
    _tokens: tempfile::NamedTempFile,
}

fn cluster(nodes: u32) -> Cluster {
    let tokens = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(tokens.path(), "jane-token,jane,1,\"dev\"\nroot-token,root,2,\"system:masters\"\n")
        .unwrap();
    let (file, nodes) = (tokens.path().to_string_lossy().into_owned(), nodes.to_string());
    let args = ["--runtime", "simulated", "--simulate-nodes", &nodes, "--token-file", &file];
    Cluster { orch: Orchd::start(&args), _tokens: tokens }
}

impl Cluster {
    fn admin(&self, args: &str) -> Run {
        self.orch.kubectl(&args.split(' ').collect::<Vec<_>>())
    }

    /// As somebody who has a token and nothing else.
    fn jane(&self, args: &str) -> Run {
        let admin = std::fs::read_to_string(self.orch.kubeconfig()).unwrap();
        let kept =
            admin.lines().filter(|line| !line.contains("client-certificate") && !line.contains("client-key"));
        let text: String = kept
            .map(|line| format!("{line}\n").replace("  user:\n", "  user: {token: jane-token}\n"))
            .collect();
        let path = self.orch.data_dir().join("jane.kubeconfig");
        std::fs::write(&path, text).unwrap();
        let mut kubectl = Command::new(kubectl_path());
        kubectl.args(args.split(' '));
        Run::new(kubectl.env("KUBECONFIG", path).env("HOME", self.orch.data_dir()), "")
    }
}

#[test]
fn rights_are_given_asked_for_and_taken_with_kubectl() {
    let cluster = cluster(1);
    assert_eq!(cluster.jane("auth can-i list pods").stdout.trim(), "no");
    let refused = cluster.jane("get pods").fails();
    assert!(
        refused.contains(r#"Error from server (Forbidden): pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default""#),
        "{refused}"
    );
    let who = cluster.jane("auth whoami").ok();
    assert!(who.contains("jane") && who.contains("dev"), "{who}");

    cluster.admin("create role reader --verb=get,list,watch --resource=pods,pods/log").ok();
    cluster.admin("create rolebinding jane-reads --role=reader --user=jane").ok();
    assert_eq!(cluster.jane("auth can-i list pods").ok().trim(), "yes");
    assert_eq!(cluster.jane("auth can-i delete pods").stdout.trim(), "no");
    assert_eq!(cluster.jane("auth can-i list pods -n kube-system").stdout.trim(), "no");
    cluster.jane("get pods").ok();
    let list = cluster.jane("auth can-i --list").ok();
    assert!(list.contains("pods/log") && list.contains("selfsubjectaccessreviews"), "{list}");

    cluster.admin("create clusterrole node-reader --verb=get,list --resource=nodes").ok();
    cluster.admin("create clusterrolebinding devs-read-nodes --clusterrole=node-reader --group=dev").ok();
    assert!(cluster.jane("get nodes -o name").ok().contains("node/sim-0000"));
    let climbing =
        cluster.jane("create clusterrolebinding climb --clusterrole=cluster-admin --user=jane").fails();
    assert!(climbing.contains("cannot create resource"), "{climbing}");

    let roles = cluster.admin("get roles").ok();
    assert!(roles.contains("CREATED AT") && roles.contains("reader"), "{roles}");
    let bindings = cluster.admin("get clusterrolebindings -o wide").ok();
    let (head, devs) = (
        bindings.lines().next().unwrap(),
        bindings.lines().find(|line| line.starts_with("devs-read-nodes")).unwrap(),
    );
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>(),
        ["NAME", "ROLE", "AGE", "USERS", "GROUPS", "SERVICEACCOUNTS"]
    );
    assert!(devs.contains("ClusterRole/node-reader") && devs.contains("dev"), "{devs}");
    let described = cluster.admin("describe clusterrole view").ok();
    assert!(
        described.contains("Resources")
            && described.contains("pods/log")
            && described.contains("rbac-defaults"),
        "{described}"
    );
    let described = cluster.admin("describe rolebinding jane-reads").ok();
    assert!(described.contains("Role:") && described.contains("jane"), "{described}");

    cluster.admin("delete rolebinding jane-reads").ok();
    assert_eq!(cluster.jane("auth can-i list pods").stdout.trim(), "no");
    cluster.jane("get pods").fails();
}

#[test]
fn roles_gather_the_rules_of_those_that_are_labelled_for_them() {
    let cluster = cluster(1);
    cluster.admin("create rolebinding jane-views --clusterrole=view --user=jane").ok();
    assert_eq!(cluster.jane("auth can-i get leases.coordination.k8s.io").stdout.trim(), "no");
    cluster.admin("create clusterrole lease-reader --verb=get --resource=leases.coordination.k8s.io").ok();
    cluster.admin("label clusterrole lease-reader rbac.authorization.k8s.io/aggregate-to-view=true").ok();
    wait_for("the role view to have taken over the rule", DEADLINE, || {
        let answer = cluster.jane("auth can-i get leases.coordination.k8s.io").stdout;
        if answer.trim() == "yes" { Ok(()) } else { Err(answer) }
    });
    cluster.admin("delete clusterrole lease-reader").ok();
    wait_for("the role view to have lost the rule", DEADLINE, || {
        let answer = cluster.jane("auth can-i get leases.coordination.k8s.io").stdout;
        if answer.trim() == "no" { Ok(()) } else { Err(answer) }
    });
}

#[test]
fn a_second_start_writes_nothing_and_mends_what_is_missing() {
    let mut cluster = cluster(1);
    let versions = |cluster: &Cluster| {
        let roles = cluster.admin("get clusterroles,clusterrolebindings -o json").ok();
        let roles: Value = serde_json::from_str(&roles).unwrap();
        let of = |object: &Value| {
            (
                object["kind"].to_string(),
                object["metadata"]["name"].to_string(),
                object["metadata"]["resourceVersion"].to_string(),
            )
        };
        roles["items"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let before = versions(&cluster);
    cluster.orch.stop();
    cluster.orch.start_again();
    assert_eq!(versions(&cluster), before);

    cluster.admin("delete clusterrole system:discovery").ok();
    let subjects = r#"{"subjects":[]}"#;
    cluster
        .orch
        .kubectl(&["patch", "clusterrolebinding", "system:basic-user", "--type=merge", "-p", subjects])
        .ok();
    assert!(cluster.jane("auth can-i list pods").code != Some(0));
    cluster.orch.stop();
    cluster.orch.start_again();
    assert_eq!(cluster.jane("auth can-i list pods").stdout.trim(), "no");
    cluster.admin("get clusterrole system:discovery").ok();
}
