use orch_store::Entry;

use super::*;

fn window() -> Arc<Window> {
    window_of("configmaps")
}

fn window_of(plural: &str) -> Arc<Window> {
    let entry = orch_ontology::KINDS.iter().find(|entry| entry.kind.plural == plural).unwrap();
    Arc::new(Window::new(entry.kind, Reading::of(entry)))
}

fn put(window: &Window, revision: u64, path: &str) {
    let key = Key::new(format!("/registry/core/configmaps/{path}")).unwrap();
    let value = br#"{"metadata":{"name":"x"}}"#.as_slice().into();
    let (created, modified) = (Revision(revision), Revision(revision));
    let entry = Entry { key: key.clone(), value, created, modified };
    let object = Arc::new(Cached::read(&entry, window.reading()).unwrap());
    window.apply(modified, vec![(key, Some(object))]);
}

fn query(path: &str, fields: &str) -> Query {
    query_of("configmaps", path, fields)
}

fn query_of(plural: &str, path: &str, fields: &str) -> Query {
    let prefix = Prefix::new(format!("/registry/core/{plural}{path}")).unwrap();
    Query { prefix, labels: LabelQuery::default(), fields: fields.parse().unwrap() }
}

#[test]
fn a_watcher_reads_no_changes_but_those_of_its_object_or_namespace() {
    let window = window();
    let mut cursors = [
        query("", ""),
        query("/a", ""),
        query("/a", "metadata.name=x"),
        query("", "metadata.name=x"),
        query("/b", ""),
    ]
    .map(|query| window.watch(&query, Revision::ZERO).unwrap().1);
    for (revision, path) in [(1, "a/x"), (2, "a/y"), (3, "c/x")] {
        put(&window, revision, path);
    }
    let mut read = |cursor: usize| {
        let changes = cursors[cursor].read(10).unwrap();
        changes.iter().map(|change| change.revision.0).collect::<Vec<_>>()
    };
    assert_eq!((read(0), read(1), read(2)), (vec![1, 2, 3], vec![1, 2], vec![1]));
    assert_eq!((read(3), read(4)), (vec![1, 2, 3], vec![]), "one name in all namespaces is no path");
    let caught_up = cursors.iter().all(|cursor| cursor.caught_up() == Some(Revision(3)));
    assert!(caught_up, "who reads less is as far as all others");
}

fn feeds(window: &Window) -> usize {
    let state = window.state.read();
    state.by_path.len() + state.by_value.iter().map(HashMap::len).sum::<usize>()
}

#[test]
fn feeds_that_nobody_reads_are_forgotten() {
    for plural in ["configmaps", "pods"] {
        let window = window_of(plural);
        let watch = |path: &str, fields: &str| {
            window.watch(&query_of(plural, path, fields), Revision::ZERO).unwrap().1
        };
        for number in 0..1_000 {
            watch(&format!("/n{number}"), "");
            watch("/a", &format!("metadata.name=x{number}"));
            if plural == "pods" {
                watch("", &format!("spec.nodeName=node{number}"));
            }
        }
        assert_eq!(feeds(&window), 0, "{plural}");
        let (one, two) = (watch("/a", ""), watch("/a", ""));
        drop(one);
        assert_eq!(feeds(&window), 1, "one still reads");
        drop(two);
        assert_eq!(feeds(&window), 0);
    }
}

#[test]
fn who_lost_their_place_takes_nothing_from_those_who_came_later() {
    let window = window();
    let watch = |after| window.watch(&query("/a", ""), Revision(after)).unwrap().1;
    let lost = watch(0);
    window.replace(Vec::new(), Revision(1));
    let mut later = watch(1);
    drop(lost);
    put(&window, 2, "a/x");
    assert_eq!(later.read(10).unwrap().len(), 1);
    window.retire(Revision(3));
    drop(later);
    assert_eq!(feeds(&window), 0);
}
