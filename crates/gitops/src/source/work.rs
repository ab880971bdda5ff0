//! [`fetch`]: the whole of it, step by step.

use std::fs;
use std::path::Path;

use git2::{Commit, Oid, Repository, RepositoryInitOptions};
use jiff::Timestamp;
use orch_api::Time;

use super::reference::{Wanted, resolve};
use super::remote::Server;
use super::{Fetch, Fetched, Limits, Reason, Snapshot, SourceError, files, kustomize, signature};

/// Fetches. Blocks, and trusts the process that it is in to be limited, and killed if need be: see `fetch_in_child`.
///
/// # Errors
/// With the reason and what to do about it. A cache that is broken is no error: it is made anew.
pub fn fetch(request: &Fetch) -> Result<Fetched, SourceError> {
    let caches = [TIP, WHOLE].map(|name| request.cache.join(name));
    let cached = caches.iter().any(|cache| cache.exists());
    match attempt(request) {
        Err(error) if cached && error.reason == Reason::Corrupt => {
            caches.iter().try_for_each(|cache| throw_away(cache))?;
            attempt(request)
        }
        done => done,
    }
}

/// The repository of what a reference leads to, without history.
const TIP: &str = "tip.git";
/// That of all branches and tags, for commits that have no name.
const WHOLE: &str = "whole.git";

fn attempt(request: &Fetch) -> Result<Fetched, SourceError> {
    let tip = open(&request.cache.join(TIP), &request.limits)?;
    let mut server = Server::connect(&tip, request)?;
    let wanted = resolve(&request.reference, &server.advertised()?)?;
    let known = |commit: Oid| request.known.as_ref().is_some_and(|known| *known == commit.to_string());
    if let Some(commit) = wanted.commit.filter(|commit| known(*commit)) {
        return Ok(Fetched::Unchanged { revision: commit.to_string() });
    }
    if tip.find_object(wanted.id, None).is_ok() {
        return answer(request, &tip, &wanted);
    }
    match server.receive(&wanted) {
        // Most servers send a commit that has no name only with all that has one.
        Err(error) if wanted.name.is_none() && may_be_elsewhere(error.reason) => {
            drop(server);
            let whole = open(&request.cache.join(WHOLE), &request.limits)?;
            Server::connect(&whole, request)?.receive_all()?;
            answer(request, &whole, &wanted)
        }
        Err(error) => Err(error),
        Ok(()) => answer(request, &tip, &wanted),
    }
}

fn may_be_elsewhere(reason: Reason) -> bool {
    matches!(reason, Reason::NotFound | Reason::Unreachable | Reason::Corrupt | Reason::Failed)
}

/// What has been received, looked at.
fn answer(request: &Fetch, repository: &Repository, wanted: &Wanted) -> Result<Fetched, SourceError> {
    let commit = commit(repository, wanted)?;
    let revision = commit.id().to_string();
    // What is referred to is what the server is told of, the next time.
    repository
        .reference("refs/orch/tip", commit.id(), true, "")
        .map_err(|error| SourceError::of_objects(&error))?;
    if request.known.as_ref() == Some(&revision) {
        return Ok(Fetched::Unchanged { revision });
    }
    if let Some(signers) = &request.signers {
        signature::verify(repository, commit.id(), signers, Timestamp::now())?;
    }
    let root = commit.tree().map_err(|error| SourceError::of_objects(&error))?;
    let directory = files::directory(repository, &root, &request.path)?;
    let files = match kustomize::is_built(&directory) {
        true => vec![kustomize::build(repository, &root, &request.path, &request.limits)?],
        false => files::manifests(repository, &root, &directory, &request.path, &request.limits)?,
    };
    let reference = wanted.name.clone().unwrap_or_else(|| revision.clone());
    Ok(Fetched::Snapshot(snapshot(&commit, revision, reference, files)))
}

fn snapshot(commit: &Commit<'_>, revision: String, reference: String, files: Vec<super::File>) -> Snapshot {
    let author = commit.author();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let at = Timestamp::from_second(commit.time().seconds()).unwrap_or_default();
    Snapshot {
        revision,
        reference,
        author: format!("{} <{}>", text(author.name_bytes()), text(author.email_bytes())),
        subject: text(commit.summary_bytes().unwrap_or_default()),
        time: Time::new(at),
        files,
    }
}

/// The commit that is meant: that below a tag, or a tag of a tag.
fn commit<'r>(repository: &'r Repository, wanted: &Wanted) -> Result<Commit<'r>, SourceError> {
    let missing = |_| {
        SourceError::not_found(format!("no branch or tag of the repository has the commit {}", wanted.id))
    };
    let object = match wanted.name {
        Some(_) => {
            repository.find_object(wanted.id, None).map_err(|error| SourceError::of_objects(&error))?
        }
        None => repository.find_object(wanted.id, None).map_err(missing)?,
    };
    let name = wanted.name.as_deref().unwrap_or_default();
    object
        .peel_to_commit()
        .map_err(|error| SourceError::not_found(format!("{name} is no commit: {}", error.message())))
}

/// The repository in the cache; made if there is none, or it is broken, or has grown too much.
fn open(path: &Path, limits: &Limits) -> Result<Repository, SourceError> {
    if let Ok(repository) = Repository::open_bare(path)
        && is_small(&path.join("objects/pack"), limits)
    {
        return Ok(repository);
    }
    throw_away(path)?;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).mkpath(true).external_template(false);
    Repository::init_opts(path, &options).map_err(|error| SourceError::of_objects(&error))
}

/// How many files of packs a cache may have before it is made anew. Each change brings a pack and its index.
const MOST_FILES: usize = 128;

/// Whether the packs are few and small: each fetch adds one, one that was cut short may leave half of one, and none is ever
/// taken away.
fn is_small(packs: &Path, limits: &Limits) -> bool {
    let sizes = fs::read_dir(packs)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| Some(file.metadata().ok()?.len()));
    let (files, bytes) =
        sizes.fold((0, 0_u64), |(files, bytes), size| (files + 1, bytes.saturating_add(size)));
    files <= MOST_FILES && bytes <= limits.received_bytes.saturating_mul(2)
}

fn throw_away(path: &Path) -> Result<(), SourceError> {
    let done = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    done.map_err(|error| SourceError::io(&format!("remove {}", path.display()), &error))
}
