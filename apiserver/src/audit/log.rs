//! The audit log's file: one thread writes what comes through a bounded queue, and rotates.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tracing::{error, info};

use super::event::Event;

/// Records that wait to be written. More are dropped, and counted: a request never waits for a disk.
const QUEUE: usize = 8_192;
/// Records that are written at once.
const BATCH: usize = 256;
/// How long records are gathered before they are written, so that a busy server does not wake a thread for each. What a
/// server that is killed has not written is lost, as with Kubernetes' batching.
const GATHER: Duration = Duration::from_millis(20);

/// Where the audit log is, and how large it may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFile {
    /// The file. Older ones are called the same with `.1`, `.2` and so on added.
    pub path: PathBuf,
    /// How large a file may become before it is rotated.
    pub max_bytes: u64,
    /// How many older files are kept.
    pub keep: u32,
}

/// Why there can be no audit log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the audit log {}", path.display())]
pub struct AuditError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: std::io::Error,
}

/// An audit log that is being written. Cheap to clone; when the last one is dropped, what waits is written.
#[derive(Clone)]
pub struct AuditLog(Arc<Inner>);

struct Inner {
    sender: Option<SyncSender<Box<Event>>>,
    counters: Counters,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What has become of records.
#[derive(Clone, Default)]
pub(crate) struct Counters {
    pub(crate) written: Counter,
    pub(crate) dropped: Counter,
}

impl AuditLog {
    /// Opens the file, readable by its owner only, and starts the thread that writes it.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(file: AuditFile) -> Result<Self, AuditError> {
        let failed = |source| AuditError { path: file.path.clone(), source };
        let output = open(&file.path).map_err(failed)?;
        let (sender, receiver) = sync_channel(QUEUE);
        let counters = Counters::default();
        let mut writer = Writer {
            file: file.clone(),
            output: Some(output),
            counters: counters.clone(),
            is_failing: false,
        };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&receiver));
        let writer = Mutex::new(Some(thread.map_err(failed)?));
        Ok(Self(Arc::new(Inner { sender: Some(sender), counters, writer })))
    }

    /// Hands over a record; if too many wait, it is dropped and counted.
    pub(super) fn send(&self, event: Box<Event>) {
        let sent = self.0.sender.as_ref().is_some_and(|sender| sender.try_send(event).is_ok());
        if !sent {
            self.0.counters.dropped.inc();
        }
    }

    /// What has become of records so far.
    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(writer) = self.writer.lock().take() {
            writer.thread().unpark();
            // A panic has been reported by the thread itself.
            drop(writer.join());
        }
    }
}

/// The file, and how much of it is whole lines.
struct Output {
    file: File,
    bytes: u64,
}

fn open(path: &Path) -> std::io::Result<Output> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.seek(std::io::SeekFrom::End(0))?;
    Ok(Output { file, bytes })
}

struct Writer {
    file: AuditFile,
    /// None after a failure, until it can be opened again.
    output: Option<Output>,
    counters: Counters,
    is_failing: bool,
}

impl Writer {
    /// Writes until the queue is closed and empty.
    fn run(&mut self, events: &Receiver<Box<Event>>) {
        let mut more_wait = false;
        while let Ok(first) = events.recv() {
            if !more_wait {
                // Until the time is up, or the log is closed.
                std::thread::park_timeout(GATHER);
            }
            let batch: Vec<_> = std::iter::once(first).chain(events.try_iter().take(BATCH - 1)).collect();
            more_wait = batch.len() == BATCH;
            let count = batch.len() as u64;
            match self.write(&batch) {
                Ok(()) => {
                    self.counters.written.inc_by(count);
                    if std::mem::take(&mut self.is_failing) {
                        info!(path = %self.file.path.display(), "the audit log is written again");
                    }
                }
                Err(error) => {
                    self.counters.dropped.inc_by(count);
                    self.output = None;
                    if !std::mem::replace(&mut self.is_failing, true) {
                        let path = self.file.path.display();
                        error!(%path, %error, "the audit log cannot be written; what should be in it is counted as dropped");
                    }
                }
            }
        }
    }

    fn write(&mut self, batch: &[Box<Event>]) -> std::io::Result<()> {
        let mut lines = Vec::with_capacity(batch.len() * 1024);
        for event in batch {
            event.write(&mut lines)?;
            lines.push(b'\n');
        }
        let mut output = match self.output.take() {
            Some(output) => output,
            None => open(&self.file.path)?,
        };
        if output.bytes > 0 && output.bytes + lines.len() as u64 > self.file.max_bytes {
            drop(output);
            self.rotate()?;
            output = open(&self.file.path)?;
        }
        if let Err(error) = output.file.write_all(&lines) {
            // No half lines: what a full disk has taken of them is taken back.
            let _ = output.file.set_len(output.bytes);
            return Err(error);
        }
        output.bytes += lines.len() as u64;
        self.output = Some(output);
        Ok(())
    }

    /// Renames `log` to `log.1`, that to `log.2`, and so on; the oldest goes.
    fn rotate(&self) -> std::io::Result<()> {
        let older = |index: u32| match index {
            0 => self.file.path.clone(),
            index => PathBuf::from(format!("{}.{index}", self.file.path.display())),
        };
        let ignore_absent = |outcome: std::io::Result<()>| match outcome {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        ignore_absent(std::fs::remove_file(older(self.file.keep)))?;
        for index in (0..self.file.keep).rev() {
            ignore_absent(std::fs::rename(older(index), older(index + 1)))?;
        }
        Ok(())
    }
}
