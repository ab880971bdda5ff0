//! How records lie in a file: a header, then frames of `magic, length, checksum of the payload, checksum of the
//! frame's header, payload`, all little endian.
//!
//! Each file has a random salt that its checksums include, so that no bytes inside a value can pass for a frame.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{Entry, Key, Revision, StoreError};

/// What kind of file it is; the digit is the version of the format.
pub(super) const LOG: [u8; 8] = *b"ORCHLOG1";
pub(super) const SNAPSHOT: [u8; 8] = *b"ORCHSNP1";

/// Bytes of the file header: kind, salt, base revision, checksum.
pub(super) const HEADER_BYTES: usize = 28;
const FRAME_MAGIC: [u8; 4] = [0xF5, b'o', b'r', 0xC4];
const FRAME_HEADER_BYTES: usize = 16;
/// What a disk writes at once: a torn write lacks whole sectors.
const SECTOR_BYTES: u64 = 512;
/// Longer lengths are corruption.
pub(super) const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// One commit as it is stored: what each key became, `None` for deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) revision: Revision,
    pub(super) changes: Vec<(Key, Option<Entry>)>,
}

/// The start of a file: its salt, and the revision that what follows builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: [u8; 8],
    pub(super) salt: u64,
    pub(super) base: Revision,
}

impl Header {
    pub(super) fn new(kind: [u8; 8], base: Revision) -> Self {
        Self { kind, salt: rand::random(), base }
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&self.kind);
        out[8..16].copy_from_slice(&self.salt.to_le_bytes());
        out[16..24].copy_from_slice(&self.base.0.to_le_bytes());
        let checksum = crc32fast::hash(&out[..24]);
        out[24..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; HEADER_BYTES], kind: [u8; 8]) -> Option<Self> {
        let mut rest = &bytes[..];
        let found: [u8; 8] = take(&mut rest, 8)?.try_into().ok()?;
        let header = Self { kind, salt: take_u64(&mut rest)?, base: Revision(take_u64(&mut rest)?) };
        (found == kind && header.encode() == *bytes).then_some(header)
    }
}

/// Appends one frame holding `commits`.
pub(super) fn encode_frame(out: &mut Vec<u8>, salt: u64, commits: &[Commit]) {
    let start = out.len();
    out.extend_from_slice(&FRAME_MAGIC);
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES - 4]);
    for commit in commits {
        encode_commit(out, commit);
    }
    let payload = &out[start + FRAME_HEADER_BYTES..];
    let header = frame_header(salt, payload.len(), checksum(salt, payload));
    out[start..start + FRAME_HEADER_BYTES].copy_from_slice(&header);
}

fn frame_header(salt: u64, length: usize, payload_checksum: u32) -> [u8; FRAME_HEADER_BYTES] {
    let mut out = [0; FRAME_HEADER_BYTES];
    out[..4].copy_from_slice(&FRAME_MAGIC);
    out[4..8].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    out[8..12].copy_from_slice(&payload_checksum.to_le_bytes());
    let header_checksum = checksum(salt, &out[..12]);
    out[12..].copy_from_slice(&header_checksum.to_le_bytes());
    out
}

/// Length and checksum of the payload, if `header` is a sound header.
fn parse_frame_header(salt: u64, header: &[u8]) -> Option<(usize, u32)> {
    let mut rest = header.strip_prefix(&FRAME_MAGIC)?;
    let length = take_length(&mut rest)?;
    let payload_checksum = take_u32(&mut rest)?;
    (length <= MAX_PAYLOAD_BYTES && frame_header(salt, length, payload_checksum) == *header)
        .then_some((length, payload_checksum))
}

fn checksum(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn encode_commit(out: &mut Vec<u8>, commit: &Commit) {
    out.extend_from_slice(&commit.revision.0.to_le_bytes());
    encode_length(out, commit.changes.len());
    for (key, entry) in &commit.changes {
        out.push(u8::from(entry.is_some()));
        encode_bytes(out, key.as_bytes());
        if let Some(entry) = entry {
            out.extend_from_slice(&entry.created.0.to_le_bytes());
            out.extend_from_slice(&entry.modified.0.to_le_bytes());
            encode_bytes(out, &entry.value);
        }
    }
}

fn encode_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    encode_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn encode_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

/// The commits of a payload; `None` if it is malformed.
fn decode_payload(mut payload: &[u8]) -> Option<Vec<Commit>> {
    let mut commits = Vec::new();
    while !payload.is_empty() {
        let revision = Revision(take_u64(&mut payload)?);
        let count = take_length(&mut payload)?;
        let changes = (0..count).map(|_| decode_change(&mut payload)).collect::<Option<_>>()?;
        commits.push(Commit { revision, changes });
    }
    Some(commits)
}

fn decode_change(payload: &mut &[u8]) -> Option<(Key, Option<Entry>)> {
    let is_put = take(payload, 1)?[0] == 1;
    let key = Key::new(std::str::from_utf8(take_bytes(payload)?).ok()?).ok()?;
    if !is_put {
        return Some((key, None));
    }
    let created = Revision(take_u64(payload)?);
    let modified = Revision(take_u64(payload)?);
    let value = Bytes::copy_from_slice(take_bytes(payload)?);
    Some((key.clone(), Some(Entry { key, value, created, modified })))
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(count)?;
    *from = rest;
    Some(taken)
}

fn take_u64(from: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(from, 8)?.try_into().ok()?))
}

fn take_u32(from: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(from, 4)?.try_into().ok()?))
}

fn take_length(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_u32(from)?).ok()
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(from)?;
    take(from, length)
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next {
    Commits(Vec<Commit>),
    End,
    /// A frame that was not wholly written; at the end of the log, it was never acknowledged.
    Torn(StoreError),
}

/// Reads a file frame by frame.
pub(super) struct FrameReader {
    path: PathBuf,
    file: BufReader<File>,
    bytes: u64,
    /// Where the next frame starts: everything before it is sound.
    pub(super) offset: u64,
    pub(super) header: Header,
}

impl FrameReader {
    /// Opens `path` and checks its header.
    pub(super) fn open(path: &Path, kind: [u8; 8]) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|error| io_error("cannot open", path, error))?;
        let bytes = file.metadata().map_err(|error| io_error("cannot read", path, error))?.len();
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header).map_err(|error| read_error(path, 0, error))?;
        let header = Header::decode(&header, kind)
            .ok_or_else(|| corrupt(path, 0, "it does not start with a header"))?;
        Ok(Self { path: path.to_owned(), file, bytes, offset: HEADER_BYTES as u64, header })
    }

    /// Reads the next frame. Fails with `Corrupt` if it was whole once.
    pub(super) fn next(&mut self) -> Result<Next, StoreError> {
        let left = self.bytes - self.offset;
        if left == 0 {
            return Ok(Next::End);
        }
        if left < FRAME_HEADER_BYTES as u64 {
            return Ok(Next::Torn(self.corrupt("the file ends within a frame")));
        }
        let mut header = [0; FRAME_HEADER_BYTES];
        self.read(&mut header)?;
        let Some((length, expected)) = parse_frame_header(self.header.salt, &header) else {
            let mut rest = header.to_vec();
            self.file.read_to_end(&mut rest).map_err(|error| read_error(&self.path, self.offset, error))?;
            return self.bad(&rest, "the header of a frame is wrong");
        };
        let frame_bytes = (FRAME_HEADER_BYTES + length) as u64;
        if frame_bytes > left {
            return Ok(Next::Torn(self.corrupt("the file ends within a frame")));
        }
        let mut payload = vec![0; length];
        self.read(&mut payload)?;
        if checksum(self.header.salt, &payload) != expected {
            return self.bad(&[&header[..], &payload].concat(), "the checksum of a frame is wrong");
        }
        let commits =
            decode_payload(&payload).ok_or_else(|| self.corrupt("a frame's content is malformed"))?;
        self.offset += frame_bytes;
        Ok(Next::Commits(commits))
    }

    /// Bad bytes at `offset`: torn if a sector of them was never written, else changed since.
    fn bad(&self, bytes: &[u8], reason: &str) -> Result<Next, StoreError> {
        let error = self.corrupt(reason);
        if lacks_a_sector(self.offset, bytes) { Ok(Next::Torn(error)) } else { Err(error) }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), StoreError> {
        self.file.read_exact(into).map_err(|error| read_error(&self.path, self.offset, error))
    }

    fn corrupt(&self, reason: &str) -> StoreError {
        corrupt(&self.path, self.offset, reason)
    }

    /// Whether a sound frame starts anywhere from `offset` on: then what is bad there is no torn write, because a
    /// frame is written only after the one before it is durable.
    pub(super) fn sound_frame_follows(&self) -> Result<bool, StoreError> {
        let content =
            std::fs::read(&self.path).map_err(|error| io_error("cannot read", &self.path, error))?;
        let rest = usize::try_from(self.offset).ok().and_then(|offset| content.get(offset..)).unwrap_or(&[]);
        Ok((0..rest.len()).any(|start| self.is_sound_frame(&rest[start..])))
    }

    fn is_sound_frame(&self, mut bytes: &[u8]) -> bool {
        let salt = self.header.salt;
        let Some(header) = take(&mut bytes, FRAME_HEADER_BYTES) else { return false };
        let Some((length, expected)) = parse_frame_header(salt, header) else { return false };
        take(&mut bytes, length).is_some_and(|payload| checksum(salt, payload) == expected)
    }
}

/// Whether `bytes`, which start at `offset` of a file, lack a sector, which then reads as zeros. The few bytes at
/// the start or the end of a frame may be zeros by themselves.
fn lacks_a_sector(offset: u64, bytes: &[u8]) -> bool {
    let to_boundary = usize::try_from(SECTOR_BYTES - offset % SECTOR_BYTES).unwrap_or(0).min(bytes.len());
    let (first, rest) = bytes.split_at(to_boundary);
    let mut sectors = std::iter::once(first).chain(rest.chunks(SECTOR_BYTES as usize));
    sectors.any(|sector| sector.len() >= 32 && sector.iter().all(|byte| *byte == 0))
        || bytes.iter().take(FRAME_HEADER_BYTES).all(|byte| *byte == 0)
}

fn read_error(path: &Path, offset: u64, error: io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        corrupt(path, offset, "the file ends too early")
    } else {
        io_error("cannot read", path, error)
    }
}

pub(super) fn corrupt(path: &Path, offset: u64, reason: &str) -> StoreError {
    StoreError::Corrupt { file: path.to_owned(), offset, reason: reason.to_owned() }
}

/// An I/O error as the seam's, with what could not be done to which file.
pub(super) fn io_error(cannot: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::unavailable(format!("{cannot} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn commits() -> impl Strategy<Value = Vec<Commit>> {
        let change =
            ("/[a-z]{1,9}/[a-z]{1,9}", any::<Option<(u64, u64, Vec<u8>)>>()).prop_map(|(key, entry)| {
                let key = Key::new(key).unwrap();
                let entry = entry.map(|(created, modified, value)| Entry {
                    key: key.clone(),
                    value: value.into(),
                    created: Revision(created),
                    modified: Revision(modified),
                });
                (key, entry)
            });
        let commit = (any::<u64>(), prop::collection::vec(change, 0..4))
            .prop_map(|(revision, changes)| Commit { revision: Revision(revision), changes });
        prop::collection::vec(commit, 0..4)
    }

    fn file_of(groups: &[Vec<Commit>]) -> (tempfile::NamedTempFile, Vec<u64>) {
        let header = Header::new(LOG, Revision(7));
        let mut content = header.encode().to_vec();
        let mut ends = vec![content.len() as u64];
        for group in groups {
            encode_frame(&mut content, header.salt, group);
            ends.push(content.len() as u64);
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        (file, ends)
    }

    fn read(reader: &mut FrameReader) -> Option<Vec<Commit>> {
        match reader.next().unwrap() {
            Next::Commits(commits) => Some(commits),
            Next::End => None,
            Next::Torn(error) => panic!("{error}"),
        }
    }

    fn read_all<'a>(reader: &mut FrameReader, groups: impl IntoIterator<Item = &'a Vec<Commit>>) {
        for group in groups {
            assert_eq!(read(reader).as_ref(), Some(group));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(groups in prop::collection::vec(commits(), 0..5)) {
            let (file, _) = file_of(&groups);
            let mut reader = FrameReader::open(file.path(), LOG).unwrap();
            read_all(&mut reader, &groups);
            prop_assert_eq!(read(&mut reader), None);
        }

        #[test]
        fn a_changed_byte_is_noticed_and_located(
            groups in prop::collection::vec(commits(), 1..5), at in any::<prop::sample::Index>(), flip in 1_u8..,
        ) {
            let (file, ends) = file_of(&groups);
            let mut content = std::fs::read(file.path()).unwrap();
            let at = HEADER_BYTES + at.index(content.len() - HEADER_BYTES);
            content[at] ^= flip;
            std::fs::write(file.path(), &content).unwrap();
            let hit = ends.partition_point(|end| *end <= at as u64) - 1;

            let mut reader = FrameReader::open(file.path(), LOG).unwrap();
            read_all(&mut reader, &groups[..hit]);
            let error = reader.next().unwrap_err();
            let located = matches!(error, StoreError::Corrupt { offset, .. } if offset == ends[hit]);
            prop_assert!(located, "{}", error);
            prop_assert_eq!(reader.sound_frame_follows().unwrap(), hit + 1 < groups.len());
        }

        #[test]
        fn a_short_frame_is_torn(
            groups in prop::collection::vec(commits(), 1..5), cut in any::<prop::sample::Index>(),
        ) {
            let (file, ends) = file_of(&groups);
            let last = ends[groups.len() - 1];
            let keep = last + 1 + cut.index((ends[groups.len()] - last - 1) as usize) as u64;
            file.as_file().set_len(keep).unwrap();
            let mut reader = FrameReader::open(file.path(), LOG).unwrap();
            read_all(&mut reader, &groups[..groups.len() - 1]);
            let torn = reader.next().unwrap();
            let located = matches!(torn, Next::Torn(StoreError::Corrupt { offset, .. }) if offset == last);
            prop_assert!(located);
            prop_assert!(!reader.sound_frame_follows().unwrap());
        }
    }

    #[test]
    fn a_frame_that_lacks_a_sector_is_torn() {
        let key = Key::new("/a").unwrap();
        let value = Bytes::from(vec![b'x'; 3000]);
        let entry = Entry { key: key.clone(), value, created: Revision(8), modified: Revision(8) };
        let (file, _) = file_of(&[vec![Commit { revision: Revision(8), changes: vec![(key, Some(entry))] }]]);
        for sector in [0, 512, 1024] {
            let mut content = std::fs::read(file.path()).unwrap();
            content[sector.max(HEADER_BYTES)..sector + 512].fill(0);
            std::fs::write(file.path(), &content).unwrap();
            let mut reader = FrameReader::open(file.path(), LOG).unwrap();
            assert!(matches!(reader.next().unwrap(), Next::Torn(_)), "{sector}");
        }
    }
}
