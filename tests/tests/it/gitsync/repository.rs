//! What is in a Git repository is made so, and stays so.

use std::time::Duration;

use orch_tests::{GitServer, Orchd, wait_for};
use serde_json::Value;

use crate::manifests::web;

/// How long anything may take on a machine that is busy.
const SOON: Duration = Duration::from_secs(60);

const WORKLOAD: &str = web!("{name: web, image: 'registry.test/web:1'}");

pub(super) const PAGE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata: {title: one}\n";

/// An account that may do everything in the namespace default.
const ACCOUNT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: default}]
";

/// A server, a repository, and an account for it.
pub(super) struct Shop {
    pub(super) orch: Orchd,
    pub(super) git: GitServer,
}

impl Shop {
    pub(super) fn open() -> Self {
        let (orch, git) = (Orchd::simulated(2), GitServer::start());
        orch.kubectl_with(&["apply", "--server-side", "-f", "-"], ACCOUNT).ok();
        Self { orch, git }
    }

    /// Makes the GitSync `shop`, with more in its spec. It is looked at only when that is asked for.
    pub(super) fn sync(&self, spec: &str) {
        let url = self.git.url();
        let sync = format!(
            "apiVersion: orch.dev/v1\nkind: GitSync\nmetadata: {{name: shop}}\nspec:\n  url: {url}\n  \
             intervalSeconds: 3600\n  retrySeconds: 1\n  prune: true\n  serviceAccountName: deployer\n{spec}"
        );
        self.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &sync).ok();
    }

    pub(super) fn get(&self, what: &[&str]) -> Option<Value> {
        let args: Vec<&str> =
            ["get", "-o", "json", "--ignore-not-found"].iter().chain(what).copied().collect();
        let text = self.orch.kubectl(&args).ok();
        (!text.trim().is_empty()).then(|| serde_json::from_str(&text).unwrap())
    }

    pub(super) fn status(&self) -> Value {
        self.get(&["gitsync", "shop"]).map_or(Value::Null, |sync| sync["status"].clone())
    }

    /// Waits until the condition `Ready` has this status and reason at this commit.
    pub(super) fn until(&self, commit: &str, status: &str, reason: &str) -> Value {
        wait_for(&format!("{reason} at {commit}"), SOON, || {
            let now = self.status();
            let ready = condition(&now, "Ready");
            let is_it =
                ready["status"] == status && ready["reason"] == reason && now["fetchedRevision"] == commit;
            if is_it { Ok(now) } else { Err(now.to_string()) }
        })
    }

    /// Asks for a look at the repository.
    pub(super) fn look(&self, token: &str) {
        let annotation = format!("orch.dev/reconcile-requested={token}");
        self.orch.kubectl(&["annotate", "gitsync", "shop", "--overwrite", &annotation]).ok();
    }

    pub(super) fn title(&self) -> Value {
        self.get(&["configmap", "page"]).map_or(Value::Null, |page| page["data"]["title"].clone())
    }

    pub(super) fn until_title(&self, title: &str) {
        wait_for(&format!("the title {title}"), SOON, || {
            let now = self.title();
            if now == title { Ok(()) } else { Err(now.to_string()) }
        });
    }

    /// How many plans have been applied.
    fn plans(&self) -> usize {
        let plans = self.get(&["plans"]).unwrap();
        plans["items"].as_array().unwrap().iter().filter(|plan| plan["status"]["phase"] == "Applied").count()
    }
}

pub(super) fn condition(status: &Value, condition_type: &str) -> Value {
    let conditions = status["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == condition_type);
    found.cloned().unwrap_or_default()
}

fn message(status: &Value) -> String {
    condition(status, "Ready")["message"].as_str().unwrap_or_default().to_owned()
}

pub(super) fn page(title: &str) -> String {
    PAGE.replace("one", title)
}

#[test]
fn a_repository_is_applied_as_one_plan_and_follows_what_is_pushed() {
    let shop = Shop::open();
    let first = shop.git.push(
        &[("deploy/web.yaml", WORKLOAD), ("deploy/page.yaml", PAGE), ("README.md", "# no manifest")],
        "a shop",
    );
    shop.sync("  path: deploy\n  health: {timeoutSeconds: 60}\n");
    let status = shop.until(&first, "True", "Applied");
    assert_eq!(
        (&status["appliedRevision"], &status["healthyRevision"]),
        (&first.clone().into(), &first.clone().into())
    );
    assert_eq!(status["inventory"].as_array().unwrap().len(), 2, "{status}");
    assert_eq!(status["lastPlans"].as_array().unwrap().len(), 1, "both objects in one plan: {status}");

    // Who, on whose behalf and why is kept with what was changed.
    let changes =
        shop.get(&["changes", "--field-selector", "object.kind=ConfigMap,object.name=page"]).unwrap();
    let change = &changes["items"][0];
    assert_eq!(change["user"], "system:serviceaccount:default:deployer", "{change}");
    assert_eq!(change["impersonator"], "system:orch:controller:git-sync", "{change}");
    assert!(change["reason"].as_str().unwrap().contains("a shop (Ada <ada@shop.test>)"), "{change}");

    // A look at what has not changed writes nothing but that it was looked.
    let (plans, version) =
        (shop.plans(), shop.get(&["configmap", "page"]).unwrap()["metadata"]["resourceVersion"].clone());
    shop.look("again");
    wait_for("a look", SOON, || {
        if shop.status()["handledReconcile"] == "again" { Ok(()) } else { Err(String::new()) }
    });
    assert_eq!(
        (shop.plans(), shop.get(&["configmap", "page"]).unwrap()["metadata"]["resourceVersion"].clone()),
        (plans, version)
    );

    let second = shop.git.push(&[("deploy/page.yaml", &page("two"))], "another title");
    shop.look("second");
    shop.until(&second, "True", "Applied");
    shop.until_title("two");

    // What the repository no longer has goes.
    let third = shop.git.push_without(&["deploy/page.yaml"], "no page");
    shop.look("third");
    shop.until(&third, "True", "Applied");
    assert_eq!(shop.get(&["configmap", "page"]), None);
    assert_eq!(shop.status()["inventory"].as_array().unwrap().len(), 1);

    // And everything with the sync itself.
    shop.orch.kubectl(&["delete", "gitsync", "shop"]).ok();
    wait_for("the end of web", SOON, || match shop.get(&["workload", "web"]) {
        None => Ok(()),
        Some(web) => Err(web.to_string()),
    });
}

#[test]
fn what_somebody_else_changes_is_changed_back_and_told() {
    let shop = Shop::open();
    let commit = shop.git.push(&[("page.yaml", PAGE)], "a page");
    shop.sync("");
    shop.until(&commit, "True", "Applied");
    let patch = r#"{"data": {"title": "mine"}}"#;
    shop.orch.kubectl(&["patch", "configmap", "page", "--type=merge", "-p", patch]).ok();
    // Nobody asks for a look, and the interval is an hour.
    shop.until_title("one");
    let status = wait_for("what was changed back", SOON, || {
        let status = shop.status();
        if status["drift"].is_array() { Ok(status) } else { Err(status.to_string()) }
    });
    let drifted = &status["drift"][0];
    assert_eq!(
        (&drifted["object"]["kind"], &drifted["object"]["name"]),
        (&"ConfigMap".into(), &"page".into())
    );
    let field = &drifted["fields"][0];
    assert_eq!(
        (&field["path"], &field["before"], &field["after"]),
        (&"data.title".into(), &"mine".into(), &"one".into())
    );
    assert!(drifted["changedBy"].to_string().contains("with kubectl"), "{drifted}");

    shop.orch.kubectl(&["delete", "configmap", "page"]).ok();
    shop.until_title("one");
}

#[test]
fn labels_that_somebody_else_changes_are_changed_back() {
    let shop = Shop::open();
    let labelled = WORKLOAD.replace("{name: web}", "{name: web, labels: {tier: front}}");
    assert_ne!(labelled, WORKLOAD);
    let commit = shop.git.push(&[("web.yaml", &labelled)], "a workload");
    shop.sync("");
    shop.until(&commit, "True", "Applied");
    let tier = || shop.get(&["workload", "web"]).map(|web| web["metadata"]["labels"]["tier"].clone());
    assert_eq!(tier(), Some("front".into()));
    // Its generation stays, and nobody asks for a look.
    shop.orch.kubectl(&["label", "workload", "web", "tier=back", "--overwrite"]).ok();
    wait_for("the label", SOON, || match tier() {
        Some(tier) if tier == "front" => Ok(()),
        tier => Err(format!("{tier:?}")),
    });
}

#[test]
fn a_repository_can_do_what_its_account_may_and_no_more() {
    let shop = Shop::open();
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: kube-system}\nstringData: {a: b}\n";
    let commit = shop.git.push(&[("page.yaml", PAGE), ("more/secret.yaml", secret)], "more than allowed");
    shop.sync("");
    let status = shop.until(&commit, "False", "Refused");
    let told = message(&status);
    assert!(told.starts_with("more/secret.yaml:1: "), "{told}");
    assert!(
        told.contains("system:serviceaccount:default:deployer") && told.contains("kube-system"),
        "{told}"
    );
    assert_eq!(shop.title(), Value::Null, "all or nothing");

    // Once it may, it does, without anybody asking.
    let binding = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: deployer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: deployer, namespace: default}]
";
    shop.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], binding).ok();
    shop.until(&commit, "True", "Applied");
}

#[test]
fn more_deletions_than_allowed_are_held_until_they_are_approved() {
    let shop = Shop::open();
    let maps = |name: &str| PAGE.replace("page", name);
    let (a, b, c) = (maps("a"), maps("b"), maps("c"));
    let first = shop.git.push(&[("page.yaml", PAGE), ("a.yaml", &a), ("b.yaml", &b), ("c.yaml", &c)], "four");
    shop.sync("  guards: {maxDeletes: 2}\n");
    shop.until(&first, "True", "Applied");
    let second = shop.git.push_without(&["a.yaml", "b.yaml", "c.yaml"], "all but one");
    shop.look("second");
    let status = shop.until(&second, "False", "Held");
    assert_eq!(status["held"]["reason"], "TooManyDeletes", "{status}");
    assert_eq!(status["held"]["deletes"].as_array().unwrap().len(), 3, "{status}");
    assert_eq!(condition(&status, "Held")["status"], "True");
    assert_eq!(status["appliedRevision"], first, "{status}");
    assert!(shop.get(&["configmap", "a"]).is_some(), "nothing has happened");

    let approval = format!("orch.dev/approve-revision={second}");
    shop.orch.kubectl(&["annotate", "gitsync", "shop", &approval]).ok();
    let status = shop.until(&second, "True", "Applied");
    assert_eq!((&status["held"], &condition(&status, "Held")), (&Value::Null, &Value::Null), "{status}");
    assert_eq!((shop.get(&["configmap", "a"]), shop.title()), (None, "one".into()));
    // It was of that once, and is not kept where nothing has to be let through.
    let used_up = || {
        wait_for("the approval to be used up", SOON, || {
            let annotations = shop.get(&["gitsync", "shop"]).unwrap()["metadata"]["annotations"].clone();
            let is_gone = annotations["orch.dev/approve-revision"].is_null();
            if is_gone { Ok(()) } else { Err(annotations.to_string()) }
        });
    };
    used_up();
    shop.orch.kubectl(&["annotate", "gitsync", "shop", &approval]).ok();
    used_up();
}

#[test]
fn a_revision_that_does_not_become_healthy_is_rolled_back() {
    let shop = Shop::open();
    let good = shop.git.push(&[("web.yaml", WORKLOAD), ("page.yaml", PAGE)], "works");
    // Going back deletes an object.
    shop.sync("  health: {timeoutSeconds: 15, rollback: true}\n  guards: {maxDeletes: 0}\n");
    // The machine may be slow: what works counts as such whenever it does.
    wait_for("a healthy shop", SOON, || {
        let status = shop.status();
        if status["healthyRevision"] == good { Ok(()) } else { Err(status.to_string()) }
    });
    // No node is called so.
    let nowhere =
        WORKLOAD.replace("containers:", "nodeSelector: {kubernetes.io/hostname: nowhere}\n      containers:");
    assert_ne!(nowhere, WORKLOAD);
    let extra = PAGE.replace("page", "extra");
    let files = [("web.yaml", &*nowhere), ("page.yaml", &page("two")), ("extra.yaml", &extra)];
    let bad = shop.git.push(&files, "does not work");
    shop.look("bad");
    let status = wait_for("the way back", SOON, || {
        let status = shop.status();
        let is_back = status["failedRevision"] == bad && status["appliedRevision"] == good;
        if is_back { Ok(status) } else { Err(status.to_string()) }
    });
    assert_eq!(condition(&status, "Ready")["reason"], "RolledBack", "{status}");
    let told = message(&status);
    assert!(told.contains("did not become healthy (Workload default/web: "), "{told}");
    shop.until_title("one");
    assert_eq!(shop.get(&["configmap", "extra"]), None);

    // It stays so until there is something new, however often pushes are told.
    shop.orch.kubectl(&["annotate", "gitsync", "shop", "orch.dev/push-told=again"]).ok();
    shop.orch.kubectl(&["delete", "configmap", "page"]).ok();
    shop.until_title("one");
    assert_eq!(shop.status()["failedRevision"], bad, "{}", shop.status());
    let fixed = shop.git.push(&[("web.yaml", WORKLOAD), ("page.yaml", &page("three"))], "works again");
    shop.look("fixed");
    wait_for("the fixed shop", SOON, || {
        let status = shop.status();
        if status["healthyRevision"] == fixed { Ok(()) } else { Err(status.to_string()) }
    });
    shop.until_title("three");
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let shop = Shop::open();
    let first = shop.git.push(&[("page.yaml", PAGE)], "a page");
    shop.sync("");
    shop.until(&first, "True", "Applied");
    let kept = |what: &str| assert_eq!(shop.title(), "one", "{what}");

    let broken =
        shop.git.push(&[("page.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page\n")], "broken");
    shop.look("broken");
    let status = wait_for("what is wrong", SOON, || {
        let status = shop.status();
        if condition(&status, "Ready")["status"] == "False" { Ok(status) } else { Err(status.to_string()) }
    });
    assert!(message(&status).contains("page.yaml:"), "{status}");
    assert_eq!(status["appliedRevision"], first, "{status}");
    kept("broken");
    assert_ne!(broken, first);

    let empty = shop.git.push_without(&["page.yaml"], "nothing");
    shop.look("empty");
    let status = shop.until(&empty, "False", "InvalidManifests");
    assert!(message(&status).contains("holds no manifest"), "{status}");
    kept("empty");

    let patch = r#"{"spec": {"ref": {"branch": "gone"}}}"#;
    shop.orch.kubectl(&["patch", "gitsync", "shop", "--type=merge", "-p", patch]).ok();
    let status = wait_for("no such branch", SOON, || {
        let status = shop.status();
        if condition(&status, "Fetched")["reason"] == "NotFound" {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    });
    assert!(message(&status).contains("gone"), "{status}");
    kept("gone");

    let patch = r#"{"spec": {"ref": {"branch": "main"}, "url": "git://127.0.0.1:1/shop.git"}}"#;
    shop.orch.kubectl(&["patch", "gitsync", "shop", "--type=merge", "-p", patch]).ok();
    wait_for("no server", SOON, || {
        let status = shop.status();
        if condition(&status, "Fetched")["reason"] == "Unreachable" {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    kept("unreachable");
}

#[test]
fn a_kind_its_namespace_and_its_objects_come_in_one_sync() {
    let shop = Shop::open();
    let binding = ACCOUNT.replace("kind: RoleBinding", "kind: ClusterRoleBinding");
    shop.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &binding).ok();
    let files = [
        ("a/sign.yaml", "apiVersion: shop.test/v1\nkind: Sign\nmetadata: {name: door}\nspec: {text: open}\n"),
        ("b/namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: town, labels: {of: shop}}\n"),
        (
            "c/kind.yaml",
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: signs.shop.test}\nspec:\n  group: shop.test\n  \
             scope: Namespaced\n  names: {kind: Sign, plural: signs, singular: sign}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    \
             schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {text: {type: string}}}}}}\n",
        ),
    ];
    let commit = shop.git.push(&files, "a town");
    shop.sync("  targetNamespace: town\n  guards: {maxDeletes: 3}\n");
    let status = shop.until(&commit, "True", "Applied");
    assert_eq!(status["lastPlans"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(shop.get(&["signs", "door", "-n", "town"]).unwrap()["spec"]["text"], "open");

    // What is in the namespace, whoever made it, would go with it.
    shop.orch.kubectl(&["create", "configmap", "bell", "-n", "town"]).ok();
    shop.git
        .push(&[("d/namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: village}\n")], "two");
    let gone = shop.git.push_without(&files.map(|(path, _)| path), "a village");
    shop.look("gone");
    let status = shop.until(&gone, "False", "Held");
    assert!(message(&status).contains("it would delete 3 objects, with which "), "{status}");
}

#[test]
fn nothing_is_changed_in_frozen_times_nor_while_suspended_nor_before_what_it_depends_on() {
    let shop = Shop::open();
    let first = shop.git.push(&[("page.yaml", PAGE)], "a page");
    shop.sync("  dependsOn: [{name: platform}]\n");
    wait_for("the wait for platform", SOON, || {
        let status = shop.status();
        if condition(&status, "Ready")["reason"] == "DependencyNotReady" {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(shop.title(), Value::Null);
    let platform = format!(
        "apiVersion: orch.dev/v1\nkind: GitSync\nmetadata: {{name: platform}}\nspec: {{url: '{}', targetNamespace: default, serviceAccountName: deployer}}\n",
        shop.git.url()
    );
    shop.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &platform).ok();
    // Both have the page: it is there once either is applied.
    shop.until(&first, "True", "Applied");
    shop.orch.kubectl(&["delete", "gitsync", "platform"]).ok();
    let patch = r#"{"spec": {"dependsOn": null, "guards": {"freezeWindows": [
        {"from": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z", "reason": "the century"}]}}}"#;
    shop.orch.kubectl(&["patch", "gitsync", "shop", "--type=merge", "-p", patch]).ok();
    let second = shop.git.push(&[("page.yaml", &page("two"))], "another title");
    shop.look("second");
    let status = shop.until(&second, "False", "Held");
    assert!(
        message(&status).contains("nothing is changed until 2100-01-01T00:00:00Z: the century"),
        "{status}"
    );
    assert_eq!(shop.title(), "one");

    let patch = r#"{"spec": {"suspend": true, "guards": {"freezeWindows": null}}}"#;
    shop.orch.kubectl(&["patch", "gitsync", "shop", "--type=merge", "-p", patch]).ok();
    let patch = r#"{"spec": {"suspend": false}}"#;
    assert_eq!(shop.title(), "one");
    shop.orch.kubectl(&["patch", "gitsync", "shop", "--type=merge", "-p", patch]).ok();
    shop.until(&second, "True", "Applied");
    shop.until_title("two");
}

#[test]
fn what_is_written_in_another_way_than_it_is_kept_settles() {
    let shop = Shop::open();
    let odd = "
apiVersion: v1
kind: Secret
metadata: {name: key, creationTimestamp: null}
stringData: {password: hunter2}
---
apiVersion: orch.dev/v1
kind: Workload
metadata: {name: web, creationTimestamp: null, labels: {}}
spec:
  template:
    metadata: {creationTimestamp: null, labels: {app: web}}
    spec:
      containers: [{name: web, image: 'registry.test/web:1', resources: {requests: {cpu: 1000m, memory: '1073741824'}}, ports: [{containerPort: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
";
    let commit = shop.git.push(&[("odd.yaml", odd)], "odd");
    shop.sync("  health: {}\n");
    let status = shop.until(&commit, "True", "Applied");
    let first = status["lastPlans"].clone();
    for token in ["one", "two"] {
        shop.look(token);
        wait_for("a look", SOON, || {
            if shop.status()["handledReconcile"] == token { Ok(()) } else { Err(String::new()) }
        });
    }
    let status = shop.status();
    assert_eq!((&status["lastPlans"], shop.plans()), (&first, 1), "{status}");
    assert_eq!(status["drift"], Value::Null, "{status}");
}

/// So many ConfigMaps.
fn pages(many: usize) -> String {
    (0..many).map(|n| format!("---\n{}", PAGE.replace("page", &format!("page-{n}")))).collect()
}

#[test]
fn a_sync_of_many_objects_is_one_plan_where_the_store_holds_it() {
    let shop = Shop::open();
    let commit = shop.git.push(&[("maps.yaml", &pages(1_000))], "many");
    shop.sync("");
    let status = shop.until(&commit, "True", "Applied");
    assert_eq!(status["inventory"].as_array().unwrap().len(), 1_000);
    assert_eq!(status["lastPlans"].as_array().unwrap().len(), 1, "{}", status["lastPlans"]);
}

#[test]
fn a_sync_larger_than_a_transaction_is_several_plans() {
    let etcd = orch_tests::start_etcd();
    let orch =
        Orchd::start(&["--runtime", "simulated", "--store", "etcd", "--etcd-endpoints", etcd.endpoint()]);
    orch.kubectl_with(&["apply", "--server-side", "-f", "-"], ACCOUNT).ok();
    let shop = Shop { orch, git: GitServer::start() };
    let commit = shop.git.push(&[("maps.yaml", &pages(250))], "many");
    shop.sync("");
    let status = shop.until(&commit, "True", "Applied");
    assert_eq!(status["inventory"].as_array().unwrap().len(), 250);
    assert_eq!(status["lastPlans"].as_array().unwrap().len(), 3, "{}", status["lastPlans"]);
    // All of them would go: too many at once.
    let commit = shop.git.push(&[("maps.yaml", PAGE)], "few");
    shop.look("few");
    let status = shop.until(&commit, "False", "Held");
    assert!(message(&status).contains("it would delete 250 objects, and maxDeletes is 10"), "{status}");
    // What takes their place is there before they go.
    let approval = format!("orch.dev/approve-revision={commit}");
    shop.orch.kubectl(&["annotate", "gitsync", "shop", &approval]).ok();
    let status = shop.until(&commit, "True", "Applied");
    let first = shop.get(&["plan", status["lastPlans"][0].as_str().unwrap()]).unwrap();
    assert_eq!(first["status"]["changes"][0]["target"]["name"], "page", "{}", first["status"]["changes"]);
}

#[test]
fn two_syncs_that_want_different_things_do_not_keep_the_server_busy() {
    let shop = Shop::open();
    let commit = shop.git.push(&[("a/page.yaml", PAGE), ("b/page.yaml", &page("two"))], "quarrel");
    shop.sync("  path: a\n");
    shop.until(&commit, "True", "Applied");
    let other = format!(
        "apiVersion: orch.dev/v1\nkind: GitSync\nmetadata: {{name: other}}\nspec: {{url: '{}', path: b, serviceAccountName: deployer, intervalSeconds: 3600}}\n",
        shop.git.url()
    );
    shop.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &other).ok();
    wait_for("an end of the quarrel", SOON, || {
        let reasons: Vec<Value> = ["shop", "other"]
            .map(|name| {
                condition(&shop.get(&["gitsync", name]).unwrap()["status"], "Ready")["reason"].clone()
            })
            .to_vec();
        if reasons.iter().any(|reason| reason == "Contended") { Ok(()) } else { Err(format!("{reasons:?}")) }
    });
}

#[test]
fn what_was_read_is_kept_so_while_the_repository_cannot_be_reached() {
    let shop = Shop::open();
    let commit = shop.git.push(&[("page.yaml", PAGE)], "a page");
    shop.sync("");
    shop.until(&commit, "True", "Applied");
    shop.git.stop();
    shop.look("again");
    shop.until(&commit, "False", "Unreachable");
    shop.orch.kubectl(&["delete", "configmap", "page"]).ok();
    shop.until_title("one");
    assert_eq!(condition(&shop.status(), "Ready")["reason"], "Unreachable");
}

#[test]
fn what_moves_to_another_sync_stays_and_what_is_suspended_leaves_its_objects() {
    let shop = Shop::open();
    let first =
        shop.git.push(&[("a/page.yaml", PAGE), ("a/other.yaml", &PAGE.replace("page", "other"))], "a page");
    shop.sync("  path: a\n");
    shop.until(&first, "True", "Applied");
    let uid = shop.get(&["configmap", "page"]).unwrap()["metadata"]["uid"].clone();
    shop.git.push(&[("b/page.yaml", PAGE), ("b/more.yaml", &PAGE.replace("page", "more"))], "both");
    let other = format!(
        "apiVersion: orch.dev/v1\nkind: GitSync\nmetadata: {{name: other}}\nspec: {{url: '{}', path: b, prune: true, serviceAccountName: deployer, intervalSeconds: 3600}}\n",
        shop.git.url()
    );
    shop.orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &other).ok();
    wait_for("the other sync", SOON, || {
        let status = shop.get(&["gitsync", "other"]).unwrap()["status"].clone();
        if condition(&status, "Ready")["status"] == "True" { Ok(()) } else { Err(status.to_string()) }
    });
    let moved = shop.git.push_without(&["a/page.yaml"], "moved");
    shop.look("moved");
    shop.until(&moved, "True", "Applied");
    let page = shop.get(&["configmap", "page", "--show-managed-fields"]).unwrap();
    assert_eq!(page["metadata"]["uid"], uid);
    let managers = page["metadata"]["managedFields"].to_string();
    assert!(
        managers.contains("gitsync:default/other") && !managers.contains("gitsync:default/shop"),
        "{managers}"
    );
    // That it was of both once does not keep it for ever.
    shop.git.push_without(&["b/page.yaml"], "no page");
    shop.orch.kubectl(&["annotate", "gitsync", "other", "orch.dev/reconcile-requested=gone"]).ok();
    wait_for("the end of the page", SOON, || match shop.get(&["configmap", "page"]) {
        None => Ok(()),
        Some(page) => Err(page.to_string()),
    });

    shop.orch
        .kubectl(&["patch", "gitsync", "shop", "--type=merge", "-p", r#"{"spec": {"suspend": true}}"#])
        .ok();
    shop.orch.kubectl(&["delete", "gitsync", "shop"]).ok();
    wait_for("the end of the sync", SOON, || match shop.get(&["gitsync", "shop"]) {
        None => Ok(()),
        Some(sync) => Err(sync.to_string()),
    });
    assert!(shop.get(&["configmap", "other"]).is_some());
}
