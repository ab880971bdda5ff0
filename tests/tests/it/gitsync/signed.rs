//! Repositories whose commits must be signed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use orch_tests::wait_for;
use serde_json::Value;

use super::DEADLINE;
use super::repository::{PAGE, Shop, condition};

/// A key of OpenPGP, whose agent ends with the test.
struct Gpg(tempfile::TempDir);

impl Gpg {
    fn with_key(user: &str) -> Self {
        // The path of the agent's socket, which is in there, may not be long.
        let home = tempfile::Builder::new().prefix("orch-gpg-").tempdir_in("/tmp").unwrap();
        let program = home.path().join("sign");
        let script =
            format!("#!/bin/sh\nexec gpg --homedir {} --batch --quiet \"$@\"\n", home.path().display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let gpg = Self(home);
        gpg.run(&["--passphrase=", "--quick-generate-key", user, "ed25519", "sign", "never"]);
        gpg
    }

    fn program(&self) -> String {
        self.path().join("sign").display().to_string()
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str]) -> String {
        let output = Command::new(self.program()).args(args).output().unwrap();
        assert!(output.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        drop(Command::new("gpgconf").arg("--homedir").arg(self.path()).args(["--kill", "all"]).status());
    }
}

#[test]
fn only_what_is_signed_by_who_counts_is_applied() {
    let shop = Shop::open();
    let gpg = Gpg::with_key("ada@shop.test");
    let key = gpg.path().join("ada.asc");
    fs::write(&key, gpg.run(&["--armor", "--export"])).unwrap();
    let from = format!("--from-file={}", key.display());
    shop.orch.kubectl(&["create", "secret", "generic", "signers", &from]).ok();

    shop.git.push(&[("page.yaml", PAGE)], "by anybody");
    shop.sync("  verify: {secretRef: {name: signers}}\n");
    let status = wait_for("no signature", DEADLINE, || {
        let status = shop.status();
        let is_so = condition(&status, "Fetched")["reason"] == "NotSigned";
        if is_so { Ok(status) } else { Err(status.to_string()) }
    });
    let told = condition(&status, "Fetched")["message"].to_string();
    assert!(told.contains("is not signed. Sign it with a key that spec.verify knows"), "{told}");
    assert_eq!(shop.title(), Value::Null);

    for (name, value) in [
        ("commit.gpgSign", "true"),
        ("gpg.program", gpg.program().as_str()),
        ("user.signingKey", "ada@shop.test"),
    ] {
        shop.git.configure(name, value);
    }
    let signed = shop.git.push(&[("page.yaml", PAGE)], "by Ada");
    shop.look("signed");
    shop.until(&signed, "True", "Applied");
    assert_eq!(shop.title(), "one");
}
