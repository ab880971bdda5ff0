//! Many objects in few words: how often each value occurs.

use std::collections::BTreeMap;

use orch_api::{JsonPath, Object as _};
use serde_json::{Value, json};

/// How many objects are counted at most.
pub(super) const MOST: usize = 20_000;
/// A column with more different values than this names things rather than states.
const MOST_VALUES: usize = 12;
/// How many groups are made, and how much of a value names one.
const MOST_GROUPS: usize = 5_000;
const LONGEST_VALUE_BYTES: usize = 256;
/// How many names of a group are given.
const EXAMPLES: usize = 5;

/// Objects counted by the values at a path.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// How many objects were counted.
    pub(super) total: usize,
    /// How many values are in no group, because there are too many groups.
    pub(super) others: u64,
    groups: BTreeMap<String, (u64, Vec<String>)>,
}

impl Groups {
    pub(super) fn add(&mut self, object: &Value, path: &JsonPath) {
        self.total += 1;
        let values = path.values(object);
        let nothing = values.is_empty().then(String::new);
        for name in values.into_iter().map(plain).chain(nothing) {
            if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&name) {
                self.others += 1;
                continue;
            }
            let (count, examples) = self.groups.entry(name).or_default();
            *count += 1;
            if examples.len() < EXAMPLES {
                examples.push(place(object));
            }
        }
    }

    /// The groups, the largest first.
    pub(super) fn told(self) -> Vec<Value> {
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        groups.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        let told = |(value, (count, of))| json!({"value": value, "count": count, "for_example": of});
        groups.into_iter().map(told).collect()
    }
}

/// Table rows counted by the values of each column that has few of them.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// How many rows were counted.
    pub(super) total: usize,
    columns: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Columns {
    pub(super) fn add(&mut self, row: &Value) {
        self.total += 1;
        let cells = row.as_object().into_iter().flatten();
        for (name, cell) in cells.filter(|(name, _)| !matches!(name.as_str(), "name" | "age")) {
            let counts = self.columns.entry(name.clone()).or_default();
            // One too many is enough to know that it has not few.
            if counts.len() <= MOST_VALUES {
                *counts.entry(plain(cell)).or_default() += 1;
            }
        }
    }

    pub(super) fn told(self) -> Vec<Value> {
        let few = self.columns.into_iter().filter(|(_, counts)| counts.len() <= MOST_VALUES);
        few.map(|(name, counts)| json!({"column": name, "counts": counts})).collect()
    }
}

/// A value as text; of a long one its beginning.
fn plain(value: &Value) -> String {
    let mut text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.len() > LONGEST_VALUE_BYTES {
        text.truncate(text.floor_char_boundary(LONGEST_VALUE_BYTES));
        text.push('…');
    }
    text
}

fn place(object: &Value) -> String {
    match object.namespace() {
        "" => object.name().to_owned(),
        namespace => format!("{namespace}/{}", object.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(objects: &[Value], path: &str) -> Groups {
        let (mut groups, path) = (Groups::default(), JsonPath::parse(path).unwrap());
        objects.iter().for_each(|object| groups.add(object, &path));
        groups
    }

    #[test]
    fn neither_many_nor_long_values_make_much_of_what_is_kept() {
        let of = |n: usize| json!({"metadata": {"name": format!("m-{n}")}, "data": {"text": format!("{n} {}", "x".repeat(5_000))}});
        let objects: Vec<Value> = (0..6_000).map(of).collect();
        let groups = grouped(&objects, "data");
        assert_eq!((groups.total, groups.others), (6_000, 1_000));
        assert!(json!(groups.told()).to_string().len() < 3 << 20);
    }

    #[test]
    fn groups_are_counted_with_examples_the_largest_first() {
        let pod = |name: &str, phase: &str| json!({"metadata": {"name": name, "namespace": "a"}, "status": {"phase": phase}});
        let pods = [
            pod("x", "Running"),
            pod("y", "Failed"),
            pod("z", "Running"),
            json!({"metadata": {"name": "w"}}),
        ];
        let groups = grouped(&pods, "status.phase").told();
        assert_eq!(groups[0], json!({"value": "Running", "count": 2, "for_example": ["a/x", "a/z"]}));
        assert_eq!(groups[1], json!({"value": "", "count": 1, "for_example": ["w"]}));
    }

    #[test]
    fn columns_that_name_things_are_left_out_of_a_summary() {
        let rows: Vec<Value> =
            (0..40).map(|n| json!({"name": n, "status": "Running", "ip": format!("10.0.0.{n}")})).collect();
        let mut columns = Columns::default();
        rows.iter().for_each(|row| columns.add(row));
        assert_eq!(columns.total, 40);
        assert_eq!(columns.told(), [json!({"column": "status", "counts": {"Running": 40}})]);
    }
}
