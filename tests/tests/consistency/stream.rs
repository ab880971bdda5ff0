//! Whether what a watch told is what the store's history holds: nothing lost, repeated or reordered.

use std::collections::BTreeMap;

use orch_api::EventType;

use crate::register::Value;

/// One object's change, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: String,
    /// None if it was deleted.
    pub(crate) value: Option<Value>,
}

/// The objects that there are, by name, with the revision of each.
pub(crate) type Objects = BTreeMap<String, (Value, u64)>;

/// What a client saw that follows a collection.
#[derive(Debug, Clone)]
pub(crate) enum Sight {
    /// A list: everything at a revision.
    List(u64, Objects),
    /// An event of a watch that began where the sight before it ended.
    Event(EventType, Change),
    /// A watch's word that it has told everything up to a revision.
    Bookmark(u64),
}

/// The objects at a revision.
pub(crate) fn objects_at(history: &[Change], revision: u64) -> Objects {
    let mut objects = Objects::new();
    for change in history.iter().take_while(|change| change.revision <= revision) {
        match change.value {
            Some(value) => objects.insert(change.key.clone(), (value, change.revision)),
            None => objects.remove(&change.key),
        };
    }
    objects
}

/// Checks everything that one client saw against the store's history. Answers with the revision up to which nothing is
/// missing.
///
/// # Errors
/// The first sight that is not as the history has it.
pub(crate) fn check(sights: &[Sight], history: &[Change]) -> Result<u64, String> {
    let mut reached = 0;
    let mut objects = Objects::new();
    for (number, sight) in sights.iter().enumerate() {
        let wrong =
            |expected: &dyn std::fmt::Debug| format!("sight {number}: {sight:?}, expected {expected:?}");
        match sight {
            Sight::List(revision, listed) => {
                if *revision < reached {
                    return Err(wrong(&format!("a revision from {reached} on")));
                }
                (reached, objects) = (*revision, objects_at(history, *revision));
                if *listed != objects {
                    return Err(wrong(&objects));
                }
            }
            Sight::Event(event_type, change) => {
                let next = history.iter().find(|next| next.revision > reached);
                let before = objects.contains_key(&change.key);
                let expected = match (before, change.value) {
                    (false, Some(_)) => EventType::Added,
                    (true, Some(_)) => EventType::Modified,
                    (_, None) => EventType::Deleted,
                };
                if next != Some(change) || *event_type != expected {
                    return Err(wrong(&(expected, next)));
                }
                reached = change.revision;
                match change.value {
                    Some(value) => objects.insert(change.key.clone(), (value, reached)),
                    None => objects.remove(&change.key),
                };
            }
            Sight::Bookmark(revision) => {
                let missing =
                    history.iter().find(|change| change.revision > reached && change.revision <= *revision);
                if let Some(missing) = missing {
                    return Err(wrong(missing));
                }
                reached = reached.max(*revision);
            }
        }
    }
    Ok(reached)
}

fn change(revision: u64, key: &str, value: impl Into<Option<Value>>) -> Change {
    Change { revision, key: key.to_owned(), value: value.into() }
}

fn history() -> Vec<Change> {
    vec![change(2, "a", 1), change(4, "b", 2), change(5, "a", 3), change(7, "b", None), change(9, "b", 4)]
}

fn told() -> Vec<Sight> {
    vec![
        Sight::List(4, [("a".into(), (1, 2)), ("b".into(), (2, 4))].into()),
        Sight::Event(EventType::Modified, change(5, "a", 3)),
        Sight::Bookmark(6),
        Sight::Event(EventType::Deleted, change(7, "b", None)),
        Sight::Event(EventType::Added, change(9, "b", 4)),
        Sight::Bookmark(12),
    ]
}

#[test]
fn what_the_history_holds_is_accepted() {
    assert_eq!(check(&told(), &history()), Ok(12));
}

#[test]
fn a_lost_a_repeated_a_reordered_and_a_wrong_event_are_refused() {
    let mut wrong = vec![told(); 6];
    wrong[0].remove(1);
    let repeated = wrong[1][1].clone();
    wrong[1].insert(2, repeated);
    wrong[2].swap(3, 4);
    wrong[3][4] = Sight::Event(EventType::Modified, change(9, "b", 4));
    wrong[4][0] = Sight::List(4, [("a".into(), (1, 2))].into());
    wrong[5].remove(4);
    for sights in wrong {
        check(&sights, &history()).unwrap_err();
    }
}
