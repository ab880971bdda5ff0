//! Command lines, run to their end.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

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
        assert_eq!(
            self.code,
            Some(0),
            "{} failed\nstdout: {}\nstderr: {}",
            self.line,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// The standard error of a command that must have failed.
    #[track_caller]
    pub fn fails(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "{} succeeded\nstdout: {}", self.line, self.stdout);
        self.stderr
    }
}

/// A command that goes on; killed when dropped.
#[derive(Debug)]
pub struct Spawned {
    child: Child,
    lines: Receiver<String>,
}

impl Spawned {
    /// Starts a command and reads its standard output line by line.
    pub fn new(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The next line that contains `part`. Panics at the deadline, or when the command ends without it.
    pub fn line_with(&mut self, part: &str, deadline: Duration) -> String {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(error) => panic!("waited {deadline:?} for a line with {part:?}: {error}"),
            }
        }
    }
}

impl Spawned {
    /// Whether a line that contains `part` has come by now. Those before it are gone.
    pub fn has_line_with(&mut self, part: &str) -> bool {
        self.lines.try_iter().any(|line| line.contains(part))
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A binary of this workspace, built if it is not up to date.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut build = Command::new(env!("CARGO"));
        // Named as CI names them, so that nothing is built twice.
        let args = ["build", "--workspace", "--bin", "orchctl", "--bin", "orchd", "--quiet"];
        Run::new(build.args(args).current_dir(root), "").ok();
        // This test runs from `<target>/debug/deps`.
        std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
    });
    directory.join(name)
}

/// A client that `hack/clients` installs, such as `kubectl-1.32` or `python/bin/python`; it installs what is not there yet.
pub fn client(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/clients");
        let printed = Run::new(&mut Command::new(script), "").ok();
        PathBuf::from(printed.lines().last().unwrap())
    });
    directory.join(name)
}

/// The kubectl to test with: `ORCH_TEST_KUBECTL`, which `hack/test` sets, or the one on the path.
pub fn kubectl_path() -> PathBuf {
    std::env::var_os("ORCH_TEST_KUBECTL").map_or_else(|| "kubectl".into(), PathBuf::from)
}
