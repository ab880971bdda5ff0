use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use orch_api::plan::ChangeAction;
use orch_api::{Drain, Foreseen, Foresight as _, Kind, Object as _, Scene, TouchedObject, View};
use orch_ontology::KINDS;
use serde_json::{Value, json};

use super::ControllersForesight;

/// A kind that an object defines.
const WIDGET: Kind = Kind::namespaced("test.dev", "v1", "Widget", "widgets", "widget");

/// Objects by kind and name.
#[derive(Clone, Default)]
struct Things(BTreeMap<(&'static str, String), Bytes>);

impl Things {
    fn put(&mut self, object: Value) {
        let kind = self.kinds().into_iter().find(|kind| kind.name == object["kind"]).unwrap().name;
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.0.insert((kind, name), object.to_string().into());
    }

    fn with(&self, object: Value) -> Self {
        let mut all = self.clone();
        all.put(object);
        all
    }

    fn without(&self, kind: &'static str, name: &str) -> Self {
        let mut all = self.clone();
        all.0.remove(&(kind, name.to_owned())).unwrap();
        all
    }
}

impl View for Things {
    fn kinds(&self) -> Vec<Kind> {
        let own = KINDS.iter().filter(|entry| entry.form.is_none()).map(|entry| entry.kind);
        own.chain([WIDGET]).collect()
    }

    fn objects(&self, kind: &Kind) -> Vec<Bytes> {
        self.0.iter().filter(|((name, _), _)| *name == kind.name).map(|(_, object)| object.clone()).collect()
    }
}

/// Objects before and after changes.
struct Changed<'a>(&'a Things, &'a Things);

impl Scene for Changed<'_> {
    fn touched(&self) -> Vec<TouchedObject> {
        let places: BTreeSet<_> = self.0.0.keys().chain(self.1.0.keys()).collect();
        let touched = places.into_iter().map(|place| {
            let kind = self.1.kinds().into_iter().find(|kind| kind.name == place.0).unwrap();
            let [before, after] = [self.0, self.1].map(|things| things.0.get(place).cloned());
            TouchedObject { kind, before, after }
        });
        touched.filter(|object| object.before != object.after).collect()
    }

    fn views(&self) -> (Box<dyn View>, Box<dyn View>) {
        (Box::new(self.0.clone()), Box::new(self.1.clone()))
    }
}

fn node(name: &str, pods: u32) -> Value {
    json!({
        "kind": "Node", "metadata": {"name": name, "uid": name},
        "status": {"allocatable": {"cpu": "8", "memory": "8Gi", "pods": pods.to_string()},
                   "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn workload(replicas: u32, image: &str) -> Value {
    workload_of("web", replicas, image)
}

fn workload_of(name: &str, replicas: u32, image: &str) -> Value {
    let uid = if name == "web" { "w" } else { name };
    json!({
        "kind": "Workload", "metadata": {"name": name, "namespace": "default", "uid": uid, "generation": 1},
        "spec": {"replicas": replicas, "update": {"maxSurge": 1, "maxUnavailable": 0}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]},
        }},
    })
}

/// A pod of the workload, of its template with the image `a`.
fn pod(name: &str, node: &str) -> Value {
    let template: orch_ontology::Workload = serde_json::from_value(workload(1, "a")).unwrap();
    let hash = crate::workload::template_hash(&template.spec.template);
    json!({
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "default", "uid": name,
            "labels": {"app": "web", "orch.dev/template-hash": hash},
            "ownerReferences": [{"apiVersion": "orch.dev/v1", "kind": "Workload", "name": "web", "uid": "w",
                                 "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "a"}]},
        "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ]},
    })
}

/// Two pods of `web` on two nodes, with a service before them and a map that one pod owns.
fn things() -> Things {
    let mut things = Things::default();
    things.put(node("n1", 3));
    things.put(node("n2", 3));
    things.put(workload(2, "a"));
    things.put(pod("web-1", "n1"));
    things.put(pod("web-2", "n2"));
    let service = |name: &str, app: &str| {
        json!({"kind": "Service", "metadata": {"name": name, "namespace": "default", "uid": name},
               "spec": {"selector": {"app": app}, "clusterIP": "None"}})
    };
    things.put(service("web", "web"));
    things.put(service("other", "other"));
    things.put(json!({
        "kind": "ConfigMap", "metadata": {"name": "owned", "namespace": "default", "uid": "owned", "ownerReferences": [
            {"apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": "web-1"},
        ]},
    }));
    things
}

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn foresee(before: &Things, after: &Things) -> Foreseen {
    ControllersForesight.foresee(&Changed(before, after), now())
}

fn placed(foreseen: &Foreseen) -> Vec<String> {
    let each = foreseen.placements.iter();
    each.map(|placement| format!("{} {}{}", placement.pod, placement.node, placement.message)).collect()
}

fn evicted(foreseen: &Foreseen) -> Vec<String> {
    let each = foreseen.evictions.iter();
    each.map(|eviction| format!("{} {}: {}", eviction.pod, eviction.node, eviction.because)).collect()
}

#[test]
fn new_replicas_are_placed_by_the_scheduler_and_what_fits_nowhere_says_why() {
    let before = things();
    let foreseen = foresee(&before, &before.with(workload(7, "a")));
    let (placed, unplaced): (Vec<_>, Vec<_>) = foreseen.placements.iter().partition(|p| !p.node.is_empty());
    assert_eq!((placed.len(), unplaced.len()), (4, 1));
    let on = |node: &str| placed.iter().filter(|placement| placement.node == node).count();
    assert_eq!((on("n1"), on("n2")), (2, 2));
    assert_eq!(unplaced[0].pod, "web+5");
    assert_eq!(unplaced[0].message, "0/2 nodes are available: 2 Too many pods.");
    assert_eq!(unplaced[0].reasons["n1"], ["Too many pods"]);
    let radius = &foreseen.blast_radius;
    assert_eq!(
        (&*radius.nodes_touched, &*radius.services_affected),
        (&["n1".to_owned(), "n2".to_owned()][..], &["default/web".to_owned()][..])
    );
    assert_eq!((radius.replicas_lost, foreseen.evictions.len(), foreseen.changes.len()), (0, 0, 5));
}

#[test]
fn of_very_many_new_pods_some_are_foreseen() {
    let before = things();
    let foreseen = foresee(&before, &before.with(workload(6_000, "a")));
    assert_eq!((foreseen.placements.len(), foreseen.omitted), (5_000, 998));
    let reasons: usize = foreseen.placements.iter().map(|placement| placement.reasons.len()).sum();
    assert_eq!(reasons, 2, "what speaks against a node is told once");
}

#[test]
fn every_pod_of_a_large_workload_is_seen_replaced() {
    let mut before = Things::default();
    let (many, nodes) = (1_000, 10);
    for n in 0..nodes {
        before.put(node(&format!("n{n}"), 200));
    }
    before.put(workload(many, "a"));
    for n in 0..many {
        before.put(pod(&format!("web-{n}"), &format!("n{}", n % nodes)));
    }
    let foreseen = foresee(&before, &before.with(workload(many, "b")));
    assert_eq!((foreseen.evictions.len(), placed(&foreseen).len(), foreseen.omitted), (1_000, 1_000, 0));
    assert_eq!(foreseen.blast_radius.replicas_lost, 0);
}

#[test]
fn a_rollout_for_which_there_is_little_room_goes_on_in_it() {
    let before = (0..40).fold(Things::default().with(node("n1", 41)).with(workload(40, "a")), |all, n| {
        all.with(pod(&format!("web-{n}"), "n1"))
    });
    let foreseen = foresee(&before, &before.with(workload(40, "b")));
    assert_eq!((foreseen.evictions.len(), foreseen.placements.len()), (40, 40));
    assert!(foreseen.placements.iter().all(|placement| placement.node == "n1"));
    let full = before.with(node("n1", 40));
    let foreseen = foresee(&full, &full.with(workload(40, "b")));
    assert_eq!((foreseen.evictions.len(), placed(&foreseen).len()), (0, 1), "the first one does not fit");
}

#[test]
fn what_waits_is_placed_where_others_leave_whatever_they_are_called() {
    let pods = |owner: &'static str, many: u32| {
        (0..many).map(move |n| {
            let mut pod = pod(&format!("{owner}-{n}"), "n1");
            pod["metadata"]["ownerReferences"][0]["name"] = owner.into();
            pod["metadata"]["ownerReferences"][0]["uid"] = owner.into();
            pod
        })
    };
    for [more, fewer] in [["a", "b"], ["b", "a"]] {
        let mut before = Things::default().with(node("n1", 6));
        before.put(workload_of(more, 2, "a"));
        before.put(workload_of(fewer, 4, "a"));
        pods(more, 2).chain(pods(fewer, 4)).for_each(|pod| before.put(pod));
        let after = before.with(workload_of(more, 4, "a")).with(workload_of(fewer, 2, "a"));
        let foreseen = foresee(&before, &after);
        assert_eq!(placed(&foreseen), [format!("{more}+1 n1"), format!("{more}+2 n1")]);
        assert_eq!(foreseen.evictions.len(), 2);
    }
    let mut waiting = pod("alone", "");
    waiting["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    waiting["status"] = json!({"phase": "Pending"});
    let before = things().with(node("n1", 1)).with(node("n2", 1)).with(waiting);
    let foreseen = foresee(&before, &before.with(workload(1, "a")));
    assert_eq!(placed(&foreseen).len(), 1, "one that has waited before, too");
    assert!(placed(&foreseen)[0].starts_with("alone n"), "{foreseen:?}");
}

#[test]
fn fewer_replicas_name_the_pods_that_go_and_what_they_own_goes_along() {
    let before = things();
    let foreseen = foresee(&before, &before.with(workload(0, "a")));
    let all = evicted(&foreseen);
    assert_eq!(all, ["web-1 n1: Workload web wants fewer", "web-2 n2: Workload web wants fewer"]);
    assert_eq!(foreseen.changes[2].target.name, "owned");
    assert_eq!(foreseen.changes[2].because, "its owner Pod web-1 is deleted");
    assert_eq!(foreseen.blast_radius.replicas_lost, 2);
}

#[test]
fn a_new_template_replaces_every_pod_and_loses_none() {
    let before = things();
    let foreseen = foresee(&before, &before.with(workload(2, "b")));
    let mut all = evicted(&foreseen);
    all.sort();
    let because = "Workload web replaces it by one of its new template";
    assert_eq!(all, [format!("web-1 n1: {because}"), format!("web-2 n2: {because}")]);
    assert_eq!(placed(&foreseen).len(), 2);
    assert_eq!((foreseen.blast_radius.replicas_lost, foreseen.changes.len()), (0, 5));
}

#[test]
fn what_belongs_to_a_deleted_object_goes_along_and_says_why() {
    let before = things();
    let foreseen = foresee(&before, &before.without("Workload", "web"));
    let told: Vec<String> = foreseen
        .changes
        .iter()
        .map(|change| {
            format!("{:?} {} {}: {}", change.action, change.target.kind, change.target.name, change.because)
        })
        .collect();
    let owner = "its owner Workload web is deleted";
    assert_eq!(
        told,
        [
            format!("Deleted Pod web-1: {owner}"),
            format!("Deleted Pod web-2: {owner}"),
            "Deleted ConfigMap owned: its owner Pod web-1 is deleted".to_owned(),
        ]
    );
    assert_eq!((foreseen.blast_radius.replicas_lost, foreseen.placements.len()), (2, 0));
}

#[test]
fn an_owner_that_leaves_orphans_behind_takes_nothing_along() {
    let before = things();
    let mut web = workload(2, "a");
    web["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
    web["metadata"]["finalizers"] = json!(["orphan"]);
    let foreseen = foresee(&before, &before.with(web));
    assert_eq!((foreseen.evictions.len(), foreseen.blast_radius.replicas_lost), (0, 0));
    assert!(foreseen.changes.iter().all(|change| change.action == ChangeAction::Changed));
    assert_eq!(foreseen.changes.len(), 2);
}

#[test]
fn everything_in_a_namespace_goes_with_it() {
    let namespace = json!({"kind": "Namespace", "metadata": {"name": "default", "uid": "ns"}});
    let mut ended = pod("ended", "n1");
    ended["status"] = json!({"phase": "Succeeded"});
    let before = things().with(namespace.clone()).with(ended);
    let mut going = namespace;
    going["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
    let foreseen = foresee(&before, &before.with(going));
    assert_eq!(foreseen.changes.len(), 7, "the pod that has ended among them");
    assert!(foreseen.changes.iter().all(|change| change.because == "its namespace default is deleted"));
    assert_eq!(foreseen.evictions.len(), 2);
    let told = foreseen.changes.iter().filter(|change| change.target.name == "ended");
    assert_eq!(told.map(|change| change.action).collect::<Vec<_>>(), [ChangeAction::Deleted]);
}

#[test]
fn a_taint_drives_out_those_that_do_not_tolerate_it_and_what_they_own_goes_along() {
    let mut tolerant = pod("web-3", "n1");
    tolerant["spec"]["tolerations"] = json!([{"key": "m", "operator": "Exists"}]);
    let mut late = pod("web-4", "n1");
    late["spec"]["tolerations"] = json!([{"key": "m", "operator": "Exists", "tolerationSeconds": 60}]);
    let before = things().with(workload(4, "a")).with(node("n2", 9)).with(tolerant).with(late);
    let mut tainted = node("n1", 3);
    tainted["spec"] = json!({"taints": [{"key": "m", "effect": "NoExecute"}]});
    let foreseen = foresee(&before, &before.with(tainted.clone()));
    assert_eq!(evicted(&foreseen), ["web-1 n1: it does not tolerate a taint of its node n1"]);
    assert_eq!(placed(&foreseen), ["web+1 n2"]);
    assert_eq!(foreseen.blast_radius.replicas_lost, 0);
    assert_eq!(foreseen.changes.last().unwrap().because, "its owner Pod web-1 is deleted");
    tainted["spec"]["taints"][0]["effect"] = "NoSchedule".into();
    assert_eq!(foresee(&before, &before.with(tainted)).evictions, []);
}

#[test]
fn the_objects_of_a_kind_go_with_its_definition_and_what_they_own_goes_along() {
    let definition = |plural: &str, group: &str| {
        let name = format!("{plural}.{group}");
        json!({"kind": "CustomResourceDefinition", "metadata": {"name": name, "uid": name}})
    };
    let owned = json!({
        "kind": "ConfigMap", "metadata": {"name": "of-widget", "namespace": "default", "uid": "of-widget",
            "ownerReferences": [{"apiVersion": "test.dev/v1", "kind": "Widget", "name": "a", "uid": "a"}]},
    });
    let widget = json!({"kind": "Widget", "metadata": {"name": "a", "namespace": "default", "uid": "a"}});
    let (widgets, pods) = (definition("widgets", "test.dev"), definition("workloads", "orch.dev"));
    let before = things().with(widget).with(owned).with(widgets.clone()).with(pods.clone());
    let going = |mut definition: Value| {
        definition["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
        foresee(&before, &before.with(definition))
    };
    let foreseen = going(widgets);
    let told: Vec<String> = foreseen
        .changes
        .iter()
        .map(|change| format!("{} {}: {}", change.target.kind, change.target.name, change.because))
        .collect();
    assert_eq!(
        told,
        [
            "Widget a: its definition widgets.test.dev is deleted",
            "ConfigMap of-widget: its owner Widget a is deleted"
        ]
    );
    assert_eq!(going(pods).changes, [], "it never defined what is compiled in");
}

#[test]
fn draining_a_node_keeps_pods_off_it_and_moves_those_there() {
    let before = things();
    let Drain { cordon, kind, there } = ControllersForesight.drain("n1").unwrap();
    let pods = before.objects(&kind).into_iter().filter(|pod| {
        let pod: Value = serde_json::from_slice(pod).unwrap();
        there.matches(|field| (field == "spec.nodeName").then(|| pod.text(&["spec", "nodeName"])))
    });
    let evictions = ControllersForesight.evictions(&pods.collect::<Vec<_>>());
    let requests = std::iter::once(&cordon).chain(&evictions);
    let told: Vec<String> = requests.map(|request| format!("{} {}", request.verb, request.target)).collect();
    assert_eq!(told, ["patch /api/v1/nodes/n1", "create /api/v1/namespaces/default/pods/web-1/eviction"]);
    let (mut cordoned, mut going) = (node("n1", 3), pod("web-1", "n1"));
    cordoned["spec"] = json!({"unschedulable": true});
    going["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
    let foreseen = foresee(&before, &before.with(cordoned).with(going));
    assert_eq!(evicted(&foreseen), ["web-1 n1: the plan deletes it"]);
    assert_eq!(placed(&foreseen), ["web+1 n2"]);
    assert_eq!(foreseen.blast_radius.replicas_lost, 0);
}

#[test]
fn nodes_can_be_supposed_lost_and_added_and_workloads_scaled() {
    let things = things();
    let suppose = |spec: Value| ControllersForesight.suppose(&spec, &Changed(&things, &things), now());
    let lost = suppose(json!({"nodesLost": ["n1"]})).unwrap();
    assert_eq!(evicted(&lost), ["web-1 n1: its node n1 is gone"]);
    assert_eq!(placed(&lost), ["web+1 n2"]);
    let both = suppose(json!({"nodesLost": ["n1", "n2"]})).unwrap();
    assert_eq!(both.blast_radius.replicas_lost, 2);
    assert_eq!(both.placements[0].message, "no nodes available to schedule pods");
    let mut third = node("n3", 1);
    third["status"].as_object_mut().unwrap().remove("conditions");
    let web = json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "namespace": "default", "name": "web"});
    let spec = json!({"nodesAdded": [third], "scale": [{"target": web, "factor": 3.5}]});
    let more = suppose(spec).unwrap();
    assert_eq!(more.placements.iter().filter(|placement| placement.node == "n3").count(), 1);
    assert_eq!(more.placements.iter().filter(|placement| !placement.node.is_empty()).count(), 5);
    let wrong = json!({"nodesLost": ["n9"], "scale": [{"target": web}]});
    let message = suppose(wrong).unwrap_err().message;
    assert!(
        message.contains("spec.nodesLost[0]: Invalid value: \"n9\"") && message.contains("spec.scale[0]"),
        "{message}"
    );
    assert_eq!(suppose(json!({"nodesLst": []})).unwrap_err().code, 400);
}

#[test]
fn what_concerns_no_controller_is_looked_at_no_further() {
    let before = things();
    let after = before
        .with(json!({"kind": "ConfigMap", "metadata": {"name": "new", "namespace": "default", "uid": "u"}}));
    assert_eq!(foresee(&before, &after), Foreseen::default());
}
