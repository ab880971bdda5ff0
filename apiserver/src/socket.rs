//! Watches over a WebSocket, for browsers: each event is one text message.

use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, ws};
use axum::response::IntoResponse as _;
use futures::{StreamExt as _, pin_mut};
use http::request::Parts;
use http::{HeaderMap, Response, header};
use orch_api::Status;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::registry::Watch;
use crate::respond::{Wish, events};

/// The largest message taken from a watcher, who has nothing to say.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// A watcher that takes no message for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// The upgrade that a request asks for, if it does.
///
/// # Errors
/// 400 if the handshake is malformed.
pub(crate) async fn upgrade(parts: &mut Parts) -> Result<Option<WebSocketUpgrade>, Status> {
    if !is_asked_for(&parts.headers) {
        return Ok(None);
    }
    match WebSocketUpgrade::from_request_parts(parts, &()).await {
        Ok(upgrade) => Ok(Some(upgrade)),
        Err(rejection) => Err(Status::bad_request(format!("websocket: {rejection}"))),
    }
}

fn is_asked_for(headers: &HeaderMap) -> bool {
    let has = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

/// Sends a watch's events until it ends, the client goes, or the server stops.
pub(crate) fn watch(
    upgrade: WebSocketUpgrade,
    watch: Watch,
    wish: Wish,
    stopping: &CancellationToken,
) -> Response<Body> {
    let events = events(watch, wish, stopping);
    upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(async move |mut socket| {
            pin_mut!(events);
            while let Some(batch) = tokio::select! {
                batch = events.next() => batch,
                () = gone(&mut socket) => return,
            } {
                for line in batch {
                    let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                    if !taken(&mut socket, Message::Text(text.into())).await {
                        return;
                    }
                }
            }
            let close = ws::CloseFrame { code: ws::close_code::NORMAL, reason: "".into() };
            taken(&mut socket, Message::Close(Some(close))).await;
        })
        .into_response()
}

/// Whether the client has taken a message, in time. Nothing is sent to one that has not: the watch would outlive its end.
async fn taken(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(PATIENCE, socket.send(message)).await, Ok(Ok(())))
}

/// Completes when the client has closed the socket; what it says otherwise is ignored.
async fn gone(socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}
