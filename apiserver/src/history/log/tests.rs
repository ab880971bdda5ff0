use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::origin::Origin;

pub(in super::super) const LIMITS: HistoryRetention =
    HistoryRetention { age: Duration::MAX, bytes: u64::MAX, changes: usize::MAX };

/// What happens to objects, and what each was before.
#[derive(Default)]
pub(in super::super) struct World(BTreeMap<String, (u64, Bytes)>);

impl World {
    /// The object `name` becomes `value`, or goes.
    pub(in super::super) fn change(&mut self, revision: u64, name: &str, value: Option<&str>) -> News {
        let before = self.0.remove(name);
        let after = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
        if let Some(after) = &after {
            self.0.insert(name.to_owned(), (revision, after.clone()));
        }
        let verb = match (&before, &after) {
            (None, _) => Verb::Created,
            (_, Some(_)) => Verb::Updated,
            (_, None) => Verb::Deleted,
        };
        let head = Head {
            id: Id { revision, number: 0 },
            verb,
            key: Key::new(format!("/registry/core/notes/{name}")).unwrap(),
            api_version: "v1".into(),
            kind: "Note".into(),
            origin: Origin { at: revision as i64, ..Origin::default() },
            is_sensitive: false,
        };
        let (previous, before) = before.unzip();
        News { record: Record { head, before, after }, previous }
    }
}

fn all(log: &Log) -> Vec<Record> {
    let found = log.select(&[], None, usize::MAX, |_| true);
    found.iter().map(|found| found.read(|found| log.before(found))).collect()
}

/// Changes of three objects, in order, in groups of commits.
fn groups() -> impl Strategy<Value = Vec<Vec<News>>> {
    let change = ("[a-c]", prop::option::of("[a-z]{0,40}"));
    prop::collection::vec(prop::collection::vec(change, 1..4), 1..20).prop_map(|groups| {
        let (mut world, mut revision) = (World::default(), 1);
        let mut news = |(name, value): (String, Option<String>)| {
            revision += 1;
            // What is not there cannot go.
            let value = value.or_else(|| (!world.0.contains_key(&name)).then(String::new));
            world.change(revision, &name, value.as_deref())
        };
        groups.into_iter().map(|group| group.into_iter().map(&mut news).collect()).collect()
    })
}

fn last(group: &[News]) -> u64 {
    group.last().unwrap().record.head.id.revision
}

fn newest_first(groups: &[Vec<News>]) -> Vec<Record> {
    groups.iter().flatten().rev().map(|news| news.record.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_recorded_is_read_whole_also_after_a_restart(groups in groups(), small in any::<bool>()) {
        let directory = tempfile::tempdir().unwrap();
        // Small: each segment holds a frame.
        let limits = HistoryRetention { bytes: if small { 16 } else { u64::MAX }, ..LIMITS };
        let unbounded = HistoryRetention { bytes: u64::MAX, ..limits };
        let mut log = Log::open(directory.path(), limits).unwrap();
        for group in &groups {
            log.retention = limits;
            log.rotate(0).unwrap();
            log.retention = unbounded;
            log.append(group.clone(), last(group), 0).unwrap();
        }
        prop_assert_eq!(all(&log), newest_first(&groups));
        let log = Log::open(directory.path(), unbounded).unwrap();
        prop_assert_eq!(all(&log), newest_first(&groups));
        prop_assert_eq!(log.reached(), last(groups.last().unwrap()));
    }

    #[test]
    fn a_torn_end_is_cut_off_and_recording_goes_on_from_there(
        groups in groups(), cut in any::<prop::sample::Index>(), garbage in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::open(directory.path(), LIMITS).unwrap();
        let mut ends = vec![log.segments[0].bytes];
        for group in &groups {
            log.append(group.clone(), last(group), 0).unwrap();
            ends.push(log.segments[0].bytes);
        }
        drop(log);
        let path = directory.path().join("changes-0000000000");
        let mut content = std::fs::read(&path).unwrap();
        let keep = cut.index(content.len());
        match garbage {
            true => content[keep..].iter_mut().for_each(|byte| *byte = !*byte),
            false => content.truncate(keep),
        }
        std::fs::write(&path, content).unwrap();
        let whole = ends.iter().skip(1).take_while(|end| **end <= keep as u64).count();
        let mut log = Log::open(directory.path(), LIMITS).unwrap();
        prop_assert_eq!(all(&log), newest_first(&groups[..whole]));
        prop_assert_eq!(log.reached(), groups[..whole].last().map_or(0, |group| last(group)));
        for group in &groups[whole..] {
            log.append(group.clone(), last(group), 0).unwrap();
        }
        prop_assert_eq!(all(&log), newest_first(&groups));
    }
}

#[test]
fn retention_bounds_age_bytes_and_changes_and_keeps_what_is_left_whole() {
    let day = Duration::from_secs(24 * 3600);
    for (limits, kept) in [
        (HistoryRetention { age: day, ..LIMITS }, 1..=10),
        (HistoryRetention { bytes: 16 << 10, ..LIMITS }, 20..=95),
        (HistoryRetention { changes: 30, bytes: 16 << 10, ..LIMITS }, 2..=30),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::open(directory.path(), limits).unwrap();
        let mut world = World::default();
        let mut expected = Vec::new();
        for n in 0..100_u64 {
            let mut news = world.change(n + 2, "a", Some(&format!("{n} {}", rand::random::<u128>())));
            let now = i64::try_from(n).unwrap() * 3 * 3_600_000;
            news.record.head.origin.at = now;
            expected.insert(0, news.record.clone());
            log.append(vec![news], n + 2, now).unwrap();
        }
        let found = all(&log);
        assert!(kept.contains(&found.len()), "{limits:?} keeps {}", found.len());
        assert_eq!(found, expected[..found.len()], "{limits:?}");
        let bytes: u64 = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes <= limits.bytes, "{bytes}");
    }
}

/// A log of one change, after which some are missing.
fn with_a_gap(directory: &Path) -> (Log, World) {
    let mut log = Log::open(directory, LIMITS).unwrap();
    let mut world = World::default();
    log.append(vec![world.change(2, "a", Some("1"))], 2, 0).unwrap();
    let gap = Record::missed(2, 9, 0).unwrap();
    log.append(vec![News { record: gap, previous: None }], 9, 0).unwrap();
    (log, world)
}

#[test]
fn a_change_after_a_gap_is_not_taken_to_follow_the_one_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, mut world) = with_a_gap(directory.path());
    let mut news = world.change(10, "a", Some("3"));
    news.record.before = None;
    log.append(vec![news], 10, 0).unwrap();
    let found = all(&log);
    assert_eq!(found[0].before, None, "what it was before is not known");
    assert_eq!(found.iter().map(|record| record.head.verb).nth(1), Some(Verb::Missed));
}

#[test]
fn what_an_object_was_before_a_gap_is_not_taken_for_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (log, mut world) = with_a_gap(directory.path());
    drop(log);
    let mut log = Log::open(directory.path(), LIMITS).unwrap();
    // It was not changed meanwhile.
    let news = world.change(10, "a", Some("2"));
    log.append(vec![news.clone()], 10, 0).unwrap();
    assert_eq!(all(&log)[0], news.record);
}

#[test]
fn a_file_that_could_not_be_begun_is_begun_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let limits = HistoryRetention { bytes: 16, ..LIMITS };
    let mut log = Log::open(directory.path(), limits).unwrap();
    log.retention = LIMITS;
    let mut world = World::default();
    log.append(vec![world.change(2, "a", Some("1"))], 2, 0).unwrap();
    log.retention = limits;
    std::os::unix::fs::symlink("/dev/full", directory.path().join("changes-0000000001")).unwrap();
    let news = world.change(3, "a", Some("2"));
    let error = log.append(vec![news.clone()], 3, 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    log.retention.bytes = 1 << 10;
    log.rotate(0).unwrap();
    log.append(vec![news.clone()], 3, 0).unwrap();
    assert_eq!(all(&log)[0], news.record);
}

#[test]
fn how_far_it_is_is_known_without_changes() {
    let directory = tempfile::tempdir().unwrap();
    Log::open(directory.path(), LIMITS).unwrap().close(77).unwrap();
    assert_eq!(Log::open(directory.path(), LIMITS).unwrap().reached(), 77);
}

#[test]
fn the_history_of_another_store_is_put_aside() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Log::open(directory.path(), LIMITS).unwrap();
    log.append(vec![World::default().change(2, "a", Some("1"))], 2, 0).unwrap();
    log.set_aside().unwrap();
    assert_eq!((all(&log).len(), log.reached()), (0, 0));
    assert!(directory.path().join("aside/changes-0000000000").exists());
}
