//! Load: so many clients, each one request after the other, for a fixed time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::report::{millis, rate};

const WARM_UP: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(5);

/// What the clients saw.
pub(crate) struct Outcome {
    /// How long each request took, sorted.
    latencies: Vec<Duration>,
    time: Duration,
    /// Requests altogether, those of the warm-up included.
    total: usize,
}

impl Outcome {
    /// From latencies measured elsewhere, over a time.
    pub(crate) fn new(mut latencies: Vec<Duration>, time: Duration) -> Self {
        latencies.sort_unstable();
        let total = latencies.len();
        Self { latencies, time, total }
    }

    /// What each request took of something that was measured over all of them.
    pub(crate) fn each(&self, all: Duration) -> Duration {
        all.div_f64(self.total.max(1) as f64)
    }

    /// Requests a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// Rate, median and 99th percentile.
    pub(crate) fn cells(&self) -> [String; 3] {
        [rate(self.latencies.len(), self.time), millis(self.quantile(0.5)), millis(self.quantile(0.99))]
    }

    /// The latency that this share of requests stayed within.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

/// Runs `request` from `clients` tasks, each handed its client's number and a number unique in the run: after a warm-up, for
/// some seconds.
pub(crate) async fn run<F, R>(clients: usize, request: F) -> Result<Outcome>
where
    F: Fn(usize, usize) -> R + Send + Sync + 'static,
    R: Future<Output = Result<()>> + Send,
{
    run_for(WARM_UP, MEASURE, clients, request).await
}

/// The same for other times.
pub(crate) async fn run_for<F, R>(
    warm_up: Duration,
    measure: Duration,
    clients: usize,
    request: F,
) -> Result<Outcome>
where
    F: Fn(usize, usize) -> R + Send + Sync + 'static,
    R: Future<Output = Result<()>> + Send,
{
    let (request, next, measuring) =
        (Arc::new(request), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (request, next, measuring) = (request.clone(), next.clone(), measuring.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < warm_up + measure {
                let began = Instant::now();
                request(client, next.fetch_add(1, Ordering::Relaxed)).await?;
                if measuring.load(Ordering::Relaxed) {
                    latencies.push(began.elapsed());
                }
            }
            Ok::<_, anyhow::Error>(latencies)
        });
    }
    tokio::time::sleep(warm_up).await;
    measuring.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let mut latencies = Vec::new();
    while let Some(client) = tasks.join_next().await {
        latencies.append(&mut client??);
    }
    let time = began.elapsed();
    Ok(Outcome { total: next.load(Ordering::Relaxed), ..Outcome::new(latencies, time) })
}
