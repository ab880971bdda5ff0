//! A real Git server on loopback, with one repository: for tests and benchmarks, where what goes wrong ends them.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test kit fails the test")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A repository, served by `git daemon`: one process for each connection, as inetd would start it.
#[derive(Debug)]
pub struct GitServer {
    directory: tempfile::TempDir,
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl GitServer {
    /// Serves a repository that has nothing yet.
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("orch-git-").tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, stopped) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let server = Self { directory, address, stopped };
        server.git(
            server.directory.path(),
            &["init", "--quiet", "--bare", "--initial-branch=main", "shop.git"],
        );
        server.git(server.directory.path(), &["clone", "--quiet", "shop.git", "work"]);
        server.git(&server.work(), &["checkout", "--quiet", "-B", "main"]);
        let (base, stopped) = (server.directory.path().to_owned(), server.stopped.clone());
        std::thread::spawn(move || serve(&listener, &base, &stopped));
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("git://{}/shop.git", self.address)
    }

    /// The directory that has the repository, as `shop.git`.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Sets an option of Git, for what is committed from now on.
    pub fn configure(&self, name: &str, value: &str) {
        self.git(&self.work(), &["config", name, value]);
    }

    /// Writes files, commits what has changed and pushes it. Answers with the commit.
    pub fn push(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, text) in files {
            let path = self.work().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.commit(message)
    }

    /// Removes files, commits and pushes that. Answers with the commit.
    pub fn push_without(&self, files: &[&str], message: &str) -> String {
        files.iter().for_each(|path| std::fs::remove_file(self.work().join(path)).unwrap());
        self.commit(message)
    }

    /// Serves nobody any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }

    fn commit(&self, message: &str) -> String {
        self.git(&self.work(), &["add", "--all"]);
        self.git(&self.work(), &["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&self.work(), &["push", "--quiet", "--force", "origin", "main"]);
        self.git(&self.work(), &["rev-parse", "HEAD"]).trim().to_owned()
    }

    fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    fn git(&self, directory: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(directory).args(args);
        for (name, value) in [("NAME", "Ada"), ("EMAIL", "ada@shop.test")] {
            command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        // Whatever the machine's Git is configured to do.
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {}: {said}", args.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(listener: &TcpListener, base: &Path, stopped: &AtomicBool) {
    while let Ok((stream, _)) = listener.accept() {
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        let mut base_path = std::ffi::OsString::from("--base-path=");
        base_path.push(base);
        let (input, output) = (OwnedFd::from(stream.try_clone().unwrap()), OwnedFd::from(stream));
        let daemon = Command::new("git")
            .args(["daemon", "--inetd", "--export-all"])
            .arg(base_path)
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output))
            .stderr(Stdio::null())
            .spawn();
        let mut daemon = daemon.unwrap();
        std::thread::spawn(move || daemon.wait());
    }
}
