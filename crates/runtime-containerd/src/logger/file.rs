//! The log's file, and its rotation.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::LoggerConfig;

/// The file, how large it is, and what was lost.
pub(super) struct Log {
    config: LoggerConfig,
    file: io::Result<File>,
    size_bytes: u64,
    lost_bytes: u64,
}

impl Log {
    pub(super) fn open(config: LoggerConfig) -> Self {
        let file = open(&config.path);
        let size_bytes =
            file.as_ref().ok().and_then(|file| file.metadata().ok()).map_or(0, |data| data.len());
        Self { config, file, size_bytes, lost_bytes: 0 }
    }

    /// Never fails: a container must not stop because its log cannot be written.
    pub(super) fn append(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if self.size_bytes > 0 && self.size_bytes + text.len() as u64 > self.config.max_file_bytes {
            self.rotate();
        }
        if self.file.is_err() {
            self.file = open(&self.config.path);
        }
        match self.write(text) {
            Ok(()) => self.size_bytes += text.len() as u64,
            Err(_) => self.lost_bytes += text.len() as u64,
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let Ok(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        if self.lost_bytes > 0 {
            let note = format!("{:.9} stderr F [{} bytes of log lost]\n", Timestamp::now(), self.lost_bytes);
            file.write_all(note.as_bytes())?;
            self.lost_bytes = 0;
        }
        file.write_all(text)
    }

    /// `0.log` becomes `0.log.1`, that becomes `0.log.2`, the oldest goes.
    fn rotate(&mut self) {
        let numbered = |n: u32| {
            let mut name = self.config.path.clone().into_os_string();
            if n > 0 {
                name.push(format!(".{n}"));
            }
            PathBuf::from(name)
        };
        if self.config.max_files < 2 {
            let _ = std::fs::remove_file(&self.config.path);
        }
        for n in (1..self.config.max_files).rev() {
            let _ = std::fs::rename(numbered(n - 1), numbered(n));
        }
        self.file = open(&self.config.path);
        self.size_bytes = 0;
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(dir: &Path, max_file_bytes: u64) -> Log {
        Log::open(LoggerConfig {
            path: dir.join("0.log"),
            max_file_bytes,
            max_files: 3,
            dir: None,
            fifos: false,
        })
    }

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 10);
        for n in 0..5 {
            log.append(format!("line {n}\n").as_bytes());
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            (read("0.log"), read("0.log.1"), read("0.log.2")),
            ("line 4\n".into(), "line 3\n".into(), "line 2\n".into())
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn what_could_not_be_written_is_noted_later() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("not-yet");
        let mut log = log(&inner, 1000);
        log.append(b"lost\n");
        std::fs::create_dir(&inner).unwrap();
        log.append(b"kept\n");
        let text = std::fs::read_to_string(inner.join("0.log")).unwrap();
        assert!(text.contains("[5 bytes of log lost]\nkept\n"), "{text}");
    }
}
