//! Whether the machine runs short of memory, disk or process ids, by kubelet's default thresholds.

use std::{fs, path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use nix::sys::statvfs::statvfs;

/// How often the machine is looked at: as often as kubelet does.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// A shortage that is over is told for so long, so that what comes and goes does not flap.
const TRANSITION: SignedDuration = SignedDuration::from_mins(5);
/// A machine with less memory available is short of it.
const MEMORY_BYTES: u64 = 100 << 20;
/// A disk with less free is short of space.
const DISK_PERCENT: u64 = 10;
/// A disk with fewer free is short of inodes.
const INODES_PERCENT: u64 = 5;
/// A machine with fewer free is short of process ids.
const PIDS_PERCENT: u64 = 10;

/// What the machine is short of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pressure {
    pub(super) memory: bool,
    pub(super) disk: bool,
    pub(super) pids: bool,
}

/// What is left of what there is. What cannot be read is not short.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    memory_bytes: Option<u64>,
    disk: Option<Left>,
    inodes: Option<Left>,
    pids: Option<Left>,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    free: u64,
    all: u64,
}

/// When each shortage was last seen.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    memory: Option<Timestamp>,
    disk: Option<Timestamp>,
    pids: Option<Timestamp>,
}

impl Gauge {
    /// Looks at this machine, and at the disk of a directory.
    pub(super) fn look(&mut self, directory: &Path, now: Timestamp) -> Pressure {
        self.judge(Reading::take(directory), now)
    }

    fn judge(&mut self, reading: Reading, now: Timestamp) -> Pressure {
        let is_short = |left: Option<Left>, percent| left.is_some_and(|left| left.is_below(percent));
        let short_of_memory = reading.memory_bytes.is_some_and(|bytes| bytes < MEMORY_BYTES);
        let short_of_disk = is_short(reading.disk, DISK_PERCENT) || is_short(reading.inodes, INODES_PERCENT);
        Pressure {
            memory: lasts(&mut self.memory, short_of_memory, now),
            disk: lasts(&mut self.disk, short_of_disk, now),
            pids: lasts(&mut self.pids, is_short(reading.pids, PIDS_PERCENT), now),
        }
    }
}

fn lasts(seen: &mut Option<Timestamp>, is_short: bool, now: Timestamp) -> bool {
    if is_short {
        *seen = Some(now);
    }
    seen.is_some_and(|seen| now.duration_since(seen) < TRANSITION)
}

impl Left {
    fn is_below(self, percent: u64) -> bool {
        // A file system without inodes of its own has none of none.
        self.all > 0 && u128::from(self.free) * 100 < u128::from(self.all) * u128::from(percent)
    }
}

impl Reading {
    fn take(directory: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let existing = directory.ancestors().find(|directory| directory.exists());
        let disk = existing.and_then(|directory| statvfs(directory).ok());
        Self {
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            disk: disk.map(|disk| {
                // As df: what is kept from us is no part of what there is.
                let used = disk.blocks().saturating_sub(disk.blocks_free());
                Left { free: disk.blocks_available(), all: used + disk.blocks_available() }
            }),
            inodes: disk.map(|disk| Left { free: disk.files_available(), all: disk.files() }),
            pids: pids(
                &read("/proc/loadavg"),
                [read("/proc/sys/kernel/pid_max"), read("/proc/sys/kernel/threads-max")],
            ),
        }
    }
}

/// What can be had without swapping.
fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The fourth word of the load says how many processes and threads there are: `2/345`. The lower of the limits counts.
fn pids(loadavg: &str, limits: [String; 2]) -> Option<Left> {
    let (_, present) = loadavg.split_whitespace().nth(3)?.split_once('/')?;
    let present: u64 = present.parse().ok()?;
    let all = limits.iter().filter_map(|limit| limit.trim().parse::<u64>().ok()).min()?;
    Some(Left { free: all.saturating_sub(present), all })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn reading(free: u64) -> Reading {
        Reading { disk: Some(Left { free, all: 100 }), ..Reading::default() }
    }

    #[test]
    fn a_shortage_is_told_until_it_has_been_over_for_a_while() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.judge(reading(10), at(0)), Pressure::default());
        let short = Pressure { disk: true, ..Pressure::default() };
        assert_eq!(gauge.judge(reading(9), at(10)), short);
        assert_eq!(gauge.judge(reading(50), at(309)), short);
        assert_eq!(gauge.judge(reading(50), at(310)), Pressure::default());
    }

    #[test]
    fn memory_inodes_and_process_ids_count_too() {
        let none = Reading::default();
        let short = |reading| Gauge::default().judge(reading, at(0));
        assert!(short(Reading { memory_bytes: Some(MEMORY_BYTES - 1), ..none }).memory);
        assert!(!short(Reading { memory_bytes: Some(MEMORY_BYTES), ..none }).memory);
        assert!(short(Reading { inodes: Some(Left { free: 4, all: 100 }), ..none }).disk);
        assert!(!short(Reading { inodes: Some(Left { free: 0, all: 0 }), ..none }).disk);
        assert!(short(Reading { pids: Some(Left { free: 9, all: 100 }), ..none }).pids);
        assert_eq!(short(none), Pressure::default());
    }

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(memory_bytes("MemTotal: 9 kB\nMemAvailable:    2 kB\n"), Some(2048));
        let left = pids("0.1 0.2 0.3 2/345 678\n", ["400\n".into(), "1000\n".into()]).unwrap();
        assert_eq!((left.free, left.all), (55, 400));
        let here = Reading::take(Path::new("/var/lib/none/yet"));
        assert!(here.memory_bytes.is_some() && here.disk.is_some() && here.pids.is_some(), "{here:?}");
    }
}
