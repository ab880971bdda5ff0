//! Keys of OpenPGP, made by the real `gpg`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::repository::Repository;

/// A directory of keys without passphrases, and the agent that has them. It ends with the test.
pub(crate) struct Gpg(TempDir);

impl Gpg {
    pub(crate) fn new() -> Self {
        // The path of the agent's socket, which is in there, may not be long.
        Self(tempfile::Builder::new().prefix("orch-gpg-").tempdir_in("/tmp").unwrap())
    }

    fn home(&self) -> &Path {
        self.0.path()
    }

    /// Runs gpg with options, and hears what it says.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.told(args, "")
    }

    /// The same, while it is told something.
    pub(crate) fn told(&self, args: &[&str], told: &str) -> String {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.home()).args(QUIETLY).args(args);
        gpg.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = gpg.spawn().unwrap_or_else(|error| panic!("gpg is missing, hack/deps test: {error}"));
        child.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a key, such as one of `ed25519` for `sign` that `never` expires, and says its fingerprint.
    pub(crate) fn key(&self, options: &[&str], kind: [&str; 3]) -> String {
        let known = self.fingerprints();
        let user = format!("Ada {} <ada@example.com>", known.len());
        let [algorithm, usage, expires] = kind;
        self.run(&[options, &["--quick-generate-key", &user, algorithm, usage, expires]].concat());
        self.fingerprints().into_iter().find(|one| !known.contains(one)).unwrap()
    }

    /// Adds a subkey to a key, and says its fingerprint.
    pub(crate) fn subkey(&self, key: &str, kind: [&str; 3]) -> String {
        let known = self.fingerprints();
        let [algorithm, usage, expires] = kind;
        self.run(&["--quick-add-key", key, algorithm, usage, expires]);
        self.fingerprints().into_iter().find(|one| !known.contains(one)).unwrap()
    }

    /// Of all keys and subkeys.
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        let listed = self.run(&["--with-colons", "--list-keys"]);
        let lines = listed.lines().filter_map(|line| line.strip_prefix("fpr:"));
        lines.map(|line| line.trim_matches(':').to_owned()).collect()
    }

    /// Keys as they are published.
    pub(crate) fn public(&self, keys: &[&str]) -> String {
        self.run(&[&["--armor", "--export"], keys].concat())
    }

    /// The revocation that gpg makes together with a key.
    pub(crate) fn revocation(&self, key: &str) -> String {
        let file = self.home().join("openpgp-revocs.d").join(format!("{key}.rev"));
        let text = fs::read_to_string(file).unwrap();
        // So that nobody imports it by accident, there is a colon before it.
        text[text.find(":-----BEGIN").unwrap() + 1..].to_owned()
    }

    /// Edits a key by gpg's commands, and the answers to what it asks.
    pub(crate) fn edit(&self, key: &str, commands: &[&str]) {
        let commands = commands.join("\n") + "\nsave\n";
        self.told(&["--no-batch", "--command-fd", "0", "--edit-key", key], &commands);
    }

    /// Commits files, signed with a key, and says the commit.
    pub(crate) fn commit(
        &self,
        repository: &Repository,
        options: &[&str],
        key: &str,
        files: &[(&str, &str)],
    ) -> String {
        let program = self.home().join("sign");
        let home = self.home().display();
        let [quietly, options] = [QUIETLY.join(" "), options.join(" ")];
        let script = format!("#!/bin/sh\nexec gpg --homedir {home} {quietly} {options} \"$@\"\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let program = format!("gpg.program={}", program.display());
        // The key that is named and no other.
        let key = format!("user.signingKey={key}!");
        let options = ["gpg.format=openpgp", "commit.gpgSign=true", &program, &key];
        repository.commit_with(&options.map(|option| ["-c", option]).concat(), files)
    }
}

const QUIETLY: &[&str] = &["--batch", "--no-tty", "--quiet", "--pinentry-mode=loopback", "--passphrase="];

impl Drop for Gpg {
    fn drop(&mut self) {
        let mut kill = Command::new("gpgconf");
        kill.arg("--homedir").arg(self.home()).args(["--kill", "all"]);
        drop(kill.status());
    }
}
