use orch_store::Entry;

use super::*;

fn window() -> Arc<Window> {
    let entry = orch_ontology::KINDS.iter().find(|entry| entry.kind.plural == "configmaps").unwrap();
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
    let prefix = Prefix::new(format!("/registry/core/configmaps{path}")).unwrap();
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

#[test]
fn feeds_that_nobody_reads_are_forgotten() {
    let window = window();
    let cursor = window.watch(&query("/a", "metadata.name=x"), Revision::ZERO).unwrap().1;
    assert_eq!(window.state.read().by_path.len(), 1);
    drop(cursor);
    put(&window, 1, "a/x");
    assert!(window.state.read().by_path.is_empty());
}
