//! The frames of a watch: JSON documents, one a line.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use memchr::memchr;
use orch_api::{Status, WatchEvent, WatchStream};
use serde_json::value::RawValue;

use crate::unreachable;

/// Far more than any server's limit on objects.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// Splits an answer that arrives in arbitrary chunks into events. The objects' bytes are slices of the chunk: nothing is
/// parsed twice, and only what lies across chunks is copied. The first error ends the stream.
pub(crate) fn events<S, E>(body: S, server: Arc<str>) -> WatchStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut lines = Lines::default();
    let chunks = body.map(Some).chain(stream::once(std::future::ready(None)));
    let events = chunks.flat_map(move |chunk| {
        stream::iter(match chunk {
            Some(Ok(chunk)) => lines.complete(chunk),
            Some(Err(error)) => vec![Err(unreachable::cut_off(&server, &error))],
            None => lines.last(),
        })
    });
    until_error(events).boxed()
}

/// Cuts chunks into lines.
#[derive(Default)]
struct Lines {
    /// A line whose end has not arrived.
    begun: BytesMut,
}

impl Lines {
    /// The events that are complete with this chunk.
    fn complete(&mut self, mut chunk: Bytes) -> Vec<Result<WatchEvent, Status>> {
        let mut events = Vec::new();
        while let Some(end) = memchr(b'\n', &chunk) {
            let mut line = chunk.split_to(end + 1);
            if !self.begun.is_empty() {
                self.begun.extend_from_slice(&line);
                line = self.begun.split().freeze();
            }
            events.extend(event(&line));
        }
        self.begun.extend_from_slice(&chunk);
        if self.begun.len() > MAX_FRAME_BYTES {
            let message = format!("the server sent an event of more than {MAX_FRAME_BYTES} bytes");
            events.push(Err(Status::internal(message)));
        }
        events
    }

    /// What stands in the last line, if it had no end.
    fn last(&mut self) -> Vec<Result<WatchEvent, Status>> {
        event(&self.begun.split().freeze()).into_iter().collect()
    }
}

/// The event of a line; none in an empty one.
fn event(line: &Bytes) -> Option<Result<WatchEvent, Status>> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let event = serde_json::from_slice::<WatchEvent<&RawValue>>(line).map_err(|error| {
        if error.is_eof() {
            Status::unavailable("the watch broke off in the middle of an event")
        } else {
            Status::internal(format!("the server sent an event that cannot be read: {error}"))
        }
    });
    Some(event.map(|event| {
        let object = line.slice_ref(event.object.get().as_bytes());
        WatchEvent { event_type: event.event_type, object }
    }))
}

fn until_error<T>(events: impl Stream<Item = Result<T, Status>>) -> impl Stream<Item = Result<T, Status>> {
    events.scan(false, |failed, event| {
        let go_on = !*failed;
        *failed = event.is_err();
        std::future::ready(go_on.then_some(event))
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::TryStreamExt;
    use orch_api::EventType;

    use super::*;

    const TWO: &str = "{\"type\":\"ADDED\",\"object\":{\"a\":\"é\\n\"}}\n{\"type\":\"BOOKMARK\",\"object\":{ \"b\" : 2 }}\n";

    async fn read(chunks: Vec<io::Result<&'static [u8]>>) -> Vec<Result<(EventType, String), Status>> {
        let body = stream::iter(chunks.into_iter().map(|chunk| chunk.map(Bytes::from_static)));
        let text = |object: Bytes| String::from_utf8(object.to_vec()).unwrap();
        events(body, "https://server".into())
            .map_ok(|event| (event.event_type, text(event.object)))
            .collect()
            .await
    }

    #[tokio::test]
    async fn events_are_the_same_however_the_answer_is_cut() {
        let expected = vec![
            Ok((EventType::Added, r#"{"a":"é\n"}"#.to_owned())),
            Ok((EventType::Bookmark, r#"{ "b" : 2 }"#.to_owned())),
        ];
        for size in 1..=TWO.len() {
            assert_eq!(
                read(TWO.as_bytes().chunks(size).map(Ok).collect()).await,
                expected,
                "chunks of {size}"
            );
        }
    }

    #[tokio::test]
    async fn a_watch_that_breaks_off_ends_with_an_error() {
        let (whole, half) = TWO.as_bytes().split_at(TWO.len() - 5);
        assert!(!half.is_empty());
        let events = read(vec![Ok(whole)]).await;
        assert!(events[0].is_ok());
        assert!(events[1].as_ref().unwrap_err().message.contains("middle of an event"), "{events:?}");

        let events = read(vec![Ok(TWO.as_bytes()), Err(io::Error::other("connection reset"))]).await;
        assert_eq!(events.len(), 3);
        assert_eq!(
            events[2].as_ref().unwrap_err().message,
            "the connection to https://server broke off: connection reset"
        );
    }

    #[tokio::test]
    async fn nothing_follows_an_event_that_cannot_be_read() {
        let events = read(vec![Ok(b"nonsense\n"), Ok(TWO.as_bytes())]).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].as_ref().unwrap_err().code, 500);
    }
}
