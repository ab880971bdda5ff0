//! One stream, cut into lines of the CRI log format.

use jiff::Timestamp;

use super::LONGEST_LINE_BYTES;

/// Cuts one stream into CRI lines.
pub(super) struct Lines {
    stream: &'static str,
    partial: Vec<u8>,
}

impl Lines {
    pub(super) fn new(stream: &'static str) -> Self {
        Self { stream, partial: Vec::new() }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], now: Timestamp, text: &mut Vec<u8>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.part(line, now, text);
            self.write('F', now, text);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.part(bytes, now, text);
    }

    /// More of the current line; writes what is too long to be kept.
    fn part(&mut self, mut bytes: &[u8], now: Timestamp, text: &mut Vec<u8>) {
        while self.partial.len() + bytes.len() > LONGEST_LINE_BYTES {
            let (head, rest) = bytes.split_at(LONGEST_LINE_BYTES - self.partial.len());
            self.partial.extend_from_slice(head);
            self.write('P', now, text);
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
    }

    pub(super) fn end(&mut self, now: Timestamp, text: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.write('F', now, text);
        }
    }

    fn write(&mut self, tag: char, now: Timestamp, text: &mut Vec<u8>) {
        text.extend_from_slice(format!("{now:.9} {} {tag} ", self.stream).as_bytes());
        text.append(&mut self.partial);
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut text) = (Lines::new("stdout"), vec![]);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        chunks.iter().for_each(|chunk| lines.push(chunk, now, &mut text));
        lines.end(now, &mut text);
        let prefix = "2026-01-01T00:00:00.000000000Z stdout ";
        let text = String::from_utf8(text).unwrap();
        text.lines().map(|line| line.strip_prefix(prefix).unwrap().to_owned()).collect()
    }

    #[test]
    fn lines_are_found_across_reads() {
        assert_eq!(texts(&[b"on", b"e\ntwo\n\nth", b"ree"]), ["F one", "F two", "F ", "F three"]);
        assert_eq!(texts(&[]), [""; 0]);
    }

    #[test]
    fn long_lines_are_written_in_parts() {
        let long = vec![b'x'; 2 * LONGEST_LINE_BYTES + 1];
        let parts = texts(&[&long, b"\nshort\n"]);
        let lengths: Vec<(char, usize)> =
            parts.iter().map(|part| (part.chars().next().unwrap(), part.len() - 2)).collect();
        assert_eq!(lengths, [('P', LONGEST_LINE_BYTES), ('P', LONGEST_LINE_BYTES), ('F', 1), ('F', 5)]);
        let exact = vec![b'x'; LONGEST_LINE_BYTES];
        assert_eq!(texts(&[&exact, b"\n"]).len(), 1);
    }
}
