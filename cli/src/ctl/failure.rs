//! [`Failure`]: why a verb did not do what it was asked, as people are told.

use std::io;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use orch_api::{Reason, Status};
use orch_client::manifest::{ManifestError, Snippet};
use orch_client::{ConfigError, UnknownResource};

use super::output::{plain_lines, snippet};

const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// One sentence, what it is about in detail, and what to do about it.
#[derive(Debug, Default)]
pub struct Failure {
    /// The sentence; empty if all has been said before.
    message: String,
    details: Vec<Detail>,
    hint: Option<String>,
    /// The code of the server's answer; 0 if the failure is not the server's.
    code: u16,
}

/// A line below the sentence, with the place in a manifest that it is about.
#[derive(Debug)]
struct Detail {
    text: String,
    snippet: Option<Snippet>,
}

impl Failure {
    /// A failure with this sentence: lower case, no full stop.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Ends the program without another word, because what went wrong has been said.
    pub(super) fn reported() -> Self {
        Self::default()
    }

    /// Adds a line of detail.
    pub(super) fn detail(mut self, text: impl Into<String>, snippet: Option<Snippet>) -> Self {
        self.details.push(Detail { text: text.into(), snippet });
        self
    }

    /// Adds what to do about it.
    pub(super) fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into().or(self.hint), ..self }
    }

    /// The code of the server's answer; 0 if the failure is not the server's.
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// As if the server had answered with this code.
    pub(super) fn coded(self, code: u16) -> Self {
        Self { code, ..self }
    }

    /// Whether it passes by itself: the server is away, or has too much to do.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.code, 429 | 502..=504)
    }

    /// Puts what was being done before the sentence.
    pub(super) fn while_doing(self, what: &str) -> Self {
        if self.message.is_empty() {
            return self;
        }
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// The sentence as one about what does not end the command, with what comes next.
    pub(super) fn warning(&self, next: &str) -> String {
        format!("{WARNING}warning:{WARNING:#} {}; {next}\n", plain_lines(&self.message))
    }

    /// Says it on standard error and answers with the exit code.
    pub(super) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            // Nobody is left to be told if standard error is closed.
            io::Write::write_all(&mut anstream::stderr(), self.render().as_bytes()).ok();
        }
        ExitCode::FAILURE
    }

    /// All of it, without colours.
    pub(super) fn plain(&self) -> String {
        anstream::adapter::strip_str(&self.render()).to_string()
    }

    fn render(&self) -> String {
        let mut text = format!("{ERROR}error:{ERROR:#} {}\n", plain_lines(&self.message));
        for detail in &self.details {
            if !detail.text.is_empty() {
                text.push_str(&format!("  {}\n", plain_lines(&detail.text)));
            }
            if let Some(at) = &detail.snippet {
                text.push_str(&snippet::render(at));
            }
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{HINT}hint:{HINT:#} {}\n", plain_lines(hint)));
        }
        text
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let hint = match &status.reason {
            Some(Reason::Unauthorized) => {
                Some("the server does not know you: is the kubeconfig that of this server?")
            }
            Some(Reason::Forbidden) => {
                Some("ask whoever runs the server for permission, or use another --context")
            }
            _ => None,
        };
        let message = if status.message.is_empty() {
            format!("the server answered {}", status.code)
        } else {
            status.message
        };
        Self { code: status.code, ..Self::new(message).hint(hint.map(str::to_owned)) }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let message = with_source(&error);
        Self::new(message).hint(error.hint())
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let failure = Self::new(with_source(&error)).hint(error.hint());
        match error {
            ManifestError::Document { place, .. } => failure.detail("", Some(place.snippet())),
            _ => failure,
        }
    }
}

impl From<UnknownResource> for Failure {
    fn from(error: UnknownResource) -> Self {
        let hint = match &error.suggestion {
            Some(name) => format!("did you mean {name:?}?"),
            None => "`orchctl api-resources` lists them all".into(),
        };
        Self::new(error.to_string()).hint(hint)
    }
}

/// A reader that has gone away (`orchctl get pods | head -1`) is no failure worth a word.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::reported(),
            _ => Self::new(format!("cannot write the output: {error}")),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("the server's answer cannot be read: {error}"))
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_sentence_details_and_a_hint() {
        let failure =
            Failure::new("it broke").detail("here", None).hint("mend it".to_owned()).while_doing("pod/web");
        let text = anstream::adapter::strip_str(&failure.render()).to_string();
        assert_eq!(text, "error: pod/web: it broke\n  here\nhint: mend it\n");
    }

    #[test]
    fn what_a_server_says_does_not_steer_the_terminal() {
        let status = Status::bad_request("no \u{1b}]0;owned\u{7}\nbecause\u{9b}2J");
        let text = anstream::adapter::strip_str(&Failure::from(status).render()).to_string();
        assert_eq!(text, "error: no  ]0;owned \nbecause 2J\n");
    }

    #[test]
    fn an_unknown_kind_comes_with_a_suggestion() {
        let unknown = UnknownResource { word: "worklods".into(), suggestion: Some("workloads".into()) };
        let text = anstream::adapter::strip_str(&Failure::from(unknown).render()).to_string();
        assert_eq!(
            text,
            "error: the server has no resource type \"worklods\"\nhint: did you mean \"workloads\"?\n"
        );
    }
}
