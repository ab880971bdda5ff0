//! The present objects of one kind and its recent changes.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use orch_api::{FieldQuery, Kind, LabelQuery};
use orch_store::{Key, Prefix, Revision};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::feed::Feed;
use super::under::{Note, Under};
use super::{Cached, Change, Lagged, Reading};
use crate::kinds::directory;

/// What somebody wants to see of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The namespace, or all.
    pub(crate) prefix: Prefix,
    /// Labels asked for.
    pub(crate) labels: LabelQuery,
    /// Field values asked for.
    pub(crate) fields: FieldQuery,
}

/// The objects of one kind.
pub(crate) struct Window {
    kind: Kind,
    selectable: &'static [&'static str],
    reading: Reading,
    state: RwLock<State>,
    /// How far the whole cache is.
    reached: OnceLock<Arc<watch::Sender<Revision>>>,
    /// What shows through where there is nothing here.
    under: Option<Under>,
}

/// Objects in order of their keys.
type Objects = BTreeMap<Key, Arc<Cached>>;

/// The objects that a query selected, and when.
pub(crate) struct Snapshot {
    /// In order of their keys.
    pub(crate) objects: Vec<Arc<Cached>>,
    /// A watch from here misses nothing and repeats nothing.
    pub(crate) revision: Revision,
}

struct State {
    objects: Objects,
    /// Per selectable field: the keys of the objects that have a value, by value. Empty values are not indexed.
    index: Vec<HashMap<Box<str>, Objects>>,
    /// Every change.
    all: Feed,
    /// Per selectable field: the changes that concern a value, for values that somebody watches.
    by_value: Vec<HashMap<Box<str>, Feed>>,
    /// The changes of one object or below one path, for those that somebody watches: whoever watches others is not woken.
    by_path: HashMap<Box<str>, Feed>,
    /// Changes after this are in `all`.
    oldest: Revision,
    /// The last change.
    revision: Revision,
    /// How often the window has been replaced; a cursor of another epoch has lost its place.
    epoch: u64,
    /// The kind is no longer served from here: nothing will change any more.
    retired: bool,
}

impl State {
    fn empty(fields: usize) -> Self {
        Self {
            objects: BTreeMap::new(),
            index: (0..fields).map(|_| HashMap::new()).collect(),
            all: Feed::history(),
            by_value: (0..fields).map(|_| HashMap::new()).collect(),
            by_path: HashMap::new(),
            oldest: Revision::ZERO,
            revision: Revision::ZERO,
            epoch: 0,
            retired: false,
        }
    }

    fn insert(&mut self, object: &Arc<Cached>) -> Option<Arc<Cached>> {
        let previous = self.remove(&object.key);
        for (values, value) in
            self.index.iter_mut().zip(&object.fields).filter(|(_, value)| !value.is_empty())
        {
            values.entry(value.clone()).or_default().insert(object.key.clone(), object.clone());
        }
        self.objects.insert(object.key.clone(), object.clone());
        previous
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<Cached>> {
        let previous = self.objects.remove(key)?;
        for (values, value) in self.index.iter_mut().zip(&previous.fields) {
            if let Some(keys) = values.get_mut(value) {
                keys.remove(key);
                if keys.is_empty() {
                    values.remove(value);
                }
            }
        }
        Some(previous)
    }

    /// Tells all who watch.
    fn tell(&mut self, change: Arc<Change>) {
        self.tell_by_value(&change);
        self.tell_by_path(&change);
        if let Some(forgotten) = self.all.push(change) {
            self.oldest = forgotten;
        }
    }

    /// Tells those who watch the values that the object has or had.
    fn tell_by_value(&mut self, change: &Arc<Change>) {
        for (field, feeds) in self.by_value.iter_mut().enumerate().filter(|(_, feeds)| !feeds.is_empty()) {
            let value =
                |object: &Option<Arc<Cached>>| object.as_ref().and_then(|o| o.fields.get(field)).cloned();
            let (now, before) = (value(&change.object), value(&change.previous));
            let moved = now != before;
            for value in [now, before.filter(|_| moved)].into_iter().flatten() {
                tell(feeds, &value, change);
            }
        }
    }

    /// Tells those who watch the object, or all that is kept beside it.
    fn tell_by_path(&mut self, change: &Arc<Change>) {
        let Some(key) = change.key().filter(|_| !self.by_path.is_empty()) else { return };
        tell(&mut self.by_path, key.as_str(), change);
        tell(&mut self.by_path, beside(key.as_str()), change);
    }

    /// A reader of a feed leaves. The feed goes with the last of them: there are as many as somebody reads.
    fn leave(&mut self, place: &Place) {
        let (feeds, name) = match place {
            Place::All => return,
            Place::Value(field, value) => (&mut self.by_value[*field], value),
            Place::Path(path) => (&mut self.by_path, path),
        };
        if feeds.get_mut(name).is_some_and(Feed::unsubscribe) {
            feeds.remove(name);
        }
    }

    fn feed(&self, feed: &Place) -> Option<&Feed> {
        match feed {
            Place::All => Some(&self.all),
            Place::Value(field, value) => self.by_value.get(*field)?.get(value),
            Place::Path(path) => self.by_path.get(path),
        }
    }

    fn select<'a>(
        &'a self,
        query: &'a Query,
        selectable: &[&str],
    ) -> impl Iterator<Item = &'a Arc<Cached>> + use<'a> {
        let indexed = query.fields.terms.iter().filter(|term| term.equals && !term.value.is_empty());
        let field = |name: &str| selectable.iter().position(|field| *field == name);
        let indexed = indexed.filter_map(|term| Some((field(&term.field)?, &term.value))).next();
        static NOTHING: Objects = BTreeMap::new();
        let objects = match indexed {
            Some((field, value)) => self.index[field].get(value.as_str()).unwrap_or(&NOTHING),
            None => &self.objects,
        };
        below(objects, &query.prefix)
    }
}

/// The objects that are kept below a prefix.
fn below<'a>(objects: &'a Objects, prefix: &'a Prefix) -> impl Iterator<Item = &'a Arc<Cached>> + use<'a> {
    let prefix = prefix.as_str();
    let from: (Bound<&str>, Bound<&str>) = (Bound::Excluded(prefix), Bound::Unbounded);
    objects
        .range::<str, _>(from)
        .map(|(_, object)| object)
        .take_while(move |o| o.key.as_str().starts_with(prefix))
}

/// Two sets of objects in order of their keys.
fn together(mut own: Vec<Arc<Cached>>, others: Vec<Arc<Cached>>) -> Vec<Arc<Cached>> {
    own.extend(others);
    own.sort_by(|a, b| a.key.cmp(&b.key));
    own
}

/// Hands a change to one feed, if somebody reads it.
fn tell(feeds: &mut HashMap<Box<str>, Feed>, name: &str, change: &Arc<Change>) {
    if let Some(feed) = feeds.get_mut(name) {
        feed.push(change.clone());
    }
}

/// Where an object and those of its namespace are kept, with the final `/`.
fn beside(key: &str) -> &str {
    key.rfind('/').map_or(key, |end| &key[..=end])
}

/// Which feed a cursor reads.
#[derive(Debug, Clone)]
enum Place {
    All,
    Value(usize, Box<str>),
    /// A key, or what is [`beside`] one.
    Path(Box<str>),
}

impl Window {
    pub(crate) fn new(kind: Kind, reading: Reading) -> Self {
        let selectable = reading.selectable();
        Self {
            kind,
            selectable,
            reading,
            state: RwLock::new(State::empty(selectable.len())),
            reached: OnceLock::new(),
            under: None,
        }
    }

    /// A window that shows what another does, but for the changes that are applied to this one. Whoever looks for an object
    /// that has not been changed is noted. Such a window is not watched.
    pub(crate) fn over(window: &Arc<Self>, note: Note) -> Self {
        let under = Some(Under::new(window.clone(), note));
        let fresh = Self::new(window.kind, window.reading.clone());
        fresh.state.write().all = Feed::passing();
        Self { under, ..fresh }
    }

    /// The kind of the objects.
    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The kind's selectable fields.
    pub(crate) fn selectable(&self) -> &'static [&'static str] {
        self.selectable
    }

    /// How its objects are read from the store.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    pub(super) fn follow(&self, reached: Arc<watch::Sender<Revision>>) {
        // A window belongs to one cache, which says so once.
        let _ = self.reached.set(reached);
    }

    /// One object. Cost: a lookup.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Cached>> {
        let own = self.state.read().objects.get(key).cloned();
        own.or_else(|| self.under.as_ref()?.get(key))
    }

    /// Whether there is an object. Nobody is noted as having looked for it: nothing but words may come of that. Cost: a lookup.
    pub(crate) fn has(&self, key: &Key) -> bool {
        let own = self.state.read().objects.contains_key(key);
        own || self.under.as_ref().is_some_and(|under| under.has(key))
    }

    /// All objects, in order of their keys.
    pub(crate) fn all(&self) -> Vec<Arc<Cached>> {
        let own = self.state.read().objects.values().cloned().collect();
        match &self.under {
            Some(under) => together(own, under.all()),
            None => own,
        }
    }

    /// The objects that are kept below a prefix, in order of their keys. Cost: these objects.
    pub(crate) fn below(&self, prefix: &Prefix) -> Vec<Arc<Cached>> {
        let own = below(&self.state.read().objects, prefix).cloned().collect();
        match &self.under {
            Some(under) => together(own, under.below(prefix)),
            None => own,
        }
    }

    /// The objects that a query selects, in order of their keys. Nobody is noted as having looked for them. Cost: as of a
    /// [`page`](Self::page).
    pub(crate) fn selected(&self, query: &Query) -> Vec<Arc<Cached>> {
        let own = self.page(query, usize::MAX).0.objects;
        match &self.under {
            Some(under) => together(own, under.selected(query)),
            None => own,
        }
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Up to `limit` of the objects that a query selects, in order of keys, and how many follow. Cost: the objects of the namespace, or of the
    /// selectable field's value.
    pub(crate) fn page(&self, query: &Query, limit: usize) -> (Snapshot, usize) {
        let state = self.state.read();
        let matches = |object: &&Arc<Cached>| object.matches(&query.labels, &query.fields, self.selectable);
        let mut selected = state.select(query, self.selectable).filter(matches);
        let objects = selected.by_ref().take(limit).cloned().collect();
        let rest = selected.count();
        (Snapshot { objects, revision: self.now(&state) }, rest)
    }

    /// The present objects, and a cursor on what comes after them.
    pub(crate) fn list_and_watch(self: &Arc<Self>, query: &Query) -> (Snapshot, Cursor) {
        let mut state = self.state.write();
        let matches = |object: &&Arc<Cached>| object.matches(&query.labels, &query.fields, self.selectable);
        let objects = state.select(query, self.selectable).filter(matches).cloned().collect();
        let revision = self.now(&state);
        (Snapshot { objects, revision }, self.cursor(&mut state, query))
    }

    /// The changes after a revision that has been reached, and a cursor on what comes after them.
    ///
    /// # Errors
    /// If changes after the revision have been forgotten; tells the oldest revision that works.
    pub(crate) fn watch(
        self: &Arc<Self>,
        query: &Query,
        after: Revision,
    ) -> Result<(Vec<Arc<Change>>, Cursor), Revision> {
        let mut state = self.state.write();
        if after < state.oldest {
            return Err(state.oldest);
        }
        let backlog = state.all.after(after).cloned().collect();
        Ok((backlog, self.cursor(&mut state, query)))
    }

    /// A cursor on what comes after now, and when that is.
    pub(crate) fn watch_from_now(self: &Arc<Self>, query: &Query) -> (Revision, Cursor) {
        let mut state = self.state.write();
        (self.now(&state), self.cursor(&mut state, query))
    }

    fn cursor(self: &Arc<Self>, state: &mut State, query: &Query) -> Cursor {
        let place = self.place(query);
        let feed = match &place {
            Place::All => &mut state.all,
            Place::Value(field, value) => {
                state.by_value[*field].entry(value.clone()).or_insert_with(Feed::passing)
            }
            Place::Path(path) => state.by_path.entry(path.clone()).or_insert_with(Feed::passing),
        };
        let (next, head) = feed.subscribe();
        Cursor { window: self.clone(), place, next, head, epoch: state.epoch }
    }

    /// The narrowest feed that has everything the query selects.
    fn place(&self, query: &Query) -> Place {
        let value_of = |(field, name): (usize, &&str)| Some((field, query.fields.required_value(name)?));
        if let Some((field, value)) = self.selectable.iter().enumerate().find_map(value_of) {
            return Place::Value(field, value.into());
        }
        let prefix = query.prefix.as_str();
        // A key has a namespace before its name, or it has none: below the collection there is nothing else.
        let is_whole = prefix.strip_suffix('/') == Some(&directory(&self.kind));
        match query.fields.required_value("metadata.name") {
            Some(name) if !is_whole || !self.kind.is_namespaced() => {
                Place::Path(format!("{prefix}{name}").into())
            }
            _ if is_whole => Place::All,
            _ => Place::Path(prefix.into()),
        }
    }

    /// What the objects are complete up to, under the lock that `state` holds: no change of this kind lies between the
    /// last one applied and what the whole cache has reached.
    fn now(&self, state: &State) -> Revision {
        if state.retired {
            return state.revision;
        }
        state.revision.max(self.reached.get().map_or(Revision::ZERO, |reached| *reached.borrow()))
    }

    /// Replaces everything: what happened in between is not known, so all watchers are cut.
    pub(super) fn replace(&self, objects: Vec<Arc<Cached>>, revision: Revision) {
        let mut fresh = State::empty(self.selectable.len());
        for object in &objects {
            fresh.insert(object);
        }
        let mut state = self.state.write();
        *state = State { oldest: revision, revision, epoch: state.epoch + 1, ..fresh };
    }

    /// Nothing will change any more: all watchers are cut. Those who come late still find the objects as of this revision.
    pub(super) fn retire(&self, revision: Revision) {
        let mut state = self.state.write();
        (state.retired, state.revision, state.epoch) = (true, revision, state.epoch + 1);
        state.all = Feed::history();
        state.by_value.iter_mut().for_each(HashMap::clear);
        state.by_path.clear();
    }

    /// Takes in the changes of one revision: what each object is now, or that it is gone.
    pub(super) fn apply(&self, revision: Revision, changes: Vec<(Key, Option<Arc<Cached>>)>) {
        let mut state = self.state.write();
        state.revision = revision;
        for (key, object) in changes {
            self.under.iter().for_each(|under| under.cover(&key));
            let previous = match &object {
                Some(object) => state.insert(object),
                None => state.remove(&key),
            };
            Change::of(revision, object, previous)
                .into_iter()
                .for_each(|change| state.tell(Arc::new(change)));
        }
    }
}

/// A reader's place in a window's changes.
pub(crate) struct Cursor {
    window: Arc<Window>,
    place: Place,
    /// The number of the change to be read next; the feed looks at it to know what may be forgotten.
    next: Arc<AtomicU64>,
    head: watch::Receiver<u64>,
    epoch: u64,
}

impl Cursor {
    /// Up to `max` changes that have not been read yet.
    ///
    /// # Errors
    /// If the reader was too slow or the window has been replaced.
    pub(crate) fn read(&mut self, max: usize) -> Result<Vec<Arc<Change>>, Lagged> {
        let state = self.window.state.read();
        if state.epoch != self.epoch || state.retired {
            return Err(Lagged);
        }
        self.head.borrow_and_update();
        let next = self.next.load(Ordering::Relaxed);
        let changes = state.feed(&self.place).ok_or(Lagged)?.from(next, max)?;
        self.next.store(next + changes.len() as u64, Ordering::Relaxed);
        Ok(changes)
    }

    /// The changes that have not been read yet, up to `max`; waits for one. Loses none if it is given up.
    ///
    /// # Errors
    /// As [`Cursor::read`].
    pub(crate) async fn next(&mut self, max: usize) -> Result<Vec<Arc<Change>>, Lagged> {
        loop {
            let changes = self.read(max)?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            // An error means that the window was replaced, which the next read finds out.
            let _ = self.head.changed().await;
        }
    }

    /// The revision that the reader has seen everything up to; `None` while there is more to read.
    pub(crate) fn caught_up(&self) -> Option<Revision> {
        let state = self.window.state.read();
        let all_read =
            state.epoch == self.epoch && state.feed(&self.place)?.next() == self.next.load(Ordering::Relaxed);
        all_read.then(|| self.window.now(&state))
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if matches!(self.place, Place::All) {
            return;
        }
        let mut state = self.window.state.write();
        // The feeds of another epoch are others', and do not know of this reader.
        if state.epoch == self.epoch {
            state.leave(&self.place);
        }
    }
}

#[cfg(test)]
mod tests;
