//! The report: tables of figures, with the machine and the command.

use std::fmt;
use std::time::Duration;

/// Sections in the order in which they were measured.
#[derive(Default)]
pub(crate) struct Report {
    sections: Vec<Section>,
}

/// One table.
pub(crate) struct Section {
    title: String,
    method: String,
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Report {
    /// Begins a table.
    pub(crate) fn section(&mut self, title: &str, method: &str, heading: &[&str]) -> &mut Section {
        self.sections.push(Section {
            title: title.into(),
            method: method.into(),
            heading: heading.iter().map(|cell| (*cell).into()).collect(),
            rows: Vec::new(),
        });
        let last = self.sections.len() - 1;
        &mut self.sections[last]
    }
}

impl Section {
    /// Adds a row, and shows it at once.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        eprintln!("   {}", cells.join("  "));
        self.rows.push(cells);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Benchmarks\n\n{}\n", machine())?;
        for section in &self.sections {
            writeln!(f, "## {}\n\n{}\n", section.title, section.method)?;
            writeln!(f, "| {} |\n|{}", section.heading.join(" | "), "---|".repeat(section.heading.len()))?;
            for row in &section.rows {
                writeln!(f, "| {} |", row.join(" | "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown").trim();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let load = read("/proc/loadavg");
    format!(
        "`cargo xtask {}` on {cores} cores ({}), {} GiB, Linux {}; load at the end {}.",
        std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        model.trim_start_matches([':', ' ', '\t']),
        memory.unwrap_or_default() >> 20,
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or_default(),
    )
}

/// Milliseconds with as many digits as mean something.
pub(crate) fn millis(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> String {
    format!("{} µs", duration.as_micros())
}

/// A rate in whole units a second.
pub(crate) fn rate(count: usize, time: Duration) -> String {
    format!("{:.0}/s", count as f64 / time.as_secs_f64())
}

/// One figure as a share of another.
pub(crate) fn share(part: f64, whole: f64) -> String {
    format!("{:.0} %", part / whole * 100.0)
}
