//! Fuzzing: whatever bytes come, nothing panics, nothing runs away, and nothing answers 5xx.
//!
//! [`TARGETS`] are functions of bytes; [`Engine`] makes the bytes, from the committed seeds of each target and without knowing
//! what they mean. CI runs each target for a few seconds; `ORCH_FUZZ_SECONDS=300 cargo test -p orch-fuzz -- --nocapture` runs
//! them for longer, `ORCH_FUZZ_SEED` again with the seed that a failure printed. The targets have the signature that coverage-guided
//! engines call.
//!
//! It deliberately has no target for what only trusted processes write, but the store's own files, which disks may damage.
//!
//! Start reading at [`TARGETS`].

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a target is what it looks for")]
#![deny(missing_docs)]

mod engine;
mod objects;
mod server;
mod store;
mod texts;

pub use engine::Engine;

/// Something that bytes are thrown at.
pub struct Target {
    /// Its name, and that of the directory of its seeds.
    pub name: &'static str,
    /// Panics if something is wrong with how the bytes are taken.
    pub run: fn(&[u8]),
    /// Bytes to begin with that are made rather than committed.
    pub made: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    committed("quantity", texts::quantity),
    committed("selector", texts::selector),
    committed("manifest", texts::manifest),
    committed("cel", texts::cel),
    committed("json_patch", objects::json_patch),
    committed("merge_patch", objects::merge_patch),
    committed("strategic_patch", objects::strategic_patch),
    committed("apply", objects::apply),
    committed("path", server::path),
    committed("body", server::body),
    Target { name: "log", run: store::log, made: store::logs },
];

const fn committed(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, made: Vec::new }
}

/// The target of this name.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}

/// The two texts of an input that has a line of `---` between them.
fn halves(data: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(data).ok()?.split_once("\n---\n")
}
