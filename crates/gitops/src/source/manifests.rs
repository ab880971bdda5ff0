//! [`manifests`]: from files to objects.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use orch_api::Object as _;
use orch_client::manifest::{self, ManifestError};
use orch_ontology::Plan;
use serde_json::Value;

use super::{Snapshot, SourceError};

/// An object, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The object. It has an `apiVersion`, a `kind` and a name.
    pub object: Value,
    /// The file.
    pub path: Arc<str>,
    /// The line at which it begins, from 1.
    pub line: usize,
}

/// How many problems are told at once.
const MOST_PROBLEMS: usize = 20;
/// After how many problems nobody looks for more.
const ENOUGH_PROBLEMS: usize = 1_000;
/// How much of a problem is told, in bytes: names and what is wrong may be long.
const LONGEST_PROBLEM: usize = 1_000;

/// The objects of all files, in the order of their files and of where they are in these. What is in a `List` is taken out.
///
/// # Errors
/// With reason `Invalid` and many problems at once, each with its file and line: what is not YAML or no object, what has no
/// name, what is there twice. With `TooLarge` if there are more objects than a plan may change.
pub fn manifests(snapshot: &Snapshot) -> Result<Vec<Manifest>, SourceError> {
    let mut problems = Problems::default();
    let mut objects: Vec<Manifest> = Vec::new();
    let mut places = BTreeMap::new();
    for file in &snapshot.files {
        let path: Arc<str> = file.path.as_str().into();
        for parsed in manifest::Manifest::each(&file.path, &file.text) {
            match parsed.map_err(Problem::Error).and_then(|manifest| checked(&path, manifest)) {
                Ok(manifest) => match places.entry(identity(&manifest.object)) {
                    Entry::Vacant(free) => {
                        free.insert((path.clone(), manifest.line));
                        objects.push(manifest);
                    }
                    Entry::Occupied(first) => problems.add(|| twice(&manifest, first.get())),
                },
                Err(problem) => problems.add(|| problem.told(&path)),
            }
            if objects.len() > Plan::MOST_CHANGES {
                return Err(SourceError::too_large(format!(
                    "there are more than {} objects: make several GitSyncs of it, each with a spec.path of its own",
                    Plan::MOST_CHANGES
                )));
            }
            if problems.many == ENOUGH_PROBLEMS {
                return Err(problems.into());
            }
        }
    }
    if problems.many == 0 { Ok(objects) } else { Err(problems.into()) }
}

/// What is wrong with a manifest.
enum Problem {
    Error(ManifestError),
    Nameless { line: usize, kind: String },
}

impl Problem {
    fn told(self, path: &str) -> String {
        match self {
            Self::Error(ManifestError::Document { problem, place }) => {
                let position = place.position();
                format!("{path}:{}:{}: {problem}", position.line, position.column)
            }
            Self::Error(error) => super::chain(&error),
            Self::Nameless { line, kind } => format!(
                "{path}:{line}: metadata.name is missing: what is applied again and again has a name ({kind})"
            ),
        }
    }
}

fn checked(path: &Arc<str>, manifest: manifest::Manifest) -> Result<Manifest, Problem> {
    let line = manifest.locate("").map_or(1, |position| position.line);
    if manifest.object.name().is_empty() {
        return Err(Problem::Nameless { line, kind: manifest.object.kind().to_owned() });
    }
    Ok(Manifest { object: manifest.object, path: path.clone(), line })
}

/// What makes two manifests be of one object: not the version.
fn identity(object: &Value) -> [String; 4] {
    let group = object.api_version().rsplit_once('/').map_or("", |(group, _)| group);
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    [group, object.kind(), namespace, object.name()].map(ToOwned::to_owned)
}

fn twice(manifest: &Manifest, (first, first_line): &(Arc<str>, usize)) -> String {
    let Manifest { object, path, line } = manifest;
    format!("{path}:{line}: {} {} is at {first}:{first_line} already", object.kind(), object.name())
}

/// What is wrong: how many things, and the first of them in words.
#[derive(Default)]
struct Problems {
    many: usize,
    told: Vec<String>,
}

impl Problems {
    fn add(&mut self, problem: impl FnOnce() -> String) {
        self.many += 1;
        if self.told.len() < MOST_PROBLEMS {
            let mut told = problem();
            told.truncate(told.floor_char_boundary(LONGEST_PROBLEM));
            self.told.push(told);
        }
    }
}

impl From<Problems> for SourceError {
    fn from(Problems { many, mut told }: Problems) -> Self {
        match many - told.len() {
            0 => {}
            _ if many == ENOUGH_PROBLEMS => told.push("and many more".to_owned()),
            more => told.push(format!("and {more} more")),
        }
        Self::invalid(told.join("\n"))
    }
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
        let places: Vec<_> = found.iter().map(|one| (one.object.name(), &*one.path, one.line)).collect();
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
        let found = |many: usize| problems(&[("a.yaml", &"a: 1\n---\n".repeat(many))]);
        assert_eq!((found(500).len(), found(500)[20].as_str()), (21, "and 480 more"));
        assert_eq!((found(100_000).len(), found(100_000)[20].as_str()), (21, "and many more"));
        let long = problems(&[("a.yaml", &format!("apiVersion: v1\nkind: {}\n", "long".repeat(10_000)))]);
        assert!(long[0].len() <= 1_000 && long[0].starts_with("a.yaml:1: metadata.name"), "{long:?}");
    }

    #[test]
    fn more_objects_than_a_plan_may_change_are_refused() {
        let maps = |many: usize| -> String {
            let map = |n| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m-{n}}}}}\n---\n");
            (0..many).map(map).collect()
        };
        assert_eq!(read(&[("a.yaml", &maps(5_000))]).unwrap().len(), 5_000);
        let error = read(&[("a.yaml", &maps(5_001))]).unwrap_err();
        assert!(error.reason == Reason::TooLarge && error.message.contains("spec.path"), "{error}");
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
