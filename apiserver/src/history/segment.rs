//! [`Segment`]: one file of the log. It can be read without the others: the first change of an object in it carries the object
//! as it was before.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::frame::{HEADER_BYTES, Header};
use super::record::{Head, Lengths, Record};

/// What a file begins with; the digit is the version of the format.
const MAGIC: [u8; 8] = *b"ORCHCHG1";

/// A file of frames, and how far it is written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) frames: Arc<Frames>,
    /// How long the file is, as far as it is sound.
    pub(super) bytes: u64,
    /// When the first and the last change in it were made, in milliseconds; none if there is none.
    pub(super) span: Option<(i64, i64)>,
    /// Something follows that is not sound, or the file does not begin as it should.
    pub(super) is_damaged: bool,
}

/// A file of frames. What has been written is read while more is.
#[derive(Debug)]
pub(super) struct Frames {
    path: PathBuf,
    file: File,
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
        Ok(Self::new(number, path, file))
    }

    fn new(number: u32, path: PathBuf, file: File) -> Self {
        let frames = Arc::new(Frames { path, file });
        Self { number, frames, bytes: MAGIC.len() as u64, span: None, is_damaged: false }
    }

    /// Opens a segment and tells `each` frame: where it is, how far the log was, and the heads; up to the first one that is not
    /// sound. Of the last segment values are looked at, too: a crash may have torn them.
    ///
    /// # Errors
    /// If it cannot be read; those of `each`.
    pub(super) fn open(
        directory: &Path,
        number: u32,
        is_last: bool,
        mut each: impl FnMut(u64, u64, &[Head]) -> io::Result<()>,
    ) -> io::Result<Self> {
        let path = path(directory, number);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file.try_clone()?);
        let mut segment = Self::new(number, path, file);
        let mut magic = [0; MAGIC.len()];
        if length < segment.bytes || reader.read_exact(&mut magic).is_err() || magic != MAGIC {
            segment.is_damaged = true;
            return Ok(segment);
        }
        while let Some((header, heads)) = sound(&mut reader, length - segment.bytes, is_last)? {
            heads.iter().for_each(|head| segment.reach(head.origin.at));
            each(segment.bytes, header.reached, &heads)?;
            segment.bytes += header.frame_bytes();
        }
        segment.is_damaged = segment.bytes < length;
        Ok(segment)
    }

    /// Cuts off what is not sound.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        let (Frames { path, file }, offset) = (&*self.frames, self.bytes);
        tracing::warn!(file = %path.display(), offset, "a file of the history is damaged; what follows there is lost");
        file.set_len(offset)?;
        file.write_all_at(&MAGIC, 0)?;
        self.is_damaged = false;
        Ok(())
    }

    /// Appends a frame; answers where it is. What a failure leaves behind the end is written over by the next frame.
    pub(super) fn append(&mut self, frame: &[u8], records: &[Record]) -> io::Result<u64> {
        let offset = self.bytes;
        if let Err(error) = self.frames.file.write_all_at(frame, offset) {
            self.frames.file.set_len(offset).ok();
            return Err(error);
        }
        self.bytes += frame.len() as u64;
        records.iter().for_each(|record| self.reach(record.head.origin.at));
        Ok(offset)
    }

    fn reach(&mut self, at: i64) {
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// Makes what has been written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.frames.file.sync_data()
    }

    /// Removes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.frames.path)
    }
}

impl Frames {
    /// Reads the frame at `offset`.
    ///
    /// # Errors
    /// If it is not what was written.
    pub(super) fn at(&self, offset: u64) -> io::Result<Frame> {
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
