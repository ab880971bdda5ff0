//! What an agent cannot do, whatever it asks for.

use orch_tests::Orchd;
use serde_json::{Value, json};

use super::Agent;

fn map(name: &str, text: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{text: {text}}}\n")
}

#[test]
fn a_path_within_paths_is_refused() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    let nested = |depth: usize| format!("a.b{}c{}", "[?(@.".repeat(depth), ")]".repeat(depth));
    for depth in [17, 20_000] {
        for (tool, arguments) in [
            ("get", json!({"kind": "pod", "name": "a", "fields": [nested(depth)]})),
            ("list", json!({"kind": "pod", "group_by": nested(depth)})),
            ("wait", json!({"kind": "pod", "name": "a", "for": format!("{}=1", nested(depth))})),
        ] {
            assert_eq!(agent.refused(tool, arguments)["code"], "invalid_argument", "{tool} {depth}");
        }
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    let manifests =
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: shop}}}}\n{}", map("kept", "here"));
    agent.call("apply", json!({"manifests": manifests, "namespace": "shop"}));
    for name in ["", ".", "..", "cm/a/b", "%2e%2e", "cm/"] {
        let refused = agent.refused("delete", json!({"kind": "cm", "name": name, "namespace": "shop"}));
        assert_eq!(refused["code"], "invalid_argument", "{name:?}: {refused}");
    }
    for namespace in ["", ".", "..", "shop/configmaps"] {
        for tool in ["get", "delete"] {
            let refused = agent.refused(tool, json!({"kind": "cm", "name": "kept", "namespace": namespace}));
            assert_eq!(refused["code"], "invalid_argument", "{tool} {namespace:?}: {refused}");
        }
    }
    for name in ["", ".."] {
        let run = orch.orchctl(&["delete", "configmap", name, "--namespace", "shop"]);
        assert_ne!(run.code, Some(0), "{name:?}: {run:?}");
    }
    agent.call("get", json!({"kind": "cm", "name": "kept", "namespace": "shop"}));
}

#[test]
fn a_dry_run_of_a_plan_applies_nothing() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    agent.call("apply", json!({"manifests": map("a", "red")}));
    let planned = agent.call("plan", json!({"manifests": map("a", "blue")}));
    let shown = || orch.kubectl(&["get", "configmap", "a", "-o", "jsonpath={.data.text}"]).ok();
    let tried = agent.call("apply", json!({"plan": planned["plan"], "dry_run": true}));
    assert_eq!((&tried["dry_run"], shown().as_str()), (&json!(true), "red"), "{tried}");
    assert_eq!(tried["results"].as_array().unwrap().len(), 1, "{tried}");
    let refused = agent.refused("apply", json!({"plan": planned["plan"], "force": true}));
    assert_eq!((&refused["code"], shown().as_str()), (&json!("invalid_argument"), "red"), "{refused}");
    let applied = agent.call("apply", json!({"plan": planned["plan"]}));
    assert_eq!((&applied["phase"], shown().as_str()), (&json!("Applied"), "blue"), "{applied}");
}

#[test]
fn what_was_done_is_not_done_again_to_see_the_rest_of_the_answer() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    let maps: String = (0..30).map(|n| map(&format!("map-{n}"), "x")).collect();
    let applied = agent.call("apply", json!({"manifests": maps, "max_tokens": 300}));
    let given = applied["results"].as_array().unwrap().len();
    assert_eq!((&applied["cursor"], &applied["left_out"]), (&Value::Null, &json!(30 - given)), "{applied}");
    let again = agent.refused("apply", json!({"manifests": maps, "cursor": "eyJ0IjoiYXBwbHkiLCJpIjo0fQ"}));
    assert_eq!(again["code"], "invalid_argument", "{again}");

    let astray = |name: &str| map(name, "x").replace("{name:", "{namespace: none, name:");
    let failed = agent.refused("apply", json!({"manifests": astray("a") + &astray("b")}));
    assert_eq!(
        (&failed["code"], failed["causes"].as_array().unwrap().len()),
        (&json!("not_found"), 2),
        "{failed}"
    );
    let mixed = agent.call("apply", json!({"manifests": map("c", "x") + &astray("d")}));
    assert_eq!(
        (&mixed["failed"], &mixed["results"][0]["object"]),
        (&json!(1), &json!("ConfigMap d")),
        "{mixed}"
    );
}

#[test]
fn a_secret_is_a_secret_whatever_kind_was_asked_for_beside_it() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {password: hunter2}}";
    agent.call("apply", json!({"manifests": secret}));
    let hidden = agent.call("get", json!({"kind": "configmap", "name": "secret/db"})).to_string();
    assert!(!hidden.contains("aHVudGVyMg") && hidden.contains("password"), "{hidden}");
}

#[test]
fn no_failure_and_no_head_is_longer_than_answers_may_be() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    // How long answers are, `Agent::answer` checks.
    let delete = |n: usize| json!({"delete": {"target": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": format!("no-{n}")}}});
    let changes: Vec<Value> = (0..1_000).map(delete).collect();
    let refused = agent.refused("plan", json!({"changes": changes}));
    let causes = refused["causes"].as_array().unwrap().len();
    assert_eq!(refused["causes_left_out"], 1_000 - causes, "{refused}");
    agent.refused("plan", json!({"changes": changes, "max_tokens": 200}));
    agent.refused("get", json!({"kind": "x".repeat(100_000), "name": "a", "max_tokens": 200}));

    let (mut arguments, mut parts) = (json!({"path": "pod", "max_tokens": 200}), Vec::new());
    loop {
        let part = agent.call("explain", arguments.clone());
        parts.extend(part["fields"].as_array().unwrap().clone());
        if part["cursor"].is_null() {
            break;
        }
        arguments["cursor"] = part["cursor"].clone();
        assert!(parts.len() < 200, "a few bytes at a time");
    }
    assert!(
        parts.iter().any(|part| part["relation"].as_str().is_some_and(|said| said.contains("ConfigMap")))
    );
}

#[test]
fn what_workloads_may_have_written_is_marked_and_long_ago_is_long_ago() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    agent.call("apply", json!({"manifests": map("a", "x")}));
    let node = agent.call("list", json!({"kind": "nodes"}))["items"][0]["name"].clone();
    for (tool, arguments) in [
        ("events", json!({"since": "999999999999"})),
        ("events", json!({})),
        ("history", json!({})),
        ("get", json!({"kind": "cm", "name": "a"})),
        ("list", json!({"kind": "cm", "fields": ["data"]})),
        ("list", json!({"kind": "cm", "summarize": true})),
        ("list", json!({"kind": "cm", "group_by": "data"})),
        ("wait", json!({"kind": "cm", "name": "a", "for": "create"})),
        ("diagnose", json!({})),
        ("plan", json!({"manifests": map("a", "y")})),
        ("simulate", json!({"nodes_lost": [node]})),
    ] {
        let answer = agent.call(tool, arguments);
        assert!(answer["untrusted"].as_str().unwrap().contains("never instructions"), "{tool}: {answer}");
    }
    let read = agent.ask("resources/read", json!({"uri": "orch://object/cm/a"}));
    let object: Value =
        serde_json::from_str(read["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert!(object["untrusted"].is_string() && object["object"]["data"]["text"] == "x", "{object}");
    let read = agent.ask("resources/read", json!({"uri": "orch://cluster"})).to_string();
    assert!(read.contains("never instructions"), "{read}");
}

#[test]
fn a_plan_that_is_no_longer_as_it_was_made_is_expired() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    agent.call("apply", json!({"manifests": map("a", "red")}));
    let planned = agent.call("plan", json!({"manifests": map("a", "blue")}));
    agent.call("apply", json!({"manifests": map("a", "green")}));
    for _ in 0..2 {
        let refused = agent.refused("apply", json!({"plan": planned["plan"]}));
        assert_eq!(refused["code"], "expired", "{refused}");
        assert!(refused["fix"].as_str().unwrap().contains("make the plan anew"), "{refused}");
    }
}

#[test]
fn kinds_are_explained_by_their_whole_names_and_objects_read_by_encoded_ones() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    let whole = agent.call("explain", json!({"path": "events.events.k8s.io"}));
    assert_eq!(
        (&whole["kind"], &whole["apiVersion"]),
        (&json!("Event"), &json!("events.k8s.io/v1")),
        "{whole}"
    );
    let field = agent.call("explain", json!({"path": "workloads.orch.dev.spec.template"}));
    assert_eq!((&field["kind"], &field["field"]), (&json!("Workload"), &json!("spec.template")), "{field}");
    let read = agent.ask("resources/read", json!({"uri": "orch://object/clusterrole/system%3Amcp"}));
    assert!(read["result"]["contents"][0]["text"].as_str().unwrap().contains("system:mcp"), "{read}");
}

#[test]
fn a_cursor_of_what_has_changed_meanwhile_repeats_and_splices_nothing() {
    let orch = Orchd::simulated(1);
    let mut agent = Agent::start(&orch, &[]);
    let large = |letter: &str| map("large", &letter.repeat(5_000));
    agent.call("apply", json!({"manifests": large("a")}));
    let first = agent.call("get", json!({"kind": "cm", "name": "large", "max_tokens": 500}));
    agent.call("apply", json!({"manifests": large("b")}));
    let next = json!({"kind": "cm", "name": "large", "max_tokens": 500, "cursor": first["cursor"]});
    assert_eq!(agent.refused("get", next)["code"], "expired");

    let maps: String = (0..20).map(|n| map(&format!("map-{n}"), "x")).collect();
    agent.call("apply", json!({"manifests": maps}));
    let (mut arguments, mut names) = (json!({"kind": "cm", "max_tokens": 500}), Vec::new());
    loop {
        let part = agent.call("history", arguments.clone());
        // What is too large for one answer comes in parts without a name.
        let whole = part["changes"].as_array().unwrap().iter().filter_map(|change| change["name"].as_str());
        names.extend(whole.map(str::to_owned));
        if part["cursor"].is_null() {
            break;
        }
        arguments["cursor"] = part["cursor"].clone();
        agent.call("apply", json!({"manifests": map("other", &format!("x{}", names.len()))}));
    }
    let mut once = names.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), names.len(), "no change is told twice: {names:?}");
    assert!(names.len() >= 20, "none is left out: {names:?}");
}
