//! A TCP connection that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards connections to an address until it is told to cut them, or to refuse new ones.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    to: Arc<Mutex<String>>,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// How often connections were cut.
    Open(u64),
    Closed,
}

impl Proxy {
    /// Listens on a free port of the loopback interface.
    pub async fn start(to: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new(State::Open(0));
        let to = Arc::new(Mutex::new(to.into()));
        let accepting = tokio::spawn(accept(listener, to.clone(), state.clone()));
        Self { address, to, state, accepting }
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go to another address.
    pub fn forward_to(&self, to: impl Into<String>) {
        *self.to.lock() = to.into();
    }

    /// Cuts every connection; new ones are welcome.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            *state = match *state {
                State::Open(cuts) => State::Open(cuts + 1),
                State::Closed => State::Closed,
            };
        });
    }

    /// Cuts every connection, and new ones at once.
    pub fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Forwards connections again.
    pub fn open(&self) {
        self.state.send_replace(State::Open(0));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.close();
    }
}

async fn accept(listener: TcpListener, to: Arc<Mutex<String>>, state: watch::Sender<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut changes = state.subscribe();
        if *changes.borrow_and_update() == State::Closed {
            continue;
        }
        let to = to.lock().clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = changes.changed() => {}
                () = forward(client, &to) => {}
            }
        });
    }
}

/// Ends when either side does.
async fn forward(mut client: TcpStream, to: &str) {
    if let Ok(mut server) = TcpStream::connect(to).await {
        copy_bidirectional(&mut client, &mut server).await.ok();
    }
}
