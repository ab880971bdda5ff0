//! Reads a log line by line and keeps what is looked for, as far as an answer has room.

use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use orch_api::Status;
use regex::Regex;
use tokio::time::Instant;

use crate::answer::{DENSE_BYTES_PER_TOKEN, MOST_TOKENS};
use crate::failure::Failure;

/// What is kept of one container's log: as much as the largest answer has room for, so that no answer reaches its end.
pub(super) const ENOUGH_BYTES: usize = (MOST_TOKENS as f64 * DENSE_BYTES_PER_TOKEN) as usize;
/// The most that is kept of it, with what has been given before and is of the same moment.
pub(super) const MOST_BYTES: usize = 4 * ENOUGH_BYTES;
/// How much of a line is searched.
const SEARCHED_BYTES: usize = 16 << 10;
/// The longest line that is shown.
const LONGEST_LINE_CHARS: usize = 2_000;
/// The size of an expression. What an unfriendly one takes for a line grows with it: here about a tenth of a second at most;
/// `\w+@\w+` needs half of it.
const PATTERN_BYTES: usize = 256 << 10;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    pub(super) grep: Option<Regex>,
    /// The last line that was given. What is before it is passed over.
    pub(super) after: Option<Mark>,
}

/// What was found in one log.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) lines: Vec<Line>,
    /// When the last line was written that was read, whether it is what is looked for or not.
    pub(super) until: Option<Moment>,
    pub(super) end: End,
}

/// Why a log was not read further.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// There was no more.
    #[default]
    Whole,
    /// There is more than an answer has room for.
    Full,
    /// Time was up.
    Late,
    /// It could not be read.
    Failed(String),
}

/// A line that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Moment,
    /// The same to the second, as it is shown.
    pub(super) seconds: String,
    pub(super) text: String,
}

/// When a line was written, as time and as it is written down. None of a line without a time, which is before all others.
#[derive(Debug, Clone, Default)]
pub(super) struct Moment {
    pub(super) time: Option<Timestamp>,
    pub(super) text: String,
}

/// The last line that was given: when it was written, and how many of that moment were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: Moment,
    pub(super) given: usize,
}

/// An expression to search lines by.
///
/// # Errors
/// If it is none, or is too large.
pub(super) fn pattern(text: &str) -> Result<Regex, Failure> {
    regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Failure::argument(format!("{text:?} is too large an expression"))
            .fix("search for less at a time: repetitions of large classes take most (`[a-z]` is smaller than `\\w`)"),
        error => {
            let first = error.to_string().lines().last().unwrap_or_default().to_owned();
            Failure::argument(format!("{text:?} is not a regular expression: {first}"))
        }
    })
}

/// Reads a log until it ends, enough was found, or time is up. Lines are searched where they keep nobody waiting.
pub(super) async fn read(
    mut chunks: impl Stream<Item = Result<Bytes, Status>> + Unpin,
    search: Search,
    by: Instant,
) -> Found {
    let mut reader = Reader::new(search, by);
    loop {
        let chunk = match tokio::time::timeout_at(by, chunks.next()).await {
            Err(_) => return reader.ended(End::Late),
            Ok(Some(Err(status))) => return reader.ended(End::Failed(status.message)),
            Ok(Some(Ok(chunk))) => Some(chunk),
            Ok(None) => None,
        };
        let is_last = chunk.is_none();
        let searched = tokio::task::spawn_blocking(move || {
            let end = reader.take(chunk.as_deref());
            (reader, end)
        });
        let end = match searched.await {
            Ok((searched, end)) => {
                reader = searched;
                end
            }
            Err(error) => return Found { end: End::Failed(error.to_string()), ..Found::default() },
        };
        match end {
            Some(end) => return reader.ended(end),
            None if is_last => return reader.ended(End::Whole),
            None => {}
        }
    }
}

impl Found {
    /// Nothing new was found.
    pub(super) fn is_what_was_given(&self, after: &Mark) -> bool {
        self.lines.len() <= after.given && self.lines.iter().all(|line| line.at == after.at)
    }
}

/// Takes a log in pieces and makes lines of them.
struct Reader {
    search: Search,
    by: Instant,
    /// The beginning of the line that has not ended yet, and how long it is.
    line: Vec<u8>,
    line_bytes: usize,
    /// How many lines were kept of the moment at which the answer before ended, no more than it gave.
    again: usize,
    /// The size of what is kept: of those lines, and of others.
    again_bytes: usize,
    new_bytes: usize,
    found: Found,
}

impl Reader {
    fn new(search: Search, by: Instant) -> Self {
        let (line, found) = (Vec::new(), Found::default());
        Self { search, by, line, line_bytes: 0, again: 0, again_bytes: 0, new_bytes: 0, found }
    }

    fn ended(self, end: End) -> Found {
        Found { end, ..self.found }
    }

    /// Takes the next piece, or at the end none. Tells why no more is to be read, if that is so.
    fn take(&mut self, piece: Option<&[u8]>) -> Option<End> {
        let Some(piece) = piece else {
            return (self.line_bytes > 0).then(|| self.end_line()).flatten();
        };
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = SEARCHED_BYTES.saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(&text[..room]);
            self.line_bytes += text.len();
            if text.len() < part.len()
                && let Some(end) = self.end_line()
            {
                return Some(end);
            }
        }
        None
    }

    fn end_line(&mut self) -> Option<End> {
        let (bytes, length) = (std::mem::take(&mut self.line), std::mem::take(&mut self.line_bytes));
        let whole = String::from_utf8_lossy(&bytes);
        let (at, text) = match whole.split_once(' ').map(|(at, text)| (Moment::read(at), text)) {
            Some((at, text)) if at.time.is_some() => (at, text),
            // What has no time belongs to what is before it.
            _ => (self.found.until.clone().unwrap_or_default(), &*whole),
        };
        self.found.until = Some(at.clone());
        let is_new = self.search.after.as_ref().is_none_or(|after| at >= after.at);
        if is_new && self.search.grep.as_ref().is_none_or(|grep| grep.is_match(text)) {
            let line_bytes = length - (whole.len() - text.len()).min(length);
            self.keep(Line::new(at, text.trim_end_matches('\r'), line_bytes));
        }
        if self.new_bytes > ENOUGH_BYTES || self.again_bytes + self.new_bytes > MOST_BYTES {
            return Some(End::Full);
        }
        (Instant::now() >= self.by).then_some(End::Late)
    }

    fn keep(&mut self, line: Line) {
        let is_again = |after: &Mark| line.at == after.at && self.again < after.given;
        let bytes = line.seconds.len() + line.text.len();
        if self.search.after.as_ref().is_some_and(is_again) {
            self.again += 1;
            self.again_bytes += bytes;
        } else {
            self.new_bytes += bytes;
        }
        self.found.lines.push(line);
    }
}

impl Line {
    fn new(at: Moment, text: &str, line_bytes: usize) -> Self {
        let seconds = at.text.get(..19).unwrap_or_default().to_owned();
        let text = match text.char_indices().nth(LONGEST_LINE_CHARS) {
            Some((end, _)) => format!("{}… ({line_bytes} bytes)", &text[..end]),
            None => text.to_owned(),
        };
        Self { at, seconds, text }
    }
}

impl Moment {
    pub(super) fn read(text: &str) -> Self {
        Self { time: text.parse().ok(), text: text.to_owned() }
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.time == other.time
    }
}

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.time.cmp(&other.time)
    }
}

impl Mark {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (given, at) = text.split_once('@')?;
        Some(Self { at: Moment::read(at), given: given.parse().ok()? })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.given, self.at.text)
    }
}
