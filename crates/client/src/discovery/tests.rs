use super::*;

fn served() -> Discovery {
    let resource = |group: &str, kind: &str, short: &str, all: bool| ApiResource {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
        singular: kind.to_lowercase(),
        namespaced: kind != "Node",
        short_names: vec![short.into()],
        categories: if all { vec!["all".into()] } else { vec![] },
        verbs: vec!["get".into(), "list".into()],
        subresources: vec![],
    };
    Discovery {
        resources: vec![
            resource("", "Pod", "po", true),
            resource("", "Node", "no", false),
            resource("", "Event", "ev", false),
            resource("orch.dev", "Workload", "wl", true),
            resource("events.k8s.io", "Event", "ev", false),
        ],
    }
}

#[test]
fn many_words_mean_the_same_kind() {
    let discovery = served();
    for word in ["po", "pod", "pods", "Pod", "PODS", "pods.v1."] {
        assert_eq!(discovery.resolve(word).unwrap().resource(), "pods", "{word}");
    }
    for word in ["wl", "workload", "workloads.orch.dev", "workload.v1.orch.dev", "Workload.orch.dev"] {
        assert_eq!(discovery.resolve(word).unwrap().resource(), "workloads.orch.dev", "{word}");
    }
    assert_eq!(discovery.resolve("events").unwrap().resource(), "events", "the first of a name counts");
    assert_eq!(discovery.resolve("events.events.k8s.io").unwrap().resource(), "events.events.k8s.io");
}

#[test]
fn a_word_that_is_nearly_right_is_suggested() {
    let discovery = served();
    let suggestion = |word: &str| discovery.resolve(word).unwrap_err().suggestion;
    assert_eq!(suggestion("worklods").as_deref(), Some("workloads"));
    assert_eq!(suggestion("pods.orch.dev").as_deref(), Some("pods"));
    assert_eq!(suggestion("kumquats"), None);
    assert_eq!(discovery.nearest_kind("orch.dev/v1", "Worklaod").as_deref(), Some("kind: Workload"));
    assert_eq!(
        discovery.nearest_kind("apps/v1", "Workload").as_deref(),
        Some("apiVersion: orch.dev/v1, kind: Workload")
    );
}

#[test]
fn a_category_is_several_kinds() {
    let discovery = served();
    let kinds: Vec<_> = discovery.category("all").iter().map(|resource| resource.kind.as_str()).collect();
    assert_eq!(kinds, ["Pod", "Workload"]);
    assert!(discovery.category("none").is_empty());
}

#[test]
fn a_namespace_counts_only_for_kinds_that_live_in_one() {
    let discovery = served();
    let path = |word: &str| discovery.resolve(word).unwrap().collection(Some("shop")).to_string();
    assert_eq!(path("wl"), "/apis/orch.dev/v1/namespaces/shop/workloads");
    assert_eq!(path("nodes"), "/api/v1/nodes");
}
