//! [`Again`]: going on when a server was away for a moment.

use std::time::Duration;

use super::Failure;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long to wait before the server is asked once more. A server that has never answered is not waited for.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// None: it has not answered yet.
    pause: Option<Duration>,
    is_away: bool,
}

impl Again {
    /// The server has answered.
    pub(super) fn reached(&mut self) {
        *self = Self { pause: Some(FIRST_PAUSE), is_away: false };
    }

    /// Waits, longer each time, and says so the first time.
    ///
    /// # Errors
    /// The failure, if it is not one that passes by itself.
    pub(super) async fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        let is_news = !std::mem::replace(&mut self.is_away, true);
        let said = failure.warning("trying again until it answers");
        let pause = self.next(failure)?;
        if is_news {
            anstream::eprint!("{said}");
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// As [`Again::after`], without a word.
    pub(super) async fn after_quietly(&mut self, failure: Failure) -> Result<(), Failure> {
        tokio::time::sleep(self.next(failure)?).await;
        Ok(())
    }

    fn next(&mut self, failure: Failure) -> Result<Duration, Failure> {
        match self.pause {
            Some(pause) if failure.is_passing() => {
                self.pause = Some(LONGEST_PAUSE.min(pause * 2));
                Ok(pause)
            }
            _ => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use orch_api::Status;

    use super::*;

    #[test]
    fn only_a_server_that_has_answered_is_waited_for() {
        let away = || Failure::from(Status::unavailable("away"));
        let mut again = Again::default();
        assert!(again.next(away()).is_err());
        again.reached();
        let pauses: Vec<_> = (0..6).map(|_| again.next(away()).unwrap().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
        again.reached();
        assert_eq!(again.next(away()).unwrap().as_secs(), 1);
        assert!(again.next(Failure::from(Status::bad_request("no"))).is_err());
    }
}
