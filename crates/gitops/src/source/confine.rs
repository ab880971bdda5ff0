//! What the process that fetches may still do, once it knows what for.
//!
//! The kernel sees to it (Landlock), for this process and all that it starts, whoever it runs as. A kernel that cannot do all of
//! this does what it can; limits, and the care of the other modules, do not depend on it.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    Scope, path_beneath_rules,
};
use nix::sched::{CloneFlags, unshare};

use super::{Fetch, Reason, SourceError, kustomize};

/// What is asked of the kernel: what it had when this was written and tested.
const KNOWN: ABI = ABI::V7;

/// Where programs and libraries are.
const PROGRAMS: &[&str] = &["/usr", "/bin", "/lib", "/lib64", "/nix/store"];

/// What libraries read to find hosts, users, certificates and each other.
const SETTINGS: &[&str] = &[
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/dev/random",
    "/dev/urandom",
    "/proc/self",
];

/// From here on, files are read where programs and their settings are, and those of local repositories if one is wanted. They
/// are written in the cache and in the directory for passing files. Processes outside hear nothing of this one.
///
/// # Errors
/// If there is no cache to be had.
pub(super) fn files(request: &Fetch) -> Result<(), SourceError> {
    fs::create_dir_all(&request.cache).map_err(|error| SourceError::io("make the cache", &error))?;
    let mut read: Vec<PathBuf> = [PROGRAMS, SETTINGS].concat().into_iter().map(PathBuf::from).collect();
    read.extend(
        ["HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from),
    );
    read.extend(kustomize::tool().map(|(program, _)| program));
    if request.url.starts_with("file:") {
        read.extend(request.local_roots.clone());
    }
    let written = [request.cache.as_path(), &std::env::temp_dir(), Path::new("/dev/null")];
    restrict(&read, &written).map_err(failed)
}

fn restrict(read: &[PathBuf], written: &[&Path]) -> Result<(), RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(KNOWN)))?
        .add_rules(path_beneath_rules(written, AccessFs::from_all(KNOWN)))?
        .restrict_self()?;
    Ok(())
}

/// From here on, nothing is sent or received.
pub(super) fn network() -> Result<(), SourceError> {
    // Takes away all of it, but only who is root may. The rest is for everybody.
    let _ = unshare(CloneFlags::CLONE_NEWNET);
    let restrict = || Ruleset::default().handle_access(AccessNet::from_all(KNOWN))?.create()?.restrict_self();
    restrict().map(drop).map_err(failed)
}

fn failed(error: RulesetError) -> SourceError {
    SourceError::new(Reason::Failed, format!("the process that fetches cannot be confined: {error}"))
}
