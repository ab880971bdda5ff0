//! Lines of log files in CRI format: `<RFC 3339 time> stdout|stderr F|P <text>`.

use jiff::Timestamp;

/// One line of the file: a line of output, or a part of one that was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// When it was written, as in the file.
    pub(crate) time: &'a str,
    /// The same moment.
    pub(crate) at: Timestamp,
    /// Which of the two streams.
    pub(crate) stream: Stream,
    /// The output line goes on in the next entry of this stream.
    pub(crate) partial: bool,
    /// What was written, without a newline.
    pub(crate) text: &'a [u8],
}

/// Where output was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Reads one line without its newline. `None` if it is not in CRI format.
pub(crate) fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    // More tags may follow the first one, separated by colons.
    let partial = match parts.next()?.split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Entry { time, at: time.parse().ok()?, stream, partial, text: parts.next().unwrap_or_default() })
}

/// Whether the line (without its newline) ends a line of output; used to count lines without reading them.
pub(crate) fn is_full(line: &[u8]) -> bool {
    parse(line).is_some_and(|entry| !entry.partial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read() {
        let entry = parse(b"2026-01-31T12:00:00.123456789Z stderr F hello  world ").unwrap();
        assert_eq!((entry.stream, entry.partial, entry.text), (Stream::Stderr, false, &b"hello  world "[..]));
        assert_eq!(entry.at.subsec_nanosecond(), 123_456_789);
        assert!(parse(b"2026-01-31T12:00:00Z stdout P:x part").unwrap().partial);
        assert_eq!(parse(b"2026-01-31T12:00:00+01:00 stdout F ").unwrap().text, b"");
    }

    #[test]
    fn other_lines_are_not_entries() {
        for line in ["", "hello", "2026-01-31T12:00:00Z", "x stdout F a", "2026-01-31T12:00:00Z stdin F a"] {
            assert_eq!(parse(line.as_bytes()), None, "{line:?}");
        }
    }
}
