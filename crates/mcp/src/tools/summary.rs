//! Many objects in few words: how often each value occurs.

use std::collections::BTreeMap;

use orch_api::{JsonPath, Object as _};
use serde_json::{Value, json};

/// How many objects are counted at most.
pub(super) const MOST: usize = 20_000;
/// A column with more different values than this names things rather than states.
const MOST_VALUES: usize = 12;
/// How many names of a group are given.
const EXAMPLES: usize = 5;

/// Objects counted by the values at a path, the largest group first.
pub(super) fn groups(objects: &[Value], path: &JsonPath) -> Vec<Value> {
    let mut groups: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
    for object in objects {
        let values = path.values(object);
        let names =
            if values.is_empty() { vec![String::new()] } else { values.into_iter().map(plain).collect() };
        for name in names {
            let (count, examples) = groups.entry(name).or_default();
            *count += 1;
            if examples.len() < EXAMPLES {
                examples.push(place(object));
            }
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    groups
        .into_iter()
        .map(|(value, (count, of))| json!({"value": value, "count": count, "for_example": of}))
        .collect()
}

/// Table rows counted by the values of each column that has few of them.
pub(super) fn columns(rows: &[Value]) -> Vec<Value> {
    let mut columns: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for (name, cell) in rows.iter().filter_map(Value::as_object).flatten() {
        *columns.entry(name).or_default().entry(plain(cell)).or_default() += 1;
    }
    let told = columns
        .into_iter()
        .filter(|(name, values)| !matches!(*name, "name" | "age") && values.len() <= MOST_VALUES);
    told.map(|(name, values)| json!({"column": name, "counts": values})).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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

    #[test]
    fn groups_are_counted_with_examples_the_largest_first() {
        let pod = |name: &str, phase: &str| json!({"metadata": {"name": name, "namespace": "a"}, "status": {"phase": phase}});
        let pods = [
            pod("x", "Running"),
            pod("y", "Failed"),
            pod("z", "Running"),
            json!({"metadata": {"name": "w"}}),
        ];
        let groups = groups(&pods, &JsonPath::parse("status.phase").unwrap());
        assert_eq!(groups[0], json!({"value": "Running", "count": 2, "for_example": ["a/x", "a/z"]}));
        assert_eq!(groups[1], json!({"value": "", "count": 1, "for_example": ["w"]}));
    }

    #[test]
    fn columns_that_name_things_are_left_out_of_a_summary() {
        let rows: Vec<Value> =
            (0..40).map(|n| json!({"name": n, "status": "Running", "ip": format!("10.0.0.{n}")})).collect();
        assert_eq!(columns(&rows), [json!({"column": "status", "counts": {"Running": 40}})]);
    }
}
