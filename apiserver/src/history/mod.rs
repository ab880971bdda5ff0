//! The history: every change of every kind that is recorded, with who made it and why, and the object before and after.
//!
//! It is kept in a directory of this server's, apart from the store, and costs writes nothing but the bytes of their origin
//! (`origin.rs`). Each of several servers over one store keeps its own.
//!
//! - `follower.rs`: from the store to the log. `record.rs`: what is recorded of a change.
//! - `log.rs`: segments and their index; `segment.rs`, `frame.rs`, `binary.rs`: files; `index.rs`: what is where; `found.rs`: how it
//!   is read.
//! - `past.rs`: what an object was. `change.rs`: a change as it is served. The verbs are `registry/changes.rs`.
//!
//! # Invariants
//!
//! - The log holds every recorded change after its oldest and up to [`History::reached`], in order, once; or a mark says which are
//!   missing.
//! - A segment can be read without the others.
//! - Values of sensitive kinds are in the files as the store keeps them: sealed, if there are keys. They are never served.

mod binary;
mod change;
mod follower;
mod found;
mod frame;
mod index;
mod log;
mod past;
mod record;
mod segment;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orch_api::fields::FieldTerm;
use orch_api::{FieldQuery, Status};
use orch_store::{Key, Revision};
use parking_lot::RwLock;
use ring::hmac;
use serde_json::Value;
use tokio::sync::watch;

pub use log::HistoryRetention;

pub(crate) use change::served;
pub(crate) use follower::run;
pub(crate) use index::ObjectPath;
pub(crate) use past::{Missing, Past};
#[cfg(test)]
pub(crate) use record::Head;
pub(crate) use record::{Id, Record, Verb};

use crate::encryption::Keyring;
use crate::kinds::Served;
use found::Found;
use log::{Log, News};
use past::Told;

/// How long a reader waits for the history to have what has just been written.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many changes are looked up at once: few at first, as that may be all that is wanted, then more and more up to the most.
const FIRST_FOUND: usize = 8;
const MOST_FOUND: usize = 256;

/// Where the history is and how much is kept.
#[derive(Debug, Clone)]
pub struct HistoryConfig {
    /// The directory, made if it does not exist. No other process may use it.
    pub directory: PathBuf,
    /// How much is kept.
    pub retention: HistoryRetention,
    /// What values of sensitive kinds are sealed with: the keys of the store.
    pub keys: Keyring,
}

/// Why the history's directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the history in {}", directory.display())]
pub struct HistoryError {
    /// The directory.
    pub directory: PathBuf,
    /// The cause; of kind `WouldBlock` if another process, or another server in this one, uses it.
    #[source]
    pub source: io::Error,
}

/// The changes of all objects, in a directory. Cheap to clone.
#[derive(Clone)]
pub struct History(Arc<Inner>);

struct Inner {
    config: HistoryConfig,
    /// None until it has been loaded.
    log: RwLock<Option<Log>>,
    /// Everything up to this revision is recorded.
    reached: watch::Sender<u64>,
    /// What secret values are hashed with where they are shown.
    hashes: hmac::Key,
    /// Held as long as the directory is used.
    _lock: File,
}

impl History {
    /// Makes the directory. What is in it is read once the server runs.
    ///
    /// # Errors
    /// If the directory cannot be made or written to, or is in use.
    pub fn open(config: HistoryConfig) -> Result<Self, HistoryError> {
        let directory = &config.directory;
        let failed = |source| HistoryError { directory: directory.clone(), source };
        DirBuilder::new().mode(0o700).recursive(true).create(directory).map_err(failed)?;
        let lock = lock(directory).map_err(failed)?;
        let hashes = hmac::Key::new(hmac::HMAC_SHA256, &salt(directory).map_err(failed)?);
        let (log, reached) = (RwLock::default(), watch::Sender::new(0));
        Ok(Self(Arc::new(Inner { config, log, reached, hashes, _lock: lock })))
    }

    /// The revision up to which everything is recorded; 0 before the log is loaded or has begun.
    pub(crate) fn reached(&self) -> u64 {
        let recorded = self.0.log.read().as_ref().map_or(0, Log::reached);
        recorded.max(*self.0.reached.borrow())
    }

    /// Waits until everything up to a revision is recorded.
    ///
    /// # Errors
    /// 503 if that takes too long.
    pub(crate) async fn caught_up(&self, revision: Revision) -> Result<(), Status> {
        let mut reached = self.0.reached.subscribe();
        match tokio::time::timeout(PATIENCE, reached.wait_for(|reached| *reached >= revision.0)).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let why = "the history has not caught up with the store in time; try again";
                Err(Status::unavailable(why))
            }
        }
    }

    /// The change of this name with the object before and after it, as the store kept it, secrets included: for the server
    /// itself, which is to show it to nobody who may not see the object. None if it is not kept; a gap if it cannot be read. Cost:
    /// the disk is read.
    ///
    /// # Errors
    /// If the log has not been loaded.
    pub(crate) fn change(&self, id: Id) -> io::Result<Option<Record>> {
        let found = self.with_log(|log| log.find(id))?;
        Ok(found.map(|found| self.read(&found)))
    }

    /// All changes that were made by applying a plan, newest first, as [`change`](Self::change) gives them.
    ///
    /// # Errors
    /// If the log has not been loaded.
    pub(crate) fn of_plan(&self, plan: &str) -> io::Result<Vec<Record>> {
        let terms = FieldQuery::equals("plan", plan).terms;
        let found = self.with_log(|log| log.select(&terms, None, usize::MAX, |_| true))?;
        Ok(found.iter().map(|found| self.read(found)).collect())
    }

    /// What an object of a kind was at a revision, as [`change`](Self::change) gives it. `written` is the revision that wrote it as it is
    /// now, if it is there; everything up to that must have been [waited for](Self::caught_up). Cost: the disk is read.
    ///
    /// # Errors
    /// 500 if it cannot be read.
    pub(crate) async fn past(
        &self,
        kind: &Served,
        (namespace, name): (&str, &str),
        written: Option<Revision>,
        revision: Revision,
    ) -> Result<Past, Status> {
        if written.is_some_and(|written| written <= revision) {
            return Ok(Past::Same);
        }
        if !kind.entry.recorded {
            return Ok(Past::Unknown(Missing::Kind));
        }
        let (history, terms) = (self.clone(), changes_of(kind, namespace, name));
        let read = move || history.at(&terms, revision.0);
        tokio::task::spawn_blocking(read).await.map_err(Status::internal)?.map_err(unreadable)
    }

    /// What the changes tell of what the object that `terms` select was at a revision.
    fn at(&self, terms: &[FieldTerm], revision: u64) -> io::Result<Past> {
        Ok(match self.with_log(|log| log.told(terms, revision))? {
            Some(Told::By(found, side)) => Past::on(side, self.read(&found)),
            Some(Told::Nothing) => Past::Same,
            Some(Told::Gap(mark)) => Past::Unknown(Missing::Gap(self.read(&mark).head.origin.reason)),
            Some(Told::Later(Some(oldest))) => Past::Unknown(Missing::Beginning(oldest)),
            Some(Told::Later(None)) => Past::Unknown(Missing::Everything),
            None => Past::Unknown(Missing::Value(revision)),
        })
    }

    /// Hands `each` the changes for which all terms hold, newest first, from before one on, until it says no. `wants` is asked
    /// about the place of each object before the change is read; gaps have none. Changes that cannot be read are gaps. Cost: the
    /// disk is read; the log goes on meanwhile.
    ///
    /// # Errors
    /// If the log has not been loaded.
    pub(crate) fn select(
        &self,
        terms: &[FieldTerm],
        before: Option<Id>,
        mut wants: impl FnMut(&str) -> bool,
        mut each: impl FnMut(Record) -> bool,
    ) -> io::Result<()> {
        let (mut before, mut most) = (before, FIRST_FOUND);
        loop {
            let found = self.with_log(|log| log.select(terms, before, most, &mut wants))?;
            for found in &found {
                if !each(self.read(found)) {
                    return Ok(());
                }
            }
            if found.len() < most {
                return Ok(());
            }
            before = found.last().map(|found| found.id);
            most = (2 * most).min(MOST_FOUND);
        }
    }

    /// The whole of a change, which is read from disk without holding anybody up.
    fn read(&self, found: &Found) -> Record {
        self.opened(found.read(|found| self.with_log(|log| log.before(found)).ok().flatten()))
    }

    /// A value as it is shown: without the record of who owns which field, and with hashes for what is secret. None if it is no JSON.
    pub(crate) fn shown(&self, value: &[u8], is_sensitive: bool) -> Option<Value> {
        change::shown(value, is_sensitive, &|secret| self.hash(secret))
    }

    /// What stands for a secret value: the same for the same value, in this history and in no other.
    pub(crate) fn hash(&self, value: &[u8]) -> String {
        let tag = hmac::sign(&self.0.hashes, value);
        let hex: String = tag.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("hidden:{hex}")
    }

    /// Looks something up. Changes are recorded only afterwards: the disk is not to be read here.
    fn with_log<T>(&self, look: impl FnOnce(&Log) -> T) -> io::Result<T> {
        let log = self.0.log.read();
        log.as_ref().map(look).ok_or_else(|| io::Error::other("the history has not been loaded yet"))
    }

    /// Loads the log, unless that has been done.
    async fn load(&self) -> io::Result<()> {
        let history = self.clone();
        let load = move || {
            let mut log = history.0.log.write();
            if log.is_none() {
                *log = Some(Log::open(&history.0.config.directory, history.0.config.retention)?);
            }
            Ok(())
        };
        off_the_runtime(load).await
    }

    async fn append(&self, news: Vec<News>, reached: u64, now: i64) -> io::Result<()> {
        self.change_log(move |history, log| {
            let sealed = news.into_iter().map(|news| News { record: history.sealed(news.record), ..news });
            log.append(sealed.collect(), reached, now)
        })
        .await
    }

    async fn set_aside(&self) -> io::Result<()> {
        self.change_log(|_, log| log.set_aside()).await
    }

    async fn change_log(
        &self,
        change: impl FnOnce(&Self, &mut Log) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let history = self.clone();
        off_the_runtime(move || {
            let mut log = history.0.log.write();
            log.as_mut().map_or(Ok(()), |log| change(&history, log))
        })
        .await
    }

    /// Says how far the log is.
    fn reach(&self, revision: u64) {
        self.0.reached.send_replace(revision);
    }

    /// The change with values as they are to be written.
    fn sealed(&self, record: Record) -> Record {
        let keys = &self.0.config.keys;
        values(record, |key, value| keys.seal(key, value).ok())
    }

    /// The change with values as they were; those that no key opens any more are not known.
    fn opened(&self, record: Record) -> Record {
        let keys = &self.0.config.keys;
        values(record, |key, value| keys.open(key, value).ok())
    }
}

/// What selects the changes of an object, whatever the version or form that it was written in.
pub(crate) fn changes_of(kind: &Served, namespace: &str, name: &str) -> Vec<FieldTerm> {
    let kept = kind.entry.kept_as();
    changes_named((kept.group, kept.name), (namespace, name))
}

/// What selects the changes of an object of a kind that is kept under this group and name, whether it is served or not.
pub(crate) fn changes_named((group, kind): (&str, &str), (namespace, name): (&str, &str)) -> Vec<FieldTerm> {
    let fields = [
        ("object.group", group),
        ("object.kind", kind),
        ("object.namespace", namespace),
        ("object.name", name),
    ];
    fields.into_iter().flat_map(|(field, value)| FieldQuery::equals(field, value).terms).collect()
}

/// 500: the files cannot be read.
pub(crate) fn unreadable(error: io::Error) -> Status {
    Status::internal(format!("the history cannot be read: {error}"))
}

/// The change with other values, if it is one of a sensitive kind.
fn values(record: Record, with: impl Fn(&Key, &bytes::Bytes) -> Option<bytes::Bytes>) -> Record {
    if !record.head.is_sensitive {
        return record;
    }
    let before = record.before.and_then(|value| with(&record.head.key, &value));
    let after = record.after.and_then(|value| with(&record.head.key, &value));
    Record { head: record.head, before, after }
}

async fn off_the_runtime(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn lock(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(directory.join("lock"))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::new(io::ErrorKind::WouldBlock, "it is in use"),
        TryLockError::Error(error) => error,
    })?;
    Ok(file)
}

/// The secret of a directory, made when it is first used.
fn salt(directory: &Path) -> io::Result<Vec<u8>> {
    let path = directory.join("salt");
    match std::fs::read(&path) {
        Ok(salt) if !salt.is_empty() => Ok(salt),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            let salt: [u8; 32] = rand::random();
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600).open(&path)?.write_all(&salt)?;
            Ok(salt.into())
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let reached = *self.reached.borrow();
        if let Some(log) = self.log.get_mut()
            && let Err(error) = log.close(reached)
        {
            tracing::warn!(%error, "the end of the history cannot be written; it is read again from the store");
        }
    }
}

#[cfg(test)]
mod tests;
