//! [`Engine`]: makes inputs by changing seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::Target;

/// No input is longer.
const LONGEST: usize = 16 * 1024;
/// No input may keep a target busy for longer: a generous bound for unoptimised code on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that mean something to one parser or another.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ":",
    ",",
    "\n",
    "---\n",
    "- ",
    "&a ",
    "*a",
    "null",
    "true",
    "~",
    "0",
    "-1",
    "1e999",
    "9223372036854775807",
    "-9223372036854775808",
    "0.1",
    "Ki",
    "m",
    "n",
    "E",
    "in (",
    "notin",
    "!=",
    "==",
    "=",
    "!",
    "%00",
    "%2F",
    "%ff",
    "..",
    "/",
    "?",
    "&",
    "=true",
    "limit=",
    "watch=1",
    "resourceVersion=",
    "continue=",
    "$patch",
    "$setElementOrder/",
    "$deleteFromPrimitiveList/",
    "$retainKeys",
    "replace",
    "delete",
    "merge",
    "name",
    "metadata",
    "managedFields",
    "spec",
    "\u{0}",
    "\u{feff}",
    "é",
    "𝕊",
    "self.",
    ".map(x, x)",
    ".all(x, true)",
    "matches(",
    "k8s\u{0}",
    "\u{7f}",
    "!!binary ",
    "<<: ",
    "|\n",
];

/// Makes inputs by changing seeds, and hands them to a target.
pub struct Engine {
    seeds: Vec<Vec<u8>>,
    random: StdRng,
}

impl Engine {
    /// An engine with the target's seeds, that makes the same inputs again for the same `seed`.
    pub fn new(target: &Target, seed: u64) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
        let mut files: Vec<_> =
            std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let read = files.iter().map(|file| std::fs::read(file).unwrap());
        let seeds: Vec<_> = read.chain((target.made)()).collect();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        Self { seeds, random: StdRng::seed_from_u64(seed) }
    }

    /// Runs the target on the seeds, then on what it makes of them, for this long. Answers how many inputs that were.
    ///
    /// # Panics
    /// If the target does, or takes too long; the input is printed.
    pub fn run(&mut self, target: &Target, time: Duration) -> usize {
        let end = Instant::now() + time;
        for seed in &self.seeds {
            attempt(target, seed);
        }
        let mut inputs = self.seeds.len();
        while Instant::now() < end {
            let input = self.input();
            attempt(target, &input);
            inputs += 1;
        }
        inputs
    }

    fn input(&mut self) -> Vec<u8> {
        let mut input = self.seeds.choose(&mut self.random).cloned().unwrap_or_default();
        for _ in 0..self.random.random_range(1..6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let from = self.random.random_range(0..=input.len());
        let to = (from + self.random.random_range(0..32)).min(input.len());
        match self.random.random_range(0..8) {
            0 if from < to => input[from] ^= 1 << self.random.random_range(0..8),
            1 if from < to => input[from] = self.random.random(),
            2 => drop(input.drain(from..to)),
            3 => {
                let again = input[from..to].repeat(self.random.random_range(1..40));
                drop(input.splice(from..from, again));
            }
            4 => {
                let other = self.seeds.choose(&mut self.random).cloned().unwrap_or_default();
                let at = self.random.random_range(0..=other.len());
                let length = self.random.random_range(0..=other.len() - at);
                drop(input.splice(from..to, other[at..at + length].to_vec()));
            }
            5 => input.truncate(from),
            _ => {
                let word = WORDS.choose(&mut self.random).copied().unwrap_or_default();
                drop(input.splice(from..to.min(from + 4), word.bytes()));
            }
        }
    }
}

fn attempt(target: &Target, input: &[u8]) {
    // What overflows the stack takes the process along, and cannot be told afterwards.
    if let Some(file) = std::env::var_os("ORCH_FUZZ_KEEP") {
        std::fs::write(file, input).unwrap();
    }
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = start.elapsed();
    if outcome.is_err() || took > PATIENCE {
        panic!("{} took {took:?} and fails on b\"{}\"", target.name, input.escape_ascii());
    }
}
