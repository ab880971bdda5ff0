//! Command lines, run to their end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What came of one command line.
#[derive(Debug, Clone)]
pub struct Run {
    /// The command line, for messages.
    pub line: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
}

impl Run {
    /// Runs a command to its end, with `input` on its standard input.
    pub fn new(command: &mut Command, input: &str) -> Self {
        let line = format!("{command:?}");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // A command that does not read its input is none of our business.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Self {
            line,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    /// The standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{} failed\nstdout: {}\nstderr: {}", self.line, self.stdout, self.stderr);
        self.stdout
    }

    /// The standard error of a command that must have failed.
    #[track_caller]
    pub fn fails(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "{} succeeded\nstdout: {}", self.line, self.stdout);
        self.stderr
    }
}

/// A binary of this workspace, built if it is not up to date.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut build = Command::new(env!("CARGO"));
        Run::new(build.args(["build", "--workspace", "--bins", "--quiet"]).current_dir(root), "").ok();
        // This test runs from `<target>/debug/deps`.
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
    });
    directory.join(name)
}

/// The kubectl to test with: `ORCH_TEST_KUBECTL`, which `hack/test` sets, or the one on the path.
pub fn kubectl_path() -> PathBuf {
    std::env::var_os("ORCH_TEST_KUBECTL").map_or_else(|| "kubectl".into(), PathBuf::from)
}
