//! What the history says of plans: which changes were a plan's, and why they were made.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{PLANS, applied, name, of_map, plan};
use crate::changes::{changes, host};
use crate::host::{Host, MAPS, map, text};

fn for_a_reason(changes: Value) -> Value {
    let mut plan = plan(changes);
    plan["spec"]["reason"] = "the sale is over".into();
    plan
}

/// The changes that were made by applying a plan.
async fn made_by(host: &Host, plan: &Value) -> Vec<Value> {
    changes(host, &format!("fieldSelector=plan={}", name(plan))).await
}

#[tokio::test]
async fn the_changes_of_a_plan_are_found_by_its_name_with_its_reason() {
    let (host, _directory) = host().await;
    for name in ["old", "older", "page"] {
        host.post(MAPS, map(name, json!({"a": "1"}))).await.is(201);
    }
    let changed = json!([
        applied(map("new", json!({}))),
        {"patch": {"target": of_map("page"), "patch": {"data": {"a": "2"}}}},
        {"delete": {"target": of_map("old")}},
        {"delete": {"target": of_map("older")}},
    ]);
    let plan = host.post(PLANS, for_a_reason(changed)).await.is(201);
    assert_eq!(made_by(&host, &plan).await, Vec::<Value>::new(), "nothing has happened yet");
    let done = host.apply_plan(&plan).await.is(200);

    let all = made_by(&host, &plan).await;
    let brief: BTreeSet<_> =
        all.iter().map(|change| (text(&change["verb"]), text(&change["object"]["name"]))).collect();
    let expected = [("created", "new"), ("updated", "page"), ("deleted", "old"), ("deleted", "older")];
    assert_eq!((brief, all.len()), (expected.into(), 4));
    for change in &all {
        assert_eq!(change["revision"].to_string(), text(&done["metadata"]["resourceVersion"]));
        let said = ["user", "agent", "reason"].map(|field| text(&change[field]));
        assert_eq!(said, ["admin", "tester", "the sale is over"], "{change}");
    }
}

#[tokio::test]
async fn who_applies_a_plan_that_gives_no_reason_may_give_one() {
    let (host, _directory) = host().await;
    let plan = host.post(PLANS, plan(json!([applied(map("new", json!({})))]))).await.is(201);
    host.post(&format!("{PLANS}/{}/apply?reason=now", name(&plan)), json!({})).await.is(200);
    assert_eq!(made_by(&host, &plan).await[0]["reason"], "now");
}

#[tokio::test]
async fn words_that_would_steer_a_terminal_are_refused_wherever_they_stand() {
    let (host, _directory) = host().await;
    let mut of_two_lines = plan(json!([applied(map("new", json!({})))]));
    of_two_lines["spec"]["reason"] = "the sale\nis over".into();
    let why = "spec.reason: Invalid value: \"the sale\\nis over\": invalid character U+000A (at position 8)";
    host.post(PLANS, of_two_lines).await.fails(422, "Invalid", why);
    let mut apply = applied(map("new", json!({})));
    apply["apply"]["fieldManager"] = "a\u{1b}[2J".into();
    let why = "spec.changes[0].apply.fieldManager: Invalid value";
    host.post(PLANS, plan(json!([apply]))).await.fails(422, "Invalid", why);
    let patch = json!({"patch": {"target": of_map("new"), "patch": {}, "fieldManager": "x".repeat(129)}});
    let why = "spec.changes[0].patch.fieldManager: Too long";
    host.post(PLANS, plan(json!([patch]))).await.fails(422, "Invalid", why);
}

#[tokio::test]
async fn what_a_plan_is_carried_out_from_is_not_in_the_history() {
    let (host, _directory) = host().await;
    let plan = host.post(PLANS, for_a_reason(json!([applied(map("new", json!({})))]))).await.is(201);
    host.apply_plan(&plan).await.is(200);
    host.delete(&format!("{PLANS}/{}", name(&plan))).await.is(200);
    let own = changes(&host, "fieldSelector=object.kind=Plan").await;
    let verbs: Vec<&str> = own.iter().map(|change| text(&change["verb"])).collect();
    assert_eq!(verbs, ["deleted", "updated", "created"]);
    for state in own.iter().flat_map(|change| [&change["before"], &change["after"]]) {
        assert!(
            state.is_null() || (state.get("status").is_some() && state.get("record").is_none()),
            "{state}"
        );
    }
}

#[tokio::test]
async fn an_object_that_a_plan_changes_and_changes_back_is_not_written() {
    let (host, _directory) = host().await;
    let before = host.post(&format!("{MAPS}?fieldManager=ann"), map("page", json!({"a": "1"}))).await.is(201);
    let to = |value: &str| {
        let patch = json!({"data": {"a": value}});
        json!({"patch": {"target": of_map("page"), "patch": patch, "fieldManager": "ann"}})
    };
    let plan = host.post(PLANS, for_a_reason(json!([to("2"), to("1")]))).await.is(201);
    assert_eq!(plan["status"]["changes"][0]["action"], "Unchanged", "{plan}");
    host.apply_plan(&plan).await.is(200);
    assert_eq!(host.get(&format!("{MAPS}/page")).await.is(200), before);
    assert_eq!(made_by(&host, &plan).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_a_plan_makes_and_deletes_again_leaves_no_trace() {
    let (host, _directory) = host().await;
    let brief = json!([applied(map("brief", json!({}))), {"delete": {"target": of_map("brief")}}]);
    let plan = host.post(PLANS, for_a_reason(brief)).await.is(201);
    host.apply_plan(&plan).await.is(200);
    assert_eq!(made_by(&host, &plan).await, Vec::<Value>::new());
    assert_eq!(changes(&host, "fieldSelector=object.name=brief").await, Vec::<Value>::new());
}

#[tokio::test]
async fn who_deletes_is_one_write_of_the_transaction_however_much_is_deleted() {
    let host = Host::limited().await;
    let names: Vec<String> = (0..127).map(|n| format!("m{n}")).collect();
    for name in &names {
        host.post(MAPS, map(name, json!({}))).await.is(201);
    }
    let deletions = |many: usize| {
        let all = names[..many].iter().map(|name| json!({"delete": {"target": of_map(name)}}));
        for_a_reason(all.collect::<Vec<_>>().into())
    };
    host.post(PLANS, deletions(127)).await.fails(422, "Invalid", "128 keys");
    let plan = host.post(PLANS, deletions(126)).await.is(201);
    host.apply_plan(&plan).await.is(200);
}

#[tokio::test]
async fn a_thousand_objects_are_made_at_one_revision_and_deleted_at_another() {
    let (host, _directory) = host().await;
    let names: Vec<String> = (0..1_000).map(|n| format!("m{n}")).collect();
    let creations: Vec<Value> = names.iter().map(|name| applied(map(name, json!({"a": "1"})))).collect();
    let deletions: Vec<Value> =
        names.iter().map(|name| json!({"delete": {"target": of_map(name)}})).collect();
    for (changes, verb) in [(creations, "created"), (deletions, "deleted")] {
        let plan = host.post(PLANS, for_a_reason(changes.into())).await.is(201);
        assert_eq!(plan["status"]["blastRadius"][verb], 1_000);
        let done = host.apply_plan(&plan).await.is(200);
        let all = made_by(&host, &plan).await;
        let revision: u64 = text(&done["metadata"]["resourceVersion"]).parse().unwrap();
        let is_so = |change: &Value| {
            change["verb"] == verb && change["revision"] == revision && change["reason"] == "the sale is over"
        };
        assert_eq!((all.len(), all.iter().all(is_so)), (1_000, true), "{}", all[0]);
    }
}
