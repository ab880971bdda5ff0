//! A request that is refused before its body has been read: the rest of the body is read and forgotten.
//!
//! Dropping it would reset the stream (HTTP/2) or close the connection (HTTP/1.1). The first is allowed to those who have
//! answered, and clients must not mind (RFC 9113, 8.1), but curl before 8 forgets the answer if it is still sending, and other
//! clients do so with larger bodies. The answer does not wait for it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// How much of a body is read for nothing, and how long: what is still sent then is reset.
const MAX_BYTES: usize = 64 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(5);

/// The same body, whose rest is read in the background once nobody wants it any more.
pub(crate) fn finish(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(Unread { rest: Some(body) })
}

/// A body, until its end or its failure has been seen.
struct Unread {
    rest: Option<Body>,
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.rest else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take().filter(|rest| !rest.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(LONGEST, forget(rest)));
        }
    }
}

/// Reads on, up to [`MAX_BYTES`].
async fn forget(mut body: Body) {
    let mut left = MAX_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
