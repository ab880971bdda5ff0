//! The one way in which YAML is read: as Kubernetes' server reads it, but for the words that were booleans in YAML 1.1.

use serde_saphyr::{Error, Options};

/// YAML 1.2 words only (`no` and `on` are strings), `0644` is octal, duplicate keys are errors. A document may be as large as its
/// text: what aliases make of it is bounded.
pub(crate) fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: usize::MAX,
            max_events: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// The error as one line with its position.
pub(crate) fn problem(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or("malformed").to_owned()
}

/// The error as one line, for where the position is shown otherwise.
pub(crate) fn problem_without_position(error: &Error) -> String {
    let line = problem(error);
    let line = line.split(" at line ").next().unwrap_or(&line);
    // What a program could set, nobody who writes a manifest can.
    line.split(", set DuplicateKeyPolicy").next().unwrap_or(line).to_owned()
}
