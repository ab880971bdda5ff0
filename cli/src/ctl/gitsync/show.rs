//! How a GitSync stands, for people. Pure.

use jiff::Timestamp;
use orch_api::Object as _;
use serde_json::Value;

use super::short;
use crate::ctl::describe::lines::{Lines, indented};
use crate::ctl::history;
use crate::ctl::output::table::Table;
use crate::ctl::output::{BAD, FAINT, GOOD, HEADING, WAITING, age, paint, plain};

/// Why one is not ready for the time being: objects are starting, others come first, something has moved in between, the
/// last commit that worked is about to be applied again.
const PASSING: [&str; 4] = ["Progressing", "DependencyNotReady", "Moved", "RollingBack"];

/// Everything about one.
pub(super) fn whole(sync: &Value, now: Timestamp) -> String {
    let mut lines = Lines::default();
    lines.field(0, "Name", sync.name());
    lines.field(0, "Namespace", sync.namespace());
    lines.field(0, "Repository", &repository(sync));
    lines.field(0, "Status", &state(sync));
    for (label, field) in
        [("Applied", "appliedRevision"), ("Fetched", "fetchedRevision"), ("Healthy", "healthyRevision")]
    {
        let revision = short(sync.text(&["status", field]));
        let when = match (field, sync.text(&["status", "appliedAt"])) {
            ("appliedRevision", at) if !at.is_empty() => format!(", {} ago", age::since(at, now)),
            _ => String::new(),
        };
        lines.field(
            0,
            label,
            &if revision.is_empty() { "none".to_owned() } else { format!("{revision}{when}") },
        );
    }
    let failed = short(sync.text(&["status", "failedRevision"]));
    if !failed.is_empty() {
        let why = match sync.text(&["status", "failedMessage"]) {
            "" => String::new(),
            why => format!(": {}", plain(why)),
        };
        lines.field(0, "Failed", &format!("{}, rolled back{why}", paint(Some(BAD), failed)));
        lines.field(0, "", &format!("`orchctl gitsync reconcile {}` tries it again", sync.name()));
    }
    [lines.text(), conditions(sync, now), held(sync), drift(sync, now), inventory(sync)].concat()
}

/// `https://git.example/shop.git, branch main, below deploy`
fn repository(sync: &Value) -> String {
    let text = |path: &[&str]| plain(sync.text(path));
    let reference = sync["spec"]["ref"].as_object().into_iter().flatten();
    let reference =
        reference.map(|(how, name)| format!("{how} {}", plain(name.as_str().unwrap_or_default())));
    let path = Some(text(&["spec", "path"])).filter(|path| !path.is_empty());
    let parts = [text(&["spec", "url"])].into_iter().chain(reference);
    parts.chain(path.map(|path| format!("below {path}"))).collect::<Vec<_>>().join(", ")
}

/// One word, and why.
fn state(sync: &Value) -> String {
    if sync.is_terminating() {
        return paint(Some(WAITING), "Terminating");
    }
    if sync["spec"]["suspend"] == true {
        return paint(Some(WAITING), "Suspended");
    }
    let Some(ready) = condition(sync, "Ready") else { return "not looked at yet".to_owned() };
    let (word, style) = match ready.text(&["status"]) {
        "True" => ("Ready", Some(GOOD)),
        _ if passes(ready) => ("Progressing", Some(WAITING)),
        _ => ("NotReady", Some(BAD)),
    };
    let why = [ready.text(&["reason"]), ready.text(&["message"])].map(plain);
    let why: Vec<&str> =
        why.iter().map(String::as_str).filter(|part| !part.is_empty() && *part != word).collect();
    if why.is_empty() { paint(style, word) } else { format!("{} ({})", paint(style, word), why.join(": ")) }
}

/// Whether it is not ready, but will be, or will be known not to be, without anybody's doing.
pub(super) fn passes(ready: &Value) -> bool {
    ready.text(&["status"]) == "Unknown" || PASSING.contains(&ready.text(&["reason"]))
}

/// The condition of a type.
pub(super) fn condition<'a>(sync: &'a Value, condition_type: &str) -> Option<&'a Value> {
    list(&sync["status"]["conditions"]).iter().find(|condition| condition["type"] == condition_type)
}

fn conditions(sync: &Value, now: Timestamp) -> String {
    let mut table = Table::new(&["TYPE", "STATUS", "REASON", "AGE", "MESSAGE"]);
    table.rows.extend(list(&sync["status"]["conditions"]).iter().map(|condition| {
        let text = |field: &str| plain(condition.text(&[field]));
        let age = match condition.text(&["lastTransitionTime"]) {
            "" => String::new(),
            at => age::since(at, now),
        };
        vec![text("type"), text("status"), text("reason"), age, text("message")]
    }));
    section("Conditions", table)
}

/// What is held, why, and how it is let through; nothing if nothing is.
pub(super) fn held(sync: &Value) -> String {
    let held = &sync["status"]["held"];
    let revision = held.text(&["revision"]);
    if revision.is_empty() {
        return String::new();
    }
    let until = match held.text(&["until"]) {
        "" => String::new(),
        until => format!(", until {until}"),
    };
    let why = format!("{}: {}", plain(held.text(&["reason"])), plain(held.text(&["message"])));
    let held = paint(Some(WAITING), &format!("{} is held{until}", short(revision)));
    let approve = format!("orchctl gitsync approve {} --revision {}", sync.name(), short(revision));
    format!("{}\n  {held}: {why}\n{}  let it through: {approve}\n", heading("Held"), deletes(sync))
}

/// The objects that what is held would delete, one a line.
pub(super) fn deletes(sync: &Value) -> String {
    let deletes = list(&sync["status"]["held"]["deletes"]).iter();
    deletes.map(|item| format!("  {}\n", paint(Some(BAD), &format!("- {}", object(item))))).collect()
}

/// What others had changed when it was last changed back: which fields, and who; nothing if nothing was.
pub(super) fn drift(sync: &Value, now: Timestamp) -> String {
    let drifted = list(&sync["status"]["drift"]);
    if drifted.is_empty() {
        return String::new();
    }
    let told = drifted.iter().map(|drifted| {
        let who: Vec<String> =
            list(&drifted["changedBy"]).iter().filter_map(Value::as_str).map(plain).collect();
        let who = if who.is_empty() { String::new() } else { format!(" by {}", who.join(", ")) };
        let when = match drifted.text(&["at"]) {
            "" => String::new(),
            at => format!(", {} ago", age::since(at, now)),
        };
        let details = paint(Some(FAINT), &format!("changed{who}, changed back{when}"));
        let fields: String = list(&drifted["fields"]).iter().map(history::line).collect();
        let name = paint(Some(WAITING), &object(&drifted["object"]));
        format!("  {name}  {details}\n{}", indented(&fields, 1))
    });
    format!("{}\n{}", heading("Drift"), told.collect::<String>())
}

fn inventory(sync: &Value) -> String {
    let mut table = Table::new(&["KIND", "NAMESPACE", "NAME", "APIVERSION"]);
    table.rows.extend(list(&sync["status"]["inventory"]).iter().map(|item| {
        ["kind", "namespace", "name", "apiVersion"].map(|field| plain(item.text(&[field]))).to_vec()
    }));
    section(&format!("Inventory ({})", table.rows.len()), table)
}

/// A heading and a table below it; nothing if the table is empty.
fn section(title: &str, table: Table) -> String {
    match table.rows.is_empty() {
        true => String::new(),
        false => format!("{}\n{}", heading(title), indented(&table.without_empty_columns().render(true), 1)),
    }
}

fn heading(title: &str) -> String {
    paint(Some(HEADING), &format!("{title}:"))
}

/// `ConfigMap default/web`
fn object(item: &Value) -> String {
    let text = |field: &str| plain(item.text(&[field]));
    match text("namespace").as_str() {
        "" => format!("{} {}", text("kind"), text("name")),
        namespace => format!("{} {namespace}/{}", text("kind"), text("name")),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const REVISION: &str = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d";

    fn now() -> Timestamp {
        "2026-01-31T12:05:00Z".parse().unwrap()
    }

    fn told(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn map(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": name})
    }

    fn sync(status: Value) -> Value {
        json!({
            "metadata": {"name": "shop", "namespace": "default"},
            "spec": {"url": "https://git.example/shop.git", "ref": {"branch": "main"}, "path": "deploy"},
            "status": status,
        })
    }

    #[test]
    fn one_that_is_applied_is_told_with_its_objects() {
        let node = json!({"apiVersion": "v1", "kind": "Namespace", "name": "shop"});
        let sync = sync(json!({
            "conditions": [{"type": "Ready", "status": "True", "reason": "Applied", "message": "2 objects",
                "lastTransitionTime": "2026-01-31T12:00:00Z"}],
            "appliedRevision": REVISION, "appliedAt": "2026-01-31T12:02:00Z", "fetchedRevision": REVISION,
            "failedRevision": "f".repeat(40), "failedMessage": "web: it does not start", "inventory": [node, map("page")],
        }));
        assert_eq!(
            told(&whole(&sync, now())),
            "\
Name:        shop
Namespace:   default
Repository:  https://git.example/shop.git, branch main, below deploy
Status:      Ready (Applied: 2 objects)
Applied:     1a2b3c4d5e6f, 3m ago
Fetched:     1a2b3c4d5e6f
Healthy:     none
Failed:      ffffffffffff, rolled back: web: it does not start
             `orchctl gitsync reconcile shop` tries it again
Conditions:
  TYPE    STATUS   REASON    AGE   MESSAGE
  Ready   True     Applied   5m    2 objects
Inventory (2):
  KIND        NAMESPACE   NAME   APIVERSION
  Namespace               shop   v1
  ConfigMap   shop        page   v1
"
        );
    }

    #[test]
    fn what_is_held_is_told_with_what_would_go_and_how_it_is_let_through() {
        let sync = sync(json!({"held": {
            "revision": REVISION, "reason": "TooManyDeletes", "message": "2 objects would go,\nat most 1 may",
            "until": "2026-02-01T00:00:00Z", "deletes": [map("a"), map("b")],
        }}));
        assert_eq!(
            told(&held(&sync)),
            "\
Held:
  1a2b3c4d5e6f is held, until 2026-02-01T00:00:00Z: TooManyDeletes: 2 objects would go, at most 1 may
  - ConfigMap shop/a
  - ConfigMap shop/b
  let it through: orchctl gitsync approve shop --revision 1a2b3c4d5e6f
"
        );
        assert_eq!(held(&self::sync(json!({}))), "");
    }

    #[test]
    fn drift_is_told_field_by_field_with_who_it_was() {
        let fields = json!([{"path": "data.title", "before": "hacked", "after": "Shop"}, {"path": "data.extra", "before": "x"}]);
        let drifted = json!({"object": map("page"), "at": "2026-01-31T12:04:00Z", "changedBy": ["kubectl-edit"], "fields": fields});
        let sync = sync(json!({"drift": [drifted, {"object": map("gone")}]}));
        assert_eq!(
            told(&drift(&sync, now())),
            "\
Drift:
  ConfigMap shop/page  changed by kubectl-edit, changed back, 60s ago
    ~ data.title: \"hacked\" -> \"Shop\"
    - data.extra: \"x\"
  ConfigMap shop/gone  changed, changed back
"
        );
    }

    #[test]
    fn a_state_is_a_word_and_why() {
        let ready =
            |status: &str| json!({"conditions": [{"type": "Ready", "status": status, "reason": "Because"}]});
        let starting = json!({"conditions": [
            {"type": "Ready", "status": "False", "reason": "Progressing", "message": "web: it starts"}]});
        for (status, expected) in [
            (starting, "Progressing (web: it starts)"),
            (ready("True"), "Ready (Because)"),
            (ready("False"), "NotReady (Because)"),
            (ready("Unknown"), "Progressing (Because)"),
            (json!({}), "not looked at yet"),
        ] {
            assert_eq!(told(&state(&sync(status))), expected);
        }
        let mut suspended = sync(ready("True"));
        suspended["spec"]["suspend"] = true.into();
        assert_eq!(told(&state(&suspended)), "Suspended");
        suspended["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z".into();
        assert_eq!(told(&state(&suspended)), "Terminating");
    }

    #[test]
    fn what_a_server_says_cannot_steer_the_terminal() {
        let message = "\u{1b}]0;owned\u{7}line\r\nnext";
        let sync = sync(json!({
            "conditions": [{"type": "Ready", "status": "False", "reason": "Unreachable", "message": message}],
            "held": {"revision": REVISION, "reason": "Frozen", "message": message},
        }));
        let shown = told(&whole(&sync, now()));
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\r']), "{shown:?}");
        assert!(shown.contains("line  next"), "{shown}");
    }
}
