//! From entries of the file to what the reader asked for.

use bytes::{BufMut, Bytes, BytesMut};

use super::{LogOptions, Stream, entry};

/// Turns lines of a log file into output, honouring `sinceTime`, `timestamps`, `stream` and `limitBytes`.
pub(crate) struct Renderer {
    options: LogOptions,
    /// Bytes that may still be sent; `None` is any number.
    left: Option<u64>,
    /// Whether the last entry of each stream left its output line unfinished.
    unfinished: [bool; 2],
}

impl Renderer {
    pub(crate) fn new(options: &LogOptions) -> Self {
        Self { left: options.limit_bytes, options: options.clone(), unfinished: [false; 2] }
    }

    /// No more output will come.
    pub(crate) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// What one line of the file, without its newline, contributes. Lines that are not in CRI format (a torn write) are left out.
    pub(crate) fn line(&mut self, line: &[u8]) -> Bytes {
        let Some(entry) = entry::parse(line) else { return Bytes::new() };
        let goes_on = std::mem::replace(&mut self.unfinished[entry.stream as usize], entry.partial);
        if self.options.since.is_some_and(|since| entry.at < since) || !self.options.wants(entry.stream) {
            return Bytes::new();
        }
        let mut output = BytesMut::with_capacity(entry.text.len() + 40);
        if self.options.timestamps && !goes_on {
            output.put_slice(entry.time.as_bytes());
            output.put_u8(b' ');
        }
        output.put_slice(entry.text);
        if !entry.partial {
            output.put_u8(b'\n');
        }
        self.limit(output)
    }

    fn limit(&mut self, mut output: BytesMut) -> Bytes {
        if let Some(left) = &mut self.left {
            output.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= output.len() as u64;
        }
        output.freeze()
    }
}

impl LogOptions {
    fn wants(&self, stream: Stream) -> bool {
        self.stream.is_none_or(|wanted| wanted == stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[&str] = &[
        "2026-01-31T12:00:00.1Z stdout F one",
        "2026-01-31T12:00:01.1Z stdout P tw",
        "2026-01-31T12:00:01.2Z stderr F err",
        "torn wri",
        "2026-01-31T12:00:01.3Z stdout F o",
    ];

    fn render(options: LogOptions) -> String {
        let mut renderer = Renderer::new(&options);
        let bytes: Vec<u8> = LINES.iter().flat_map(|line| renderer.line(line.as_bytes())).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn options_shape_the_output() {
        let plain = LogOptions::default;
        assert_eq!(render(plain()), "one\ntwerr\no\n");
        assert_eq!(
            render(LogOptions { timestamps: true, stream: Some(Stream::Stdout), ..plain() }),
            "2026-01-31T12:00:00.1Z one\n2026-01-31T12:00:01.1Z two\n"
        );
        assert_eq!(
            render(LogOptions { since: "2026-01-31T12:00:01.2Z".parse().ok(), ..plain() }),
            "err\no\n"
        );
        assert_eq!(render(LogOptions { limit_bytes: Some(5), ..plain() }), "one\nt");
        assert_eq!(render(LogOptions { limit_bytes: Some(0), ..plain() }), "");
    }
}
