//! Whether a commit is signed by somebody who counts.

mod openpgp;
mod openssh;

use git2::{ErrorCode, Oid, Repository};
use jiff::Timestamp;
use ssh_key::public::KeyData;

use super::{Reason, SourceError};
use openpgp::Certificate;

/// How long all keys may be together, as text: what a Secret can hold.
const MOST_BYTES: usize = 1 << 20;

const TAMPERED: &str = "has a signature that does not fit it: it has been tampered with";

/// Checks that a commit is signed with one of these keys.
pub(super) fn verify(
    repository: &Repository,
    commit: Oid,
    signers: &[String],
    now: Timestamp,
) -> Result<(), SourceError> {
    let keys = Keys::read(signers)?;
    let refused = |why: String| SourceError::new(Reason::NotSigned, format!("the commit {commit} {why}"));
    let (signature, signed) = match repository.extract_signature(&commit, None) {
        Ok(found) => found,
        Err(error) if error.code() == ErrorCode::NotFound => {
            let why = "is not signed. Sign it with a key that spec.verify knows: git commit -S";
            return Err(refused(why.to_owned()));
        }
        Err(error) => return Err(SourceError::of_objects(&error)),
    };
    let verified = if signature.starts_with(openssh::BEGIN) {
        openssh::verify(&keys.openssh, &signature, &signed)
    } else if signature.starts_with(openpgp::BEGIN) {
        openpgp::verify(&keys.openpgp, &signature, &signed, now)
    } else {
        Err("is signed, but neither with OpenPGP nor with an ssh key, and others are not known here: \
             git config gpg.format openpgp"
            .to_owned())
    };
    verified.map_err(refused)
}

/// Whose signatures count.
#[derive(Default)]
struct Keys {
    openssh: Vec<KeyData>,
    openpgp: Vec<Certificate>,
}

impl Keys {
    /// The keys in these texts: armoured ones of OpenPGP; and lines as in OpenSSH's `authorized_keys`, without options.
    fn read(signers: &[String]) -> Result<Self, SourceError> {
        if signers.iter().map(String::len).sum::<usize>() > MOST_BYTES {
            return Err(SourceError::invalid_secret(
                "spec.verify: the keys of the Secret are longer than 1 MiB. Leave out the signatures of others: \
                 gpg --armor --export-options export-minimal --export NAME",
            ));
        }
        let mut keys = Self::default();
        signers.iter().try_for_each(|text| keys.add(text))?;
        if keys.openssh.is_empty() && keys.openpgp.is_empty() {
            return Err(SourceError::invalid_secret(
                "spec.verify: the Secret has no public key, so that no commit can be accepted",
            ));
        }
        Ok(keys)
    }

    fn add(&mut self, text: &str) -> Result<(), SourceError> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (one, after) = match openpgp::block(rest) {
                Some(block) => block.map_err(|why| of_openpgp(&why))?,
                None => rest.split_once('\n').unwrap_or((rest, "")),
            };
            match one.starts_with(openpgp::BEGIN_KEYS) {
                true => openpgp::add(&mut self.openpgp, one).map_err(|why| of_openpgp(&why))?,
                false => self.openssh.extend(line(one.trim())?),
            }
            rest = after.trim_start();
        }
        Ok(())
    }
}

fn of_openpgp(why: &str) -> SourceError {
    SourceError::invalid_secret(format!("spec.verify: an OpenPGP key of the Secret {why}"))
}

/// The key of a line; none if it is a comment.
fn line(line: &str) -> Result<Option<KeyData>, SourceError> {
    if line.starts_with('#') {
        return Ok(None);
    }
    openssh::key(line).map(Some).map_err(|error| {
        let line: String = line.chars().take(40).collect();
        SourceError::invalid_secret(format!(
            "spec.verify: `{line}` is neither a public key of OpenSSH, such as ssh-ed25519 AAAA… ({error}), \
             nor the beginning of one of OpenPGP, {begin} (gpg --armor --export NAME)",
            begin = openpgp::BEGIN_KEYS
        ))
    })
}
