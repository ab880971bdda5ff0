//! From a URL and a reference to the files of one directory at one commit.
//!
//! [`fetch_in_child`] is the way in: it has [`fetch`] done by another process, which [`serve()`] is all of. Nothing is checked out:
//! files come from Git's objects, after their kind and size have been looked at. [`manifests()`] reads them.

mod child;
mod confine;
mod error;
mod files;
mod kustomize;
mod manifests;
mod reference;
mod references;
mod remote;
mod serve;
mod signature;
mod work;

use std::path::PathBuf;
use std::{fmt, iter};

use orch_api::Time;
use serde::{Deserialize, Serialize};

pub use child::fetch_in_child;
pub use error::{Reason, SourceError};
pub use manifests::{Manifest, manifests};
pub use serve::serve;
pub use work::fetch;

/// What is to be fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fetch {
    /// Where the repository is: `https`, `http`, `ssh`, `git`, `file`, or `user@host:path`.
    pub url: String,
    /// Which commit of it.
    pub reference: Reference,
    /// The directory, from the root of the repository; empty: that root.
    pub path: String,
    /// What is shown to the server, and what it is known by.
    pub credentials: Credentials,
    /// Texts that hold public keys: OpenSSH's, one on a line, and armoured ones of OpenPGP. The commit must be signed with one of
    /// them. None: it need not be signed.
    pub signers: Option<Vec<String>>,
    /// A directory of this request's own, for what need not be received twice. It may be lost at any time.
    pub cache: PathBuf,
    /// A commit of which the caller has the files of this `path`, verified by these `signers`: it is answered by `Unchanged`.
    pub known: Option<String>,
    /// How much is too much.
    pub limits: Limits,
    /// The directories below which repositories may be that are named by `file://`.
    pub local_roots: Vec<PathBuf>,
}

/// Which commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// That of the branch that the server calls `HEAD`.
    Head,
    /// The newest one of a branch.
    Branch(String),
    /// That of a tag.
    Tag(String),
    /// That of the highest tag that is a version in this range, such as `>=1.2, <2`.
    Semver(String),
    /// This one: 40 hexadecimal digits.
    Commit(String),
}

/// What is shown to the server, and what it is known by. Empty is absent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// For HTTP's basic authentication, and for ssh if the URL names nobody.
    pub username: String,
    /// For HTTP's basic authentication.
    pub password: String,
    /// For HTTP: `Authorization: Bearer …`.
    pub bearer_token: String,
    /// A private key for ssh, in PEM.
    pub identity: String,
    /// What the private key is encrypted with.
    pub identity_password: String,
    /// The keys of hosts, as in OpenSSH's file: without one that fits, a host of ssh is not talked to.
    pub known_hosts: String,
    /// The authorities, in PEM, that certificates of HTTPS must be from, instead of those that the machine trusts.
    pub ca: String,
}

impl fmt::Debug for Credentials {
    /// Which there are, and none of their values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("username", &self.username),
            ("password", &self.password),
            ("bearer_token", &self.bearer_token),
            ("identity", &self.identity),
            ("identity_password", &self.identity_password),
            ("known_hosts", &self.known_hosts),
            ("ca", &self.ca),
        ];
        f.debug_list()
            .entries(all.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name))
            .finish()
    }
}

/// How much is too much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Of what the server sends, compressed.
    pub received_bytes: u64,
    /// Of names in the trees that are walked, whatever they name.
    pub entries: usize,
    /// Of the files that are taken.
    pub files: usize,
    /// Of one file.
    pub file_bytes: usize,
    /// Of all files together.
    pub total_bytes: usize,
    /// Of memory (address space) that the process may have.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            received_bytes: 256 << 20,
            entries: 200_000,
            files: 10_000,
            file_bytes: 4 << 20,
            total_bytes: 32 << 20,
            memory_bytes: 2 << 30,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fetched {
    /// The reference is at the commit that the caller knows.
    Unchanged {
        /// That commit.
        revision: String,
    },
    /// The files.
    Snapshot(Snapshot),
}

/// The files of one directory at one commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The commit: 40 hexadecimal digits.
    pub revision: String,
    /// By which name of the repository it was found, such as `refs/tags/v1.2.0`; the commit itself if it has none.
    pub reference: String,
    /// Who wrote the commit: `name <address>`.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// When it was committed.
    pub time: Time,
    /// The manifests, in the order of their paths; or what kustomize made of them.
    pub files: Vec<File>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path from the root of the repository.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// An error and all that it comes from, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
