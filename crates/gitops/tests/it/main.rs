//! Repositories as they are fetched: real servers on loopback, and the process that fetches.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected fails")]

mod asking;
mod cache;
mod confined;
mod gpg;
mod guards;
mod hostile;
mod http;
mod kustomize;
mod openpgp;
mod references;
mod repository;
mod server;
mod signature;
mod ssh;
