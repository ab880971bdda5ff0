//! What a command would do, for the few commands whose outcome can be told by reading them.

use std::time::Duration;

/// The outcome of a simulated process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Program {
    /// Cannot be executed at all.
    pub(super) missing: bool,
    /// Lines on standard output.
    pub(super) output: Vec<String>,
    /// Copies its input to its output, and ends with it.
    pub(super) copies_input: bool,
    /// Ends by itself after this; `None` runs until stopped.
    pub(super) ends_after: Option<Duration>,
    /// Its code then.
    pub(super) code: i32,
    pub(super) ignores_stop: bool,
    pub(super) out_of_memory: bool,
}

impl Program {
    /// Reads `echo`, `cat`, `true`, `false`, `sleep`, and `sh -c` with these, `exit` and `trap '' TERM` separated by `;`.
    /// Any other command is a server: it runs until stopped. Executables below `/nonexistent` do not exist.
    pub(super) fn of(command: &[String]) -> Self {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut program = Self { ends_after: Some(Duration::ZERO), ..Self::default() };
        match words.as_slice() {
            [shell, "-c", script, ..] if name(shell) == "sh" => {
                for step in script.split(';').map(str::trim).filter(|step| !step.is_empty()) {
                    if !program.run(&step.split_whitespace().collect::<Vec<_>>()) {
                        break;
                    }
                }
            }
            words => {
                program.run(words);
            }
        }
        program
    }

    /// Appends one step; false when nothing can come after it.
    fn run(&mut self, words: &[&str]) -> bool {
        let Some((program, arguments)) = words.split_first() else {
            self.ends_after = None;
            return false;
        };
        self.code = 0;
        match (name(program), arguments) {
            _ if program.starts_with("/nonexistent") => self.missing = true,
            ("true", _) => {}
            ("false", _) => self.code = 1,
            ("echo", text) => self.output.push(text.join(" ")),
            ("cat", []) => self.copies_input = true,
            ("trap", [_, "TERM"]) => self.ignores_stop = true,
            ("exit", code) => {
                self.code = code.first().and_then(|code| code.parse().ok()).unwrap_or(0);
                return false;
            }
            ("sleep", [seconds]) => match seconds.parse().ok().map(Duration::try_from_secs_f64) {
                Some(Ok(time)) => self.ends_after = self.ends_after.map(|before| before + time),
                _ => self.code = 1,
            },
            _ => {
                self.ends_after = None;
                return false;
            }
        }
        true
    }
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(words: &[&str]) -> Program {
        Program::of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_shell_script_runs_step_by_step() {
        let told = program(&["/bin/sh", "-c", "echo hello there; sleep 0.5; exit 7; echo never"]);
        assert_eq!(told.output, ["hello there"]);
        assert_eq!((told.ends_after, told.code), (Some(Duration::from_millis(500)), 7));
    }

    #[test]
    fn what_is_not_understood_is_a_server() {
        assert_eq!(program(&["httpd", "-f"]).ends_after, None);
        assert_eq!(program(&[]).ends_after, None);
        assert!(program(&["/nonexistent/x"]).missing);
    }
}
