//! What would come of a plan or a simulation, for people. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use crate::ctl::describe::lines::indented;
use crate::ctl::history;
use crate::ctl::output::{BAD, FAINT, GOOD, HEADING, WAITING, paint, plain};

/// A plan's `status` in words: what becomes of each object, where pods go, how far it reaches.
pub(in crate::ctl) fn show(status: &Value) -> String {
    let mut out = String::new();
    for change in list(status, "changes") {
        object(&mut out, change);
    }
    section(&mut out, "Placements", list(status, "placements"), placement);
    section(&mut out, "Evictions", list(status, "evictions"), eviction);
    if let Some(omitted) = status["omitted"].as_u64().filter(|omitted| *omitted > 0) {
        line(&mut out, &paint(Some(FAINT), &format!("and {omitted} more that follow")));
    }
    summary(&mut out, &status["blastRadius"]);
    out
}

fn list<'a>(status: &'a Value, field: &str) -> &'a [Value] {
    status[field].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, field: &str) -> String {
    plain(value[field].as_str().unwrap_or_default())
}

/// Writing into a string cannot fail.
fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}");
}

fn object(out: &mut String, change: &Value) {
    let (sign, style) = match text(change, "action").as_str() {
        "Created" => ("+", GOOD),
        "Changed" => ("~", WAITING),
        "Replaced" => ("±", BAD),
        "Deleted" => ("-", BAD),
        _ => ("=", FAINT),
    };
    let because = match text(change, "because").as_str() {
        "" => String::new(),
        because => format!("  {}", paint(Some(FAINT), because)),
    };
    line(out, &format!("{}{because}", paint(Some(style), &format!("{sign} {}", name(&change["target"])))));
    for field in list(change, "fields") {
        out.push_str(&indented(&history::line(field), 1));
    }
    for warning in list(change, "warnings").iter().filter_map(Value::as_str) {
        line(out, &format!("    {} {}", paint(Some(WAITING), "warning:"), plain(warning)));
    }
}

/// `Workload default/web`
fn name(target: &Value) -> String {
    match text(target, "namespace").as_str() {
        "" => format!("{} {}", text(target, "kind"), text(target, "name")),
        namespace => format!("{} {namespace}/{}", text(target, "kind"), text(target, "name")),
    }
}

fn section(out: &mut String, title: &str, items: &[Value], show: fn(&Value) -> String) {
    if items.is_empty() {
        return;
    }
    line(out, &paint(Some(HEADING), title));
    items.iter().for_each(|item| line(out, &format!("  {}", show(item))));
}

fn placement(item: &Value) -> String {
    let pod = format!("{}/{}", text(item, "namespace"), text(item, "pod"));
    match text(item, "node").as_str() {
        "" => format!("{pod} {}: {}", paint(Some(BAD), "fits nowhere"), text(item, "message")),
        node => format!("{pod} → {}", paint(Some(GOOD), node)),
    }
}

fn eviction(item: &Value) -> String {
    let pod = format!("{}/{}", text(item, "namespace"), text(item, "pod"));
    let from = match text(item, "node").as_str() {
        "" => String::new(),
        node => format!(" from {node}"),
    };
    format!("{}{from}: {}", paint(Some(BAD), &pod), text(item, "because"))
}

fn summary(out: &mut String, radius: &Value) {
    let number = |field: &str| radius[field].as_i64().unwrap_or_default();
    let names = |field: &str| {
        let names: Vec<String> = list(radius, field).iter().filter_map(Value::as_str).map(plain).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let lost = number("replicasLost");
    let lost = paint((lost > 0).then_some(BAD), &format!("{lost} replicas lost"));
    line(
        out,
        &format!(
            "{} created, {} changed, {} deleted; {lost}; nodes: {}; services: {}",
            number("created"),
            number("changed"),
            number("deleted"),
            names("nodesTouched"),
            names("servicesAffected")
        ),
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_shown_object_by_object_and_field_by_field() {
        let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": name});
        let status = json!({
            "changes": [
                {"target": map("new"), "action": "Created", "fields": [{"path": "data.a", "after": "1"}]},
                {"target": map("web"), "action": "Changed", "warnings": ["careful"],
                 "fields": [{"path": "data.a", "before": 2, "after": 3}, {"path": "data.b", "before": [1]}]},
                {"target": map("other"), "action": "Replaced"},
                {"target": {"apiVersion": "v1", "kind": "Node", "name": "n1"}, "action": "Deleted", "because": "it is old"},
            ],
            "placements": [{"namespace": "default", "pod": "web+1", "node": "n2"},
                           {"namespace": "default", "pod": "web+2", "message": "0/1 nodes are available"}],
            "evictions": [{"namespace": "default", "pod": "web-1", "node": "n1", "because": "the plan deletes it"}],
            "omitted": 7,
            "blastRadius": {"created": 1, "changed": 1, "deleted": 1, "replicasLost": 1, "nodesTouched": ["n1", "n2"]},
        });
        let told = anstream::adapter::strip_str(&show(&status)).to_string();
        assert_eq!(
            told,
            "+ ConfigMap default/new\n    + data.a: \"1\"\n~ ConfigMap default/web\n    ~ data.a: 2 -> 3\n    \
             - data.b: [1]\n    warning: careful\n± ConfigMap default/other\n- Node n1  it is old\nPlacements\n  default/web+1 → n2\n  \
             default/web+2 fits nowhere: 0/1 nodes are available\nEvictions\n  default/web-1 from n1: the plan deletes it\n\
             and 7 more that follow\n1 created, 1 changed, 1 deleted; 1 replicas lost; nodes: n1, n2; services: none\n"
        );
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        let evil = "\u{1b}]0;owned\u{7}\r\nnext\u{9b}2J";
        let target = json!({"kind": evil, "namespace": evil, "name": evil});
        let field = json!({"path": evil, "before": evil, "after": evil});
        let told = show(&json!({
            "changes": [{"target": target, "action": "Changed", "because": evil, "warnings": [evil], "fields": [field]}],
            "placements": [{"namespace": evil, "pod": evil, "message": evil}, {"pod": evil, "node": evil}],
            "evictions": [{"namespace": evil, "pod": evil, "node": evil, "because": evil}],
            "blastRadius": {"nodesTouched": [evil], "servicesAffected": [evil]},
        }));
        let told = anstream::adapter::strip_str(&told).to_string();
        assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
        assert!(told.lines().all(|line| !line.starts_with("next")), "{told}");
    }
}
