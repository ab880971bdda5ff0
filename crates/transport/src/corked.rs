//! [`Corked`]: what a connection writes while it is polled goes out together.
//!
//! HTTP/2 flushes after every frame of data. Where one connection carries many streams, a thousand watches say, that is a
//! TLS record and a system call for each event of each. Here flushing waits until the connection has said all it has to
//! say for now, and whoever else is ready to run had a turn: the other streams, whose event it is too.

use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is held back at most: what TLS takes at a time.
const HELD_BYTES: usize = 64 * 1024;
/// A connection that writes no more than this at a time does not keep a larger buffer.
const KEPT_BYTES: usize = 8 * 1024;

/// One end of a stream, to be given to a connection that [`drive`](Self::drive) polls. Only there is anything flushed.
pub(crate) struct Corked<S>(Arc<Mutex<State<S>>>);

impl<S> Clone for Corked<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct State<S> {
    stream: S,
    held: Vec<u8>,
    /// So much of `held` has been written.
    written: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Corked<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(State { stream, held: Vec::new(), written: 0 })))
    }

    /// Polls `connection`, which writes to a clone of this, and every other time writes out what it has written.
    ///
    /// # Errors
    /// The connection's, or that of writing.
    pub(crate) async fn drive<E>(
        self,
        connection: impl Future<Output = Result<(), E>>,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut connection = pin!(connection);
        let (mut ended, mut others_had_a_turn) = (None, false);
        std::future::poll_fn(move |cx| {
            if ended.is_none()
                && let Poll::Ready(outcome) = connection.as_mut().poll(cx)
            {
                ended = Some(outcome);
            }
            let mut state = self.state();
            if ended.is_none() && !state.held.is_empty() && !others_had_a_turn {
                // To the back of the queue.
                others_had_a_turn = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            others_had_a_turn = false;
            match state.poll_write_out(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(())) => {
                    ended.take().map_or(Poll::Pending, |outcome| Poll::Ready(outcome.map_err(Into::into)))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        // Only the connection's task takes the lock, and a panic ends that task.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> State<S> {
    fn poll_hold(&mut self, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.held.len() >= HELD_BYTES {
            ready!(self.poll_write_out(cx))?;
        }
        let before = self.held.len();
        bytes.iter().for_each(|slice| self.held.extend_from_slice(slice));
        Poll::Ready(Ok(self.held.len() - before))
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.held.get(self.written..).filter(|left| !left.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        if self.held.len() <= KEPT_BYTES {
            self.held.shrink_to(KEPT_BYTES);
        }
        self.written = 0;
        self.held.clear();
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.state().poll_hold(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.state().poll_hold(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: that is the point.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        ready!(state.poll_write_out(cx))?;
        Pin::new(&mut state.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const FRAME: [u8; 1000] = [7; 1000];
    const FRAMES: usize = 1000;

    /// Writes and flushes frame by frame, as HTTP/2 does, then ends as told.
    async fn speak(mut stream: Corked<tokio::io::DuplexStream>, shut_down: bool) -> io::Result<()> {
        for _ in 0..FRAMES {
            stream.write_all(&FRAME).await?;
            stream.flush().await?;
        }
        if shut_down { stream.shutdown().await } else { Ok(()) }
    }

    #[tokio::test]
    async fn everything_written_arrives_in_large_pieces_before_the_connection_ends() {
        for shut_down in [false, true] {
            let (near, mut far) = tokio::io::duplex(HELD_BYTES);
            let corked = Corked::new(near);
            let connection = speak(corked.clone(), shut_down);
            let reading = async {
                let (mut total, mut reads, mut buffer) = (0, 0, vec![0; HELD_BYTES]);
                loop {
                    match far.read(&mut buffer).await? {
                        0 => return io::Result::Ok((total, reads)),
                        bytes => (total, reads) = (total + bytes, reads + 1),
                    }
                }
            };
            let (written, read) = tokio::join!(corked.drive(connection), reading);
            written.unwrap();
            let (total, reads) = read.unwrap();
            assert_eq!(total, FRAMES * FRAME.len(), "shut down: {shut_down}");
            assert!(reads < 2 * total / HELD_BYTES, "{reads} reads");
        }
    }

    #[tokio::test]
    async fn what_is_said_before_others_had_a_turn_and_after_goes_out_together() {
        let (near, mut far) = tokio::io::duplex(HELD_BYTES);
        let corked = Corked::new(near);
        let mut writer = corked.clone();
        let connection = async move {
            loop {
                writer.write_all(&FRAME).await?;
                tokio::task::yield_now().await;
            }
        };
        let mut driven = pin!(corked.drive::<io::Error>(connection));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut buffer = vec![0; HELD_BYTES];
        let mut arrived = async || {
            tokio::select! { biased; read = far.read(&mut buffer) => read.unwrap(), () = async {} => 0 }
        };
        for expected in [0, 2, 0, 2] {
            assert!(driven.as_mut().poll(&mut cx).is_pending());
            assert_eq!(arrived().await, expected * FRAME.len());
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_ends_the_connection() {
        let (near, far) = tokio::io::duplex(HELD_BYTES);
        drop(far);
        let corked = Corked::new(near);
        let mut writer = corked.clone();
        let connection = async move {
            writer.write_all(&FRAME).await?;
            std::future::pending::<io::Result<()>>().await
        };
        let error = corked.drive(connection).await.unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }
}
