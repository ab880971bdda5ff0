//! Kubernetes' `portforward.k8s.io` over SPDY: for each connection the client opens two streams, one for its bytes and one for what went
//! wrong, which name the port and belong together by their `requestid`.

use std::collections::HashMap;

use bytes::Bytes;
use orch_spdy::{Connection, Event, Headers, Reset};

use super::forward::{Asked, Became, Protocol};

/// A connection has the number of the stream of its bytes.
pub(super) struct Tunnel {
    spdy: Connection,
    /// Streams whose other one did not come yet, by what they have in common.
    single: HashMap<String, Stream>,
    /// The stream of errors of each connection.
    errors: HashMap<u32, u32>,
}

#[derive(Clone, Copy)]
enum Stream {
    Data(u32, u16),
    Error(u32),
}

impl Tunnel {
    pub(super) fn new() -> Self {
        Self { spdy: Connection::server(), single: HashMap::new(), errors: HashMap::new() }
    }

    fn event(&mut self, event: Event) -> Vec<Asked> {
        match event {
            Event::Opened { stream, headers, ends } => {
                let mut asked = self.opened(stream, &headers);
                asked.extend(ends.then_some(Asked::End(stream)));
                asked
            }
            Event::Data { stream, .. } if self.is_single(stream) => {
                // Nobody says anything before the other stream is there, whose errors would be lost.
                self.single.retain(|_, single| single.number() != stream);
                self.spdy.reset(stream, Reset::ProtocolError);
                Vec::new()
            }
            Event::Data { stream, data, ends } => {
                let sent = (!data.is_empty()).then_some(Asked::Send(stream, data));
                sent.into_iter().chain(ends.then_some(Asked::End(stream))).collect()
            }
            Event::Reset { stream, .. } => {
                self.single.retain(|_, single| single.number() != stream);
                if let Some(errors) = self.errors.remove(&stream) {
                    self.spdy.send(errors, &[], true);
                }
                vec![Asked::Abort(stream)]
            }
            Event::Accepted { .. } | Event::GoAway => Vec::new(),
        }
    }

    fn is_single(&self, stream: u32) -> bool {
        self.single.values().any(|single| matches!(single, Stream::Data(number, _) if *number == stream))
    }

    /// Connects once both streams are there. Streams that say nothing sensible are reset.
    fn opened(&mut self, number: u32, headers: &Headers) -> Vec<Asked> {
        let port = headers.get("port").and_then(|port| port.parse().ok()).filter(|port| *port > 0);
        let (stream, first) = match (headers.get("streamtype"), port) {
            (Some("error"), Some(_)) => (Stream::Error(number), number),
            // Old clients give no number to what belongs together, but open one after the other.
            (Some("data"), Some(port)) => (Stream::Data(number, port), number.saturating_sub(2)),
            _ => {
                self.spdy.reset(number, Reset::ProtocolError);
                return Vec::new();
            }
        };
        let id = headers.get("requestid").map_or_else(|| format!("stream {first}"), str::to_owned);
        match (self.single.remove(&id), stream) {
            (Some(Stream::Data(data, port)), Stream::Error(error))
            | (Some(Stream::Error(error)), Stream::Data(data, port)) => {
                self.errors.insert(data, error);
                vec![Asked::Connect(data, port)]
            }
            (Some(earlier), _) => {
                self.spdy.reset(number, Reset::ProtocolError);
                self.single.insert(id, earlier);
                Vec::new()
            }
            (None, stream) => {
                self.single.insert(id, stream);
                Vec::new()
            }
        }
    }

    /// The connection is over, with an error or without.
    fn finish(&mut self, number: u32, why: &str) {
        if let Some(errors) = self.errors.remove(&number) {
            self.spdy.send(errors, why.as_bytes(), true);
        }
    }
}

impl Stream {
    fn number(self) -> u32 {
        match self {
            Self::Data(number, _) | Self::Error(number) => number,
        }
    }
}

impl Protocol for Tunnel {
    fn read(&mut self, message: &[u8]) -> Option<Vec<Asked>> {
        let events = self.spdy.receive(message).inspect_err(|violation| {
            tracing::debug!(%violation, "a client broke the protocol of forwarded ports");
        });
        Some(events.ok()?.into_iter().flat_map(|event| self.event(event)).collect())
    }

    fn tell(&mut self, number: u32, became: Became) {
        match became {
            Became::Data(bytes) => drop(self.spdy.send(number, &bytes, false)),
            Became::Ended => drop(self.spdy.send(number, &[], true)),
            Became::Done => self.finish(number, ""),
            Became::Failed(why) => {
                self.finish(number, &why);
                self.spdy.send(number, &[], true);
            }
            Became::Broken => {
                self.spdy.reset(number, Reset::InternalError);
                self.finish(number, "");
            }
        }
    }

    fn output(&mut self) -> Option<Bytes> {
        Some(self.spdy.take_output()).filter(|output| !output.is_empty())
    }

    fn is_over(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client, and the server that it speaks to.
    struct Pair {
        client: Connection,
        tunnel: Tunnel,
    }

    impl Pair {
        fn new() -> Self {
            Self { client: Connection::client(), tunnel: Tunnel::new() }
        }

        fn open(&mut self, kind: &str, port: &str, id: Option<&str>) -> u32 {
            let mut headers = Headers::from([("streamtype", kind), ("port", port)]);
            headers.0.extend(id.map(|id| ("requestid".to_owned(), id.to_owned())));
            self.client.open(&headers, kind == "error").unwrap()
        }

        fn asked(&mut self) -> Vec<Asked> {
            self.tunnel.read(&self.client.take_output()).unwrap()
        }

        /// What the client is told, but that its streams are accepted.
        fn told(&mut self) -> Vec<Event> {
            let events = self.client.receive(&self.tunnel.output().unwrap_or_default()).unwrap();
            events.into_iter().filter(|event| !matches!(event, Event::Accepted { .. })).collect()
        }
    }

    fn data(stream: u32, data: &str, ends: bool) -> Event {
        Event::Data { stream, data: data.to_owned().into(), ends }
    }

    #[test]
    fn two_streams_are_one_connection_whichever_came_first() {
        let mut pair = Pair::new();
        for (first, second) in [("error", "data"), ("data", "error")] {
            let streams = [first, second].map(|kind| pair.open(kind, "80", Some("7")));
            let data = streams[usize::from(first == "error")];
            let asked = pair.asked();
            assert!(asked.contains(&Asked::Connect(data, 80)), "{asked:?}");
            pair.tunnel.tell(data, Became::Done);
        }
        pair.open("error", "81", None);
        let stream = pair.open("data", "81", None);
        assert!(pair.asked().contains(&Asked::Connect(stream, 81)));
    }

    #[test]
    fn bytes_ends_and_failures_go_to_their_streams() {
        let mut pair = Pair::new();
        let (error, stream) = (pair.open("error", "80", Some("0")), pair.open("data", "80", Some("0")));
        pair.client.send(stream, b"question", true);
        let sent = [Asked::Send(stream, "question".into()), Asked::End(stream)];
        assert!(pair.asked().ends_with(&sent));
        pair.tunnel.tell(stream, Became::Data("answer".into()));
        pair.tunnel.tell(stream, Became::Ended);
        pair.tunnel.tell(stream, Became::Done);
        assert_eq!(
            pair.told(),
            [data(stream, "answer", false), data(stream, "", true), data(error, "", true)]
        );

        let (error, stream) = (pair.open("error", "80", Some("1")), pair.open("data", "80", Some("1")));
        pair.asked();
        pair.tunnel.tell(stream, Became::Failed("refused".into()));
        assert_eq!(pair.told(), [data(error, "refused", true), data(stream, "", true)]);
    }

    #[test]
    fn what_the_client_gives_up_is_forgotten_and_what_breaks_is_reset() {
        let mut pair = Pair::new();
        let (error, stream) = (pair.open("error", "80", Some("0")), pair.open("data", "80", Some("0")));
        pair.asked();
        pair.client.reset(stream, Reset::Cancel);
        assert_eq!(pair.asked(), [Asked::Abort(stream)]);
        assert_eq!(pair.told(), [data(error, "", true)]);

        let (error, stream) = (pair.open("error", "80", Some("1")), pair.open("data", "80", Some("1")));
        pair.asked();
        pair.tunnel.tell(stream, Became::Broken);
        assert_eq!(pair.told(), [Event::Reset { stream, status: 6 }, data(error, "", true)]);
    }

    #[test]
    fn streams_that_make_no_sense_are_reset_alone() {
        let mut pair = Pair::new();
        let odd = [
            pair.open("data", "0", Some("0")),
            pair.open("data", "x", Some("1")),
            pair.open("odd", "1", None),
        ];
        let first = pair.open("data", "80", Some("2"));
        let again = pair.open("data", "80", Some("2"));
        assert_eq!(pair.asked(), []);
        let reset = odd.iter().chain([&again]).map(|stream| Event::Reset { stream: *stream, status: 1 });
        assert_eq!(pair.told(), reset.collect::<Vec<_>>());
        pair.open("error", "80", Some("2"));
        assert!(pair.asked().contains(&Asked::Connect(first, 80)));
        assert_eq!(pair.tunnel.read(&[0x80, 2, 0, 1, 0, 0, 0, 0]), None);
    }
}
