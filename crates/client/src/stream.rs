//! The frames of a watch: JSON documents, one a line.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use orch_api::{Status, WatchEvent, WatchStream};
use serde_json::value::RawValue;
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};
use tokio_util::io::StreamReader;

use crate::unreachable;

/// Far more than any server's limit on objects.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// Splits an answer that arrives in arbitrary chunks into events. The objects' bytes are slices of the frame: nothing is
/// parsed twice or copied. The first error ends the stream.
pub(crate) fn events<S, E>(body: S, server: Arc<str>) -> WatchStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let codec = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), Vec::new(), MAX_FRAME_BYTES);
    let frames = FramedRead::new(StreamReader::new(body.map_err(io::Error::other).boxed()), codec);
    let events = frames
        .map(move |frame| match frame {
            Ok(frame) if frame.iter().all(u8::is_ascii_whitespace) => None,
            Ok(frame) => Some(event(&frame)),
            Err(AnyDelimiterCodecError::Io(error)) => Some(Err(unreachable::cut_off(&server, &error))),
            Err(AnyDelimiterCodecError::MaxChunkLengthExceeded) => Some(Err(Status::internal(format!(
                "the server sent an event of more than {MAX_FRAME_BYTES} bytes"
            )))),
        })
        .filter_map(std::future::ready);
    until_error(events).boxed()
}

fn event(frame: &Bytes) -> Result<WatchEvent, Status> {
    let event: WatchEvent<&RawValue> = serde_json::from_slice(frame).map_err(|error| {
        if error.is_eof() {
            Status::unavailable("the watch broke off in the middle of an event")
        } else {
            Status::internal(format!("the server sent an event that cannot be read: {error}"))
        }
    })?;
    Ok(WatchEvent { event_type: event.event_type, object: frame.slice_ref(event.object.get().as_bytes()) })
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
    use futures::stream;
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
