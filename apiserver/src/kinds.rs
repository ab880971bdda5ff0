//! The table of kinds that this server serves, and where each is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use orch_api::schema::Types;
use orch_api::{Kind, KindEntry, RelationEdge, Status, Target, split_api_version};
use orch_store::{Key, Prefix};

use crate::cache::{Note, Reading, Window};
use crate::endpoints::{Discovery, Document, OpenApi};
use crate::ownership::Reset;
use crate::references;

/// Everything under this path is the API server's.
pub(crate) const ROOT: &str = "/registry";

/// One kind as it is served.
#[derive(Clone)]
pub(crate) struct Served {
    /// What the kind is.
    pub(crate) entry: KindEntry,
    /// `orch.dev/v1`
    pub(crate) api_version: String,
    /// What writes to it never change.
    pub(crate) reset: Reset,
    /// The relations by which its objects name others.
    pub(crate) references: Vec<RelationEdge>,
    /// The cached objects.
    pub(crate) window: Arc<Window>,
}

impl Served {
    fn new(entry: KindEntry) -> Self {
        let window = Arc::new(Window::new(*entry.kept_as(), Reading::of(&entry)));
        let (api_version, references) = (entry.kind.api_version(), references::of(&entry));
        Self { api_version, reset: Reset::new(&entry), references, window, entry }
    }

    /// The same kind with the window of what was served before in its place, if that shows the same.
    pub(crate) fn replacing(entry: KindEntry, before: Option<&Self>) -> Self {
        let mut served = Self::new(entry);
        if let Some(before) = before.filter(|before| before.window.reading().is_like(served.window.reading()))
        {
            served.window = before.window.clone();
        }
        served
    }

    /// The same kind with a window over this one's.
    pub(crate) fn over(&self, note: Note) -> Self {
        Self { window: Arc::new(Window::over(&self.window, note)), ..self.clone() }
    }

    /// The kind's names.
    pub(crate) fn kind(&self) -> &Kind {
        &self.entry.kind
    }

    /// The kind of lists: the kind with `List` behind it, unless its definition has another word.
    pub(crate) fn list_kind(&self) -> String {
        let said =
            self.entry.custom.as_ref().map(|custom| &*custom.list_kind).filter(|said| !said.is_empty());
        said.map_or_else(|| format!("{}List", self.kind().name), str::to_owned)
    }

    /// Whether `metadata.generation` counts the changes of what is desired.
    pub(crate) fn counts_generations(&self) -> bool {
        self.kind().has_status || self.entry.custom.is_some()
    }

    /// Where an object is kept.
    ///
    /// # Errors
    /// 400 if the name cannot be part of a key, which no valid name is.
    pub(crate) fn key(&self, namespace: Option<&str>, name: &str) -> Result<Key, Status> {
        check_segment(namespace.unwrap_or_default())?;
        check_segment(name)?;
        let path = match namespace {
            Some(namespace) => format!("{}/{namespace}/{name}", directory(self.entry.kept_as())),
            None => format!("{}/{name}", directory(self.entry.kept_as())),
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
            Some(namespace) => format!("{}/{namespace}", directory(self.entry.kept_as())),
            None => directory(self.entry.kept_as()),
        };
        Prefix::new(path).map_err(|error| Status::bad_request(error.to_string()))
    }

    /// Whether a field of a compiled type says yes or no: left out, it says no.
    pub(crate) fn is_flag(&self, field: &str) -> bool {
        let root = self.entry.schema.root();
        let ty = field.split('.').try_fold(root, |ty, step| ty.property(step));
        self.entry.custom.is_none() && ty.is_some_and(|ty| ty.types == Types::BOOLEAN)
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

/// Where the objects of a kind are kept.
pub(crate) fn directory(kind: &Kind) -> String {
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

/// All kinds at one moment. Never changes: see [`KindTable`].
#[derive(Default)]
pub(crate) struct Kinds {
    /// By group, version and plural.
    by_path: HashMap<(&'static str, &'static str, &'static str), Arc<Served>>,
    /// By group, version and the kind's name.
    by_name: HashMap<(&'static str, &'static str, &'static str), Arc<Served>>,
    /// Those whose objects are kept at a [`place`]: the versions of one kind.
    by_place: HashMap<String, Vec<Arc<Served>>>,
    /// In order of group, version and plural, the core group first.
    all: Vec<Arc<Served>>,
    /// Made when first asked for.
    pub(crate) discovery: OnceLock<Discovery>,
    /// How the kinds relate. Made when first asked for.
    pub(crate) graph: OnceLock<Document>,
    /// Made when first asked for.
    pub(crate) openapi: OnceLock<OpenApi>,
}

impl Kinds {
    /// A table of these entries.
    ///
    /// # Errors
    /// If two claim the same path.
    pub(crate) fn new(entries: Vec<KindEntry>) -> Result<Self, KindsError> {
        Self::serving(entries.into_iter().map(|entry| Arc::new(Served::new(entry))))
    }

    /// A table of kinds some of which may be served already.
    ///
    /// # Errors
    /// If two claim the same path.
    pub(crate) fn serving(served: impl IntoIterator<Item = Arc<Served>>) -> Result<Self, KindsError> {
        let mut all = BTreeMap::new();
        for served in served {
            let kind = *served.kind();
            if all.insert((kind.group, kind.version, kind.plural), served).is_some() {
                return Err(KindsError::Duplicate(Target::all(&kind).to_string()));
            }
        }
        let by_path = all.iter().map(|(path, served)| (*path, served.clone())).collect();
        let mut by_name: HashMap<_, Arc<Served>> = HashMap::new();
        let mut by_place: HashMap<String, Vec<Arc<Served>>> = HashMap::new();
        for served in all.values() {
            let kind = served.kind();
            by_place.entry(place(served.entry.kept_as())).or_default().push(served.clone());
            by_name.entry((kind.group, kind.version, kind.name)).or_insert_with(|| served.clone());
        }
        Ok(Self { by_path, by_name, by_place, all: all.into_values().collect(), ..Self::default() })
    }

    /// Every kind, in order.
    pub(crate) fn all(&self) -> &[Arc<Served>] {
        &self.all
    }

    /// The kind that a path is about.
    pub(crate) fn at<'a>(&'a self, target: &'a Target) -> Option<&'a Arc<Served>> {
        self.by_path(&target.group, &target.version, &target.plural)
    }

    fn by_path<'a>(&'a self, group: &'a str, version: &'a str, plural: &'a str) -> Option<&'a Arc<Served>> {
        self.by_path.get(&(group, version, plural))
    }

    /// The kind of this name.
    pub(crate) fn named<'a>(&'a self, api_version: &'a str, name: &'a str) -> Option<&'a Arc<Served>> {
        let (group, version) = split_api_version(api_version);
        self.by_name.get(&(group, version, name))
    }

    /// The versions in which a kind is served, itself included.
    pub(crate) fn versions(&self, kind: &Kind) -> &[Arc<Served>] {
        self.by_place.get(&place(kind)).map_or(&[], Vec::as_slice)
    }

    /// The kinds whose objects are kept where this key is: several if a kind is served in several versions.
    pub(crate) fn kept_at(&self, key: &str) -> &[Arc<Served>] {
        let place = || {
            let rest = key.strip_prefix(ROOT)?.strip_prefix('/')?;
            let (first, second) = rest.split_once('/')?;
            Some(&rest[..first.len() + 1 + second.find('/')?])
        };
        place().and_then(|place| self.by_place.get(place)).map_or(&[], Vec::as_slice)
    }

    /// Whether a kind with this window is among them.
    pub(crate) fn has_window(&self, window: &Arc<Window>) -> bool {
        self.all.iter().any(|served| Arc::ptr_eq(&served.window, window))
    }

    /// The kind of the core group with this plural.
    pub(crate) fn core<'a>(&'a self, plural: &'a str) -> Option<&'a Arc<Served>> {
        self.by_path("", "v1", plural)
    }

    /// The same kind, as served.
    pub(crate) fn of(&self, kind: &Kind) -> Option<&Arc<Served>> {
        self.by_path(kind.group, kind.version, kind.plural).filter(|served| served.kind() == kind)
    }
}

/// The kinds that are served now. Changed by nobody but the task that follows the store, in which a change of the table has
/// a revision like every other change.
#[derive(Clone)]
pub(crate) struct KindTable(Arc<ArcSwap<Kinds>>);

impl KindTable {
    pub(crate) fn new(kinds: Kinds) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(kinds)))
    }

    /// The table at this moment.
    pub(crate) fn now(&self) -> Arc<Kinds> {
        self.0.load_full()
    }

    /// Serves these kinds from now on.
    pub(crate) fn replace(&self, kinds: Arc<Kinds>) {
        if let Some(before) = self.now().openapi.get() {
            kinds.openapi.get_or_init(|| OpenApi::new(&kinds, Some(before)));
        }
        self.0.store(kinds);
    }
}
