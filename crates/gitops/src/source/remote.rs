//! The server that has the repository: what it says it has, and receiving some of it.
//!
//! That a server of HTTPS or ssh proves who it is, libgit2 sees to on its own: no callback of ours has a say in it. By which
//! authorities and keys, the environment of this process says, which `child.rs` makes.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use git2::{
    AutotagOption, Cred, CredentialType, ErrorClass, ErrorCode, FetchOptions, ProxyOptions, Remote,
    RemoteCallbacks, RemoteRedirect, Repository,
};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::reference::{Advertised, Wanted};
use super::{Credentials, Fetch, Reason, SourceError};

/// A connection to a server.
pub(super) struct Server<'r> {
    // Dropped before the options, which it points to.
    remote: Remote<'r>,
    options: FetchOptions<'r>,
    url: String,
    /// What one of our callbacks had against it: better than what libgit2 makes of that.
    objection: Objection,
}

type Objection = Rc<RefCell<Option<SourceError>>>;

/// How much history is received with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    None,
    All,
}

impl<'r> Server<'r> {
    /// Connects, and asks what there is.
    pub(super) fn connect(repository: &'r Repository, request: &Fetch) -> Result<Self, SourceError> {
        let url = allowed(&request.url, &request.local_roots)?;
        let objection = Objection::default();
        let options = options(request, &objection)?;
        let remote =
            repository.remote_anonymous(&url).map_err(|error| SourceError::of_remote(&url, &error))?;
        let mut server = Self { remote, options, url, objection };
        // Only this verb sends headers while it connects. Nothing has this name, so that nothing is received.
        server.download(&["refs/orch/nothing"], History::All)?;
        Ok(server)
    }

    /// What the server has. What is not named in UTF-8 is left out.
    pub(super) fn advertised(&self) -> Result<Vec<Advertised>, SourceError> {
        let heads = self.remote.list().map_err(|error| SourceError::of_remote(&self.url, &error))?;
        let read = |head: &git2::RemoteHead<'_>| Advertised {
            name: head.name().to_owned(),
            id: head.oid(),
            target: head.symref_target().map(ToOwned::to_owned),
        };
        // git2 panics for names that are not UTF-8.
        Ok(heads.iter().filter_map(|head| catch_unwind(AssertUnwindSafe(|| read(head))).ok()).collect())
    }

    /// Receives what is wanted; without its history, if the server can do that.
    pub(super) fn receive(&mut self, wanted: &Wanted) -> Result<(), SourceError> {
        let source = wanted.name.clone().unwrap_or_else(|| wanted.id.to_string());
        self.download(&[format!("+{source}:refs/orch/wanted")], History::None)
    }

    /// Receives all branches and tags with their history.
    pub(super) fn receive_all(&mut self) -> Result<(), SourceError> {
        self.download(&["+refs/heads/*:refs/orch/heads/*", "+refs/tags/*:refs/orch/tags/*"], History::All)
    }

    fn download<S: AsRef<str> + git2::IntoCString + Clone>(
        &mut self,
        specs: &[S],
        history: History,
    ) -> Result<(), SourceError> {
        let shallow = history == History::None && !self.url.starts_with("file://");
        self.options.depth(i32::from(shallow));
        let mut done = self.remote.download(specs, Some(&mut self.options));
        if done.as_ref().is_err_and(without_shallow) {
            self.options.depth(0);
            done = self.remote.download(specs, Some(&mut self.options));
        }
        done.map_err(|error| {
            self.objection.take().unwrap_or_else(|| SourceError::of_remote(&self.url, &error))
        })
    }
}

/// Whether a server was asked for commits without history, and does not know how.
fn without_shallow(error: &git2::Error) -> bool {
    error.class() == ErrorClass::Net && error.message().ends_with("doesn't support shallow")
}

fn options<'r>(request: &Fetch, objection: &Objection) -> Result<FetchOptions<'r>, SourceError> {
    let credentials = without_ends(&request.credentials);
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks(request, objection))
        .proxy_options(proxy)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false);
    // Credentials do not follow to another host.
    let secret = !credentials.password.is_empty() || !credentials.bearer_token.is_empty();
    options.follow_redirects(if secret { RemoteRedirect::None } else { RemoteRedirect::Initial });
    let token = &credentials.bearer_token;
    if token.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(SourceError::invalid_secret("the Secret's bearerToken is more than one word"));
    }
    if !token.is_empty() && request.url.starts_with("http") {
        options.custom_headers(&[&format!("Authorization: Bearer {token}")]);
    }
    Ok(options)
}

fn callbacks<'r>(request: &Fetch, objection: &Objection) -> RemoteCallbacks<'r> {
    let mut callbacks = RemoteCallbacks::new();
    let (credentials, objected) = (without_ends(&request.credentials), objection.clone());
    let mut shown = false;
    callbacks.credentials(move |_, user, asked| {
        if asked.is_username() {
            return Cred::username(user_name(&credentials, user));
        }
        let again = std::mem::replace(&mut shown, true);
        show(&credentials, user, asked, again).map_err(|error| object(&objected, error))
    });
    let (limit, objected) = (request.limits.received_bytes, objection.clone());
    callbacks.transfer_progress(move |progress| {
        let fits = progress.received_bytes() as u64 <= limit;
        if !fits {
            let message = format!("the repository sends more than {} MiB", limit >> 20);
            object(&objected, SourceError::too_large(message));
        }
        fits
    });
    callbacks
}

fn object(objection: &Objection, error: SourceError) -> git2::Error {
    let said = git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, &error.message);
    objection.replace(Some(error));
    said
}

/// The same, but what is one line has no end of one: values of Secrets often do.
fn without_ends(credentials: &Credentials) -> Credentials {
    let line = |text: &str| text.trim_end_matches(['\r', '\n']).to_owned();
    Credentials {
        username: line(&credentials.username),
        password: line(&credentials.password),
        bearer_token: line(&credentials.bearer_token),
        identity_password: line(&credentials.identity_password),
        ..credentials.clone()
    }
}

fn user_name<'a>(credentials: &'a Credentials, in_url: Option<&'a str>) -> &'a str {
    match (in_url, credentials.username.as_str()) {
        (Some(user), _) => user,
        (None, "") => "git",
        (None, user) => user,
    }
}

fn show(
    credentials: &Credentials,
    user: Option<&str>,
    asked: CredentialType,
    again: bool,
) -> Result<Cred, SourceError> {
    let unauthorized = |message: &str| SourceError::new(Reason::Unauthorized, message);
    if again {
        return Err(unauthorized(
            "the server does not accept the credentials. Look at the Secret that spec.secretRef names: are they still good, and \
             may they read this repository?",
        ));
    }
    let name = user_name(credentials, user);
    let made = if asked.contains(CredentialType::SSH_MEMORY) && !credentials.identity.is_empty() {
        let password = Some(credentials.identity_password.as_str()).filter(|password| !password.is_empty());
        Cred::ssh_key_from_memory(name, None, &credentials.identity, password)
    } else if asked.is_user_pass_plaintext() && !credentials.password.is_empty() {
        let name = if credentials.username.is_empty() { name } else { &credentials.username };
        Cred::userpass_plaintext(name, &credentials.password)
    } else if asked.is_ssh_key() {
        return Err(unauthorized(
            "the server asks for a key. Put one that may read the repository into the Secret that spec.secretRef names, as \
             identity",
        ));
    } else if !credentials.bearer_token.is_empty() {
        return Err(unauthorized("the server does not accept the Secret's bearerToken"));
    } else {
        return Err(unauthorized(
            "the server asks for credentials: either there is no such repository, or it takes a username and a password in the \
             Secret that spec.secretRef names",
        ));
    };
    made.map_err(|error| unauthorized(error.message()))
}

/// What is escaped in the path of a `file` URL.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

/// The URL, if things are fetched from there; that of a directory with its links resolved.
fn allowed(url: &str, local_roots: &[PathBuf]) -> Result<String, SourceError> {
    match url.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) if !rest.is_empty() => Ok(url.to_owned()),
        Some(("file", path)) => {
            let path = local(path, local_roots)?;
            Ok(format!("file://{}", utf8_percent_encode(&path, ESCAPED)))
        }
        // As scp names it. Nothing of that name is in the directory of this process.
        None if url.contains('@') && url.contains(':') && !url.starts_with('-') => Ok(url.to_owned()),
        _ => Err(SourceError::invalid(
            "spec.url must begin with https://, http://, ssh://, git:// or file://, or be user@host:path",
        )),
    }
}

/// The directory that a `file` URL names, if it is below one of the roots.
fn local(path: &str, roots: &[PathBuf]) -> Result<String, SourceError> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let named = Path::new(&*decoded);
    if !named.is_absolute() {
        return Err(SourceError::invalid("spec.url: file:// is followed by an absolute path"));
    }
    let refused = || {
        let roots: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
        let below = match roots.is_empty() {
            true => "this server fetches no local repositories".to_owned(),
            false => format!("this server fetches local repositories below {} only", roots.join(", ")),
        };
        SourceError::new(Reason::NotAllowed, format!("{decoded} is not fetched: {below}"))
    };
    // What is outside is not even told to be there or not.
    let inside =
        |path: &Path| roots.iter().any(|root| root.canonicalize().is_ok_and(|root| path.starts_with(root)));
    match named.canonicalize() {
        Ok(path) if inside(&path) => path.into_os_string().into_string().map_err(|_| refused()),
        Err(_) if inside(named) && !decoded.contains("/..") => {
            Err(SourceError::not_found(format!("there is no repository {decoded}")))
        }
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_repositories_are_fetched_below_the_roots_only() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let (inside, outside) = (root.join("in"), root.join("out"));
        std::fs::create_dir_all(inside.join("a b.git")).unwrap();
        std::fs::create_dir_all(outside.join("c.git")).unwrap();
        std::os::unix::fs::symlink(outside.join("c.git"), inside.join("link")).unwrap();
        let reason = |path: &str| {
            let url = format!("file://{}/{path}", root.display());
            allowed(&url, std::slice::from_ref(&inside)).map_err(|error| error.reason)
        };
        assert_eq!(reason("in/a b.git"), Ok(format!("file://{}/in/a%20b.git", root.display())));
        assert_eq!(reason("in/a%20b.git"), reason("in/a b.git"));
        assert_eq!(reason("in/none"), Err(Reason::NotFound));
        for path in ["out/c.git", "in/../out/c.git", "in/%2e%2e/out/c.git", "in/link", "in/../none", "none"] {
            assert_eq!(reason(path), Err(Reason::NotAllowed), "{path}");
        }
    }

    #[test]
    fn urls_are_what_they_say() {
        let roots = [PathBuf::from("/")];
        for url in ["https://h/r.git", "ssh://git@h:2222/r.git", "git@h:r.git", "git://h/r"] {
            assert_eq!(allowed(url, &roots).unwrap(), url);
        }
        for url in
            ["/etc", "etc", "ext::sh -c id", "ftp://h/r", "-oProxyCommand=x@h:r", "file://etc", "https://"]
        {
            assert_eq!(allowed(url, &roots).unwrap_err().reason, Reason::Invalid, "{url}");
        }
    }
}
