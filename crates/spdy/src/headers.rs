//! Blocks of headers: names and values, compressed over the whole connection, so that each must be read in order.

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateError, InflateFlush, Status};

use crate::{Violation, dictionary, frame::MAX_CONTROL_BYTES};

/// Enough for the dictionary, and a sixteenth of the memory of the largest.
const WINDOW_BITS: u8 = 11;
const LEVEL: i32 = 6;
/// What a flush may add to a block.
const FLUSH_BYTES: usize = 64;

/// Names, in lower case, and values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of this name, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn read(mut block: &[u8]) -> Result<Self, Violation> {
        let count = number(&mut block)?;
        let mut headers = Vec::new();
        for _ in 0..count {
            // Go's clients send names as they were set, `streamType`; names are the same in any case.
            let name = text(&mut block)?.to_ascii_lowercase();
            headers.push((name, text(&mut block)?));
        }
        Ok(Self(headers))
    }

    fn write(&self) -> Vec<u8> {
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        let mut block = length(self.0.len()).to_vec();
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&length(text.len()));
            block.extend_from_slice(text.as_bytes());
        }
        block
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Headers {
    fn from(headers: [(&str, &str); N]) -> Self {
        Self(headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

fn number(block: &mut &[u8]) -> Result<u32, Violation> {
    let (number, rest) = block.split_first_chunk().ok_or(Violation::Headers)?;
    *block = rest;
    Ok(u32::from_be_bytes(*number))
}

fn text(block: &mut &[u8]) -> Result<String, Violation> {
    let length = usize::try_from(number(block)?).map_err(|_| Violation::Headers)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Violation::Headers)?;
    *block = rest;
    String::from_utf8(text.to_vec()).map_err(|_| Violation::Headers)
}

/// Makes the blocks of one direction.
pub(crate) struct Compressor(Option<Deflate>);

impl Compressor {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    /// The next block.
    pub(crate) fn block(&mut self, headers: &Headers) -> Result<Vec<u8>, Violation> {
        let deflate = match &mut self.0 {
            Some(deflate) => deflate,
            unused => {
                let mut deflate = Deflate::new(LEVEL, true, WINDOW_BITS);
                deflate.set_dictionary(&dictionary::bytes()).map_err(|_| Violation::Headers)?;
                unused.insert(deflate)
            }
        };
        let plain = headers.write();
        let mut block = vec![0; plain.len() + plain.len() / 8 + FLUSH_BYTES];
        let (before_in, before_out) = (deflate.total_in(), deflate.total_out());
        deflate.compress(&plain, &mut block, DeflateFlush::SyncFlush).map_err(|_| Violation::Headers)?;
        if deflate.total_in() - before_in != plain.len() as u64 {
            return Err(Violation::Headers);
        }
        block.truncate(usize::try_from(deflate.total_out() - before_out).unwrap_or_default());
        Ok(block)
    }
}

/// Reads the blocks of one direction.
pub(crate) struct Decompressor(Option<Inflate>);

impl Decompressor {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    /// The headers of the next block. At most [`MAX_CONTROL_BYTES`] come out of it.
    pub(crate) fn read(&mut self, mut block: &[u8]) -> Result<Headers, Violation> {
        let inflate = self.0.get_or_insert_with(|| Inflate::new(true, 15));
        let mut plain = vec![0; MAX_CONTROL_BYTES];
        let mut length = 0;
        while !block.is_empty() {
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let room = plain.get_mut(length..).unwrap_or_default();
            let outcome = inflate.decompress(block, room, InflateFlush::SyncFlush);
            let read = usize::try_from(inflate.total_in() - before_in).unwrap_or(usize::MAX);
            let written = usize::try_from(inflate.total_out() - before_out).unwrap_or(usize::MAX);
            block = block.get(read..).unwrap_or_default();
            length += written;
            match outcome {
                Ok(Status::Ok) if read + written > 0 => {}
                Err(InflateError::NeedDict { dict_id: dictionary::ID }) => {
                    inflate.set_dictionary(&dictionary::bytes()).map_err(|_| Violation::Headers)?;
                }
                // Too much, at its end, or damaged.
                _ => return Err(Violation::Headers),
            }
        }
        Headers::read(plain.get(..length).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_they_were_written_and_repetition_is_cheap() {
        let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
        let headers = Headers::from([("streamtype", "error"), ("port", "8080"), ("requestid", "0")]);
        let first = compressor.block(&headers).unwrap();
        let again = compressor.block(&headers).unwrap();
        assert!(again.len() < first.len() / 2, "{} {}", first.len(), again.len());
        assert_eq!(decompressor.read(&first).unwrap(), headers);
        assert_eq!(decompressor.read(&again).unwrap(), headers);
        let none = compressor.block(&Headers::default()).unwrap();
        assert_eq!(decompressor.read(&none).unwrap(), Headers::default());
    }

    #[test]
    fn a_block_that_unpacks_to_too_much_is_refused() {
        let mut compressor = Compressor::new();
        let large = Headers(vec![("a".into(), "x".repeat(MAX_CONTROL_BYTES))]);
        let block = compressor.block(&large).unwrap();
        assert!(block.len() < 1000);
        assert_eq!(Decompressor::new().read(&block), Err(Violation::Headers));
    }
}
