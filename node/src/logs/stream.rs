//! A container's log as a stream of bytes.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::{
    fs::File,
    io::{AsyncBufReadExt, AsyncSeekExt, BufReader},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    LogOptions,
    files::{Start, file_after, files, identity, tail},
    follow::DirectoryWatch,
    render::Renderer,
};

/// Pieces of output that wait for a slow reader; then reading the file waits too.
const PIECES: usize = 8;
/// Output is sent in pieces of about this size while there is more to read.
const PIECE_BYTES: usize = 32 << 10;

/// Reads one run's log, beginning with what was rotated away. With `follow`, goes on until `ended` has resolved and everything
/// written by then was read; else until the end of the file. A reader that goes away ends it.
pub(crate) fn stream(
    path: PathBuf,
    options: LogOptions,
    ended: BoxFuture<'static, ()>,
) -> ReceiverStream<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let output = sender.clone();
        tokio::select! {
            result = Reader::run(&path, &options, ended, &output) => {
                if let Err(error) = result {
                    // The reader may be gone by now, and then needs no error.
                    let _ = sender.send(Err(error)).await;
                }
            }
            () = sender.closed() => {}
        }
    });
    ReceiverStream::new(receiver)
}

struct Reader<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// A line whose end was not written yet.
    line: Vec<u8>,
    renderer: Renderer,
    output: &'a mpsc::Sender<io::Result<Bytes>>,
}

impl<'a> Reader<'a> {
    async fn run(
        path: &'a Path,
        options: &LogOptions,
        mut ended: BoxFuture<'static, ()>,
        output: &'a mpsc::Sender<io::Result<Bytes>>,
    ) -> io::Result<()> {
        // Before the first read, so that nothing is written unnoticed between reading and waiting.
        let watch = match (options.follow, path.parent()) {
            (true, Some(directory)) => Some(DirectoryWatch::new(directory)?),
            _ => None,
        };
        let mut reader = None;
        let mut has_ended = watch.is_none();
        loop {
            if reader.is_none() {
                reader = Self::open(path, options, output).await?;
            }
            if let Some(reader) = &mut reader {
                reader.read_all().await?;
                has_ended |= reader.renderer.is_done();
            }
            let Some(watch) = watch.as_ref().filter(|_| !has_ended) else { return Ok(()) };
            tokio::select! {
                changed = watch.changed() => changed?,
                // Once more: what was written until then.
                () = &mut ended => has_ended = true,
            }
        }
    }

    async fn open(
        path: &'a Path,
        options: &LogOptions,
        output: &'a mpsc::Sender<io::Result<Bytes>>,
    ) -> io::Result<Option<Self>> {
        let (log, lines) = (path.to_owned(), options.tail_lines);
        let (all, start) = tokio::task::spawn_blocking(move || {
            let all = files(&log)?;
            let start = lines.map_or(Ok(Start::default()), |lines| tail(&all, lines))?;
            io::Result::Ok((all, start))
        })
        .await??;
        let Some(first) = all.get(start.file) else { return Ok(None) };
        let mut file = File::open(first).await?;
        file.seek(io::SeekFrom::Start(start.offset)).await?;
        let (file, renderer) = (BufReader::with_capacity(PIECE_BYTES, file), Renderer::new(options));
        Ok(Some(Self { path, file, line: Vec::new(), renderer, output }))
    }

    /// Sends everything that is there now.
    async fn read_all(&mut self) -> io::Result<()> {
        loop {
            self.read_file().await?;
            if self.renderer.is_done() || !self.next_file().await? {
                return Ok(());
            }
        }
    }

    async fn read_file(&mut self) -> io::Result<()> {
        let mut piece = Vec::new();
        while !self.renderer.is_done() && self.file.read_until(b'\n', &mut self.line).await? > 0 {
            let Some(line) = self.line.strip_suffix(b"\n") else { break };
            piece.extend_from_slice(&self.renderer.line(line));
            self.line.clear();
            if piece.len() >= PIECE_BYTES {
                self.send(std::mem::take(&mut piece)).await?;
            }
        }
        self.send(piece).await
    }

    async fn send(&self, piece: Vec<u8>) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        self.output.send(Ok(piece.into())).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Goes on to the file that was begun after this one, if there is one. However often the log was rotated meanwhile, no file is
    /// left out that is still there.
    async fn next_file(&mut self) -> io::Result<bool> {
        let own = identity(&self.file.get_ref().metadata().await?);
        if std::fs::metadata(self.path).is_ok_and(|current| identity(&current) == own) {
            return Ok(false);
        }
        let path = self.path.to_owned();
        let Some(next) = tokio::task::spawn_blocking(move || file_after(&path, own)).await?? else {
            return Ok(false);
        };
        // What was written between the last read and the rename.
        self.read_file().await?;
        self.line.clear();
        self.file = BufReader::with_capacity(PIECE_BYTES, File::from_std(next));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, time::Duration};

    use futures::StreamExt;
    use tokio::sync::oneshot;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn entry(text: &str) -> String {
        format!("2026-01-31T12:00:00Z stdout F {text}\n")
    }

    /// Reads until the output is `expected`, or as long as a slow machine may take.
    async fn expect(stream: &mut ReceiverStream<io::Result<Bytes>>, expected: &str) {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            let piece = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
            let piece = piece.unwrap_or_else(|_| panic!("only {:?} came", String::from_utf8_lossy(&seen)));
            seen.extend_from_slice(&piece.expect("the stream ended early").unwrap());
        }
        assert_eq!(String::from_utf8(seen).unwrap(), expected);
    }

    fn never() -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    #[tokio::test]
    async fn without_follow_the_stream_ends_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        append(&dir.path().join("0.log.1"), &entry("old"));
        append(&log, &(entry("a") + &entry("b") + "torn"));
        let mut all = stream(log.clone(), LogOptions::default(), never());
        expect(&mut all, "old\na\nb\n").await;
        assert!(all.next().await.is_none());
        let mut last = stream(log, LogOptions { tail_lines: Some(1), ..Default::default() }, never());
        expect(&mut last, "b\n").await;
    }

    #[tokio::test]
    async fn following_sees_appends_a_rotation_and_the_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        append(&log, &entry("a"));
        let (exit, exited) = oneshot::channel::<()>();
        let ended = Box::pin(async move { exited.await.unwrap_or_default() });
        let mut output = stream(log.clone(), LogOptions { follow: true, ..Default::default() }, ended);
        expect(&mut output, "a\n").await;
        append(&log, "2026-01-31T12:00:00Z stdout F b");
        append(&log, "c\n");
        expect(&mut output, "bc\n").await;
        append(&log, &entry("d"));
        // Twice before the reader may have looked.
        let rotated = |number: u32| dir.path().join(format!("0.log.{number}"));
        std::fs::rename(&log, rotated(1)).unwrap();
        append(&log, &entry("e"));
        std::fs::rename(rotated(1), rotated(2)).unwrap();
        std::fs::rename(&log, rotated(1)).unwrap();
        append(&log, &entry("e2"));
        expect(&mut output, "d\ne\ne2\n").await;
        append(&log, &entry("f"));
        exit.send(()).unwrap();
        expect(&mut output, "f\n").await;
        assert!(output.next().await.is_none());
    }

    #[tokio::test]
    async fn following_waits_for_a_log_to_begin() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        let (exit, exited) = oneshot::channel::<()>();
        let ended = Box::pin(async move { exited.await.unwrap_or_default() });
        let mut output = stream(log.clone(), LogOptions { follow: true, ..Default::default() }, ended);
        append(&log, &entry("first"));
        expect(&mut output, "first\n").await;
        exit.send(()).unwrap();
        assert!(output.next().await.is_none());
    }

    #[tokio::test]
    async fn a_limit_ends_following() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        append(&log, &entry("abcdef"));
        let options = LogOptions { follow: true, limit_bytes: Some(3), ..Default::default() };
        let mut output = stream(log, options, never());
        expect(&mut output, "abc").await;
        assert!(output.next().await.is_none());
    }
}
