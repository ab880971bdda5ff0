//! What is printed: pure functions from data to text with ANSI colours, and [`print()`], which writes it.

pub(super) mod age;
pub(super) mod snippet;
pub(super) mod table;
pub(super) mod yaml;

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const WAITING: Style = AnsiColor::Yellow.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
pub(super) const HEADING: Style = Style::new().bold();
pub(super) const FAINT: Style = Style::new().dimmed();

/// Writes text to standard output at once. Colours are taken out unless it is a terminal; `NO_COLOR` and
/// `CLICOLOR_FORCE` decide otherwise.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Text on one line: what others wrote cannot steer the terminal.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// As [`plain`], of several lines.
pub(super) fn plain_lines(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}

/// Colours for standard output: none where they are not wanted.
pub(super) fn for_stdout(text: &str) -> String {
    match anstream::AutoStream::choice(&io::stdout()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(text).to_string(),
        _ => text.to_owned(),
    }
}

/// Writes what is not ours to colour to standard output, as it is.
pub(super) fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// The colour of a word that says how something is; none for any other word.
pub(super) fn style_of_state(word: &str) -> Option<Style> {
    const GOOD_WORDS: [&str; 10] = [
        "Running",
        "Ready",
        "Active",
        "Available",
        "Succeeded",
        "Completed",
        "Bound",
        "Healthy",
        "True",
        "Normal",
    ];
    const WAITING_WORDS: [&str; 8] = [
        "Pending",
        "ContainerCreating",
        "PodInitializing",
        "Terminating",
        "Progressing",
        "Unknown",
        "Warning",
        "SchedulingDisabled",
    ];
    let bad = ["BackOff", "Err", "Failed", "NotReady", "OOMKilled", "Evicted", "Unschedulable", "Lost"];
    if bad.iter().any(|part| word.contains(part)) {
        Some(BAD)
    } else if WAITING_WORDS.iter().any(|known| word.contains(known)) {
        Some(WAITING)
    } else if GOOD_WORDS.contains(&word) {
        Some(GOOD)
    } else {
        None
    }
}

/// `text` in a colour; the text alone if there is none.
pub(super) fn paint(style: Option<Style>, text: &str) -> String {
    match style {
        Some(style) => format!("{style}{text}{style:#}"),
        None => text.to_owned(),
    }
}
