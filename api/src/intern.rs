//! Names of kinds that become known only at run time, as the `'static` data that a [`Kind`](crate::Kind) is made of.
//!
//! Each distinct name, and each distinct list of them, is kept once and for as long as the process lives: a kind that is
//! defined again costs nothing, and a kind that is gone leaves its names behind (a few hundred bytes). In exchange a `Kind`
//! is passed by value everywhere, whoever defined it.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{LazyLock, Mutex, PoisonError};

static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
static LISTS: LazyLock<Mutex<HashSet<&'static [&'static str]>>> = LazyLock::new(Mutex::default);

/// The name, to be kept for ever. For names whose number is bounded: those of kinds and their fields, not of objects.
pub fn intern(name: &str) -> &'static str {
    once(&NAMES, name, || name.to_owned().leak())
}

/// The list of names, to be kept for ever; see [`intern`].
pub fn intern_all<'a>(names: impl IntoIterator<Item = &'a str>) -> &'static [&'static str] {
    let names: Vec<&'static str> = names.into_iter().map(intern).collect();
    once(&LISTS, names.as_slice(), || names.clone().leak())
}

fn once<T: ?Sized + Eq + Hash>(
    known: &Mutex<HashSet<&'static T>>,
    wanted: &T,
    keep: impl FnOnce() -> &'static T,
) -> &'static T {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    match known.get(wanted) {
        Some(known) => known,
        None => {
            let kept = keep();
            known.insert(kept);
            kept
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_interned_again_is_the_same_memory() {
        let first = intern(&format!("{}{}", "wid", "gets"));
        assert!(std::ptr::eq(first, intern("widgets")));
        let lists = ["wg", "widget"];
        assert!(std::ptr::eq(intern_all(lists), intern_all(lists)));
        assert_eq!(intern_all([]), &[] as &[&str]);
    }
}
