//! Setting volumes up and tearing them down. Blocking: to be called where that is fine.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use orch_ontology::HostPathType;

use super::{atomic, tmpfs};
use crate::{
    Layout,
    spec::{Content, VolumeSpec},
};

/// Why a volume could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumeError {
    /// The disk or the kernel stood in the way: try again.
    #[error("{action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Something else is at the path than the pod asked for: somebody must change that.
    #[error("hostPath type check failed: {} is not a {expected}", path.display())]
    HostPathType { path: PathBuf, expected: &'static str },
}

/// Makes the volumes be as asked. What is as asked already is left alone, so running containers notice nothing.
pub(crate) fn set_up(
    layout: &Layout,
    uid: &str,
    volumes: &[VolumeSpec],
    now: Timestamp,
) -> Result<(), (String, VolumeError)> {
    let set_up = |volume: &VolumeSpec| {
        let directory = layout.volume(uid, &volume.name);
        match &volume.content {
            Content::HostPath { path, path_type } => host_path(path, *path_type),
            Content::EmptyDir { in_memory, size_limit_bytes } => {
                directory_of_mode(&directory, 0o777)?;
                in_memory_if(*in_memory, &directory, *size_limit_bytes, 0o777)
            }
            Content::Files { files, in_memory } => {
                directory_of_mode(&directory, 0o755)?;
                in_memory_if(*in_memory, &directory, None, 0o755)?;
                atomic::write(&directory, files, now).map_err(failed("write files to", &directory))
            }
        }
    };
    volumes.iter().try_for_each(|volume| set_up(volume).map_err(|error| (volume.name.clone(), error)))
}

/// Removes everything of the pod but its logs: unmounts first, so that nothing on the other side of a mount is touched.
pub(crate) fn tear_down(layout: &Layout, uid: &str) -> Result<(), VolumeError> {
    let directory = layout.pod(uid);
    if !directory.exists() {
        return Ok(());
    }
    tmpfs::unmount_below(&directory).map_err(failed("unmount", &directory))?;
    fs::remove_dir_all(&directory).map_err(failed("remove", &directory))
}

/// Removes all that the agent of this data directory has kept there, of all pods: unmounts first, so that nothing on the
/// other side of a mount is touched. For when its containers are gone and no agent will come back for the rest.
///
/// # Errors
/// If something cannot be unmounted or removed. What is not there is no error.
pub fn remove_data(data_dir: &Path) -> io::Result<()> {
    let ignore_missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    };
    // Mounts are listed by their real paths.
    match data_dir.canonicalize() {
        Ok(real) => tmpfs::unmount_below(&real).and_then(|()| fs::remove_dir_all(&real)),
        Err(error) => Err(error),
    }
    .or_else(ignore_missing)
}

/// Removes the logs of a pod.
pub(crate) fn remove_logs(layout: &Layout, uid: &str) -> Result<(), VolumeError> {
    let suffix = format!("_{uid}");
    for (name, path) in directories_in(&layout.logs())? {
        if name.ends_with(&suffix) {
            fs::remove_dir_all(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// The uids of all pods that have something on the disk.
pub(crate) fn pods_on_disk(layout: &Layout) -> Result<BTreeSet<String>, VolumeError> {
    let pods = directories_in(&layout.pods())?.into_iter().map(|(name, _)| name);
    let logs = directories_in(&layout.logs())?.into_iter();
    let logs = logs.filter_map(|(name, _)| name.rsplit_once('_').map(|(_, uid)| uid.to_owned()));
    Ok(pods.chain(logs).collect())
}

fn directories_in(directory: &Path) -> Result<Vec<(String, PathBuf)>, VolumeError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed("list", directory))?,
    };
    let names =
        entries.flatten().filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    Ok(names.collect())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VolumeError {
    let path = path.to_owned();
    move |source| VolumeError::Io { action, path, source }
}

fn directory_of_mode(directory: &Path, mode: u32) -> Result<(), VolumeError> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory).map_err(failed("make", directory))?;
    // The process's umask does not apply to this.
    fs::set_permissions(directory, fs::Permissions::from_mode(mode))
        .map_err(failed("set the mode of", directory))
}

fn in_memory_if(
    in_memory: bool,
    directory: &Path,
    size_limit_bytes: Option<i64>,
    mode: u32,
) -> Result<(), VolumeError> {
    if !in_memory {
        return Ok(());
    }
    tmpfs::ensure(directory, size_limit_bytes, mode).map_err(failed("mount memory on", directory))
}

fn host_path(path: &Path, path_type: HostPathType) -> Result<(), VolumeError> {
    match path_type {
        HostPathType::DirectoryOrCreate if !path.exists() => return directory_of_mode(path, 0o755),
        HostPathType::FileOrCreate if !path.exists() => {
            fs::write(path, "").map_err(failed("make", path))?;
            let mode = fs::Permissions::from_mode(0o644);
            return fs::set_permissions(path, mode).map_err(failed("set the mode of", path));
        }
        _ => {}
    }
    let found = fs::metadata(path).map(|metadata| metadata.file_type());
    let (expected, is_it) = match path_type {
        // As container runtimes do for a bind mount of a path that isn't there.
        HostPathType::Unset if found.is_err() => return directory_of_mode(path, 0o755),
        HostPathType::Unset => return Ok(()),
        HostPathType::Directory | HostPathType::DirectoryOrCreate => {
            ("directory", found.is_ok_and(|t| t.is_dir()))
        }
        HostPathType::File | HostPathType::FileOrCreate => ("file", found.is_ok_and(|t| t.is_file())),
        HostPathType::Socket => ("socket file", found.is_ok_and(|t| t.is_socket())),
        HostPathType::CharDevice => ("character device", found.is_ok_and(|t| t.is_char_device())),
        HostPathType::BlockDevice => ("block device", found.is_ok_and(|t| t.is_block_device())),
    };
    if is_it { Ok(()) } else { Err(VolumeError::HostPathType { path: path.to_owned(), expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volumes::File;

    fn volume(name: &str, content: Content) -> VolumeSpec {
        VolumeSpec { name: name.into(), content }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn volumes_are_set_up_once_and_torn_down_entirely() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        let files = [("key".into(), File { bytes: b"value".to_vec(), mode: 0o640 })].into();
        let volumes = [
            volume("empty", Content::EmptyDir { in_memory: false, size_limit_bytes: None }),
            volume("config", Content::Files { files, in_memory: false }),
        ];
        set_up(&layout, "u", &volumes, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(mode(&layout.volume("u", "empty")), 0o777);
        fs::write(layout.volume("u", "empty").join("kept"), "by the pod").unwrap();
        set_up(&layout, "u", &volumes, Timestamp::UNIX_EPOCH).unwrap();
        assert!(layout.volume("u", "empty").join("kept").exists());
        let key = layout.volume("u", "config").join("key");
        assert_eq!((fs::read_to_string(&key).unwrap().as_str(), mode(&key)), ("value", 0o640));
        tear_down(&layout, "u").unwrap();
        tear_down(&layout, "u").unwrap();
        assert!(!layout.pod("u").exists());
    }

    #[test]
    fn host_paths_are_checked_and_made() {
        let root = tempfile::tempdir().unwrap();
        let (file, directory) = (root.path().join("file"), root.path().join("directory"));
        host_path(&file, HostPathType::FileOrCreate).unwrap();
        host_path(&directory, HostPathType::DirectoryOrCreate).unwrap();
        host_path(&directory, HostPathType::Directory).unwrap();
        host_path(&file, HostPathType::File).unwrap();
        host_path(Path::new("/dev/null"), HostPathType::CharDevice).unwrap();
        for (path, wrong) in [
            (&file, HostPathType::Directory),
            (&file, HostPathType::DirectoryOrCreate),
            (&directory, HostPathType::File),
            (&directory, HostPathType::Socket),
            (&root.path().join("none"), HostPathType::File),
        ] {
            let error = host_path(path, wrong).unwrap_err();
            assert!(error.to_string().starts_with("hostPath type check failed"), "{error}");
        }
    }
}
