//! What a repository says: asked for in a process of its own, and kept while it is the same.
//!
//! Servers may take their time: a fetch is under way beside the controller's workers, and its sync is worked on again once it is over.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use orch_api::{Api, Client, Status};
use orch_controller_runtime::{ObjectKey, WorkQueue};
use orch_gitops::source::{
    Credentials, Fetch, Fetched, Limits, Manifest, Reason, Reference, Snapshot, SourceError, fetch_in_child,
    manifests,
};
use orch_ontology::{GitReference, GitSync, Secret};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::Settings;

/// How many fetches are under way at once, and how many of one namespace.
const AT_ONCE: usize = 32;
const AT_ONCE_OF_A_NAMESPACE: usize = 4;

/// The manifests of a commit.
pub(super) struct Loaded {
    pub(super) revision: String,
    /// What led to it: a branch, a tag.
    pub(super) reference: String,
    pub(super) subject: String,
    pub(super) author: String,
    pub(super) manifests: Vec<Manifest>,
    /// Whose signatures counted.
    signers: Option<Vec<String>>,
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) reason: String,
    pub(super) message: String,
    /// Whether it is the commit that is wrong, which waiting does not change.
    pub(super) is_of_the_commit: bool,
}

impl Problem {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), is_of_the_commit: false }
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        // A signer may still be added.
        let is_of_the_commit = matches!(error.reason, Reason::Invalid | Reason::TooLarge);
        Self { reason: format!("{:?}", error.reason), message: error.message, is_of_the_commit }
    }
}

/// Which commit is asked for.
pub(super) enum Which {
    /// The newest that the sync's reference leads to; `known` is at hand.
    Newest { known: Option<Arc<Loaded>> },
    /// This one.
    Revision(String),
}

type Outcome = Result<Arc<Loaded>, Problem>;

/// A fetch that is under way, or over. It goes no further than this.
pub(super) struct Fetching {
    outcome: Arc<Mutex<Option<Outcome>>>,
    _task: AbortOnDropHandle<()>,
}

impl Fetching {
    /// What came of it, once it is over.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.lock().take()
    }
}

/// What has repositories fetched.
pub(super) struct Fetcher {
    client: Arc<dyn Client>,
    settings: Settings,
    queue: Arc<WorkQueue<ObjectKey>>,
    all: Arc<Semaphore>,
    of_namespaces: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl Fetcher {
    /// One that adds syncs to this queue when what was fetched for them is there.
    pub(super) fn new(client: Arc<dyn Client>, settings: Settings, queue: Arc<WorkQueue<ObjectKey>>) -> Self {
        let all = Arc::new(Semaphore::new(AT_ONCE));
        Self { client, settings, queue, all, of_namespaces: Mutex::default() }
    }

    /// Begins to ask what the repository of a sync says. Once begun in earnest, it takes as long as the sync allows, at most.
    pub(super) fn start(&self, sync: &GitSync, which: Which) -> Fetching {
        let outcome = Arc::new(Mutex::new(None));
        let (client, settings, queue) = (self.client.clone(), self.settings.clone(), self.queue.clone());
        let (own, all) = (self.of_namespace(sync.metadata.namespace()), self.all.clone());
        let (sync, told) = (sync.clone(), outcome.clone());
        let task = tokio::spawn(async move {
            let turn = (own.acquire_owned().await, all.acquire_owned().await);
            let loaded = AssertUnwindSafe(load(&client, &settings, &sync, which)).catch_unwind().await;
            drop(turn);
            let broken = |_| Err(Problem::new("Failed", "the repository could not be read"));
            *told.lock() = Some(loaded.unwrap_or_else(broken));
            queue.add(ObjectKey::of(&sync.metadata));
        });
        Fetching { outcome, _task: AbortOnDropHandle::new(task) }
    }

    fn of_namespace(&self, namespace: &str) -> Arc<Semaphore> {
        let mut all = self.of_namespaces.lock();
        // Nobody waits for the others, or holds them.
        all.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let make = || Arc::new(Semaphore::new(AT_ONCE_OF_A_NAMESPACE));
        all.entry(namespace.to_owned()).or_insert_with(make).clone()
    }
}

/// What the repository of a sync says.
///
/// # Errors
/// What keeps it from being read, in words that say what to do.
async fn load(client: &Arc<dyn Client>, settings: &Settings, sync: &GitSync, which: Which) -> Outcome {
    let mut fetch = request(client, settings, sync).await?;
    match &which {
        // A commit that is known is not known to be signed by somebody else.
        Which::Newest { known } => {
            let known = known.as_ref().filter(|known| known.signers == fetch.signers);
            fetch.known = known.map(|known| known.revision.clone());
        }
        Which::Revision(revision) => fetch.reference = Reference::Commit(revision.clone()),
    }
    let deadline = sync.spec.timeout();
    let arguments: Vec<&str> = settings.arguments.iter().map(String::as_str).collect();
    let snapshot = match fetch_in_child(&settings.program, &arguments, &fetch, deadline).await? {
        Fetched::Snapshot(snapshot) => snapshot,
        Fetched::Unchanged { .. } => match which {
            Which::Newest { known: Some(known) } => return Ok(known),
            _ => return Err(Problem::new("Invalid", "the repository could not be read")),
        },
    };
    // There may be many megabytes of YAML.
    let read = tokio::task::spawn_blocking(move || loaded(snapshot, fetch.signers));
    read.await.map_err(|_| Problem::new("Invalid", "the manifests could not be read"))?
}

fn loaded(snapshot: Snapshot, signers: Option<Vec<String>>) -> Result<Arc<Loaded>, Problem> {
    let manifests = manifests(&snapshot).map_err(|wrong| match wrong.reason {
        Reason::Invalid => Problem { reason: "InvalidManifests".to_owned(), ..wrong.into() },
        _ => wrong.into(),
    })?;
    Ok(Arc::new(Loaded {
        revision: snapshot.revision,
        reference: named(&snapshot.reference).to_owned(),
        subject: snapshot.subject,
        author: snapshot.author,
        manifests,
        signers,
    }))
}

/// A reference as people call it.
fn named(reference: &str) -> &str {
    let short = reference.strip_prefix("refs/heads/").or_else(|| reference.strip_prefix("refs/tags/"));
    match short {
        Some(short) => short,
        None if reference.len() == 40 => "the commit",
        None => reference,
    }
}

async fn request(client: &Arc<dyn Client>, settings: &Settings, sync: &GitSync) -> Result<Fetch, Problem> {
    let (spec, namespace) = (&sync.spec, sync.metadata.namespace());
    let credentials = match &spec.secret_ref {
        Some(secret) => credentials(&secret_data(client, namespace, secret.name.as_str()).await?),
        None => Credentials::default(),
    };
    let signers = match &spec.verify {
        Some(verify) => {
            let keys = secret_data(client, namespace, verify.secret_ref.name.as_str()).await?;
            Some(keys.into_values().collect())
        }
        None => None,
    };
    Ok(Fetch {
        url: spec.url.clone(),
        reference: reference(spec.reference.as_ref()),
        path: spec.path.clone(),
        credentials,
        signers,
        cache: settings.cache.join(&sync.metadata.uid),
        known: None,
        limits: Limits::default(),
        local_roots: settings.local_roots.clone(),
    })
}

fn reference(reference: Option<&GitReference>) -> Reference {
    let Some(reference) = reference else { return Reference::Head };
    let GitReference { branch, tag, semver, commit } = reference.clone();
    match () {
        () if !branch.is_empty() => Reference::Branch(branch),
        () if !tag.is_empty() => Reference::Tag(tag),
        () if !semver.is_empty() => Reference::Semver(semver),
        () if !commit.is_empty() => Reference::Commit(commit),
        () => Reference::Head,
    }
}

async fn secret_data(
    client: &Arc<dyn Client>,
    namespace: &str,
    name: &str,
) -> Result<BTreeMap<String, String>, Problem> {
    let secret = Api::<Secret>::namespaced(client.clone(), namespace).find(name).await;
    let secret = secret.map_err(|status: Status| Problem::new("Unavailable", status.message))?;
    let secret = secret.ok_or_else(|| {
        Problem::new("SecretMissing", format!("Secret {name} is not there: make it in namespace {namespace}"))
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(secret.data.iter().map(|(key, value)| (key.clone(), text(value))).collect())
}

fn credentials(data: &BTreeMap<String, String>) -> Credentials {
    let entry = |key: &str| data.get(key).cloned().unwrap_or_default();
    // The password of a key and that of a user are entries of the same name, as other tools have it.
    Credentials {
        username: entry("username"),
        password: entry("password"),
        bearer_token: entry("bearerToken"),
        identity: entry("identity"),
        identity_password: entry("password"),
        known_hosts: entry("known_hosts"),
        ca: entry("ca.crt"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_waiting_does_not_change_is_the_fault_of_the_commit() {
        let is_of_the_commit = |reason| {
            let message = String::new();
            Problem::from(SourceError { reason, message }).is_of_the_commit
        };
        assert!([Reason::Invalid, Reason::TooLarge].into_iter().all(is_of_the_commit));
        let others = [Reason::InvalidSecret, Reason::NotSigned, Reason::Unauthorized, Reason::Unreachable];
        assert!(!others.into_iter().any(is_of_the_commit));
    }
}
