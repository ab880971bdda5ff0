//! Frames: what goes over the wire.

use bytes::{Buf as _, Bytes, BytesMut};

const VERSION: u16 = 3;
const CONTROL: u32 = 1 << 31;
const HEADER_BYTES: usize = 8;
const FIN: u8 = 1;
/// What a length can say.
const MAX_DATA_BYTES: usize = (1 << 24) - 1;

/// Longest control frame that is read, and the most that its headers may unpack to.
pub const MAX_CONTROL_BYTES: usize = 16 << 10;

/// How a peer broke the protocol. The connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Another version of the protocol.
    #[error("a frame of SPDY version {0}")]
    Version(u16),
    /// A control frame that is longer than any need be.
    #[error("a control frame of {0} bytes")]
    TooLong(usize),
    /// A frame whose length does not fit its type.
    #[error("a frame of type {0} with a wrong length")]
    Length(u16),
    /// Headers that cannot be read.
    #[error("headers that cannot be read")]
    Headers,
    /// A stream whose number is not the peer's to give, or was given before.
    #[error("a stream with the number {0}")]
    StreamNumber(u32),
    /// It was over before.
    #[error("the connection is over")]
    Over,
}

/// A frame that came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    SynStream {
        stream: u32,
        block: Bytes,
        ends: bool,
    },
    SynReply {
        stream: u32,
        block: Bytes,
        ends: bool,
    },
    Headers {
        stream: u32,
        block: Bytes,
        ends: bool,
    },
    RstStream {
        stream: u32,
        status: u32,
    },
    Ping(u32),
    GoAway,
    /// What there was of a data frame, perhaps nothing; `begins` with its first part and `ends` with its last.
    Data {
        stream: u32,
        data: Bytes,
        begins: bool,
        ends: bool,
    },
    /// Of no consequence here: SETTINGS, WINDOW_UPDATE, types of later versions.
    Other,
}

/// Cuts bytes into frames.
#[derive(Default)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    /// The data frame that is coming in: its stream, what is left of it, and whether it is the last.
    in_data: Option<(u32, usize, bool)>,
}

impl Decoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, or `None` until there is more.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Violation> {
        if let Some((stream, left, fin)) = self.in_data {
            let is_waiting = self.buffer.is_empty();
            return Ok((!is_waiting).then(|| self.data(stream, left, fin, false)));
        }
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let mut header = header.as_slice();
        let (word, flags_and_length) = (header.get_u32(), header.get_u32());
        let flags = flags_and_length.to_be_bytes()[0];
        let length = (flags_and_length & 0x00ff_ffff) as usize;
        if word & CONTROL == 0 {
            self.buffer.advance(HEADER_BYTES);
            return Ok(Some(self.data(word, length, flags & FIN != 0, true)));
        }
        let [high, low, type_high, type_low] = word.to_be_bytes();
        let version = u16::from_be_bytes([high & 0x7f, low]);
        if version != VERSION {
            return Err(Violation::Version(version));
        }
        if length > MAX_CONTROL_BYTES {
            return Err(Violation::TooLong(length));
        }
        if self.buffer.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let body = self.buffer.split_to(length).freeze();
        control(u16::from_be_bytes([type_high, type_low]), flags & FIN != 0, body).map(Some)
    }

    fn data(&mut self, stream: u32, left: usize, fin: bool, begins: bool) -> Frame {
        let data = self.buffer.split_to(left.min(self.buffer.len())).freeze();
        let left = left - data.len();
        self.in_data = (left > 0).then_some((stream, left, fin));
        Frame::Data { stream, data, begins, ends: fin && left == 0 }
    }

    /// How much waits for the rest of its frame.
    #[cfg(test)]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.buffer.len()
    }
}

fn control(kind: u16, ends: bool, mut body: Bytes) -> Result<Frame, Violation> {
    let at_least = match kind {
        1 => 10,
        2 | 4 | 6 | 8 => 4,
        3 | 7 | 9 => 8,
        _ => 0,
    };
    let is_exact = matches!(kind, 3 | 6 | 7 | 9);
    if body.len() < at_least || is_exact && body.len() != at_least {
        return Err(Violation::Length(kind));
    }
    let stream = if at_least > 0 { body.get_u32() } else { 0 };
    let number = stream & !CONTROL;
    Ok(match kind {
        1 => {
            // The stream that it belongs to, its priority and its credentials' slot.
            body.advance(6);
            Frame::SynStream { stream: number, block: body, ends }
        }
        2 => Frame::SynReply { stream: number, block: body, ends },
        3 => Frame::RstStream { stream: number, status: body.get_u32() },
        4 if body.len() as u64 != u64::from(stream) * 8 => return Err(Violation::Length(kind)),
        6 => Frame::Ping(stream),
        7 => Frame::GoAway,
        8 => Frame::Headers { stream: number, block: body, ends },
        _ => Frame::Other,
    })
}

/// Frames that go out.
#[derive(Default)]
pub(crate) struct Encoder {
    pub(crate) bytes: BytesMut,
}

impl Encoder {
    fn control(&mut self, kind: u16, ends: bool, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let word = CONTROL | u32::from(VERSION) << 16 | u32::from(kind);
        self.bytes.extend_from_slice(&word.to_be_bytes());
        self.flags_and_length(ends, length);
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }

    fn flags_and_length(&mut self, ends: bool, length: usize) {
        // No caller sends more than a length can say.
        let length = u32::try_from(length.min(MAX_DATA_BYTES)).unwrap_or_default();
        let flags = u32::from(if ends { FIN } else { 0 }) << 24;
        self.bytes.extend_from_slice(&(flags | length).to_be_bytes());
    }

    pub(crate) fn syn_stream(&mut self, stream: u32, ends: bool, block: &[u8]) {
        self.control(1, ends, &[&stream.to_be_bytes(), &[0; 6], block]);
    }

    pub(crate) fn syn_reply(&mut self, stream: u32, block: &[u8]) {
        self.control(2, false, &[&stream.to_be_bytes(), block]);
    }

    pub(crate) fn rst_stream(&mut self, stream: u32, status: u32) {
        self.control(3, false, &[&stream.to_be_bytes(), &status.to_be_bytes()]);
    }

    pub(crate) fn ping(&mut self, id: u32) {
        self.control(6, false, &[&id.to_be_bytes()]);
    }

    pub(crate) fn go_away(&mut self, last_stream: u32, status: u32) {
        self.control(7, false, &[&last_stream.to_be_bytes(), &status.to_be_bytes()]);
    }

    /// As many frames as it takes.
    pub(crate) fn data(&mut self, stream: u32, data: &[u8], ends: bool) {
        let mut chunks = data.chunks(MAX_DATA_BYTES).peekable();
        if chunks.peek().is_none() {
            self.bytes.extend_from_slice(&stream.to_be_bytes());
            self.flags_and_length(ends, 0);
        }
        while let Some(chunk) = chunks.next() {
            self.bytes.extend_from_slice(&stream.to_be_bytes());
            self.flags_and_length(ends && chunks.peek().is_none(), chunk.len());
            self.bytes.extend_from_slice(chunk);
        }
    }
}
