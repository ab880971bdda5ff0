//! Fuzzing: whatever bytes come, nothing panics, nothing runs away, and nothing answers 5xx.
//!
//! What is public here are functions of bytes, which panic if the bytes are taken wrongly. Each is a target of the same name in
//! `fuzz_targets/`, which libFuzzer calls with bytes that it makes by what they reach in the code, beginning with those in
//! `seeds/TARGET` and with the words in `words.dict`:
//!
//! - `cargo xtask fuzz` runs every target for some seconds, as CI does. Only this workspace's crates are instrumented, so that
//!   nothing else is built again.
//! - `cargo fuzz run -s none TARGET fuzz/corpus/TARGET fuzz/seeds/TARGET` runs one for as long as you like, with everything
//!   instrumented and optimised. It needs `cargo install cargo-fuzz` and takes stable Rust.
//!
//! It deliberately has no target for what only trusted processes write, but the store's own files, which disks may damage.
//!
//! Start reading at `texts.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a target is what it looks for")]
#![deny(missing_docs)]

mod objects;
mod server;
mod store;
mod texts;

pub use objects::{apply, json_patch, merge_patch, strategic_patch};
pub use server::{body, path};
pub use store::log;
pub use texts::{cel, manifest, quantity, selector};

/// Lets parsers of expressions panic: they do on some input, and who calls them knows. All other panics end the run.
pub fn expect_parsers_to_panic() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(orch_cel::PARSER_THREAD) {
            otherwise(panic);
        }
    }));
}

/// The two texts of an input that has a line of `---` between them.
fn halves(data: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(data).ok()?.split_once("\n---\n")
}
