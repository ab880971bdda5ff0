//! SPDY/3.1, as far as Kubernetes' clients speak it: many streams over one connection.
//!
//! Kubernetes forwards ports in it, today inside the messages of a WebSocket (`SPDY/3.1+portforward.k8s.io`), before that on an
//! upgraded connection. A [`Connection`] is one end of it, either one, and does no I/O: bytes go in, [`Event`]s and bytes come
//! out.
//!
//! It deliberately knows nothing of HTTP, pushes nothing, has no priorities, and takes no part in SPDY's flow control, because the
//! implementation on the other side, `moby/spdystream`, does not: it neither sends WINDOW_UPDATE nor waits for it. What is
//! sent too fast is held back by the connection below.
//!
//! # Invariants
//!
//! - **Whatever comes, nothing panics.** What breaks the protocol ends this connection with a GOAWAY, and nothing else.
//! - **Memory is bounded**: by [`MAX_CONTROL_BYTES`] for what is read, [`MAX_STREAMS`] for what is remembered, and a small
//!   multiple of what came in for what is answered. Data is handed on as it comes and never gathered.
//!
//! # Where to start
//!
//! `connection.rs`, then `frame.rs`. The protocol is at <https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/>.
#![deny(missing_docs)]

mod connection;
mod dictionary;
mod frame;
mod headers;

pub use connection::{Connection, Event, MAX_STREAMS};
pub use frame::{MAX_CONTROL_BYTES, Violation};
pub use headers::Headers;

/// Why a stream is reset, in the numbers of RST_STREAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names that the protocol gives them")]
#[repr(u32)]
pub enum Reset {
    ProtocolError = 1,
    InvalidStream = 2,
    Refused = 3,
    Cancel = 5,
    InternalError = 6,
    AlreadyClosed = 9,
}
