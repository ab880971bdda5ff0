//! Kubernetes' channel protocol: the ports are named in the query, and each has two channels, 2n for its bytes and 2n + 1 for what went
//! wrong. Each channel begins with a message that names the port again. There is one connection to each port, and no end of
//! one direction alone.

use std::collections::VecDeque;

use bytes::Bytes;
use orch_api::Status;

use super::forward::{Asked, Became, Protocol};

/// What one byte can number, two by two.
const MOST_PORTS: usize = 127;

#[derive(Debug)]
pub(super) struct Channels {
    ports: Vec<u16>,
    /// Which of them have ended.
    ended: Vec<bool>,
    is_begun: bool,
    output: VecDeque<Bytes>,
}

impl Channels {
    /// Reads the ports from the query, where they are separated by commas or given one by one.
    pub(super) fn new(query: &[(String, String)]) -> Result<Self, Status> {
        let asked = query.iter().filter(|(name, _)| name == "ports").flat_map(|(_, ports)| ports.split(','));
        let mut ports = Vec::new();
        for text in asked.filter(|text| !text.is_empty()) {
            let port = text.trim().parse().ok().filter(|port| *port > 0);
            ports.push(port.ok_or_else(|| Status::bad_request(format!("{text:?} is not a port")))?);
        }
        match ports.len() {
            0 => Err(Status::bad_request("query parameter \"ports\" is required")),
            1..=MOST_PORTS => {
                let ended = vec![false; ports.len()];
                Ok(Self { ports, ended, is_begun: false, output: VecDeque::new() })
            }
            _ => Err(Status::bad_request(format!("at most {MOST_PORTS} ports can be forwarded at once"))),
        }
    }

    /// A message of a connection's channel; `offset` 0 is its bytes, 1 its errors.
    fn say(&mut self, number: u32, offset: u8, bytes: &[u8]) {
        let channel = u8::try_from(number * 2).unwrap_or_default() + offset;
        self.output.push_back([&[channel], bytes].concat().into());
    }

    fn end(&mut self, number: u32) {
        if let Some(ended) = usize::try_from(number).ok().and_then(|number| self.ended.get_mut(number)) {
            *ended = true;
        }
    }
}

impl Protocol for Channels {
    fn read(&mut self, message: &[u8]) -> Option<Vec<Asked>> {
        if !self.is_begun {
            self.is_begun = true;
            let ports = self.ports.clone();
            let numbered = (0..).zip(ports);
            let asked = numbered.map(|(number, port)| {
                self.say(number, 0, &port.to_le_bytes());
                self.say(number, 1, &port.to_le_bytes());
                Asked::Connect(number, port)
            });
            return Some(asked.collect());
        }
        Some(match message {
            [channel, bytes @ ..] if channel % 2 == 0 && !bytes.is_empty() => {
                vec![Asked::Send(u32::from(channel / 2), Bytes::copy_from_slice(bytes))]
            }
            // On the other channels clients have nothing to say.
            _ => Vec::new(),
        })
    }

    fn tell(&mut self, number: u32, became: Became) {
        match became {
            Became::Data(bytes) => self.say(number, 0, &bytes),
            Became::Failed(why) => {
                self.say(number, 1, why.as_bytes());
                self.end(number);
            }
            Became::Ended | Became::Done | Became::Broken => self.end(number),
        }
    }

    fn output(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    fn is_over(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(query: &[&str]) -> Result<Channels, Status> {
        let query: Vec<_> = query.iter().map(|ports| ("ports".to_owned(), (*ports).to_owned())).collect();
        Channels::new(&query)
    }

    fn said(channels: &mut Channels) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| channels.output()).map(|message| message.to_vec()).collect()
    }

    #[test]
    fn ports_are_named_in_the_query_and_again_on_their_channels() {
        let mut channels = channels(&["80,8080", "443"]).unwrap();
        let asked = channels.read(&[]).unwrap();
        assert_eq!(asked, [Asked::Connect(0, 80), Asked::Connect(1, 8080), Asked::Connect(2, 443)]);
        let expected: [&[u8]; 6] =
            [&[0, 80, 0], &[1, 80, 0], &[2, 0x90, 0x1f], &[3, 0x90, 0x1f], &[4, 0xbb, 1], &[5, 0xbb, 1]];
        assert_eq!(said(&mut channels), expected);
    }

    #[test]
    fn bytes_and_failures_have_channels_of_their_own_and_the_last_end_is_the_end() {
        let mut channels = channels(&["80,81"]).unwrap();
        channels.read(&[]);
        said(&mut channels);
        let sent = Asked::Send(1, Bytes::from_static(b"hi"));
        assert_eq!(channels.read(b"\x02hi").unwrap(), [sent]);
        assert_eq!(channels.read(b"\x03hi").unwrap(), []);
        channels.tell(1, Became::Data(Bytes::from_static(b"ho")));
        channels.tell(0, Became::Failed("no".into()));
        assert_eq!(said(&mut channels), [b"\x02ho", b"\x01no"]);
        assert!(!channels.is_over());
        channels.tell(1, Became::Ended);
        assert!(channels.is_over());
    }

    #[test]
    fn queries_without_a_port_are_refused() {
        for (query, message) in [
            (&[][..], "query parameter \"ports\" is required"),
            (&[""], "query parameter \"ports\" is required"),
            (&["0"], "\"0\" is not a port"),
            (&["80,http"], "\"http\" is not a port"),
        ] {
            let refused = channels(query).unwrap_err();
            assert_eq!((refused.code, refused.message.as_str()), (400, message));
        }
        assert_eq!(channels(&["1,"; 128]).unwrap_err().code, 400);
    }
}
