//! Manifests: objects written by people in files, and where in those files each field stands.
//!
//! YAML is read strictly and as Kubernetes reads it (see `crate::yaml`'s options); a file may hold several documents
//! and `List`s. A document that cannot be read does not keep its neighbours from being read.
//!
//! Texts may be hostile: one after another their objects and errors are made, and where something stands is looked for, and
//! lines are copied, only once it is shown.

mod input;
mod locate;
mod split;

use std::path::PathBuf;
use std::sync::Arc;

use orch_api::Object;
use serde::Deserialize as _;
use serde_json::Value;

pub use input::{Input, read};
pub use locate::{Place, Position, Snippet};
use split::Document;

/// One object of a manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The object. It has an `apiVersion` and a `kind`.
    pub object: Value,
    document: Arc<Document>,
    /// Where the object is in its document: empty, or `items[3]` of a `List`.
    path: String,
}

/// Why something is not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// URLs are not fetched.
    #[error("{url} is a URL: manifests are read from files, directories and standard input only")]
    Url {
        /// The URL.
        url: String,
    },
    /// A directory holds no manifest.
    #[error("no .yaml, .yml or .json file in {}", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
        /// Whether directories below it were looked into.
        recursive: bool,
    },
    /// A document is not YAML or JSON, or not an object of the API.
    #[error("{problem}")]
    Document {
        /// What is wrong.
        problem: String,
        /// Where.
        place: Place,
    },
}

impl ManifestError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Url { url } => Some(format!("fetch it first: curl -fsSL {url} | orchctl apply -f -")),
            Self::Empty { path, recursive: false } if has_directories(path) => {
                Some("use -R to look into the directories below".into())
            }
            _ => None,
        }
    }
}

fn has_directories(path: &std::path::Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()))
}

impl Manifest {
    /// All objects in a text. `source` is what to call it: a file's path or `<stdin>`.
    pub fn parse(source: &str, text: &str) -> Vec<Result<Self, ManifestError>> {
        Self::each(source, text).collect()
    }

    /// The objects in a text, read one document after another: whoever has seen enough stops.
    pub fn each(source: &str, text: &str) -> impl Iterator<Item = Result<Self, ManifestError>> {
        split::documents(source, text).map(Arc::new).flat_map(objects)
    }

    /// What the text it is from is called.
    pub fn source(&self) -> &str {
        &self.document.source
    }

    /// `web.yaml:12`: the file and the line at which the object begins.
    pub fn origin(&self) -> String {
        let line = self.locate("").map_or(self.document.first_line, |position| position.line);
        format!("{}:{line}", self.document.source)
    }

    /// Where a field stands, named as the server names it: `spec.containers[0].image`. Of a field that is not there,
    /// the nearest one above it.
    pub fn locate(&self, field: &str) -> Option<Position> {
        locate::locate(&self.document, &below(&self.path, field))
    }

    /// The lines around a field, to be shown below an error.
    pub fn snippet(&self, field: &str) -> Option<Snippet> {
        self.locate(field).map(|position| Snippet::at(&self.document, position))
    }
}

/// One document of YAML or JSON, whatever it says.
///
/// # Errors
/// What is wrong with it, as one line.
pub fn document(text: &str) -> Result<Value, String> {
    value(text).map_err(|error| crate::yaml::problem(&error))
}

/// Not `from_str`: the deserializer is needed so that an empty document is `null` rather than an error.
fn value(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = crate::yaml::options();
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |de| Value::deserialize(de))
}

/// The objects of one document: itself, or the items of a `List`; none if it is empty.
fn objects(document: Arc<Document>) -> impl Iterator<Item = Result<Manifest, ManifestError>> {
    let (mut one, mut items) = (None, Vec::new());
    match parse(&document) {
        Ok(Value::Null) => {}
        Ok(Value::Object(mut list)) if is_list(&list) => {
            if let Some(Value::Array(all)) = list.remove("items") {
                items = all;
            }
        }
        Ok(object) => one = Some(check(&document, object, String::new())),
        Err(error) => one = Some(Err(error)),
    }
    let checked = move |(index, item)| check(&document, item, format!("items[{index}]"));
    one.into_iter().chain(items.into_iter().enumerate().map(checked))
}

fn is_list(object: &serde_json::Map<String, Value>) -> bool {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("List") && object.get("items").is_some_and(Value::is_array)
}

fn parse(document: &Arc<Document>) -> Result<Value, ManifestError> {
    if document.text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(&document.text)
    {
        return Ok(value);
    }
    value(&document.text).map_err(|error| {
        let (line, column) =
            error.location().map(|at| (at.line() as usize, at.column() as usize)).unwrap_or((1, 1));
        let problem = format!("not valid YAML: {}", crate::yaml::problem_without_position(&error));
        ManifestError::Document { problem, place: Place::in_text(document.clone(), line, column) }
    })
}

/// The path of a field of the object at a path.
fn below(path: &str, field: &str) -> String {
    match (path, field.trim_start_matches('.')) {
        (path, "") => path.to_owned(),
        ("", field) => field.to_owned(),
        (path, field) => format!("{path}.{field}"),
    }
}

fn check(document: &Arc<Document>, object: Value, path: String) -> Result<Manifest, ManifestError> {
    let metadata = &object["metadata"];
    let (field, problem) = if !object.is_object() {
        ("", "a manifest is an object with apiVersion, kind and metadata")
    } else if object.api_version().is_empty() {
        ("", "apiVersion is missing, such as `apiVersion: v1`")
    } else if object.kind().is_empty() {
        ("", "kind is missing, such as `kind: Pod`")
    } else if !metadata.is_object() && !metadata.is_null() {
        ("metadata", "metadata is not a map, such as `metadata: {name: web}`")
    } else {
        return Ok(Manifest { object, document: document.clone(), path });
    };
    let place = Place::of_field(document.clone(), below(&path, field));
    Err(ManifestError::Document { problem: problem.into(), place })
}

#[cfg(test)]
mod tests;
