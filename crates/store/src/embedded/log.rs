//! The change log: segments named by the revision that they build on, each a file of frames.
//!
//! A frame is one group of commits. It is written after the last one, made durable, and only then acknowledged,
//! so at most the last frame of the last segment can be torn.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::frame::{Commit, HEADER_BYTES, Header, LOG, encode_frame, io_error};
use crate::{Revision, StoreError};

/// The extension of files that are not whole yet.
pub(super) const TEMPORARY: &str = "tmp";

/// The end of the log, open for appending.
#[derive(Debug)]
pub(super) struct Log {
    directory: PathBuf,
    segment_bytes: u64,
    active: Segment,
    /// Full segments, oldest first: base revision and size.
    closed: Vec<(Revision, u64)>,
    /// The active segment is full, or was to be replaced and could not be.
    must_rotate: bool,
    buffer: Vec<u8>,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    header: Header,
    /// Everything before this is durable and sound.
    durable: u64,
    /// There may be bytes after `durable`, left by a write that failed.
    dirty: bool,
}

impl Log {
    /// Goes on after `active`; `closed` are the segments before it.
    pub(super) fn new(
        directory: &Path,
        segment_bytes: u64,
        active: Segment,
        closed: Vec<(Revision, u64)>,
    ) -> Self {
        Self {
            directory: directory.to_owned(),
            segment_bytes,
            active,
            closed,
            must_rotate: false,
            buffer: Vec::new(),
        }
    }

    /// Makes `commits` durable as one frame. On failure none of them is in the log, unless the error is ambiguous,
    /// and the next call tries from the same place.
    pub(super) fn append(&mut self, commits: &[Commit]) -> Result<(), StoreError> {
        let Some(first) = commits.first() else { return Ok(()) };
        if self.must_rotate || self.active.durable >= self.segment_bytes {
            self.rotate(Revision(first.revision.0 - 1))?;
        }
        self.buffer.clear();
        encode_frame(&mut self.buffer, self.active.header.salt, commits);
        self.active.append(&self.buffer)
    }

    /// Starts a new segment for what comes after `last`, the last revision in the log.
    pub(super) fn rotate(&mut self, last: Revision) -> Result<(), StoreError> {
        if self.active.header.base == last {
            return Ok(());
        }
        self.must_rotate = true;
        self.active.repair()?;
        let next = Segment::create(&self.directory, last)?;
        self.closed.push((self.active.header.base, self.active.durable));
        self.active = next;
        self.must_rotate = false;
        Ok(())
    }

    /// Bytes of closed segments that hold nothing after `revision`.
    pub(super) fn dead_bytes(&self, revision: Revision) -> u64 {
        self.closed[..self.dead_segments(revision)].iter().map(|(_, bytes)| bytes).sum()
    }

    /// Stops counting the segments that hold nothing after `revision`; a snapshot is about to replace them.
    pub(super) fn release(&mut self, revision: Revision) {
        let dead = self.dead_segments(revision);
        self.closed.drain(..dead);
    }

    fn dead_segments(&self, revision: Revision) -> usize {
        let next_bases = self.closed.iter().skip(1).map(|(base, _)| *base).chain([self.active.header.base]);
        next_bases.take(self.closed.len()).take_while(|base| *base <= revision).count()
    }
}

impl Segment {
    /// Makes a new segment, which exists only once it is whole and durable.
    pub(super) fn create(directory: &Path, base: Revision) -> Result<Self, StoreError> {
        let path = segment_path(directory, base);
        let header = Header::new(LOG, base);
        let file = create_durably(&path, |file| file.write_all(&header.encode()))?;
        Ok(Self { path, file, header, durable: HEADER_BYTES as u64, dirty: false })
    }

    /// Opens a segment that is sound up to `durable`, and drops what follows.
    pub(super) fn open(path: &Path, header: Header, durable: u64) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| io_error("cannot open", path, error))?;
        let mut segment = Self { path: path.to_owned(), file, header, durable, dirty: true };
        segment.repair()?;
        Ok(segment)
    }

    fn append(&mut self, frame: &[u8]) -> Result<(), StoreError> {
        self.repair()?;
        self.dirty = true;
        if let Err(error) = self.file.write_all_at(frame, self.durable) {
            // Part of a frame is not a frame: nothing was written, whether or not the rest can be removed now.
            self.repair().ok();
            return Err(io_error("cannot write", &self.path, error));
        }
        if let Err(error) = self.file.sync_data() {
            let removed = self.repair().is_ok();
            let reason = format!("cannot make {} durable", self.path.display());
            let source = Some(std::sync::Arc::new(error) as _);
            return Err(StoreError::Unavailable { reason, ambiguous: !removed, source });
        }
        self.durable += frame.len() as u64;
        self.dirty = false;
        Ok(())
    }

    /// Removes what a failed write left behind.
    fn repair(&mut self) -> Result<(), StoreError> {
        if self.dirty {
            let removed = self.file.set_len(self.durable).and_then(|()| self.file.sync_data());
            removed.map_err(|error| io_error("cannot truncate", &self.path, error))?;
            self.dirty = false;
        }
        Ok(())
    }
}

pub(super) fn segment_path(directory: &Path, base: Revision) -> PathBuf {
    directory.join(format!("log-{base:020}"))
}

/// Creates or replaces `path` with what `write` writes: after a crash there is all of it or none.
pub(super) fn create_durably(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<File, StoreError> {
    let temporary = path.with_extension(TEMPORARY);
    let create = || {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        write(&mut file)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_parent(path)?;
        Ok(file)
    };
    create().map_err(|error| {
        std::fs::remove_file(&temporary).ok();
        io_error("cannot create", path, error)
    })
}

/// Makes the name of `path` durable.
pub(super) fn sync_parent(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}
