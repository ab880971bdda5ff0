//! Manifests of a Git repository, kept applied: the parts of it that know nothing of controllers.
//!
//! [`source`] makes of a URL and a reference the files of one directory at one commit. It is the only place that sees Git.
//! [`webhook`] answers those who tell of pushes.
//!
//! It deliberately keeps nothing but a cache that may be lost at any time, and decides nothing about what is applied.
//!
//! Invariants: what a repository holds is hostile until shown otherwise. Git is spoken and its objects are read in a process of
//! its own, which can be killed; what that makes of them is bounded text, of which the server reads so many objects and no more. No
//! file is ever written where the repository's own paths say; nothing of it is executed.
//!
//! Start reading at `source/mod.rs`, then `source/work.rs`; at `webhook/mod.rs`.
#![deny(missing_docs)]

pub mod source;
#[cfg(feature = "testing")]
pub mod testing;
pub mod webhook;
