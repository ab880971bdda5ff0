//! A short run of every target, from a seed that is printed.

use std::time::Duration;

use orch_fuzz::{Engine, target};

/// Seconds for each target unless `ORCH_FUZZ_SECONDS` says otherwise. They run beside each other.
const SECONDS: u64 = 3;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn fuzz(name: &str) {
    let seed = number("ORCH_FUZZ_SEED").unwrap_or_else(rand::random);
    let time = Duration::from_secs(number("ORCH_FUZZ_SECONDS").unwrap_or(SECONDS));
    eprintln!("{name}: ORCH_FUZZ_SEED={seed}");
    let inputs = Engine::new(target(name), seed).run(target(name), time);
    eprintln!("{name}: {inputs} inputs");
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { fuzz(stringify!($name)); })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<_> = orch_fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! { quantity selector manifest cel json_patch merge_patch strategic_patch apply path body log }
