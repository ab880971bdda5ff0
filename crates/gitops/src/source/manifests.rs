//! [`manifests`]: from files to objects.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use orch_api::Object as _;
use orch_client::manifest::{self, ManifestError};
use serde_json::Value;

use super::{Snapshot, SourceError};

/// An object, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The object. It has an `apiVersion`, a `kind` and a name.
    pub object: Value,
    /// The file.
    pub path: String,
    /// The line at which it begins, from 1.
    pub line: usize,
}

/// How many problems are told at once.
const MOST_PROBLEMS: usize = 20;

/// The objects of all files, in the order of their files and of where they are in these. What is in a `List` is taken out.
///
/// # Errors
/// With reason `Invalid` and all problems at once, each with its file and line: what is not YAML or no object, what has no
/// name, what is there twice.
pub fn manifests(snapshot: &Snapshot) -> Result<Vec<Manifest>, SourceError> {
    let mut problems = Vec::new();
    let mut objects: Vec<Manifest> = Vec::new();
    let mut places = BTreeMap::new();
    for file in &snapshot.files {
        for parsed in manifest::Manifest::parse(&file.path, &file.text) {
            match parsed.map_err(told).and_then(|manifest| checked(&file.path, manifest)) {
                Ok(manifest) => match places.entry(identity(&manifest.object)) {
                    Entry::Vacant(free) => {
                        free.insert(format!("{}:{}", manifest.path, manifest.line));
                        objects.push(manifest);
                    }
                    Entry::Occupied(first) => problems.push(twice(&manifest, first.get())),
                },
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.is_empty() { Ok(objects) } else { Err(all(&problems)) }
}

fn checked(path: &str, manifest: manifest::Manifest) -> Result<Manifest, String> {
    let line = manifest.locate("").map_or(1, |position| position.line);
    if manifest.object.name().is_empty() {
        let kind = manifest.object.kind();
        return Err(format!(
            "{path}:{line}: metadata.name is missing: what is applied again and again has a name ({kind})"
        ));
    }
    Ok(Manifest { object: manifest.object, path: path.to_owned(), line })
}

fn told(error: ManifestError) -> String {
    match error {
        ManifestError::Document { problem, snippet } => {
            format!("{}:{}:{}: {problem}", snippet.source, snippet.position.line, snippet.position.column)
        }
        error => super::chain(&error),
    }
}

/// What makes two manifests be of one object: not the version.
fn identity(object: &Value) -> [String; 4] {
    let group = object.api_version().rsplit_once('/').map_or("", |(group, _)| group);
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    [group, object.kind(), namespace, object.name()].map(ToOwned::to_owned)
}

fn twice(manifest: &Manifest, first: &str) -> String {
    let Manifest { object, path, line } = manifest;
    format!("{path}:{line}: {} {} is at {first} already", object.kind(), object.name())
}

fn all(problems: &[String]) -> SourceError {
    let mut lines: Vec<String> = problems.iter().take(MOST_PROBLEMS).cloned().collect();
    if let Some(more) = problems.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
        lines.push(format!("and {more} more"));
    }
    SourceError::invalid(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use orch_api::Time;

    use super::super::{File, Reason};
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Vec<Manifest>, SourceError> {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        manifests(&Snapshot {
            revision: String::new(),
            reference: String::new(),
            author: String::new(),
            subject: String::new(),
            time: Time::new(jiff::Timestamp::UNIX_EPOCH),
            files: files.iter().map(file).collect(),
        })
    }

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let error = read(files).unwrap_err();
        assert_eq!(error.reason, Reason::Invalid);
        error.message.lines().map(ToOwned::to_owned).collect()
    }

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n";

    #[test]
    fn objects_know_their_file_and_line() {
        let list = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n- apiVersion: \
                    v1\n  kind: Secret\n  metadata: {name: b}\n";
        let json =
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"}}"#;
        let found =
            read(&[("a.yaml", &format!("# the shop\n{POD}---\n---\n")), ("b/l.yml", list), ("c.json", json)]);
        let found = found.unwrap();
        let places: Vec<_> =
            found.iter().map(|one| (one.object.name(), one.path.as_str(), one.line)).collect();
        assert_eq!(
            places,
            [("web", "a.yaml", 2), ("a", "b/l.yml", 4), ("b", "b/l.yml", 5), ("web", "c.json", 1)]
        );
    }

    #[test]
    fn all_problems_are_told_at_once_with_their_places() {
        let found = problems(&[
            ("a.yaml", &format!("{POD}---\nkind: Pod\n")),
            ("b.yaml", "a: [\n"),
            ("c.yaml", &format!("\n{POD}")),
            ("d.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n"),
        ]);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].starts_with("a.yaml:5:1: apiVersion is missing"), "{found:#?}");
        assert!(found[1].starts_with("b.yaml:1:4: not valid YAML"), "{found:#?}");
        assert_eq!(found[2], "c.yaml:2: Pod web is at a.yaml:1 already");
        assert!(found[3].starts_with("d.yaml:1: metadata.name is missing"), "{found:#?}");
    }

    #[test]
    fn objects_are_the_same_whatever_their_version() {
        let of = |version: &str, namespace: &str| {
            format!(
                "apiVersion: apps/{version}\nkind: Deployment\nmetadata: {{name: a, namespace: {namespace}}}\n"
            )
        };
        assert_eq!(problems(&[("a.yaml", &of("v1", "x")), ("b.yaml", &of("v1beta1", "x"))]).len(), 1);
        assert_eq!(read(&[("a.yaml", &of("v1", "x")), ("b.yaml", &of("v1", "y"))]).unwrap().len(), 2);
    }

    #[test]
    fn not_everything_is_told_of_what_is_wrong_everywhere() {
        let found = problems(&[("a.yaml", &"a: 1\n---\n".repeat(1000))]);
        assert_eq!((found.len(), found[20].as_str()), (21, "and 980 more"));
    }

    #[test]
    fn a_text_that_grows_when_it_is_read_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{below}]\n");
        }
        assert!(problems(&[("bomb.yaml", &bomb)])[0].contains("not valid YAML"));
        let deep = format!("a: {}1", "[".repeat(100_000));
        assert!(problems(&[("deep.yaml", &deep)])[0].contains("not valid YAML"));
    }
}
