//! One end of a connection, and its streams.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    Headers, Reset, Violation,
    frame::{Decoder, Encoder, Frame},
    headers::{Compressor, Decompressor},
};

/// Streams open at once; more are refused one by one.
pub const MAX_STREAMS: usize = 512;

const GO_AWAY_PROTOCOL_ERROR: u32 = 1;

/// What a peer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It opened a stream, which is accepted already.
    Opened {
        /// Its number.
        stream: u32,
        /// What the peer says about it.
        headers: Headers,
        /// Nothing will come on it.
        ends: bool,
    },
    /// It accepted a stream of ours.
    Accepted {
        /// Its number.
        stream: u32,
    },
    /// It sent something on a stream.
    Data {
        /// Its number.
        stream: u32,
        /// Some bytes; a frame can come in parts. Empty only at the end.
        data: Bytes,
        /// Nothing more will come on it.
        ends: bool,
    },
    /// It gave up a stream, which is gone.
    Reset {
        /// Its number.
        stream: u32,
        /// Why, in the numbers of [`Reset`].
        status: u32,
    },
    /// It takes no more streams. Those that are open go on.
    GoAway,
}

/// One end of a connection.
pub struct Connection {
    decoder: Decoder,
    encoder: Encoder,
    decompressor: Decompressor,
    compressor: Compressor,
    streams: BTreeMap<u32, Halves>,
    next_own: u32,
    last_of_peer: u32,
    is_over: bool,
}

/// Which directions of a stream have ended.
#[derive(Clone, Copy, Default)]
struct Halves {
    ours: bool,
    peers: bool,
}

impl Connection {
    /// The end that dials. Its streams have odd numbers.
    pub fn client() -> Self {
        Self::new(1)
    }

    /// The end that listens. Its streams have even numbers.
    pub fn server() -> Self {
        Self::new(2)
    }

    fn new(next_own: u32) -> Self {
        Self {
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            decompressor: Decompressor::new(),
            compressor: Compressor::new(),
            streams: BTreeMap::new(),
            next_own,
            last_of_peer: 0,
            is_over: false,
        }
    }

    /// Reads what came, in order, cut anywhere. Take the [`output`](Self::take_output) and send it before reading more.
    ///
    /// Fails when the peer breaks the protocol: the connection is then over, and the output is its last word.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Violation> {
        if self.is_over {
            return Err(Violation::Over);
        }
        self.decoder.push(bytes);
        let mut events = Vec::new();
        let outcome = self.frames(&mut events);
        if outcome.is_err() {
            self.is_over = true;
            self.streams.clear();
            self.decoder = Decoder::default();
            self.encoder.go_away(self.last_of_peer, GO_AWAY_PROTOCOL_ERROR);
        }
        outcome.map(|()| events)
    }

    fn frames(&mut self, events: &mut Vec<Event>) -> Result<(), Violation> {
        while let Some(frame) = self.decoder.next()? {
            events.extend(self.frame(frame)?);
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame) -> Result<Option<Event>, Violation> {
        match frame {
            Frame::SynStream { stream, block, ends } => self.opened(stream, &block, ends),
            Frame::SynReply { stream, block, ends } => {
                self.decompressor.read(&block)?;
                let is_known = self.streams.contains_key(&stream) && self.is_own(stream);
                let ended = self.ended(stream, ends);
                Ok(ended.or_else(|| is_known.then_some(Event::Accepted { stream })))
            }
            Frame::Headers { stream, block, ends } => {
                // They say nothing new, but what comes later is compressed with them.
                self.decompressor.read(&block)?;
                Ok(self.ended(stream, ends))
            }
            Frame::RstStream { stream, status } => {
                Ok(self.streams.remove(&stream).map(|_| Event::Reset { stream, status }))
            }
            Frame::Ping(id) => {
                // The others are answers to our own, and we send none.
                if !self.is_own(id) {
                    self.encoder.ping(id);
                }
                Ok(None)
            }
            Frame::GoAway => Ok(Some(Event::GoAway)),
            Frame::Data { stream, data, begins, ends } => {
                if begins {
                    self.refuse_data(stream);
                }
                Ok(self.data(stream, data, ends))
            }
            Frame::Other => Ok(None),
        }
    }

    fn opened(&mut self, stream: u32, block: &[u8], ends: bool) -> Result<Option<Event>, Violation> {
        let headers = self.decompressor.read(block)?;
        if stream == 0 || self.is_own(stream) || stream <= self.last_of_peer {
            return Err(Violation::StreamNumber(stream));
        }
        self.last_of_peer = stream;
        if self.streams.len() >= MAX_STREAMS {
            self.encoder.rst_stream(stream, Reset::Refused as u32);
            return Ok(None);
        }
        self.streams.insert(stream, Halves { ours: false, peers: ends });
        let block = self.compressor.block(&Headers::default())?;
        self.encoder.syn_reply(stream, &block);
        Ok(Some(Event::Opened { stream, headers, ends }))
    }

    fn data(&mut self, stream: u32, data: Bytes, ends: bool) -> Option<Event> {
        match self.streams.get(&stream) {
            Some(Halves { peers: false, .. }) => {
                if ends {
                    self.end(stream, |halves| &mut halves.peers);
                }
                (ends || !data.is_empty()).then_some(Event::Data { stream, data, ends })
            }
            Some(_) => {
                self.reset(stream, Reset::AlreadyClosed);
                Some(Event::Reset { stream, status: Reset::AlreadyClosed as u32 })
            }
            None => None,
        }
    }

    /// Answers data for a stream that never was. For one that was reset it may just have been on its way.
    fn refuse_data(&mut self, stream: u32) {
        let was_open = stream <= self.last_of_peer || self.is_own(stream) && stream < self.next_own;
        if !was_open {
            self.encoder.rst_stream(stream, Reset::InvalidStream as u32);
        }
    }

    /// The peer's direction has ended with a frame without data.
    fn ended(&mut self, stream: u32, ends: bool) -> Option<Event> {
        let is_open = self.streams.get(&stream).is_some_and(|halves| !halves.peers);
        if !(ends && is_open) {
            return None;
        }
        self.end(stream, |halves| &mut halves.peers);
        Some(Event::Data { stream, data: Bytes::new(), ends: true })
    }

    fn end(&mut self, stream: u32, half: impl FnOnce(&mut Halves) -> &mut bool) {
        let Some(halves) = self.streams.get_mut(&stream) else { return };
        *half(halves) = true;
        if halves.ours && halves.peers {
            self.streams.remove(&stream);
        }
    }

    fn is_own(&self, number: u32) -> bool {
        number % 2 == self.next_own % 2
    }

    /// Opens a stream, and with `ends` sends nothing on it. `None` when there are too many.
    pub fn open(&mut self, headers: &Headers, ends: bool) -> Option<u32> {
        if self.is_over || self.streams.len() >= MAX_STREAMS {
            return None;
        }
        let block = self.compressor.block(headers).ok()?;
        let stream = self.next_own;
        self.next_own = stream.checked_add(2).filter(|next| *next < 1 << 31)?;
        self.streams.insert(stream, Halves { ours: ends, peers: false });
        self.encoder.syn_stream(stream, ends, &block);
        Some(stream)
    }

    /// Sends on a stream; with `ends` for the last time. False if nothing can be sent on it any more.
    pub fn send(&mut self, stream: u32, data: &[u8], ends: bool) -> bool {
        if !self.is_sending(stream) {
            return false;
        }
        self.encoder.data(stream, data, ends);
        if ends {
            self.end(stream, |halves| &mut halves.ours);
        }
        true
    }

    /// Whether something can be sent on the stream.
    pub fn is_sending(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_some_and(|halves| !halves.ours)
    }

    /// Gives up a stream. Nothing happens if it is gone.
    pub fn reset(&mut self, stream: u32, why: Reset) {
        if self.streams.remove(&stream).is_some() {
            self.encoder.rst_stream(stream, why as u32);
        }
    }

    /// What is to be sent to the peer, in order; empty if nothing is.
    pub fn take_output(&mut self) -> Bytes {
        self.encoder.bytes.split().freeze()
    }
}

#[cfg(test)]
mod tests;
