//! A server that has forgotten the revision that a watch is to begin with: what no real one does on demand.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::fake::{self, Answer, table};

/// Its lists are of revision 10, 20, ...; a watch from 10 on is answered with 410, and so is one from 20 on, but as an
/// event; one from 30 on tells of a pod. Answers with its kubeconfig.
pub(crate) async fn serve() -> tempfile::NamedTempFile {
    let lists = AtomicUsize::new(0);
    fake::serve(move |asked| answer(asked, &lists)).await
}

fn answer(asked: &str, lists: &AtomicUsize) -> Answer {
    let expired = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
        "message": "too old resource version", "code": 410});
    let event = |kind: &str, object| format!("{}\n", json!({"type": kind, "object": object}));
    match asked {
        _ if !asked.contains("watch=") => {
            let list = lists.fetch_add(1, Ordering::SeqCst) + 1;
            Answer::json(&table(&[&format!("listed-{list}")], &format!("{list}0")))
        }
        _ if asked.contains("resourceVersion=10") => Answer::Whole(410, expired.to_string()),
        _ if asked.contains("resourceVersion=20") => Answer::Whole(200, event("ERROR", expired)),
        _ => Answer::Open(event("ADDED", table(&["watched"], "31"))),
    }
}
