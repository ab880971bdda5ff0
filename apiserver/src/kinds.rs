//! The table of kinds that this server serves, and where each is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use orch_api::{Kind, KindEntry, Status, Target};
use orch_store::{Key, Prefix};

use crate::cache::Window;
use crate::ownership::Reset;

/// Everything under this path is the API server's.
pub(crate) const ROOT: &str = "/registry";

/// One kind as it is served.
pub(crate) struct Served {
    /// What the kind is.
    pub(crate) entry: KindEntry,
    /// `orch.dev/v1`
    pub(crate) api_version: String,
    /// What writes to it never change.
    pub(crate) reset: Reset,
    /// The cached objects.
    pub(crate) window: Arc<Window>,
}

impl Served {
    /// The kind's names.
    pub(crate) fn kind(&self) -> &Kind {
        &self.entry.kind
    }

    /// Where an object is kept.
    ///
    /// # Errors
    /// 400 if the name cannot be part of a key, which no valid name is.
    pub(crate) fn key(&self, namespace: Option<&str>, name: &str) -> Result<Key, Status> {
        check_segment(namespace.unwrap_or_default())?;
        check_segment(name)?;
        let path = match namespace {
            Some(namespace) => format!("{}/{namespace}/{name}", directory(self.kind())),
            None => format!("{}/{name}", directory(self.kind())),
        };
        Key::new(path).map_err(|error| Status::bad_request(error.to_string()))
    }

    /// Where the objects of a namespace, or of all, are kept.
    ///
    /// # Errors
    /// 400 as [`key`](Self::key).
    pub(crate) fn prefix(&self, namespace: Option<&str>) -> Result<Prefix, Status> {
        check_segment(namespace.unwrap_or_default())?;
        let path = match namespace {
            Some(namespace) => format!("{}/{namespace}", directory(self.kind())),
            None => directory(self.kind()),
        };
        Prefix::new(path).map_err(|error| Status::bad_request(error.to_string()))
    }

    /// Whether field selectors may name the field.
    pub(crate) fn is_selectable(&self, field: &str) -> bool {
        self.entry.selectable.contains(&field)
            || field == "metadata.name"
            || (field == "metadata.namespace" && self.kind().is_namespaced())
    }
}

/// A name must not reach into another place.
fn check_segment(name: &str) -> Result<(), Status> {
    match name.contains('/') {
        true => Err(Status::bad_request(format!("invalid name in the path: {name:?} contains '/'"))),
        false => Ok(()),
    }
}

fn directory(kind: &Kind) -> String {
    format!("{ROOT}/{}", place(kind))
}

/// `core/pods`: what tells the keys of one kind from those of another.
pub(crate) fn place(kind: &Kind) -> String {
    let group = if kind.group.is_empty() { "core" } else { kind.group };
    format!("{group}/{}", kind.plural)
}

/// Why a table of kinds cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindsError {
    /// Two entries claim the same path.
    #[error("two kinds are served at {0}")]
    Duplicate(String),
}

/// All kinds, by path.
pub(crate) struct Kinds {
    by_path: HashMap<(String, String, String), Arc<Served>>,
    /// In order of group, version and plural, the core group first.
    all: Vec<Arc<Served>>,
}

impl Kinds {
    pub(crate) fn new(entries: Vec<KindEntry>) -> Result<Self, KindsError> {
        let mut all = BTreeMap::new();
        for entry in entries {
            let kind = entry.kind;
            let window = Arc::new(Window::new(kind, entry.selectable));
            let reset = Reset::new(&entry);
            let served = Arc::new(Served { api_version: kind.api_version(), reset, window, entry });
            if all.insert((kind.group, kind.version, kind.plural), served).is_some() {
                return Err(KindsError::Duplicate(Target::all(&kind).to_string()));
            }
        }
        let by_path = all.iter().map(|((group, version, plural), served)| {
            (((*group).to_owned(), (*version).to_owned(), (*plural).to_owned()), served.clone())
        });
        Ok(Self { by_path: by_path.collect(), all: all.values().cloned().collect() })
    }

    /// Every kind, in order.
    pub(crate) fn all(&self) -> &[Arc<Served>] {
        &self.all
    }

    /// The kind that a path is about.
    pub(crate) fn at(&self, target: &Target) -> Option<&Arc<Served>> {
        let path = (target.group.to_string(), target.version.to_string(), target.plural.to_string());
        self.by_path.get(&path)
    }

    /// The kind of the core group with this plural.
    pub(crate) fn core(&self, plural: &str) -> Option<&Arc<Served>> {
        self.all.iter().find(|served| served.kind().group.is_empty() && served.kind().plural == plural)
    }

    /// The same kind, as served.
    pub(crate) fn of(&self, kind: &Kind) -> Option<&Arc<Served>> {
        self.all.iter().find(|served| served.kind() == kind)
    }
}
