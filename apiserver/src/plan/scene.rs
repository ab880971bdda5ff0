//! [`Scene`]: all objects as they were and as they have become, at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use orch_api::{Kind, TouchedObject, View};
use orch_store::{Entry, Key};

use crate::kinds::{Kinds, Served};

/// What has happened on a stage, and what is there beside it.
pub(super) struct Scene {
    /// The kinds as everybody sees them.
    pub(super) before: Arc<Kinds>,
    /// The kinds as the stage sees them.
    pub(super) after: Arc<Kinds>,
    /// Every key that has been written on the stage, as it was and as it has become.
    pub(super) changes: Vec<(Key, Option<Entry>, Option<Entry>)>,
}

/// What has been written of a kind, as it was and as it has become.
type Written<'a> = BTreeMap<&'a Key, [Option<&'a Entry>; 2]>;

impl orch_api::Scene for Scene {
    fn touched(&self) -> Vec<TouchedObject> {
        let touched = self.changes.iter().filter_map(|(key, before, after)| {
            let kinds = self.after.kept_at(key.as_str()).iter();
            let kind = kinds.into_iter().find(|served| served.entry.form.is_none())?;
            let object = |kinds: &Kinds, entry: &Option<Entry>| {
                kinds.of(kind.kind())?.window.reading().read(&entry.as_ref()?.value).ok()
            };
            let (before, after) = (object(&self.before, before), object(&self.after, after));
            Some(TouchedObject { kind: *kind.kind(), before, after })
        });
        touched.filter(|object| object.before.is_some() || object.after.is_some()).collect()
    }

    /// What others do meanwhile is in both or in neither.
    fn views(&self) -> (Box<dyn View>, Box<dyn View>) {
        let (mut before, mut after) = (Seen::default(), Seen::default());
        for served in self.after.all().iter().filter(|served| served.entry.form.is_none()) {
            let Some(old) = self.before.of(served.kind()) else {
                // The kind has come with the changes.
                after.add(served, all(served, |_| true));
                continue;
            };
            let written = self.written(served);
            let others = all(old, |key| !written.contains_key(key));
            let with = |served: &Served, side: usize| {
                let own = written.values().filter_map(|sides| sides[side]);
                let own = own.filter_map(|entry| served.window.reading().read(&entry.value).ok());
                others.iter().cloned().chain(own).collect()
            };
            before.add(old, with(old, 0));
            after.add(served, with(served, 1));
        }
        (Box::new(before), Box::new(after))
    }
}

impl Scene {
    fn written(&self, served: &Served) -> Written<'_> {
        let Ok(place) = served.prefix(None) else { return Written::new() };
        let of_kind = self.changes.iter().filter(|(key, ..)| place.contains(key));
        of_kind.map(|(key, before, after)| (key, [before.as_ref(), after.as_ref()])).collect()
    }
}

/// The objects of a kind that are kept where they are wanted.
fn all(served: &Served, wanted: impl Fn(&Key) -> bool) -> Vec<Bytes> {
    let objects = served.window.all().into_iter().filter(|object| wanted(&object.key));
    objects.map(|object| object.stored.clone()).collect()
}

/// All objects by their kinds.
#[derive(Default)]
struct Seen(Vec<(Kind, Vec<Bytes>)>);

impl Seen {
    fn add(&mut self, served: &Served, objects: Vec<Bytes>) {
        self.0.push((*served.kind(), objects));
    }
}

impl View for Seen {
    fn kinds(&self) -> Vec<Kind> {
        self.0.iter().map(|(kind, _)| *kind).collect()
    }

    fn objects(&self, kind: &Kind) -> Vec<Bytes> {
        let of_kind = self.0.iter().find(|(known, _)| known == kind);
        of_kind.map(|(_, objects)| objects.clone()).unwrap_or_default()
    }
}
