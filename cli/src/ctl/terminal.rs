//! This terminal, while a command in a container has it.

use std::io::{self, IsTerminal as _};

use futures::stream::{self, BoxStream, StreamExt as _};
use orch_client::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;

/// Standard input in raw mode: every key goes to the command, Ctrl-C too. As it was before, once dropped.
pub(super) struct RawTerminal {
    before: Termios,
}

/// Whether standard input is a terminal.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal()
}

impl RawTerminal {
    pub(super) fn new() -> Result<Self, Failure> {
        let failed = |error| Failure::new(format!("the terminal cannot be handed over: {error}"));
        let before = tcgetattr(io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that has gone away needs no mode.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// The terminal's size, and each that it takes on.
pub(super) fn sizes() -> BoxStream<'static, TerminalSize> {
    let Ok(changes) = signal(SignalKind::window_change()) else { return stream::iter(size()).boxed() };
    let later = stream::unfold(changes, |mut changes| async move { Some((changes.recv().await?, changes)) });
    stream::iter(size()).chain(later.filter_map(|()| async { size() })).boxed()
}

fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(io::stdin()).or_else(|_| tcgetwinsize(io::stdout())).ok()?;
    // A terminal that doesn't know its size says zero.
    let known = size.ws_col > 0 && size.ws_row > 0;
    known.then_some(TerminalSize { columns: size.ws_col, rows: size.ws_row })
}
