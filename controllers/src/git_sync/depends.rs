//! What must be ready before a sync.

use orch_api::Conditions as _;
use orch_ontology::GitSync;

use super::told::READY;

/// Why a sync has to wait for others, if it has to. `find` gives another one of the same namespace.
pub(super) fn awaited<S: AsRef<GitSync>>(
    sync: &GitSync,
    find: &dyn Fn(&str) -> Option<S>,
) -> Option<(&'static str, String)> {
    if let Some(cycle) = cycle(sync, find) {
        return Some(("DependencyCycle", format!("it waits for itself: {}", cycle.join(" → "))));
    }
    sync.spec.depends_on.iter().find_map(|other| {
        let name = other.name.as_str();
        let Some(other) = find(name) else {
            return Some(("DependencyNotReady", format!("GitSync {name} is not there")));
        };
        let (status, generation) = (&other.as_ref().status, other.as_ref().metadata.generation);
        let is_ready = status.observed_generation == generation && status.conditions.is_true(READY);
        (!is_ready).then(|| ("DependencyNotReady", format!("GitSync {name} is not ready")))
    })
}

/// A way from a sync back to it.
fn cycle<S: AsRef<GitSync>>(sync: &GitSync, find: &dyn Fn(&str) -> Option<S>) -> Option<Vec<String>> {
    let start = sync.metadata.name.as_str();
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = way.last()?.clone();
        let next = if last == start && way.len() == 1 { names(sync) } else { names(find(&last)?.as_ref()) };
        for name in next {
            let way: Vec<String> = way.iter().cloned().chain([name.clone()]).collect();
            if name == start {
                return Some(way);
            }
            if seen.insert(name.clone()) && find(&name).is_some() {
                ways.push(way);
            }
        }
    }
    None
}

fn names(sync: &GitSync) -> Vec<String> {
    sync.spec.depends_on.iter().map(|other| other.name.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn sync(name: &str, on: &[&str], ready: &str) -> Arc<GitSync> {
        let on: Vec<Value> = on.iter().map(|name| json!({"name": name})).collect();
        let sync = json!({
            "metadata": {"name": name, "generation": 1}, "spec": {"url": "https://x/y", "dependsOn": on},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": ready}]},
        });
        Arc::new(serde_json::from_value(sync).unwrap())
    }

    fn told(all: &[Arc<GitSync>], name: &str) -> Option<String> {
        let find = |name: &str| all.iter().find(|sync| sync.metadata.name == name).cloned();
        awaited(&find(name).unwrap(), &find).map(|(reason, message)| format!("{reason}: {message}"))
    }

    #[test]
    fn a_sync_waits_for_what_it_depends_on() {
        let all = [
            sync("a", &["b"], "True"),
            sync("b", &[], "False"),
            sync("c", &["d"], "True"),
            sync("e", &["a"], "True"),
        ];
        assert_eq!(told(&all, "a").unwrap(), "DependencyNotReady: GitSync b is not ready");
        assert_eq!(told(&all, "b"), None);
        assert_eq!(told(&all, "c").unwrap(), "DependencyNotReady: GitSync d is not there");
        assert_eq!(told(&all, "e"), None);
    }

    #[test]
    fn syncs_that_wait_for_each_other_are_told_so() {
        let all = [
            sync("a", &["b"], "True"),
            sync("b", &["c"], "True"),
            sync("c", &["a"], "True"),
            sync("d", &["a"], "True"),
        ];
        assert_eq!(told(&all, "a").unwrap(), "DependencyCycle: it waits for itself: a → b → c → a");
        // It waits for a cycle, but is not in it.
        assert_eq!(told(&all, "d"), None);
    }
}
