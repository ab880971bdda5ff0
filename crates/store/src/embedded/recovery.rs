//! Opening a directory: the newest snapshot, then every commit of the log after it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::frame::{Commit, FrameReader, LOG, Next, corrupt, io_error};
use super::index::Index;
use super::log::{Segment, TEMPORARY, segment_path};
use super::snapshot;
use crate::{Revision, StoreError};

/// An empty store is at this revision, as an empty etcd is: clients give 0 a meaning of its own.
const FIRST: Revision = Revision(1);

/// What was found.
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) active: Segment,
    /// The segments before `active`, oldest first: base revision and size.
    pub(super) closed: Vec<(Revision, u64)>,
    /// The size of the snapshot.
    pub(super) snapshot_bytes: u64,
}

/// Reads the state of the store in `directory`, or makes an empty one. A torn write at the end of the log, which
/// was never acknowledged, is removed; anything else that is wrong fails with `Corrupt`.
pub(super) fn recover(directory: &Path) -> Result<Recovered, StoreError> {
    remove_unfinished(directory)?;
    let files = Files::scan(directory)?;
    let (mut index, snapshot_bytes) = match files.snapshots.last() {
        Some((revision, path)) => snapshot::load(path, *revision)?,
        None => (Index::new(FIRST), 0),
    };
    let segments = files.live_segments(index.revision());
    let Some(((last_base, last_path), full)) = segments.split_last() else {
        if files.snapshots.is_empty() {
            let active = Segment::create(directory, FIRST)?;
            return Ok(Recovered { index, active, closed: Vec::new(), snapshot_bytes });
        }
        return Err(corrupt(&segment_path(directory, index.revision()), 0, "the log is missing"));
    };
    let mut replay = Replay { reached: segments[0].0, index: &mut index };
    if replay.reached > replay.index.revision() {
        return Err(corrupt(
            &segment_path(directory, replay.index.revision()),
            0,
            "the log before it is missing",
        ));
    }
    let mut closed = Vec::new();
    for (base, path) in full {
        let (reader, torn) = replay.segment(*base, path)?;
        if let Some(error) = torn {
            return Err(error);
        }
        closed.push((*base, reader.offset));
    }
    let (reader, torn) = replay.segment(*last_base, last_path)?;
    if let Some(error) = torn {
        if reader.sound_frame_follows()? {
            return Err(error);
        }
        tracing::warn!(%error, "removed a torn write, which was never acknowledged, from the end of the log");
    }
    let active = Segment::open(last_path, reader.header, reader.offset)?;
    Ok(Recovered { index, active, closed, snapshot_bytes })
}

struct Replay<'a> {
    index: &'a mut Index,
    /// The last revision read from the log.
    reached: Revision,
}

impl Replay<'_> {
    /// Applies a segment up to its end or to a torn frame, which is returned as an error.
    fn segment(
        &mut self,
        base: Revision,
        path: &Path,
    ) -> Result<(FrameReader, Option<StoreError>), StoreError> {
        let mut reader = FrameReader::open(path, LOG)?;
        if base != self.reached || reader.header.base != base {
            let reason = format!("the log before it ends at revision {}", self.reached);
            return Err(corrupt(path, 0, &reason));
        }
        loop {
            let offset = reader.offset;
            match reader.next()? {
                Next::Commits(commits) => {
                    commits.into_iter().try_for_each(|commit| self.commit(commit, path, offset))?;
                }
                Next::End => return Ok((reader, None)),
                Next::Torn(error) => return Ok((reader, Some(error))),
            }
        }
    }

    fn commit(&mut self, commit: Commit, path: &Path, offset: u64) -> Result<(), StoreError> {
        if commit.revision != self.reached.next() {
            let reason = format!("revision {} follows {}", commit.revision, self.reached);
            return Err(corrupt(path, offset, &reason));
        }
        self.reached = commit.revision;
        if commit.revision > self.index.revision() {
            self.index.apply(commit, Instant::now());
        }
        Ok(())
    }
}

/// The files of a store, oldest first.
pub(super) struct Files {
    pub(super) snapshots: Vec<(Revision, PathBuf)>,
    pub(super) segments: Vec<(Revision, PathBuf)>,
}

impl Files {
    /// Lists `directory`.
    pub(super) fn scan(directory: &Path) -> Result<Self, StoreError> {
        let fail = |error| io_error("cannot list", directory, error);
        let mut files = Self { snapshots: Vec::new(), segments: Vec::new() };
        for file in std::fs::read_dir(directory).map_err(fail)? {
            let path = file.map_err(fail)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(revision) = revision_of(name, "snapshot-") {
                files.snapshots.push((revision, path));
            } else if let Some(revision) = revision_of(name, "log-") {
                files.segments.push((revision, path));
            }
        }
        files.snapshots.sort();
        files.segments.sort();
        Ok(files)
    }

    /// The segments that hold anything after `revision`, and the last one.
    fn live_segments(&self, revision: Revision) -> &[(Revision, PathBuf)] {
        &self.segments[self.dead_segments(revision)..]
    }

    /// How many segments hold nothing after `revision`; never the last one.
    pub(super) fn dead_segments(&self, revision: Revision) -> usize {
        self.segments.iter().skip(1).take_while(|(next_base, _)| *next_base <= revision).count()
    }
}

/// Removes the files that a crash left half written.
fn remove_unfinished(directory: &Path) -> Result<(), StoreError> {
    let fail = |error| io_error("cannot clean", directory, error);
    for file in std::fs::read_dir(directory).map_err(fail)? {
        let path = file.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == TEMPORARY) {
            std::fs::remove_file(&path).map_err(fail)?;
        }
    }
    Ok(())
}

fn revision_of(name: &str, kind: &str) -> Option<Revision> {
    name.strip_prefix(kind)?.parse().ok().map(Revision)
}
