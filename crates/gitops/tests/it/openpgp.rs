//! Commits that are signed with OpenPGP.

use orch_gitops::source::Reason;

use crate::asking::{Asking, pairs};
use crate::gpg::Gpg;
use crate::repository::Repository;
use crate::server::{key, public};

const FILES: [(&str, &str); 1] = [("a.yaml", "a")];
const ED25519: [&str; 3] = ["ed25519", "sign", "never"];
const THEN: &str = "--faked-system-time=20200101T000000!";

fn asking(repository: &Repository, signers: &[&str]) -> Asking {
    let signers = signers.iter().map(|&signer| signer.to_owned()).collect();
    Asking::of(repository).with(|fetch| fetch.signers = Some(signers))
}

/// A repository with a commit that is signed with a key.
fn signed(gpg: &Gpg, options: &[&str], key: &str) -> Repository {
    let repository = Repository::new();
    gpg.commit(&repository, options, key, &FILES);
    repository
}

async fn counts(repository: &Repository, signers: &[&str]) {
    assert_eq!(asking(repository, signers).files().await, pairs(&FILES));
}

async fn refused(repository: &Repository, signers: &[&str], says: &str) -> String {
    asking(repository, signers).refused(Reason::NotSigned, says).await
}

#[tokio::test]
async fn a_commit_counts_that_somebody_signed_who_counts() {
    let gpg = Gpg::new();
    for algorithm in ["ed25519", "rsa3072", "nistp256", "nistp384", "nistp521"] {
        let [ours, theirs] = [0; 2].map(|_| gpg.key(&[], [algorithm, "sign", "never"]));
        let [our_public, their_public] = [&ours, &theirs].map(|key| gpg.public(&[key]));
        let repository = signed(&gpg, &[], &ours);
        counts(&repository, &[&our_public]).await;
        let said = refused(&repository, &[&their_public], "which is none of the keys of spec.verify").await;
        assert!(said.contains(&format!("is signed with {ours}, ")), "{said}");
    }
}

#[tokio::test]
async fn keys_are_found_wherever_they_are_in_the_secret() {
    let gpg = Gpg::new();
    let [ours, theirs] = [0; 2].map(|_| gpg.key(&[], ED25519));
    let [our_public, their_public] = [&ours, &theirs].map(|key| gpg.public(&[key]));
    let directory = tempfile::tempdir().unwrap();
    let ssh = key(&directory.path().join("ssh"), "ed25519", "");
    let ssh_public = public(&ssh);
    let repository = signed(&gpg, &[], &ours);
    let ring = gpg.public(&[&theirs, &ours]);
    let blocks = format!("\n# who counts\n{their_public}\n\n{our_public}");
    let mixed = format!("{ssh_public}\n{}", our_public.replace('\n', "\r\n"));
    for signers in [
        vec![ring.as_str()],
        vec![&blocks],
        vec![&their_public, &our_public],
        vec![&our_public, &ssh_public],
        vec![&mixed],
    ] {
        counts(&repository, &signers).await;
    }
    refused(&repository, &[&ssh_public], "which is none of the keys of spec.verify").await;

    let option = format!("user.signingKey={}", ssh.display());
    repository.commit_with(&["-c", "gpg.format=ssh", "-c", "commit.gpgSign=true", "-c", &option], &[]);
    counts(&repository, &[&their_public, &ssh_public]).await;
    refused(&repository, &[&their_public], "which is none of the keys of spec.verify").await;
}

#[tokio::test]
async fn a_signature_of_something_else_does_not_count() {
    let gpg = Gpg::new();
    let ours = gpg.key(&[], ED25519);
    let public = gpg.public(&[&ours]);
    let repository = Repository::new();
    let signed = repository.git(&["cat-file", "commit", &gpg.commit(&repository, &[], &ours, &FILES)]) + "\n";
    let (_, bare) = parts(&signed);
    let with = |options: &[&str]| with_signature(&bare, &signature(&gpg, options, &ours, &bare));
    let twice = format!("{}{}", signature(&gpg, &[], &ours, &bare), signature(&gpg, &[], &ours, &bare));
    for (changed, says) in [
        (signed.replace("change", "chance"), "it has been tampered with"),
        (signed.replace("BEGIN PGP", "BEGIN SAP").replace("END PGP", "END SAP"), "neither with OpenPGP nor"),
        (signed.replace("END PGP SIGNATURE", "END PGP MESSAGE"), "it is cut short"),
        (with_signature(&bare, &twice), "there is more than one"),
        (with_signature(&bare, &long()), "it is longer than"),
        (with(&["--digest-algo=SHA1"]), "SHA1, a hash that is broken"),
        (with(&["--digest-algo=RIPEMD160"]), "RIPEMD160, a hash that is broken"),
        (
            with(&[THEN, "--default-sig-expire=1d", "--ignore-time-conflict"]),
            "was good until 2020-01-02T00:00:00Z",
        ),
        (with(&["--faked-system-time=20900101T000000!"]), "which is in the future"),
        (with(&[THEN, "--ignore-time-conflict"]), "which was made later"),
    ] {
        assert_ne!(changed, signed, "{says}");
        set(&repository, &changed);
        refused(&repository, &[&public], says).await;
    }
    for options in [&[] as &[&str], &["--textmode"], &["--digest-algo=SHA256"]] {
        set(&repository, &with(options));
        counts(&repository, &[&public]).await;
    }
}

/// Armour of a signature that is longer than any.
fn long() -> String {
    format!("-----BEGIN PGP SIGNATURE-----\n\n{}-----END PGP SIGNATURE-----", "AAAA\n".repeat(4000))
}

/// Makes a commit that of `main`.
fn set(repository: &Repository, commit: &str) {
    let commit = repository.object("commit", commit.as_bytes());
    repository.git(&["update-ref", "refs/heads/main", &commit]);
}

/// The signature of a commit, and the commit without it.
fn parts(signed: &str) -> (String, String) {
    let (before, rest) = signed.split_once("\ngpgsig ").unwrap();
    let end = "-----END PGP SIGNATURE-----\n";
    let (signature, after) = rest.split_at(rest.find(end).unwrap() + end.len());
    (signature.replace("\n ", "\n"), format!("{before}\n{}", after.trim_start_matches(" \n")))
}

fn with_signature(bare: &str, signature: &str) -> String {
    let (head, message) = bare.split_once("\n\n").unwrap();
    format!("{head}\ngpgsig {}\n\n{message}", signature.trim_end().replace('\n', "\n "))
}

fn signature(gpg: &Gpg, options: &[&str], key: &str, text: &str) -> String {
    gpg.told(&[options, &["--armor", "--local-user", key, "--detach-sign"]].concat(), text)
}

#[tokio::test]
async fn a_subkey_signs_if_it_is_for_that_and_not_revoked() {
    let gpg = Gpg::new();
    let primary = gpg.key(&[], ["rsa3072", "cert", "never"]);
    let [first, second] = [0; 2].map(|_| gpg.subkey(&primary, ED25519));
    let [by_first, by_second] = [&first, &second].map(|key| signed(&gpg, &[], key));
    let before = gpg.public(&[&primary]);
    counts(&by_first, &[&before]).await;
    counts(&by_second, &[&before]).await;
    gpg.edit(&primary, &["key 1", "revkey", "y", "0", "", "y"]);
    let after = gpg.public(&[&primary]);
    counts(&by_second, &[&after]).await;
    for signers in [[&*after].as_slice(), &[&after, &before], &[&before, &after]] {
        let said = refused(&by_first, signers, "which is revoked").await;
        assert!(said.contains(&first), "{said}");
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_does_not_count_nor_do_its_subkeys() {
    let gpg = Gpg::new();
    let primary = gpg.key(&[], ["ed25519", "sign,cert", "never"]);
    let subkey = gpg.subkey(&primary, ED25519);
    let [by_primary, by_subkey] = [&primary, &subkey].map(|key| signed(&gpg, &[], key));
    let before = gpg.public(&[&primary]);
    let revocation = gpg.revocation(&primary);
    counts(&by_primary, &[&before]).await;
    gpg.told(&["--import"], &revocation);
    let after = gpg.public(&[&primary]);
    for signers in [[&*after].as_slice(), &[&before, &after], &[&after, &before]] {
        refused(&by_primary, signers, &format!("{primary}, which is revoked")).await;
        let says = format!("{subkey}, a subkey of {primary}, which is revoked");
        refused(&by_subkey, signers, &says).await;
    }
    asking(&by_primary, &[&revocation]).refused(Reason::InvalidSecret, "Is it a revocation?").await;
}

#[tokio::test]
async fn what_an_expired_key_signed_counts_if_it_had_not_expired_by_then() {
    let gpg = Gpg::new();
    let key = gpg.key(&[THEN], ["ed25519", "sign", "20210101T000000"]);
    let early = signed(&gpg, &["--faked-system-time=20200601T000000!"], &key);
    counts(&early, &[&gpg.public(&[&key])]).await;

    gpg.run(&["--faked-system-time=20200701T000000!", "--quick-set-expire", &key, "0"]);
    let unlimited = gpg.public(&[&key]);
    let late = signed(&gpg, &["--faked-system-time=20220101T000000!"], &key);
    counts(&late, &[&unlimited]).await;

    gpg.run(&["--faked-system-time=20200801T000000!", "--quick-set-expire", &key, "20210101T000000"]);
    let limited = gpg.public(&[&key]);
    counts(&early, &[&limited]).await;
    for signers in [[&*limited].as_slice(), &[&unlimited, &limited], &[&limited, &unlimited]] {
        refused(&late, signers, "which had expired at 2021-01-01T00:00:00Z").await;
    }
}

#[tokio::test]
async fn a_subkey_that_had_expired_does_not_count() {
    let gpg = Gpg::new();
    let key = gpg.key(&[THEN], ["ed25519", "cert", "never"]);
    gpg.run(&[THEN, "--quick-add-key", &key, "ed25519", "sign", "never"]);
    let subkey = gpg.fingerprints().pop().unwrap();
    let late = signed(&gpg, &["--faked-system-time=20220101T000000!"], &subkey);
    counts(&late, &[&gpg.public(&[&key])]).await;
    let then = "--faked-system-time=20200801T000000!";
    gpg.run(&[then, "--quick-set-expire", &key, "20210101T000000", &subkey]);
    refused(&late, &[&gpg.public(&[&key])], "which had expired at 2021-01-01T00:00:00Z").await;
}

#[tokio::test]
async fn keys_that_can_be_broken_or_are_not_for_signing_do_not_count() {
    let gpg = Gpg::new();
    for (options, algorithm, says) in [
        (&[] as &[&str], "rsa1024", "a key of RSA, which is not accepted"),
        (&[], "dsa2048", "a key of DSA, which is not accepted"),
        (&[], "brainpoolP256r1", "a key of ECDSA, which is not accepted"),
        (&[], "secp256k1", "a key of ECDSA, which is not accepted"),
        (&["--cert-digest-algo=SHA1"], "rsa2048", "which is bound by way of SHA1, a hash that is broken"),
    ] {
        let key = gpg.key(options, [algorithm, "sign", "never"]);
        refused(&signed(&gpg, &[], &key), &[&gpg.public(&[&key])], says).await;
    }
    let primary = gpg.key(&[], ["ed25519", "cert", "never"]);
    let subkey = gpg.subkey(&primary, ["dsa2048", "sign", "never"]);
    refused(&signed(&gpg, &[], &subkey), &[&gpg.public(&[&primary])], "a key of DSA, which is not accepted")
        .await;

    let key = gpg.key(&[THEN], ["ed25519", "sign,cert", "never"]);
    let repository = signed(&gpg, &[], &key);
    counts(&repository, &[&gpg.public(&[&key])]).await;
    gpg.edit(&key, &["change-usage", "S", "Q"]);
    refused(&repository, &[&gpg.public(&[&key])], "which is not for signing").await;
}

#[tokio::test]
async fn keys_that_are_none_let_nothing_through() {
    let gpg = Gpg::new();
    let key = gpg.key(&[], ED25519);
    let repository = signed(&gpg, &[], &key);
    let public = gpg.public(&[&key]);
    let secret = gpg.run(&["--armor", "--export-secret-keys", &key]);
    let (cut, _) = public.split_at(public.len() / 2);
    let shortened: Vec<&str> =
        public.lines().enumerate().filter(|(at, _)| *at != 4).map(|(_, line)| line).collect();
    for (signers, says) in [
        (secret.as_str(), "nor the beginning of one of OpenPGP"),
        (&secret.replace("PRIVATE", "PUBLIC"), "begins with something else than a key that is known here"),
        (cut, "is cut short"),
        (&shortened.join("\n"), "cannot be read"),
        (
            &format!(
                "{}\n\n{}",
                "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
            ),
            "key of the Secret",
        ),
        (&"#\n".repeat(600_000), "are longer than 1 MiB"),
    ] {
        let said = asking(&repository, &[signers]).refused(Reason::InvalidSecret, says).await;
        assert!(said.contains("spec.verify"), "{said}");
        asking(&repository, &[&public, signers]).refused(Reason::InvalidSecret, says).await;
    }
}
