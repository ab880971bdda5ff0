//! [`Backoff`]: how long to wait after the n-th failure in a row.

use std::time::Duration;

/// Waiting times that double from one failure to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// Never longer than this.
    pub limit: Duration,
}

impl Backoff {
    /// How long to wait after `failures` failures in a row: exponential, of which up to a quarter is left to chance so
    /// that what failed together doesn't return together.
    pub fn after(&self, failures: u32) -> Duration {
        self.longest(failures).mul_f64(1.0 - 0.25 * rand::random::<f64>())
    }

    /// The same with nothing left to chance.
    pub fn longest(&self, failures: u32) -> Duration {
        let exponent = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << exponent).min(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_up_to_the_limit_with_a_quarter_of_jitter() {
        let backoff = Backoff { first: Duration::from_millis(10), limit: Duration::from_secs(1) };
        for (failures, full_ms) in [(1, 10), (2, 20), (3, 40), (8, 1000), (u32::MAX, 1000)] {
            let wait = backoff.after(failures);
            let full = Duration::from_millis(full_ms);
            assert!(wait <= full && wait >= full.mul_f64(0.75), "{failures}: {wait:?}");
        }
    }
}
