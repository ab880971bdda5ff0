//! Plans: changes that are shown before they are made, and made together or not at all.

mod definitions;
mod foresight;
mod history;
mod inverse;
mod owners;
mod property;
mod rights;
mod rollback;
mod undo;

use std::time::Duration;

use serde_json::{Value, json};

use crate::host::{Host, MAPS, PODS, WORKLOADS, map, pod, workload};

pub(crate) const PLANS: &str = "/apis/orch.dev/v1/plans";

pub(crate) fn plan(changes: Value) -> Value {
    json!({"apiVersion": "orch.dev/v1", "kind": "Plan", "spec": {"changes": changes}})
}

pub(crate) fn applied(mut manifest: Value) -> Value {
    let place = &mut manifest["metadata"];
    if place["namespace"].is_null() {
        place["namespace"] = "default".into();
    }
    json!({"apply": {"manifest": manifest, "fieldManager": "ann"}})
}

/// What has no namespace.
fn applied_to_the_cluster(manifest: Value) -> Value {
    json!({"apply": {"manifest": manifest, "fieldManager": "ann"}})
}

pub(crate) fn of_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": name})
}

impl Host {
    pub(crate) async fn plan(&self, changes: Value) -> Value {
        self.post(PLANS, plan(changes)).await.is(201)
    }

    pub(crate) async fn apply_plan(&self, plan: &Value) -> crate::host::Reply {
        self.post(&format!("{PLANS}/{}/apply", name(plan)), json!({})).await
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

/// `Created ConfigMap a` for each object.
fn brief(plan: &Value) -> Vec<String> {
    let changes = plan["status"]["changes"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    changes
        .map(|change| {
            let target = &change["target"];
            format!("{} {} {}", word(&change["action"]), word(&target["kind"]), word(&target["name"]))
        })
        .collect()
}

#[tokio::test]
async fn a_plan_shows_what_would_come_of_it_and_changes_nothing_until_it_is_applied() {
    let host = Host::start().await;
    host.post(WORKLOADS, workload("web", 2)).await.is(201);
    host.post(MAPS, map("old", json!({"a": "1"}))).await.is(201);
    host.post(MAPS, map("same", json!({"a": "1"}))).await.is(201);
    let web = json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "namespace": "default", "name": "web"});
    let plan = host
        .plan(json!([
            applied(map("new", json!({"colour": "blue"}))),
            {"patch": {"target": web, "patch": {"spec": {"replicas": 3}}}},
            {"delete": {"target": of_map("old")}},
            {"patch": {"target": of_map("same"), "type": "json",
                       "patch": [{"op": "test", "path": "/data/a", "value": "1"}]}},
        ]))
        .await;
    assert!(name(&plan).starts_with("plan-"), "{plan}");
    let status = &plan["status"];
    assert_eq!((&status["phase"], &status["user"]), (&json!("Ready"), &json!("admin")));
    assert_eq!(status["expiresAt"], "2026-01-01T00:15:00Z");
    assert_eq!(
        brief(&plan),
        [
            "Created ConfigMap new",
            "Changed Workload web",
            "Deleted ConfigMap old",
            "Unchanged ConfigMap same"
        ]
    );
    assert_eq!(status["changes"][1]["fields"], json!([{"path": "spec.replicas", "before": 2, "after": 3}]));
    let told = status["changes"][0]["fields"].as_array().unwrap();
    assert!(told.contains(&json!({"path": "data.colour", "after": "blue"})), "{told:?}");
    let radius = &status["blastRadius"];
    assert_eq!(
        (&radius["created"], &radius["changed"], &radius["deleted"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(plan.get("record"), None);

    host.get(&format!("{MAPS}/new")).await.is(404);
    host.get(&format!("{MAPS}/old")).await.is(200);
    assert_eq!(host.get(&format!("{WORKLOADS}/web")).await.is(200)["spec"]["replicas"], 2);

    let done = host.apply_plan(&plan).await.is(200);
    assert_eq!(
        (&done["status"]["phase"], &done["status"]["changes"]),
        (&json!("Applied"), &status["changes"])
    );
    let revision = &done["metadata"]["resourceVersion"];
    assert_eq!(&host.get(&format!("{MAPS}/new")).await.is(200)["metadata"]["resourceVersion"], revision);
    let web = host.get(&format!("{WORKLOADS}/web")).await.is(200);
    assert_eq!((&web["spec"]["replicas"], &web["metadata"]["resourceVersion"]), (&json!(3), revision));
    host.get(&format!("{MAPS}/old")).await.is(404);
    host.apply_plan(&plan).await.fails(409, "Conflict", "it has been applied already");
    assert_eq!(host.get(&format!("{PLANS}/{}", name(&plan))).await.is(200), done);
}

#[tokio::test]
async fn what_moved_since_a_plan_was_made_is_named_and_nothing_of_it_happens() {
    let host = Host::start().await;
    for name in ["changed", "gone"] {
        host.post(MAPS, map(name, json!({}))).await.is(201);
    }
    let plan = host
        .plan(json!([
            applied(map("changed", json!({"a": "1"}))),
            {"delete": {"target": of_map("gone")}},
            applied(map("taken", json!({"a": "1"}))),
            applied(map("free", json!({"a": "1"}))),
        ]))
        .await;
    host.merge(&format!("{MAPS}/changed"), json!({"data": {"b": "2"}})).await.is(200);
    host.delete(&format!("{MAPS}/gone")).await.is(200);
    host.post(MAPS, map("taken", json!({}))).await.is(201);
    let refusal = host.apply_plan(&plan).await.fails(409, "Conflict", "what it was made from has changed");
    let causes = refusal["details"]["causes"].as_array().unwrap();
    let messages: Vec<&str> = causes.iter().map(|cause| cause["message"].as_str().unwrap()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].starts_with("ConfigMap default/changed was at revision "), "{messages:?}");
    assert!(messages[1].starts_with("ConfigMap default/gone was at revision "), "{messages:?}");
    assert!(
        messages[1].ends_with("is gone") && messages[2].contains("taken was not there, is at"),
        "{messages:?}"
    );
    host.get(&format!("{MAPS}/free")).await.is(404);
    let stale = host.get(&format!("{PLANS}/{}", name(&plan))).await.is(200);
    assert_eq!(stale["status"]["phase"], "Stale");
    host.apply_plan(&plan).await.fails(409, "Conflict", "it is stale: ConfigMap default/changed was at");
}

#[tokio::test]
async fn what_a_plan_only_read_must_not_have_moved_either() {
    let host = Host::start().await;
    host.make_namespace("other").await;
    let plan = host.plan(json!([applied(map("a", json!({}))), applied(pod("p"))])).await;
    host.merge("/api/v1/namespaces/other", json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    let done = host.apply_plan(&plan).await.is(200);
    assert_eq!(done["status"]["phase"], "Applied", "another namespace is none of its business");

    let plan = host.plan(json!([applied(map("b", json!({})))])).await;
    host.merge("/api/v1/namespaces/default", json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    host.apply_plan(&plan).await.fails(409, "Conflict", "Namespace default was at revision");

    let plan = host.plan(json!([applied(pod("q"))])).await;
    let account = "/api/v1/namespaces/default/serviceaccounts/default";
    host.merge(account, json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    host.apply_plan(&plan).await.fails(409, "Conflict", "ServiceAccount default/default was at revision");
}

#[tokio::test]
async fn what_an_object_only_refers_to_may_move_and_warnings_are_told_once() {
    let host = Host::start().await;
    host.post(MAPS, map("there", json!({}))).await.is(201);
    let mut web = workload("web", 1);
    let from = |name: &str| json!({"configMapRef": {"name": name}});
    web["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([from("there"), from("missing"), from("gone")]);
    let target =
        json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "namespace": "default", "name": "web"});
    let more = json!({"patch": {"target": target, "patch": {"spec": {"replicas": 2}}}});
    let plan = host.plan(json!([applied(web), more])).await;
    let warnings = plan["status"]["changes"][0]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    host.merge(&format!("{MAPS}/there"), json!({"data": {"a": "1"}})).await.is(200);
    host.post(MAPS, map("missing", json!({}))).await.is(201);
    host.apply_plan(&plan).await.is(200);
}

#[tokio::test]
async fn another_object_in_the_place_of_one_is_told_as_such_by_plans_and_to_watchers() {
    let host = Host::start().await;
    let old = host.post(MAPS, map("a", json!({"a": "1"}))).await.is(201);
    let mut watch = host
        .watch(&format!(
            "{MAPS}?watch=1&resourceVersion={}",
            old["metadata"]["resourceVersion"].as_str().unwrap()
        ))
        .await;
    let plan =
        host.plan(json!([{"delete": {"target": of_map("a")}}, applied(map("a", json!({"a": "2"})))])).await;
    assert_eq!(brief(&plan), ["Replaced ConfigMap a"]);
    let change = &plan["status"]["changes"][0];
    assert!(
        change["fields"]
            .as_array()
            .unwrap()
            .contains(&json!({"path": "data.a", "before": "1", "after": "2"})),
        "{change}"
    );
    let radius = &plan["status"]["blastRadius"];
    assert_eq!([&radius["created"], &radius["changed"], &radius["deleted"]], [1, 0, 1]);
    let done = host.apply_plan(&plan).await.is(200);
    let [gone, come] = [watch.next().await.unwrap(), watch.next().await.unwrap()];
    assert_eq!((&gone["type"], &come["type"]), (&json!("DELETED"), &json!("ADDED")));
    assert_eq!(gone["object"]["metadata"]["uid"], old["metadata"]["uid"]);
    assert_ne!(come["object"]["metadata"]["uid"], old["metadata"]["uid"]);
    assert_eq!(come["object"]["metadata"]["resourceVersion"], done["metadata"]["resourceVersion"]);
    // Whoever has seen nothing but the end is told of the beginning.
    let after = gone["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let mut resumed = host.watch(&format!("{MAPS}?watch=1&resourceVersion={after}")).await;
    assert_eq!([resumed.brief().await, resumed.brief().await], ["DELETED a", "ADDED a"]);
}

#[tokio::test]
async fn what_an_object_was_in_between_is_not_kept_while_a_plan_is_made() {
    let host = Host::start().await;
    let large = map("large", json!({"a": "x".repeat(1_000_000)}));
    host.post(MAPS, large).await.is(201);
    let touch =
        |n: u64| json!({"patch": {"target": of_map("large"), "patch": {"data": {"n": n.to_string()}}}});
    let changes: Vec<Value> = (0..150).map(touch).collect();
    let looked_at = host.post(&format!("{PLANS}?dryRun=All"), plan(changes.into())).await.is(201);
    assert_eq!(brief(&looked_at), ["Changed ConfigMap large"]);
}

#[tokio::test]
async fn the_status_may_move_on_unless_the_plan_is_about_it() {
    let host = Host::start().await;
    host.post(WORKLOADS, workload("web", 2)).await.is(201);
    let path = format!("{WORKLOADS}/web");
    let seen = async |ready: u64| {
        host.merge(&format!("{path}/status"), json!({"status": {"readyReplicas": ready}})).await.is(200);
    };
    let web = json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "namespace": "default", "name": "web"});
    let patch = |patch: Value| json!([{"patch": {"target": web, "patch": patch}}]);

    let plan = host.plan(patch(json!({"spec": {"replicas": 3}}))).await;
    seen(1).await;
    host.apply_plan(&plan).await.is(200);
    let now = host.get(&path).await.is(200);
    assert_eq!((&now["spec"]["replicas"], &now["status"]["readyReplicas"]), (&json!(3), &json!(1)));

    let plan = host.plan(json!([{"delete": {"target": web}}])).await;
    seen(2).await;
    host.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    host.apply_plan(&plan).await.fails(409, "Conflict", "Workload default/web was at revision");

    let mut status = web.clone();
    status["subresource"] = "status".into();
    let plan =
        host.plan(json!([{"patch": {"target": status, "patch": {"status": {"readyReplicas": 3}}}}])).await;
    seen(1).await;
    host.apply_plan(&plan).await.fails(409, "Conflict", "Workload default/web was at revision");

    // What is taken from the status is as it was shown, or not at all.
    let copy = json!([{"op": "add", "path": "/metadata/annotations", "value": {}},
                      {"op": "copy", "from": "/status/phase", "path": "/metadata/annotations/seen"}]);
    host.post(PODS, pod("p")).await.is(201);
    let target = json!({"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "p"});
    let plan = host.plan(json!([{"patch": {"target": target, "type": "json", "patch": copy}}])).await;
    host.merge(&format!("{PODS}/p/status"), json!({"status": {"phase": "Running"}})).await.is(200);
    host.apply_plan(&plan).await.fails(409, "Conflict", "something else than planned would become of it");
}

#[tokio::test]
async fn each_change_sees_those_before_it() {
    let host = Host::start().await;
    let mut twice = map("twice", json!({"a": "1"}));
    twice["metadata"]["namespace"] = "fresh".into();
    let mut pod = pod("p");
    pod["metadata"]["namespace"] = "fresh".into();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": "default", "namespace": "fresh"}});
    let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "fresh", "name": "twice"});
    let plan = host
        .plan(json!([
            applied_to_the_cluster(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}})),
            applied(twice),
            {"patch": {"target": target, "patch": {"data": {"b": "2"}}}},
            applied(account),
            applied(pod),
            applied(map("brief", json!({}))),
            {"delete": {"target": of_map("brief")}},
        ]))
        .await;
    assert_eq!(
        brief(&plan),
        [
            "Created Namespace fresh",
            "Created ConfigMap twice",
            "Created ServiceAccount default",
            "Created Pod p",
            "Unchanged ConfigMap brief"
        ]
    );
    host.apply_plan(&plan).await.is(200);
    let made = host.get("/api/v1/namespaces/fresh/configmaps/twice").await.is(200);
    assert_eq!(made["data"], json!({"a": "1", "b": "2"}));
    host.get("/api/v1/namespaces/fresh/pods/p").await.is(200);
    host.get(&format!("{MAPS}/brief")).await.is(404);
}

#[tokio::test]
async fn a_kind_and_its_objects_can_be_one_plan() {
    let host = Host::start().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gizmos.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "gizmos", "singular": "gizmo", "kind": "Gizmo", "listKind": "GizmoList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
            }}}],
        },
    });
    let gizmo = |size: Value| json!({"apiVersion": "example.com/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"size": size}});
    let wrong = json!([applied_to_the_cluster(definition.clone()), applied(gizmo(json!("big")))]);
    host.post(PLANS, plan(wrong)).await.fails(422, "Invalid", "spec.changes[1].apply.manifest.spec.size");
    let plan = host.plan(json!([applied_to_the_cluster(definition), applied(gizmo(json!(3)))])).await;
    host.get("/apis/example.com/v1/namespaces/default/gizmos/g").await.is(404);
    host.apply_plan(&plan).await.is(200);
    let made = host.get("/apis/example.com/v1/namespaces/default/gizmos/g").await.is(200);
    assert_eq!(made["spec"]["size"], 3);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_plan_is_told_with_the_place_of_its_change() {
    let host = Host::start().await;
    let mut nowhere = map("a", json!({}));
    nowhere["metadata"]["namespace"] = "nowhere".into();
    let refusal = host
        .post(
            PLANS,
            plan(json!([
                applied(json!({"apiVersion": "v1", "kind": "Gizmo", "metadata": {"name": "a"}})),
                applied(workload("Bad_Name", 1)),
                {"delete": {"target": of_map("absent")}},
                applied_to_the_cluster(map("unplaced", json!({}))),
                applied(nowhere),
                {"undo": {"plan": "p"}},
                applied(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dta": {}})),
                applied(map("fine", json!({}))),
            ])),
        )
        .await
        .fails(422, "Invalid", "spec.changes[2]: configmaps \"absent\" not found");
    let causes = refusal["details"]["causes"].as_array().unwrap();
    let fields: Vec<&str> = causes.iter().map(|cause| cause["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "spec.changes[0].apply.manifest.kind",
            "spec.changes[1].apply.manifest.metadata.name",
            "spec.changes[2]",
            "spec.changes[3].apply.manifest.metadata.namespace",
            "spec.changes[4]",
            "spec.changes[5].undo",
            "spec.changes[6].apply.manifest.dta",
        ],
        "{causes:?}"
    );
    assert_eq!(host.get(PLANS).await.is(200)["items"], json!([]));
    let mut unread = plan(json!([applied(map("a", json!({})))]));
    unread["spec"]["changs"] = json!([]);
    host.post(PLANS, unread).await.fails(400, "BadRequest", "unknown field \"spec.changs\"");
    let both = json!([{"undo": {"plan": "a"}, "drain": {"node": "n"}}]);
    host.post(PLANS, plan(both)).await.fails(422, "Invalid", "spec.changes[0]: Invalid value");
    let itself = json!({"apiVersion": "orch.dev/v1", "kind": "Plan", "name": "p"});
    host.post(PLANS, plan(json!([{"delete": {"target": itself}}]))).await.is(422);
}

#[tokio::test]
async fn a_plan_fits_into_one_transaction_with_itself_or_is_refused() {
    let host = Host::limited().await;
    let of = |many: usize, bytes: usize| -> Value {
        let each = |n| applied(map(&format!("m{n}"), json!({"a": "x".repeat(bytes)})));
        (0..many).map(each).collect::<Vec<_>>().into()
    };
    host.post(PLANS, plan(of(127, 1))).await.fails(422, "Invalid", "one transaction holds at most 127");
    // Twice in the plan, once as it is to be.
    let refusal = host.post(PLANS, plan(of(2, 280_000))).await;
    refusal.fails(422, "Invalid", "one transaction holds at most 1572864: make several plans");
    assert_eq!(host.get(PLANS).await.is(200)["items"], json!([]));
    let plan = host.post(PLANS, plan(of(2, 240_000))).await.is(201);
    host.apply_plan(&plan).await.is(200);
}

#[tokio::test]
async fn neither_a_plan_nor_a_simulation_has_more_changes_than_it_may() {
    let host = Host::start().await;
    let many = |many: usize| -> Value {
        (0..many).map(|_| json!({"delete": {"target": of_map("absent")}})).collect::<Vec<_>>().into()
    };
    let too_many = "spec.changes: Too many: 5001: must have at most 5000 items";
    host.post(PLANS, plan(many(5001))).await.fails(422, "Invalid", too_many);
    let simulation =
        json!({"apiVersion": "orch.dev/v1", "kind": "Simulation", "spec": {"changes": many(129)}});
    let too_many = "spec.changes: Too many: 129: must have at most 128 items";
    host.post("/apis/orch.dev/v1/simulations", simulation).await.fails(422, "Invalid", too_many);
}

#[tokio::test]
async fn a_plan_that_is_only_looked_at_may_be_larger_than_a_transaction() {
    let host = Host::start().await;
    let many: Vec<Value> = (0..600).map(|n| applied(map(&format!("m{n}"), json!({})))).collect();
    let looked_at = host.post(&format!("{PLANS}?dryRun=All"), plan(many.into())).await.is(201);
    let changes = looked_at["status"]["changes"].as_array().unwrap();
    assert!(
        changes.len() == 600 && changes.iter().all(|change| change["action"] == "Created"),
        "{changes:?}"
    );
    assert_eq!(host.get(PLANS).await.is(200)["items"], json!([]));
}

#[tokio::test]
async fn a_plan_is_no_longer_applied_once_it_has_expired_and_goes_by_itself() {
    let host = Host::start().await;
    let mut short = plan(json!([applied(map("a", json!({})))]));
    short["spec"]["expiresAfterSeconds"] = 30.into();
    let short = host.post(PLANS, short).await.is(201);
    let long = host.plan(json!([applied(map("b", json!({})))])).await;
    host.clock.advance(Duration::from_secs(31));
    host.apply_plan(&short).await.fails(409, "Conflict", "it has expired");
    host.apply_plan(&long).await.is(200);
    let mut watch =
        host.watch(&format!("{PLANS}?watch=true&resourceVersion={}", crate::host::revision(&long))).await;
    host.clock.advance(Duration::from_secs(11 * 60));
    loop {
        let event = watch.next().await.unwrap();
        if event["type"] == "DELETED" {
            assert_eq!(name(&event["object"]), name(&short));
            break;
        }
    }
}

#[tokio::test]
async fn fields_belong_to_whoever_a_plan_names_or_to_the_program_that_made_it() {
    let host = Host::start().await;
    let mut unsaid = applied(map("unsaid", json!({"a": "1"})));
    unsaid["apply"].as_object_mut().unwrap().remove("fieldManager");
    let made = host.plan(json!([unsaid, applied(map("said", json!({"a": "1"})))])).await;
    host.apply_plan(&made).await.is(200);
    for (name, manager) in [("unsaid", "tester"), ("said", "ann")] {
        let made = host.get(&format!("{MAPS}/{name}")).await.is(200);
        assert_eq!(made["metadata"]["managedFields"][0]["manager"], manager);
        assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Apply");
    }
    let taken = json!([{"apply": {"manifest": {"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "said", "namespace": "default"}, "data": {"a": "2"}}, "fieldManager": "bob"}}]);
    let refusal = host.post(PLANS, plan(taken.clone())).await.fails(422, "Invalid", "conflict with \"ann\"");
    assert_eq!(refusal["details"]["causes"][0]["field"], "spec.changes[0].apply.manifest.data.a");
    let mut forced = taken;
    forced[0]["apply"]["force"] = true.into();
    host.apply_plan(&host.plan(forced).await).await.is(200);
}

#[tokio::test]
async fn a_tried_plan_is_answered_and_not_kept_and_a_tried_apply_changes_nothing() {
    let host = Host::start().await;
    let tried = plan(json!([applied(map("a", json!({})))]));
    let answer = host.post(&format!("{PLANS}?dryRun=All"), tried).await.is(201);
    assert_eq!(brief(&answer), ["Created ConfigMap a"]);
    assert_eq!(answer.get("record"), None);
    assert_eq!(host.get(PLANS).await.is(200)["items"], json!([]));
    let plan = host.plan(json!([applied(map("a", json!({})))])).await;
    let path = format!("{PLANS}/{}/apply?dryRun=All", name(&plan));
    assert_eq!(host.post(&path, json!({})).await.is(200)["status"]["phase"], "Applied");
    host.get(&format!("{MAPS}/a")).await.is(404);
    host.apply_plan(&plan).await.is(200);
}

#[tokio::test]
async fn a_plan_does_not_change_but_by_being_applied() {
    let host = Host::start().await;
    let plan = host.plan(json!([applied(map("a", json!({})))])).await;
    let path = format!("{PLANS}/{}", name(&plan));
    host.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await.is(405);
    host.put(&path, plan.clone()).await.is(405);
    host.apply(&path, "ann", plan.clone()).await.is(405);
    host.delete(&path).await.is(200);
    host.apply_plan(&plan).await.is(404);
}
