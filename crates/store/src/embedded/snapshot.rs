//! Snapshots: every entry as of one revision, so that the log before it can go.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::frame::{Commit, FrameReader, Header, Next, SNAPSHOT, corrupt, encode_frame, io_error};
use super::index::Index;
use super::log::create_durably;
use super::recovery::Files;
use crate::{Entry, Revision, StoreError};

/// A frame is closed when it has grown beyond this.
const FRAME_BYTES: usize = 1 << 20;

/// Writes the snapshot of `revision`, then removes the files that it replaces. Returns its size.
pub(super) fn take(directory: &Path, revision: Revision, entries: Vec<Entry>) -> Result<u64, StoreError> {
    let path = snapshot_path(directory, revision);
    let file = create_durably(&path, |file| write(file, revision, entries))?;
    remove_replaced(directory, revision)?;
    Ok(file.metadata().map_or(0, |metadata| metadata.len()))
}

fn snapshot_path(directory: &Path, revision: Revision) -> PathBuf {
    directory.join(format!("snapshot-{revision:020}"))
}

fn write(file: &mut File, revision: Revision, entries: Vec<Entry>) -> std::io::Result<()> {
    let header = Header::new(SNAPSHOT, revision);
    let mut out = BufWriter::new(file);
    out.write_all(&header.encode())?;
    let mut commit = Commit { revision, changes: Vec::new() };
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.key.as_bytes().len() + entry.value.len();
        commit.changes.push((entry.key.clone(), Some(entry)));
        if bytes > FRAME_BYTES {
            write_frame(&mut out, header.salt, &commit)?;
            commit.changes.clear();
            bytes = 0;
        }
    }
    if !commit.changes.is_empty() {
        write_frame(&mut out, header.salt, &commit)?;
    }
    // The end: without it, a snapshot that lost its last frames would look whole.
    write_frame(&mut out, header.salt, &Commit { revision, changes: Vec::new() })?;
    out.flush()
}

fn write_frame(out: &mut impl std::io::Write, salt: u64, commit: &Commit) -> std::io::Result<()> {
    let mut frame = Vec::with_capacity(FRAME_BYTES);
    encode_frame(&mut frame, salt, std::slice::from_ref(commit));
    out.write_all(&frame)
}

/// The state in the snapshot at `path`, and its size.
pub(super) fn load(path: &Path, revision: Revision) -> Result<(Index, u64), StoreError> {
    let mut reader = FrameReader::open(path, SNAPSHOT)?;
    if reader.header.base != revision {
        return Err(corrupt(path, 0, "it is of another revision than its name says"));
    }
    let mut index = Index::new(revision);
    loop {
        let commits = match reader.next()? {
            Next::Commits(commits) => commits,
            Next::End => return Err(corrupt(path, reader.offset, "its end is missing")),
            Next::Torn(error) => return Err(error),
        };
        for commit in commits {
            if commit.changes.is_empty() {
                return Ok((index, reader.offset));
            }
            commit.changes.into_iter().filter_map(|(_, entry)| entry).for_each(|entry| index.restore(entry));
        }
    }
}

fn remove_replaced(directory: &Path, revision: Revision) -> Result<(), StoreError> {
    let files = Files::scan(directory)?;
    let segments = &files.segments[..files.dead_segments(revision)];
    let snapshots = files.snapshots.iter().filter(|(older, _)| *older < revision);
    for (_, path) in segments.iter().chain(snapshots) {
        std::fs::remove_file(path).map_err(|error| io_error("cannot remove", path, error))?;
    }
    Ok(())
}
