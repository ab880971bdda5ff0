use std::path::{Path, PathBuf};

use super::log::tests::{LIMITS, World};
use super::*;

async fn open(directory: &Path) -> History {
    // A file is begun after an eighth of that.
    let retention = HistoryRetention { age: Duration::from_millis(8 * 15), ..LIMITS };
    let config = HistoryConfig { directory: directory.to_owned(), retention, keys: Keyring::default() };
    let history = History::open(config).unwrap();
    history.load().await.unwrap();
    history
}

fn all(history: &History) -> Vec<Record> {
    let mut records = Vec::new();
    let each = |record| {
        records.push(record);
        true
    };
    history.select(&[], None, |_| true, each).unwrap();
    records
}

/// Three files, each with two changes of `a` by the plan `p`. Answers them and the changes, newest first.
async fn three_files(directory: &Path) -> (Vec<PathBuf>, Vec<Record>) {
    let (mut world, mut records) = (World::default(), Vec::new());
    let history = open(directory).await;
    for revision in 2..8_u64 {
        let mut news = world.change(revision * 10, "a", Some(&format!("{revision}")));
        news.record.head.origin.plan = "p".into();
        records.insert(0, news.record.clone());
        history.append(vec![news], revision * 10, 10 * revision as i64).await.unwrap();
    }
    let names = ["changes-0000000000", "changes-0000000001", "changes-0000000002"];
    let files = names.map(|name| directory.join(name)).to_vec();
    assert!(!directory.join("changes-0000000003").exists());
    (files, records)
}

/// Flips the bytes of a file from one on.
fn damage(file: &Path, from: impl Fn(usize) -> usize) {
    let mut content = std::fs::read(file).unwrap();
    let from = from(content.len());
    content[from..].iter_mut().for_each(|byte| *byte = !*byte);
    std::fs::write(file, content).unwrap();
}

fn told(records: &[Record]) -> Vec<(u64, &'static str)> {
    records.iter().map(|record| (record.head.id.revision, record.head.verb.as_str())).collect()
}

#[tokio::test]
async fn what_a_damaged_file_has_lost_is_a_gap_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (files, records) = three_files(directory.path()).await;
    damage(&files[1], |_| 8);
    // As after the next restart.
    for _ in 0..2 {
        let history = open(directory.path()).await;
        let found = all(&history);
        let expected = [(70, "updated"), (60, "updated"), (59, "missed"), (30, "updated"), (20, "created")];
        assert_eq!(told(&found), expected);
        assert_eq!(found[0], records[0]);
        assert!(found[2].head.origin.reason.contains("after revision 30 and up to 59"), "{:?}", found[2]);
        assert_eq!(found[3..], records[4..]);
        assert_eq!(history.reached(), 70);
    }
}

#[tokio::test]
async fn a_file_whose_beginning_is_damaged_is_a_gap_too() {
    let directory = tempfile::tempdir().unwrap();
    let (files, _) = three_files(directory.path()).await;
    std::fs::write(&files[1], "").unwrap();
    let expected = [(70, "updated"), (60, "updated"), (59, "missed"), (30, "updated"), (20, "created")];
    for _ in 0..2 {
        assert_eq!(told(&all(&open(directory.path()).await)), expected);
    }
}

#[tokio::test]
async fn what_is_damaged_at_the_end_is_read_again_from_the_store_and_leaves_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let (files, records) = three_files(directory.path()).await;
    damage(&files[1], |_| 8);
    std::fs::write(&files[2], "").unwrap();
    let history = open(directory.path()).await;
    assert_eq!((history.reached(), all(&history)), (30, records[4..].to_vec()));
    let news = World::default().change(40, "b", Some("1"));
    history.append(vec![news], 40, 40).await.unwrap();
    drop(history);
    assert_eq!(told(&all(&open(directory.path()).await))[0], (40, "created"));
    assert_eq!(all(&open(directory.path()).await).len(), 3);
}

#[tokio::test]
async fn a_change_whose_values_are_damaged_is_a_gap_and_all_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let (files, records) = three_files(directory.path()).await;
    damage(&files[1], |length| length - 1);
    let history = open(directory.path()).await;
    let of_plan = history.of_plan("p").unwrap();
    for found in [all(&history), of_plan] {
        assert_eq!(told(&found).len(), 6);
        assert_eq!(told(&found)[2], (50, "missed"));
        assert!(found[2].head.origin.reason.contains("cannot be read"), "{:?}", found[2]);
        assert_eq!((&found[..2], &found[3..]), (&records[..2], &records[3..]));
    }
    let id = Id { revision: 50, number: 0 };
    assert_eq!(history.change(id).unwrap().unwrap().head.verb, Verb::Missed);
    assert_eq!(history.at(&[], 55).unwrap(), Past::Unknown(Missing::Value(50)));
}

#[tokio::test]
async fn changes_are_recorded_while_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    three_files(directory.path()).await;
    let history = open(directory.path()).await;
    let mut free = 0;
    let each = |_| {
        free += usize::from(history.0.log.try_write().is_some());
        true
    };
    history.select(&[], None, |_| true, each).unwrap();
    assert_eq!(free, 6);
}
