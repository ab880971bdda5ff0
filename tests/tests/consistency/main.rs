//! What concurrent clients may rely on, while servers and stores are killed and connections are lost: real processes over a
//! real store, histories of what clients did and saw, and checkers of those.
//!
//! [`register`] decides whether what was done to one object is linearizable; [`stream`] whether what a watch told is what the
//! store's history holds. Both are shown to refuse what is wrong. [`linearizable`] runs the clients, [`members`] two servers
//! over one store.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong in a test fails it"
)]

mod clients;
mod linearizable;
mod members;
mod register;
mod site;
mod stream;
