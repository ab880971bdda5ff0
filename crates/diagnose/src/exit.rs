//! Containers that end when they should not.

use jiff::{SignedDuration, Timestamp};
use orch_api::{Object as _, Quantity};
use serde_json::{Value, json};

use crate::pod::owner_or_self;
use crate::world::{items, label, template_patch};
use crate::{Cause, Finding};

/// How long a container that runs again is not believed to be well: twice the longest pause before a restart.
const RECENTLY: SignedDuration = SignedDuration::from_mins(10);

/// How a container ended, and what comes after.
struct Exit<'v> {
    reason: &'v str,
    code: i64,
    message: &'v str,
    restarts: i64,
    /// It is not started again.
    is_final: bool,
}

/// Why a container ends, by how it ended last, and where that is written.
pub(crate) fn finding(pod: &Value, status: &Value, at: &str, now: Timestamp) -> Option<Finding> {
    let name = status.text(&["name"]);
    let exit = Exit::of(pod, status, now)?;
    let Exit { reason, code, restarts, .. } = exit;
    if reason == "OOMKilled" {
        return Some(
            out_of_memory(pod, name).because(at, format!("OOMKilled, exit code {code}, {restarts} restarts")),
        );
    }
    let key = format!("{} {name}", owner_or_self(pod));
    let runs = status["state"]["running"].is_object();
    let how = if runs && restarts == 1 { "has ended once and runs again" } else { "ends again and again" };
    let finding =
        if exit.is_final { failed(pod, name, key, code) } else { crash_loop(pod, name, key, how, code) };
    let ended = if reason.is_empty() { "ended" } else { reason };
    Some(
        finding
            .because(at, format!("{ended}, exit code {code}, {restarts} restarts"))
            .because(format!("{at} termination message"), exit.message),
    )
}

impl<'v> Exit<'v> {
    /// The end that counts: of a container that has ended, if it has failed; of one that waits to be started again, its last;
    /// of one that runs again, its last if that was not long ago.
    fn of(pod: &Value, status: &'v Value, now: Timestamp) -> Option<Self> {
        let (state, last) = (&status["state"], &status["lastState"]["terminated"]);
        let restarts = status["restartCount"].as_i64().unwrap_or(0);
        let backs_off = state["waiting"].text(&["reason"]) == "CrashLoopBackOff";
        let has_ended = state["terminated"].is_object();
        let ended = if has_ended { &state["terminated"] } else { last };
        let (reason, code) = (ended.text(&["reason"]), ended["exitCode"].as_i64().unwrap_or(0));
        let counts = match (has_ended, backs_off) {
            (true, _) => code != 0 || reason == "OOMKilled",
            (false, true) => true,
            (false, false) => last.is_object() && restarts > 0 && is_recent(last, now),
        };
        let is_final = has_ended && !is_restarted(pod, status.text(&["name"]));
        let message = ended.text(&["message"]);
        counts.then_some(Self { reason, code, message, restarts, is_final })
    }
}

/// Whether a container that ends is started again: as its pod says, or, of an init container that runs on, as itself says.
fn is_restarted(pod: &Value, container: &str) -> bool {
    let mut prepares = items(pod, &["spec", "initContainers"]).iter();
    let runs_on = prepares.any(|c| c.text(&["name"]) == container && c.text(&["restartPolicy"]) == "Always");
    let is_over = pod.text(&["status", "phase"]) == "Failed";
    !is_over && (runs_on || pod.text(&["spec", "restartPolicy"]) != "Never")
}

fn is_recent(ended: &Value, now: Timestamp) -> bool {
    let at = ended.text(&["finishedAt"]).parse::<Timestamp>();
    at.is_ok_and(|at| now.duration_since(at) < RECENTLY)
}

fn crash_loop(pod: &Value, container: &str, key: String, how: &str, code: i64) -> Finding {
    let says = format!("container {container} of {} {how}: exit code {code}{}", label(pod), meaning(code));
    Finding::new(Cause::CrashLoop, key, says).fix(
        format!("read what it wrote last (logs of {}, container {container}, previous) and correct command or configuration; undo the last change if it ran before", pod.name()),
        Vec::new(),
    )
}

fn failed(pod: &Value, container: &str, key: String, code: i64) -> Finding {
    let says = format!(
        "container {container} of {} has failed and is not started again: exit code {code}{}",
        label(pod),
        meaning(code)
    );
    Finding::new(Cause::RunFailed, key, says).fix(
        format!("read what it wrote (logs of {}, container {container}), correct command or configuration, and run it again", pod.name()),
        Vec::new(),
    )
}

fn meaning(code: i64) -> &'static str {
    match code {
        126 => " (the command cannot be executed)",
        127 => " (the command is not there)",
        137 => " (killed)",
        139 => " (segmentation fault)",
        143 => " (ended by SIGTERM)",
        _ => "",
    }
}

fn out_of_memory(pod: &Value, container: &str) -> Finding {
    let within = |list: &'static str| {
        let found = items(pod, &["spec", list]).iter().find(|c| c.text(&["name"]) == container);
        found.map(|found| (list, found.text(&["resources", "limits", "memory"])))
    };
    let (list, limit) =
        within("initContainers").or_else(|| within("containers")).unwrap_or(("containers", ""));
    let says = match limit {
        "" => format!("container {container} of {} used up the node's memory: it has no limit", label(pod)),
        limit => {
            format!("container {container} of {} needs more memory than its limit of {limit}", label(pod))
        }
    };
    let raised = limit.parse::<Quantity>().ok().and_then(doubled);
    let change = raised.map(|raised| {
        let resources = json!({"limits": {"memory": raised}});
        template_patch(pod, json!({list: [{"name": container, "resources": resources}]}))
    });
    let say = "raise the memory limit to what it needs, or find out why it needs so much";
    Finding::new(Cause::OutOfMemory, format!("{} {container}", owner_or_self(pod)), says)
        .fix(say, change.unwrap_or_default())
}

/// Twice an amount of bytes, in MiB.
fn doubled(bytes: Quantity) -> Option<String> {
    let mebibytes = bytes.value().checked_mul(2)?.checked_add((1 << 20) - 1)? >> 20;
    Some(format!("{mebibytes}Mi"))
}
