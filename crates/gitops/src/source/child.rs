//! [`fetch_in_child`]: what comes from elsewhere is dealt with by another process.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{Credentials, Fetch, Fetched, Reason, SourceError};

/// What the child is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) fetch: Fetch,
    /// After how many seconds it ends by itself, should nobody be left who ends it.
    pub(super) seconds: u32,
}

/// Has something fetched by a process that runs [`super::serve()`]: `program` with `args`.
///
/// However long that takes, it is over at the deadline: the process is killed then, or when this future is dropped, with all
/// that it started. It sees nothing of this process's environment but where programs and proxies are.
///
/// # Errors
/// As of [`super::fetch`]; and with `TimedOut`, `TooLarge` or `Failed` if the process had to be ended.
pub async fn fetch_in_child(
    program: &Path,
    args: &[&str],
    fetch: &Fetch,
    deadline: Duration,
) -> Result<Fetched, SourceError> {
    let home = Home::make(&fetch.credentials)?;
    let mut running = Running::start(program, args, &home)?;
    let seconds = u32::try_from(deadline.as_secs()).unwrap_or(u32::MAX).saturating_add(10);
    let order = serde_json::to_vec(&Order { fetch: fetch.clone(), seconds })
        .map_err(|error| SourceError::new(Reason::Failed, error.to_string()))?;
    // Characters may be written as six.
    let most = (fetch.limits.total_bytes as u64).saturating_mul(6).saturating_add(1 << 20);
    let answer = match tokio::time::timeout(deadline, running.ask(&order, most)).await {
        Ok(answer) => answer?,
        Err(_) => {
            drop(running);
            return Err(SourceError::new(
                Reason::TimedOut,
                format!(
                    "it took more than {} s. If that is how long it takes, raise spec.timeoutSeconds",
                    deadline.as_secs()
                ),
            ));
        }
    };
    let (answer, status) = answer;
    match serde_json::from_slice(&answer) {
        Ok(done) => done,
        Err(_) => Err(ended(status, &home.said())),
    }
}

/// What a process that ended without an answer died of.
fn ended(status: ExitStatus, said: &str) -> SourceError {
    let signal = status.signal().and_then(|signal| Signal::try_from(signal).ok());
    match signal {
        Some(Signal::SIGXFSZ) => SourceError::too_large("the repository is larger than is accepted"),
        Some(Signal::SIGALRM | Signal::SIGXCPU) => SourceError::new(Reason::TimedOut, "it took too long"),
        Some(signal) => {
            let message = format!(
                "the process that fetches was ended by {signal}; perhaps what it read is too large. {said}"
            );
            SourceError::new(Reason::Failed, message.trim_end())
        }
        None => SourceError::new(
            Reason::Failed,
            format!("the process that fetches gave no answer ({status}): {said}"),
        ),
    }
}

/// The directory that the child lives in: what libraries expect at home, and room for passing files.
struct Home(TempDir);

const KEPT: &[&str] = &[
    "PATH",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];
const TRUST: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR"];

impl Home {
    fn make(credentials: &Credentials) -> Result<Self, SourceError> {
        let make = || {
            let directory = tempfile::Builder::new()
                .prefix("orch-git-")
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir()?;
            let path = directory.path();
            // libgit2 reads the keys of hosts from here.
            fs::create_dir(path.join(".ssh"))?;
            fs::write(path.join(".ssh/known_hosts"), with_end(&credentials.known_hosts))?;
            fs::create_dir(path.join("no-certificates"))?;
            if !credentials.ca.is_empty() {
                fs::write(path.join("ca.crt"), with_end(&credentials.ca))?;
            }
            Ok(directory)
        };
        make().map(Self).map_err(|error| SourceError::io("make a directory for fetching", &error))
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let path = |name: &str| self.0.path().join(name).into_os_string();
        let inherited = |name: &&'static str| Some((*name, std::env::var_os(name)?));
        let mut all: Vec<_> = KEPT.iter().filter_map(inherited).collect();
        all.extend([("HOME", path("")), ("TMPDIR", path("")), ("LANG", "C".into())]);
        match self.0.path().join("ca.crt").exists() {
            // OpenSSL trusts what these say, and nothing else.
            true => {
                all.extend([("SSL_CERT_FILE", path("ca.crt")), ("SSL_CERT_DIR", path("no-certificates"))])
            }
            false => all.extend(TRUST.iter().filter_map(inherited)),
        }
        all
    }

    /// The end of what was said before it broke.
    fn said(&self) -> String {
        let said = fs::read(self.0.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&said[said.len().saturating_sub(1000)..]).trim().to_owned()
    }
}

fn with_end(text: &str) -> String {
    format!("{}\n", text.trim_end())
}

/// The child, which does not outlive this.
struct Running(Child);

impl Running {
    fn start(program: &Path, args: &[&str], home: &Home) -> Result<Self, SourceError> {
        let start = || {
            let errors = fs::File::create(home.0.path().join("stderr"))?;
            Command::new(program)
                .args(args)
                .env_clear()
                .envs(home.environment())
                .current_dir(home.0.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(errors)
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
        };
        start().map(Self).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => Reason::MissingTool,
                _ => Reason::Failed,
            };
            let hint = "it fetches repositories, and is to be beside orchd";
            SourceError::new(reason, format!("cannot start {}: {error}; {hint}", program.display()))
        })
    }

    async fn ask(&mut self, order: &[u8], most: u64) -> Result<(Vec<u8>, ExitStatus), SourceError> {
        let pipes = self.0.stdin.take().zip(self.0.stdout.take());
        let (mut input, output) =
            pipes.ok_or_else(|| SourceError::new(Reason::Failed, "the process that fetches has no pipes"))?;
        let tell = async move {
            // It may have ended before it has heard everything; that shows in its answer.
            drop(input.write_all(order).await);
        };
        let mut answer = Vec::new();
        let mut output = output.take(most);
        let hear = output.read_to_end(&mut answer);
        let ((), heard) = tokio::join!(tell, hear);
        let failed = |error| SourceError::io("hear the process that fetches", &error);
        heard.map_err(failed)?;
        // What says more than it may does not get to say the rest.
        drop(output);
        let status = self.0.wait().await.map_err(failed)?;
        Ok((answer, status))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It leads its own group, which has whatever it started.
        if let Some(pid) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
