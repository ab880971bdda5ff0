//! Kubernetes' channel protocol: the first byte of each WebSocket message says which stream it belongs to.

use orch_api::{Status, StatusCause, StatusDetails};
use orch_runtime::TerminalSize;
use serde::Deserialize;

pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
/// How it ended, as a `Status`.
pub(super) const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// Version 5 only: ends the stream that the second byte names.
const CLOSE: u8 = 255;

/// The versions served, the best one first.
pub(super) const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input<'a> {
    Stdin(&'a [u8]),
    EndOfStdin,
    Resize(TerminalSize),
    /// Not understood, and of no consequence.
    Other,
}

pub(super) fn read(message: &[u8]) -> Input<'_> {
    match message {
        [STDIN, data @ ..] => Input::Stdin(data),
        [RESIZE, size @ ..] => serde_json::from_slice(size).map_or(Input::Other, |size: Size| {
            Input::Resize(TerminalSize { columns: size.width, rows: size.height })
        }),
        [CLOSE, STDIN] => Input::EndOfStdin,
        _ => Input::Other,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// A message of one of the server's streams.
pub(super) fn message(channel: u8, data: &[u8]) -> Vec<u8> {
    [&[channel], data].concat()
}

/// What the client learns when the process has ended.
pub(super) fn ended(exit_code: i32) -> Vec<u8> {
    if exit_code == 0 {
        return message(ERROR, br#"{"metadata":{},"status":"Success"}"#);
    }
    let cause =
        StatusCause { reason: "ExitCode".into(), message: exit_code.to_string(), ..StatusCause::default() };
    let details = StatusDetails { causes: vec![cause], ..StatusDetails::default() };
    let text = format!("command terminated with non-zero exit code: exit code {exit_code}");
    let reason = orch_api::Reason::Other("NonZeroExitCode".into());
    failed(&Status::failure(reason, text).about(details))
}

/// What the client learns when there is no exit code.
pub(super) fn failed(status: &Status) -> Vec<u8> {
    message(ERROR, &serde_json::to_vec(status).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read() {
        assert_eq!(read(b"\x00hello"), Input::Stdin(b"hello"));
        assert_eq!(read(b"\x00"), Input::Stdin(b""));
        assert_eq!(read(b"\xff\x00"), Input::EndOfStdin);
        let size = TerminalSize { columns: 120, rows: 40 };
        assert_eq!(read(b"\x04{\"Width\":120,\"Height\":40}"), Input::Resize(size));
        for other in [&b""[..], b"\x04nonsense", b"\x01x", b"\xff\x01", b"\x07"] {
            assert_eq!(read(other), Input::Other, "{other:?}");
        }
    }

    #[test]
    fn an_exit_code_travels_as_a_cause() {
        let message = ended(3);
        let status: Status = serde_json::from_slice(&message[1..]).unwrap();
        let cause = &status.details.unwrap().causes[0];
        assert_eq!((cause.reason.as_str(), cause.message.as_str()), ("ExitCode", "3"));
        assert_eq!(ended(0)[0], ERROR);
    }
}
