//! [`Segment`]: one file of the log. It can be read without the others: the first change of an object in it carries the object
//! as it was before.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::frame::{HEADER_BYTES, Header};
use super::record::{Head, Lengths, Record};

/// What a file begins with; the digit is the version of the format.
const MAGIC: [u8; 8] = *b"ORCHCHG1";

/// A file of frames.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    path: PathBuf,
    file: File,
    /// How long the file is.
    pub(super) bytes: u64,
    /// When the first and the last change in it were made, in milliseconds; none if there is none.
    pub(super) span: Option<(i64, i64)>,
}

/// One frame with its values.
pub(super) struct Frame {
    heads: Vec<(Head, Lengths)>,
    values: Bytes,
}

impl Segment {
    /// Makes an empty segment. Of one that cannot be begun nothing is left, and nothing that is left keeps it from being made.
    pub(super) fn create(directory: &Path, number: u32) -> io::Result<Self> {
        let path = path(directory, number);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        if let Err(error) = file.write_all_at(&MAGIC, 0) {
            std::fs::remove_file(&path).ok();
            return Err(error);
        }
        Ok(Self { number, path, file, bytes: MAGIC.len() as u64, span: None })
    }

    /// Opens a segment and tells `each` frame: where it is, how far the log was, and the heads. What follows the first frame that
    /// is not sound is cut off, with a warning. Of the last segment values are looked at, too: a crash may have torn them.
    pub(super) fn open(
        directory: &Path,
        number: u32,
        is_last: bool,
        mut each: impl FnMut(u64, u64, Vec<Head>),
    ) -> io::Result<Self> {
        let path = path(directory, number);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let mut segment = Self { number, path, file, bytes: MAGIC.len() as u64, span: None };
        let mut reader = BufReader::with_capacity(1 << 16, segment.file.try_clone()?);
        let mut magic = [0; MAGIC.len()];
        if length < segment.bytes || reader.read_exact(&mut magic).is_err() || magic != MAGIC {
            segment.file.set_len(0)?;
            segment.file.write_all_at(&MAGIC, 0)?;
        } else {
            while let Some((header, heads)) = sound(&mut reader, length - segment.bytes, is_last)? {
                heads.iter().for_each(|head| segment.reach(head.origin.at));
                each(segment.bytes, header.reached, heads);
                segment.bytes += header.frame_bytes();
            }
        }
        if segment.bytes < length {
            let (file, offset) = (segment.path.display(), segment.bytes);
            tracing::warn!(%file, offset, "the end of a file of the history is damaged; changes in it are lost");
            segment.file.set_len(segment.bytes)?;
        }
        Ok(segment)
    }

    /// Appends a frame; answers where it is. What a failure leaves behind the end is written over by the next frame.
    pub(super) fn append(&mut self, frame: &[u8], records: &[Record]) -> io::Result<u64> {
        let offset = self.bytes;
        if let Err(error) = self.file.write_all_at(frame, offset) {
            self.file.set_len(offset).ok();
            return Err(error);
        }
        self.bytes += frame.len() as u64;
        records.iter().for_each(|record| self.reach(record.head.origin.at));
        Ok(offset)
    }

    fn reach(&mut self, at: i64) {
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// Reads the frame at `offset`.
    ///
    /// # Errors
    /// If it is not what was written.
    pub(super) fn frame(&self, offset: u64) -> io::Result<Frame> {
        let damaged = || io::Error::other(format!("{} is damaged at offset {offset}", self.path.display()));
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut header, offset)?;
        let header = Header::decode(&header).ok_or_else(damaged)?;
        let mut heads = vec![0; header.heads as usize];
        self.file.read_exact_at(&mut heads, offset + HEADER_BYTES as u64)?;
        let mut values = vec![0; header.values as usize];
        self.file.read_exact_at(&mut values, offset + HEADER_BYTES as u64 + u64::from(header.heads))?;
        let heads = header.heads(&heads).ok_or_else(damaged)?;
        let values = header.values(&values).ok_or_else(damaged)?;
        Ok(Frame { heads, values })
    }

    /// Makes what has been written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

impl Frame {
    /// One of its changes, with the values that are in the frame.
    pub(super) fn record(&self, place: usize) -> Option<Record> {
        let length = |length: Option<u32>| length.unwrap_or_default() as usize;
        let both = |(_, lengths): &(Head, Lengths)| length(lengths.before) + length(lengths.after);
        let start = self.heads.get(..place)?.iter().map(both).sum::<usize>();
        let (head, lengths) = self.heads.get(place)?;
        let middle = start + length(lengths.before);
        let end = middle + length(lengths.after);
        if end > self.values.len() {
            return None;
        }
        Some(Record {
            head: head.clone(),
            before: lengths.before.map(|_| self.values.slice(start..middle)),
            after: lengths.after.map(|_| self.values.slice(middle..end)),
        })
    }
}

/// The next frame, if there is a sound one in the bytes that are left.
fn sound(
    reader: &mut BufReader<File>,
    left: u64,
    with_values: bool,
) -> io::Result<Option<(Header, Vec<Head>)>> {
    if left < HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER_BYTES];
    reader.read_exact(&mut header)?;
    let Some(header) = Header::decode(&header).filter(|header| header.frame_bytes() <= left) else {
        return Ok(None);
    };
    let mut heads = vec![0; header.heads as usize];
    reader.read_exact(&mut heads)?;
    if with_values {
        let mut values = vec![0; header.values as usize];
        reader.read_exact(&mut values)?;
        if !header.has_values(&values) {
            return Ok(None);
        }
    } else {
        reader.seek_relative(i64::from(header.values))?;
    }
    let heads = header.heads(&heads);
    Ok(heads.map(|heads| (header, heads.into_iter().map(|(head, _)| head).collect())))
}

fn path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("changes-{number:010}"))
}

/// The numbers of the segments of a directory, in order.
pub(super) fn numbers(directory: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let name = file?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix("changes-")?.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
