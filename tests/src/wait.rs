//! Waiting for what other processes do.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer. Panics with the last reason at the deadline.
pub fn wait_for<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(reason) => {
                assert!(start.elapsed() < deadline, "waited {deadline:?} for {what}: {reason}");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Waits until the condition holds. Panics at the deadline.
pub fn eventually(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, deadline, || if holds() { Ok(()) } else { Err("not yet".to_owned()) });
}
