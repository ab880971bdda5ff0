//! Those who are attached: they see the output as it comes, before it is lines.
//!
//! Each is a connection to a socket beside the container. What it gets are pieces: which stream (one byte), how many bytes (four,
//! big-endian), the bytes; [`END`] is the last. Nobody is waited for: who falls too far behind is let go, without an end.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The piece that says that there will be no more.
pub(crate) const END: u8 = 0;
pub(crate) const STDOUT: u8 = 1;
pub(crate) const STDERR: u8 = 2;
/// What a piece has before its bytes.
pub(crate) const HEADER_BYTES: usize = 5;

/// At the same time.
const MOST_MEMBERS: usize = 32;
/// How far a member may fall behind, beyond what its socket holds.
const MOST_UNSENT_BYTES: usize = 256 << 10;
/// How long the last pieces are offered.
const FAREWELL: Duration = Duration::from_secs(5);

/// The socket's name in a directory, by a path that is short enough for a socket however long the directory's is. The
/// directory must stay open.
pub(crate) fn address(dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/socket", dir.as_raw_fd()))
}

/// Everybody who is attached, and the door.
#[derive(Default)]
pub(super) struct Audience {
    door: Option<UnixListener>,
    members: Vec<Member>,
}

struct Member {
    stream: UnixStream,
    unsent: Vec<u8>,
}

impl Audience {
    /// Opens the door in this directory.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let dir = File::open(dir)?;
        let address = address(&dir);
        match std::fs::remove_file(&address) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let door = UnixListener::bind(address)?;
        door.set_nonblocking(true)?;
        Ok(Self { door: Some(door), members: Vec::new() })
    }

    /// What is to be waited for, beside the container's output.
    pub(super) fn polled(&self) -> impl Iterator<Item = PollFd<'_>> {
        let door = self.door.iter().map(|door| PollFd::new(door.as_fd(), PollFlags::POLLIN));
        let members = self.members.iter().map(|member| {
            let sends = if member.unsent.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            PollFd::new(member.stream.as_fd(), PollFlags::POLLIN | sends)
        });
        door.chain(members)
    }

    /// Lets in who came, forgets who left, and sends what is due.
    pub(super) fn attend(&mut self) {
        while let Some(Ok((stream, _))) = self.door.as_ref().map(UnixListener::accept) {
            if self.members.len() < MOST_MEMBERS && stream.set_nonblocking(true).is_ok() {
                self.members.push(Member { stream, unsent: Vec::new() });
            }
        }
        self.members.retain_mut(|member| member.is_here() && member.send());
    }

    /// Tells everybody what came on a stream.
    pub(super) fn tell(&mut self, stream: u8, bytes: &[u8]) {
        if self.members.is_empty() || bytes.is_empty() {
            return;
        }
        let piece = piece(stream, bytes);
        self.members.retain_mut(|member| {
            member.unsent.extend_from_slice(&piece);
            member.send() && member.unsent.len() <= MOST_UNSENT_BYTES
        });
    }

    /// Tells everybody that this was all.
    pub(super) fn dismiss(mut self) {
        self.attend();
        let end = piece(END, &[]);
        self.members.iter_mut().for_each(|member| member.unsent.extend_from_slice(&end));
        let deadline = Instant::now() + FAREWELL;
        loop {
            self.members.retain_mut(|member| member.send() && !member.unsent.is_empty());
            let left = deadline.saturating_duration_since(Instant::now());
            if self.members.is_empty() || left.is_zero() {
                return;
            }
            let mut polled: Vec<PollFd<'_>> = self
                .members
                .iter()
                .map(|member| PollFd::new(member.stream.as_fd(), PollFlags::POLLOUT))
                .collect();
            // The deadline ends it, whatever happens.
            let _ = poll(&mut polled, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO));
        }
    }
}

fn piece(stream: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&[stream], length.to_be_bytes().as_slice(), bytes].concat()
}

impl Member {
    /// Whether the connection is open. What comes over it means nothing.
    fn is_here(&mut self) -> bool {
        match self.stream.read(&mut [0; 64]) {
            Ok(bytes) => bytes > 0,
            Err(error) => is_temporary(&error),
        }
    }

    /// Sends what can be sent now; false if nothing ever can.
    fn send(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(bytes) => drop(self.unsent.drain(..bytes)),
                Err(error) => return is_temporary(&error),
            }
        }
        true
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(dir: &Path) -> UnixStream {
        let dir = File::open(dir).unwrap();
        UnixStream::connect(address(&dir)).unwrap()
    }

    fn everything(mut stream: UnixStream) -> Vec<u8> {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    }

    #[test]
    fn everybody_hears_everything_from_when_they_came() {
        // Longer than a socket's own address may be.
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("x".repeat(120));
        std::fs::create_dir(&dir).unwrap();
        let mut audience = Audience::open(&dir).unwrap();
        audience.tell(STDOUT, b"nobody hears this");
        let first = join(&dir);
        audience.attend();
        audience.tell(STDOUT, b"out");
        let second = join(&dir);
        audience.attend();
        audience.tell(STDERR, b"err");
        audience.dismiss();
        assert_eq!(everything(second), b"\x02\0\0\0\x03err\0\0\0\0\0");
        assert_eq!(everything(first), b"\x01\0\0\0\x03out\x02\0\0\0\x03err\0\0\0\0\0");
    }

    #[test]
    fn who_does_not_listen_is_let_go_and_who_leaves_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut audience = Audience::open(dir.path()).unwrap();
        let deaf = join(dir.path());
        drop(join(dir.path()));
        audience.attend();
        assert_eq!(audience.members.len(), 1);
        let chunk = vec![b'x'; 64 << 10];
        for _ in 0..64 {
            audience.tell(STDOUT, &chunk);
        }
        assert!(audience.members.is_empty());
        let heard = everything(deaf);
        assert!(heard.len() > chunk.len() && !heard.ends_with(&piece(END, &[])), "{}", heard.len());
        for _ in 0..=MOST_MEMBERS {
            std::mem::forget(join(dir.path()));
            audience.attend();
        }
        assert_eq!(audience.members.len(), MOST_MEMBERS);
    }
}
