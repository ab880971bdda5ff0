//! Directories of files that change all at once, as ConfigMap and Secret volumes do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
};

use jiff::Timestamp;

/// The link that is switched.
const DATA: &str = "..data";
const DATA_NEXT: &str = "..data_tmp";

/// What a directory should hold: files by relative path.
pub(crate) type Payload = BTreeMap<PathBuf, File>;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

/// Makes `directory` show exactly `payload`. A reader sees all files as they were or all as they will be.
///
/// The layout is that of Kubernetes' `AtomicWriter`: files live in a directory named after the time, `..data` links to it,
/// and each visible name links through `..data`. Nothing is written when the content is the same already. A process killed half way
/// leaves the old content in place and garbage that the next call removes.
pub(crate) fn write(directory: &Path, payload: &Payload, now: Timestamp) -> io::Result<()> {
    if let Some(path) = payload.keys().find(|path| !is_inside(path)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} leaves the volume", path.display()),
        ));
    }
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    if !shows(&directory.join(DATA), payload) {
        switch(directory, payload, now)?;
    }
    link_names(directory, payload)?;
    remove_garbage(directory)
}

/// The path names something below the directory and does not use the writer's own names.
fn is_inside(path: &Path) -> bool {
    let mut components = path.components();
    let first = components.clone().next();
    components.all(|part| matches!(part, Component::Normal(_)))
        && matches!(first, Some(Component::Normal(name)) if !name.to_string_lossy().starts_with(".."))
}

fn shows(data: &Path, payload: &Payload) -> bool {
    let Ok(present) = files_below(data) else { return false };
    present.len() == payload.len()
        && payload.iter().all(|(path, file)| {
            let path = data.join(path);
            fs::read(&path).is_ok_and(|bytes| bytes == file.bytes)
                && fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o7777 == file.mode)
        })
}

fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match fs::metadata(&path)?.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

fn switch(directory: &Path, payload: &Payload, now: Timestamp) -> io::Result<()> {
    let name = unused_name(directory, now);
    let fresh = directory.join(&name);
    fs::create_dir(&fresh)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
    for (path, file) in payload {
        write_file(&fresh, path, file)?;
    }
    let next = directory.join(DATA_NEXT);
    remove_any(&next)?;
    symlink(&name, &next)?;
    fs::rename(&next, directory.join(DATA))
}

/// Like `..2026_01_31_12_00_00.123456789`, as Kubernetes names it.
fn unused_name(directory: &Path, now: Timestamp) -> String {
    let time = now.to_zoned(jiff::tz::TimeZone::UTC).strftime("..%Y_%m_%d_%H_%M_%S").to_string();
    let nanos = now.subsec_nanosecond().unsigned_abs();
    let names = (0_u32..).map(|n| format!("{time}.{:09}", u64::from(nanos) + u64::from(n)));
    names.into_iter().find(|name| !directory.join(name).exists()).unwrap_or_default()
}

fn write_file(root: &Path, path: &Path, file: &File) -> io::Result<()> {
    let target = root.join(path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
    io::Write::write_all(&mut out, &file.bytes)?;
    // After the fact, since the process's umask does not apply to it.
    out.set_permissions(fs::Permissions::from_mode(file.mode))
}

fn link_names(directory: &Path, payload: &Payload) -> io::Result<()> {
    for name in first_components(payload) {
        let (link, target) = (directory.join(&name), Path::new(DATA).join(&name));
        if fs::read_link(&link).is_ok_and(|present| present == target) {
            continue;
        }
        remove_any(&link)?;
        symlink(&target, &link)?;
    }
    Ok(())
}

fn first_components(payload: &Payload) -> BTreeSet<PathBuf> {
    payload
        .keys()
        .filter_map(|path| path.components().next())
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

/// Removes links that lead nowhere and directories that are no longer linked.
fn remove_garbage(directory: &Path) -> io::Result<()> {
    let current = fs::read_link(directory.join(DATA))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let is_link = entry.file_type()?.is_symlink();
        let stale = match name.to_string_lossy() {
            own if own == DATA || Path::new(&*own) == current => false,
            own if own.starts_with("..") => true,
            _ => is_link && !path.exists(),
        };
        if stale {
            remove_any(&path)?;
        }
    }
    Ok(())
}

fn remove_any(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |text: &str| File { bytes: text.into(), mode: 0o644 };
        files.iter().map(|(path, text)| (PathBuf::from(path), file(text))).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What a program in the container sees.
    fn visible(directory: &Path) -> BTreeMap<String, String> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names
            .filter(|name| !name.starts_with(".."))
            .filter_map(|name| Some((name.clone(), fs::read_to_string(directory.join(name)).ok()?)))
            .collect()
    }

    fn hidden(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.retain(|name| name.starts_with(".."));
        names.sort();
        names
    }

    #[test]
    fn files_appear_change_and_vanish() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("config");
        write(&dir, &payload(&[("a", "1"), ("b", "2"), ("deep/er/c", "3")]), at(1)).unwrap();
        assert_eq!(visible(&dir), [("a".into(), "1".into()), ("b".into(), "2".into())].into());
        assert_eq!(fs::read_to_string(dir.join("deep/er/c")).unwrap(), "3");
        write(&dir, &payload(&[("a", "new"), ("d", "4")]), at(2)).unwrap();
        assert_eq!(visible(&dir), [("a".into(), "new".into()), ("d".into(), "4".into())].into());
        assert!(!dir.join("deep").exists());
        assert_eq!(hidden(&dir), ["..1970_01_01_00_00_02.000000000", "..data"]);
    }

    #[test]
    fn the_same_content_is_not_written_again() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &payload(&[("a", "1")]), at(1)).unwrap();
        write(root.path(), &payload(&[("a", "1")]), at(2)).unwrap();
        assert_eq!(hidden(root.path()), ["..1970_01_01_00_00_01.000000000", "..data"]);
    }

    #[test]
    fn a_changed_mode_is_a_change() {
        let root = tempfile::tempdir().unwrap();
        let mut files = payload(&[("a", "1")]);
        write(root.path(), &files, at(1)).unwrap();
        files.values_mut().for_each(|file| file.mode = 0o400);
        write(root.path(), &files, at(2)).unwrap();
        let mode = fs::metadata(root.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o400);
    }

    #[test]
    fn what_a_killed_writer_left_is_cleared() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &payload(&[("a", "1")]), at(1)).unwrap();
        fs::create_dir(root.path().join("..1970_01_01_00_00_02.000000000")).unwrap();
        symlink("..1970_01_01_00_00_02.000000000", root.path().join(DATA_NEXT)).unwrap();
        write(root.path(), &payload(&[("a", "2")]), at(2)).unwrap();
        assert_eq!(visible(root.path()), [("a".into(), "2".into())].into());
        assert_eq!(hidden(root.path()), ["..1970_01_01_00_00_02.000000001", "..data"]);
    }

    #[test]
    fn paths_that_leave_the_volume_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for path in ["../a", "a/../../b", "/etc/passwd", "..data", "..x/y", ""] {
            assert!(write(root.path(), &payload(&[(path, "")]), at(1)).is_err(), "{path:?}");
        }
    }
}
