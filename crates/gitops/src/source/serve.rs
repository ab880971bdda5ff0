//! [`serve`]: all that the process does that fetches.

use std::io::{self, Read, Write};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::alarm;

use super::child::Order;
use super::{Limits, confine, fetch};

/// Reads one request, limits this process, fetches, and writes the answer: `orchctl git-fetch`.
///
/// # Errors
/// If it was not told what to do, or nobody hears the answer. What goes wrong with the repository is an answer.
pub fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut order = Vec::new();
    input.read_to_end(&mut order)?;
    let Order { fetch: request, seconds } = serde_json::from_slice(&order)?;
    limit(&request.limits, seconds)?;
    let answer = confine::files(&request).and_then(|()| fetch(&request));
    serde_json::to_writer(&mut output, &answer)?;
    output.flush()
}

/// From here on, whatever is received can do no more than break this process.
fn limit(limits: &Limits, seconds: u32) -> io::Result<()> {
    // Packs are kept next to an index; trees and files of kustomize are smaller.
    let file_bytes = limits.received_bytes.saturating_add(64 << 20);
    for (resource, most) in [
        (Resource::RLIMIT_AS, limits.memory_bytes),
        (Resource::RLIMIT_FSIZE, file_bytes),
        (Resource::RLIMIT_CPU, u64::from(seconds)),
        (Resource::RLIMIT_CORE, 0),
    ] {
        setrlimit(resource, most, most)?;
    }
    alarm::set(seconds);
    // What repositories hold is for nobody else on this machine.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    Ok(())
}
