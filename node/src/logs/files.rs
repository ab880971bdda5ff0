//! Where log files are, and finding the last lines of them.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::entry;

/// How much is read at once when reading backwards.
const BLOCK_BYTES: u64 = 64 << 10;

/// The files that hold one run's log: what was rotated away, oldest first, then the file itself if it exists. What was rotated away
/// carries a number that grows with age (`0.log.1` was written before `0.log`) or, as kubelet does it, a time
/// (`0.log.20260131-120000`).
pub(crate) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(Vec::new());
    };
    let prefix = format!("{name}.");
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        // Nothing ran yet, or its logs are gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let is_rotated = |suffix: &str| suffix.starts_with(|c: char| c.is_ascii_digit());
        if entry.file_name().to_str().and_then(|n| n.strip_prefix(&prefix)).is_some_and(is_rotated) {
            files.push(entry.path());
        }
    }
    files.sort_by_key(|file| (std::cmp::Reverse(number(file)), file.clone()));
    files.extend(path.exists().then(|| path.to_owned()));
    Ok(files)
}

/// The number at the end of the name; 0 if there is none.
fn number(file: &Path) -> u64 {
    file.extension().and_then(|extension| extension.to_str()?.parse().ok()).unwrap_or(0)
}

/// Which file it is, whatever it is called by now.
pub(crate) fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The file that was begun after this one, if any. Blocking.
pub(crate) fn file_after(path: &Path, own: (u64, u64)) -> io::Result<Option<File>> {
    loop {
        let files = files(path)?;
        let identities: Result<Vec<_>, _> =
            files.iter().map(|file| file.metadata().map(|m| identity(&m))).collect();
        let identities = match identities {
            // Rotated meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        // If it is gone, all that are left were begun after it.
        let next = identities.iter().position(|identity| *identity == own).map_or(0, |at| at + 1);
        let Some(path) = files.get(next) else { return Ok(None) };
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(file) if identity(&file.metadata()?) == identities[next] => return Ok(Some(file)),
            Ok(_) => {}
        }
    }
}

/// Where to begin: which of the files, and at which byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) file: usize,
    pub(crate) offset: u64,
}

/// Finds the last `lines` lines of output in the files. Reads backwards, so its cost depends on the lines, not the files.
pub(crate) fn tail(files: &[PathBuf], lines: u64) -> io::Result<Start> {
    let mut wanted = lines;
    for (index, path) in files.iter().enumerate().rev() {
        let file = File::open(path)?;
        let (found, offset) = last_lines(&file, wanted)?;
        wanted -= found;
        if wanted == 0 {
            return Ok(Start { file: index, offset });
        }
    }
    Ok(Start::default())
}

/// How many lines of output, up to `wanted`, the file ends with, and where they begin.
fn last_lines(file: &File, wanted: u64) -> io::Result<(u64, u64)> {
    let mut start = file.metadata()?.len();
    // The bytes from `start` on that have not been looked at.
    let mut unread: Vec<u8> = Vec::new();
    let mut found = 0;
    loop {
        while let Some(line_start) = last_line(&unread, start == 0) {
            let line = &unread[line_start..];
            // It is the end of the line before those wanted, so they begin after it.
            if entry::is_full(line.strip_suffix(b"\n").unwrap_or(line)) {
                if found == wanted {
                    return Ok((found, start + unread.len() as u64));
                }
                found += 1;
            }
            unread.truncate(line_start);
        }
        if start == 0 {
            return Ok((found, 0));
        }
        let block = start.min(BLOCK_BYTES);
        start -= block;
        let mut bytes = vec![0; usize::try_from(block).unwrap_or_default()];
        file.read_exact_at(&mut bytes, start)?;
        bytes.append(&mut unread);
        unread = bytes;
    }
}

/// Where the last line of the text begins, if that can be told.
fn last_line(text: &[u8], is_beginning_of_file: bool) -> Option<usize> {
    let (_, before) = text.split_last()?;
    let newline = before.iter().rposition(|byte| *byte == b'\n');
    newline.map(|at| at + 1).or(is_beginning_of_file.then_some(0))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn lines(range: std::ops::Range<u32>, text_bytes: usize) -> String {
        range.fold(String::new(), |mut all, n| {
            writeln!(all, "2026-01-31T12:00:00Z stdout P {n:0text_bytes$}").unwrap();
            writeln!(all, "2026-01-31T12:00:00Z stdout F end{n}").unwrap();
            all
        })
    }

    fn shown(files: &[PathBuf], start: Start) -> String {
        let mut text = String::new();
        for (index, path) in files.iter().enumerate().skip(start.file) {
            let offset = if index == start.file { usize::try_from(start.offset).unwrap() } else { 0 };
            text.push_str(&std::fs::read_to_string(path).unwrap()[offset..]);
        }
        text
    }

    #[test]
    fn the_tail_is_found_across_rotated_files_and_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        for text_bytes in [3, 50_000] {
            std::fs::write(dir.path().join("0.log.20260131-120000"), lines(0..3, text_bytes)).unwrap();
            std::fs::write(dir.path().join("0.log.20260131-130000"), lines(3..6, text_bytes)).unwrap();
            std::fs::write(&log, lines(6..9, text_bytes)).unwrap();
            std::fs::write(dir.path().join("10.log"), "").unwrap();
            let files = files(&log).unwrap();
            assert_eq!(files.len(), 3);
            for wanted in 0..12 {
                let expected = lines(9_u32.saturating_sub(wanted)..9, text_bytes);
                assert_eq!(shown(&files, tail(&files, wanted.into()).unwrap()), expected, "tail {wanted}");
            }
        }
    }

    #[test]
    fn rotated_files_are_read_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["0.log", "0.log.2", "0.log.10", "0.log.1", "1.log", "0.log.tmp"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let files = files(&dir.path().join("0.log")).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["0.log.10", "0.log.2", "0.log.1", "0.log"]);
    }

    #[test]
    fn an_empty_log_has_an_empty_tail() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        assert_eq!(files(&log).unwrap(), Vec::<PathBuf>::new());
        std::fs::write(&log, "").unwrap();
        assert_eq!(tail(&files(&log).unwrap(), 5).unwrap(), Start::default());
    }
}
