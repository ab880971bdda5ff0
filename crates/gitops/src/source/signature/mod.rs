//! Whether a commit is signed by somebody who counts.

mod openssh;

use git2::{ErrorCode, Oid, Repository};
use ssh_key::public::KeyData;

use super::{Reason, SourceError};

/// Checks that a commit is signed with one of these keys.
pub(super) fn verify(repository: &Repository, commit: Oid, signers: &[String]) -> Result<(), SourceError> {
    let keys = keys(signers)?;
    let refused = |why: String| SourceError::new(Reason::NotSigned, format!("the commit {commit} {why}"));
    let (signature, signed) = match repository.extract_signature(&commit, None) {
        Ok(found) => found,
        Err(error) if error.code() == ErrorCode::NotFound => {
            let why = "is not signed. Sign it with a key that spec.verify knows: git commit -S";
            return Err(refused(why.to_owned()));
        }
        Err(error) => return Err(SourceError::of_objects(&error)),
    };
    if !signature.starts_with(openssh::BEGIN) {
        let why =
            "is signed, but not with an ssh key, and others are not known here: git config gpg.format ssh";
        return Err(refused(why.to_owned()));
    }
    openssh::verify(&keys, &signature, &signed).map_err(refused)
}

/// The keys in a text as in `authorized_keys`, without options.
fn keys(signers: &[String]) -> Result<Vec<KeyData>, SourceError> {
    let lines = signers.iter().flat_map(|text| text.lines()).map(str::trim);
    let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        openssh::key(line).map_err(|error| {
            let line: String = line.chars().take(40).collect();
            SourceError::invalid(format!(
                "spec.verify: `{line}` is not a public key such as ssh-ed25519 AAAA…: {error}"
            ))
        })
    });
    let keys: Vec<KeyData> = keys.collect::<Result<_, SourceError>>()?;
    if keys.is_empty() {
        return Err(SourceError::invalid(
            "spec.verify: the Secret has no public key, so that no commit can be accepted",
        ));
    }
    Ok(keys)
}
