//! In which order changes are taken back: what is needed comes before what needs it, and goes after it. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use orch_api::{Object as _, Status};

use super::owners::references;
use super::undo::read;
use crate::history::{ObjectPath, Record, Verb};

/// The changes in the order in which they are taken back. Objects need their namespace, their owners and the definition of their kind;
/// `defines` tells whether the object of a change is one.
///
/// # Errors
/// 500 if an object cannot be read.
pub(super) fn in_order(
    records: Vec<Record>,
    defines: impl Fn(&Record) -> bool,
) -> Result<Vec<Record>, Status> {
    let depths = depths(&needs(&records, defines)?);
    let is_inside =
        |record: &Record| ObjectPath::of_key(&record.head.key).is_some_and(|path| !path.namespace.is_empty());
    let mut placed: Vec<_> = depths.into_iter().zip(records).collect();
    placed.sort_by_key(|(depth, record)| {
        // What is in no namespace comes before all that is in one.
        let depth = depth + usize::from(is_inside(record));
        match record.head.verb {
            Verb::Deleted => (0, depth, Reverse(0)),
            Verb::Updated | Verb::Missed => (1, depth, Reverse(0)),
            Verb::Created => (2, 0, Reverse(depth)),
        }
    });
    Ok(placed.into_iter().map(|(_, record)| record).collect())
}

/// Which of the changed objects each one needs, by their places.
fn needs(records: &[Record], defines: impl Fn(&Record) -> bool) -> Result<Vec<Vec<usize>>, Status> {
    let (mut by_uid, mut namespaces, mut definitions) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut objects = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let object = read(record.before.as_ref().or(record.after.as_ref()))?.unwrap_or_default();
        by_uid.insert(object.uid().to_owned(), place);
        if let Some(path) = ObjectPath::of_key(&record.head.key) {
            match (path.group, path.plural) {
                ("", "namespaces") => drop(namespaces.insert(path.name, place)),
                _ if defines(record) => drop(definitions.insert(path.name, place)),
                _ => {}
            }
        }
        objects.push(object);
    }
    let needed = records.iter().zip(&objects).map(|(record, object)| {
        let owners = references(object).iter().filter_map(|owner| by_uid.get(owner.text(&["uid"])));
        let path = ObjectPath::of_key(&record.head.key);
        let namespace = path.as_ref().and_then(|path| namespaces.get(path.namespace));
        let definition = path.map(|path| format!("{}.{}", path.plural, path.group));
        let definition = definition.and_then(|name| definitions.get(name.as_str()));
        owners.chain(namespace).chain(definition).copied().collect()
    });
    Ok(needed.collect())
}

/// How many steps each is away from those that need nothing. What needs itself in a circle is cut somewhere.
fn depths(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut known = vec![None; needs.len()];
    (0..needs.len()).map(|place| depth(place, needs, &mut known)).collect()
}

fn depth(place: usize, needs: &[Vec<usize>], known: &mut [Option<usize>]) -> usize {
    if let Some(depth) = known[place] {
        return depth;
    }
    known[place] = Some(0);
    let below = needs[place].iter().map(|needed| 1 + depth(*needed, needs, known)).max();
    known[place] = below.or(Some(0));
    below.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use orch_store::Key;
    use serde_json::json;

    use super::*;
    use crate::history::{Head, Id};
    use crate::origin::Origin;

    fn record(verb: Verb, key: &str, uid: &str, owner: &str) -> Record {
        let head = Head {
            id: Id { revision: 1, number: 0 },
            verb,
            key: Key::new(format!("/registry/{key}")).unwrap(),
            api_version: "v1".into(),
            kind: "Note".into(),
            origin: Origin::default(),
            is_sensitive: false,
        };
        let object = json!({"metadata": {"uid": uid, "ownerReferences": [{"uid": owner}]}}).to_string();
        let (before, after) = match verb {
            Verb::Created => (None, Some(object.into())),
            _ => (Some(object.into()), None),
        };
        Record { head, before, after }
    }

    fn order(verb: Verb, objects: &[(&str, &str, &str)]) -> Vec<String> {
        let records = objects.iter().map(|(key, uid, owner)| record(verb, key, uid, owner)).collect();
        let is_definition = |record: &Record| record.head.key.as_str().contains("/definitions/");
        let ordered = in_order(records, is_definition).unwrap();
        ordered.iter().map(|record| record.head.key.as_str().rsplit('/').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_goes_last() {
        let objects = [
            ("core/notes/shop/leaf", "1", "2"),
            ("core/notes/shop/branch", "2", "3"),
            ("example.com/gizmos/shop/root", "3", ""),
            ("core/namespaces/shop", "4", ""),
            ("core/definitions/gizmos.example.com", "5", ""),
        ];
        let mut expected = ["shop", "gizmos.example.com", "root", "branch", "leaf"];
        assert_eq!(order(Verb::Deleted, &objects), expected);
        expected.reverse();
        expected[3..].reverse();
        assert_eq!(order(Verb::Created, &objects), expected);
    }

    #[test]
    fn an_owner_comes_first_whichever_is_named_first() {
        let mut objects = [("core/notes/shop/owned", "1", "2"), ("core/notes/shop/page", "2", "")];
        for _ in 0..2 {
            assert_eq!(order(Verb::Deleted, &objects), ["page", "owned"]);
            assert_eq!(order(Verb::Created, &objects), ["owned", "page"]);
            objects.reverse();
        }
    }

    #[test]
    fn a_circle_is_cut_somewhere() {
        let mut names = order(Verb::Deleted, &[("core/notes/a", "1", "2"), ("core/notes/b", "2", "1")]);
        names.sort();
        assert_eq!(names, ["a", "b"]);
    }
}
