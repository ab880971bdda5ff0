//! File systems in memory.

use std::{io, path::Path};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Mounts a file system in memory on the directory, unless something is mounted there.
pub(super) fn ensure(directory: &Path, size_limit_bytes: Option<i64>, mode: u32) -> io::Result<()> {
    if is_mount_point(directory)? {
        return Ok(());
    }
    let size = size_limit_bytes.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
    let options = format!("mode={mode:o}{size}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), directory, Some("tmpfs"), flags, Some(options.as_str()))?;
    Ok(())
}

/// Unmounts everything that is mounted at or below the path; what still uses it keeps it until it ends.
pub(super) fn unmount_below(path: &Path) -> io::Result<()> {
    let mut points: Vec<_> = mount_points()?.into_iter().filter(|point| point.starts_with(path)).collect();
    // What was mounted last, and deepest, goes first.
    points.reverse();
    for point in points {
        umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
    }
    Ok(())
}

fn is_mount_point(directory: &Path) -> io::Result<bool> {
    Ok(mount_points()?.iter().any(|point| point == directory))
}

/// In the order of mounting.
fn mount_points() -> io::Result<Vec<std::path::PathBuf>> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| unescape(point).into()).collect())
}

/// The kernel writes blanks and backslashes as `\040` and the like.
fn unescape(point: &str) -> String {
    let mut parts = point.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[3..]);
            }
            None => bytes.extend_from_slice(part.as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_the_mount_table_are_unescaped() {
        assert_eq!(unescape(r"/a\040b\134c"), r"/a b\c");
        assert_eq!(unescape("/plain"), "/plain");
    }
}
