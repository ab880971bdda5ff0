//! Who a container's processes are, by the image's `/etc/passwd` and `/etc/group`.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::Path,
};

use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::Mode,
};
use orch_runtime::{RuntimeError, User};

/// Longest account file that is read.
const LARGEST_BYTES: u64 = 4 << 20;

/// An image's account files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    passwd: String,
    group: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

impl Accounts {
    /// Reads them from a mounted image; links lead nowhere outside of it.
    pub(crate) fn read(root: &Path) -> Self {
        let read = |path: &str| read_within(root, path).unwrap_or_default();
        Self { passwd: read("etc/passwd"), group: read("etc/group") }
    }

    /// The ids for the image's user (`user`, `uid`, `user:group`, …) and what the container's spec says over it.
    pub(crate) fn resolve(&self, image_user: &str, user: Option<&User>) -> Result<Ids, RuntimeError> {
        let (mut name, mut group) = match image_user.split_once(':') {
            Some((name, group)) => (name.to_owned(), Some(group.to_owned())),
            None => (image_user.to_owned(), None),
        };
        if let Some(uid) = user.and_then(|user| user.uid) {
            // Another user's group is not the image user's.
            (name, group) = (uid.to_string(), None);
        }
        let entry = self.user(&name);
        let uid = match (name.as_str(), &entry, name.parse()) {
            ("", ..) => 0,
            (_, Some(entry), _) => entry.uid,
            (_, None, Ok(uid)) => uid,
            (_, None, Err(_)) => return Err(unknown("user", &name)),
        };
        let gid = match (user.and_then(|user| user.gid), group) {
            (Some(gid), _) => gid,
            (None, Some(group)) => self.gid(&group)?,
            (None, None) => entry.as_ref().map_or(0, |entry| entry.gid),
        };
        let mut groups = entry.map(|entry| self.groups_of(&entry.name)).unwrap_or_default();
        groups.extend(user.iter().flat_map(|user| &user.supplemental_gids));
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|group| *group != gid);
        Ok(Ids { uid, gid, groups })
    }

    /// By name, or by number.
    fn user(&self, name: &str) -> Option<Passwd> {
        let name = if name.is_empty() { "0" } else { name };
        let entries = || self.passwd.lines().filter_map(Passwd::parse);
        entries().find(|entry| entry.name == name).or_else(|| {
            let uid: u32 = name.parse().ok()?;
            entries().find(|entry| entry.uid == uid)
        })
    }

    fn gid(&self, group: &str) -> Result<u32, RuntimeError> {
        let named = self.group.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&group)).then(|| fields.get(2)?.parse().ok())?
        });
        named.or_else(|| group.parse().ok()).ok_or_else(|| unknown("group", group))
    }

    fn groups_of(&self, name: &str) -> Vec<u32> {
        let member = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let members = fields.get(3)?;
            members.split(',').any(|member| member == name).then(|| fields.get(2)?.parse().ok())?
        };
        self.group.lines().filter_map(member).collect()
    }
}

fn unknown(what: &str, name: &str) -> RuntimeError {
    RuntimeError::invalid("container.user", format!("the image has no {what} {name:?}"))
}

struct Passwd {
    name: String,
    uid: u32,
    gid: u32,
}

impl Passwd {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        let name = (*fields.first()?).to_owned();
        Some(Self { name, uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    }
}

fn read_within(root: &Path, path: &str) -> io::Result<String> {
    let root = File::open(root)?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .mode(Mode::empty())
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file: OwnedFd = openat2(&root, path, how)?;
    let mut text = String::new();
    File::from(file).take(LARGEST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(image_user: &str, user: Option<User>) -> Result<(u32, u32, Vec<u32>), RuntimeError> {
        let accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/:/bin/false\n".into(),
            group: "root:x:0:\nbin:x:1:root,web\nstaff:x:50:\nextra:x:51:web\n".into(),
        };
        accounts.resolve(image_user, user.as_ref()).map(|ids| (ids.uid, ids.gid, ids.groups))
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        assert_eq!(ids("", None).unwrap(), (0, 0, vec![1]));
        assert_eq!(ids("web", None).unwrap(), (33, 34, vec![1, 51]));
        assert_eq!(ids("33", None).unwrap(), (33, 34, vec![1, 51]));
        assert_eq!(ids("web:staff", None).unwrap(), (33, 50, vec![1, 51]));
        assert_eq!(ids("1000:1000", None).unwrap(), (1000, 1000, vec![]));
        assert_eq!(ids("1000", None).unwrap(), (1000, 0, vec![]));
        assert!(ids("nobody", None).is_err() && ids("web:nogroup", None).is_err());
    }

    #[test]
    fn the_spec_overrides_the_image() {
        let user = User { uid: Some(7), gid: None, supplemental_gids: vec![9, 9] };
        assert_eq!(ids("web:staff", Some(user)).unwrap(), (7, 0, vec![9]));
        let user = User { uid: None, gid: Some(50), supplemental_gids: vec![50, 60] };
        assert_eq!(ids("web", Some(user)).unwrap(), (33, 50, vec![1, 51, 60]));
    }

    #[test]
    fn links_do_not_lead_out_of_the_image() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("etc/passwd")).unwrap();
        assert!(read_within(dir.path(), "etc/passwd").is_err());
        std::fs::write(dir.path().join("etc/hostname"), "inside").unwrap();
        assert_eq!(read_within(dir.path(), "etc/passwd").unwrap(), "inside");
    }
}
