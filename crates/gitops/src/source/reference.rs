//! From a reference to a commit, by what the server says it has.

use git2::Oid;
use semver::{Version, VersionReq};

use super::{Reference, SourceError};

/// A name that the server has, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advertised {
    pub(super) name: String,
    pub(super) id: Oid,
    /// Where it points to, if it is the name of another name.
    pub(super) target: Option<String>,
}

/// What is to be received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The name by which the server has it; none if it is a commit that has no name.
    pub(super) name: Option<String>,
    /// What the name stands for: a commit, or a tag of one.
    pub(super) id: Oid,
    /// The commit, if that can be told already.
    pub(super) commit: Option<Oid>,
}

/// What servers append to the name of a tag for the commit that it is of.
const PEELED: &str = "^{}";

/// Finds what a reference means.
pub(super) fn resolve(reference: &Reference, advertised: &[Advertised]) -> Result<Wanted, SourceError> {
    match reference {
        Reference::Head => head(advertised),
        Reference::Branch(branch) => {
            let name = format!("refs/heads/{branch}");
            let found = find(advertised, &name);
            let id = found.map(|found| found.id).ok_or_else(|| no_branch(branch, advertised))?;
            Ok(Wanted { name: Some(name), id, commit: Some(id) })
        }
        Reference::Tag(tag) => {
            let name = format!("refs/tags/{tag}");
            of_tag(advertised, &name)
                .ok_or_else(|| SourceError::not_found(format!("the repository has no tag {tag}")))
        }
        Reference::Semver(range) => highest(range, advertised),
        Reference::Commit(commit) => exactly(commit, advertised),
    }
}

fn find<'a>(advertised: &'a [Advertised], name: &str) -> Option<&'a Advertised> {
    advertised.iter().find(|one| one.name == name)
}

fn head(advertised: &[Advertised]) -> Result<Wanted, SourceError> {
    let Some(head) = find(advertised, "HEAD") else {
        let message = match advertised.is_empty() {
            true => "the repository is empty: push a commit to it",
            false => "the repository's HEAD points to no branch: say which one is meant by spec.ref.branch",
        };
        return Err(SourceError::not_found(message));
    };
    let same = |one: &&Advertised| one.id == head.id && one.name.starts_with("refs/heads/");
    let named = head.target.clone().or_else(|| advertised.iter().find(same).map(|one| one.name.clone()));
    Ok(Wanted { name: Some(named.unwrap_or_else(|| "HEAD".to_owned())), id: head.id, commit: Some(head.id) })
}

fn no_branch(branch: &str, advertised: &[Advertised]) -> SourceError {
    let branches: Vec<&str> =
        advertised.iter().filter_map(|one| one.name.strip_prefix("refs/heads/")).take(10).collect();
    let has = if branches.is_empty() { "none".to_owned() } else { branches.join(", ") };
    SourceError::not_found(format!("the repository has no branch {branch}; it has {has}"))
}

fn of_tag(advertised: &[Advertised], name: &str) -> Option<Wanted> {
    let id = find(advertised, name)?.id;
    let commit = find(advertised, &format!("{name}{PEELED}")).map(|peeled| peeled.id);
    Some(Wanted { name: Some(name.to_owned()), id, commit })
}

fn highest(range: &str, advertised: &[Advertised]) -> Result<Wanted, SourceError> {
    let wanted = VersionReq::parse(range)
        .map_err(|error| SourceError::invalid(format!("spec.ref.semver: `{range}` is no range: {error}")))?;
    let versions = advertised.iter().filter_map(|one| {
        let tag = one.name.strip_prefix("refs/tags/")?;
        Some((Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?, &one.name))
    });
    let (_, name) = versions
        .filter(|(version, _)| wanted.matches(version))
        .max()
        .ok_or_else(|| SourceError::not_found(format!("the repository has no tag in the range {range}")))?;
    of_tag(advertised, name).ok_or_else(|| SourceError::not_found(format!("the repository has no {name}")))
}

fn exactly(commit: &str, advertised: &[Advertised]) -> Result<Wanted, SourceError> {
    let id = Oid::from_str(commit).ok().filter(|_| commit.len() == 40).ok_or_else(|| {
        SourceError::invalid(format!("spec.ref.commit: `{commit}` is not 40 hexadecimal digits"))
    })?;
    let named = advertised.iter().find(|one| one.id == id && !one.name.ends_with(PEELED));
    Ok(Wanted { name: named.map(|one| one.name.clone()), id, commit: Some(id) })
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::*;

    fn id(digit: char) -> Oid {
        Oid::from_str(&digit.to_string().repeat(40)).unwrap()
    }

    fn server() -> Vec<Advertised> {
        let one = |name: &str, digit| Advertised { name: name.to_owned(), id: id(digit), target: None };
        vec![
            Advertised { target: Some("refs/heads/main".to_owned()), ..one("HEAD", '1') },
            one("refs/heads/main", '1'),
            one("refs/heads/old", '2'),
            one("refs/tags/v1.2.0", '3'),
            one("refs/tags/v1.2.0^{}", '4'),
            one("refs/tags/1.10.0", '5'),
            one("refs/tags/v2.0.0-rc.1", '6'),
            one("refs/tags/nightly", '7'),
        ]
    }

    fn found(reference: Reference) -> (Option<String>, Oid, Option<Oid>) {
        let wanted = resolve(&reference, &server()).unwrap();
        (wanted.name, wanted.id, wanted.commit)
    }

    fn refused(reference: Reference, advertised: &[Advertised]) -> (Reason, String) {
        let error = resolve(&reference, advertised).unwrap_err();
        (error.reason, error.message)
    }

    #[test]
    fn head_is_the_branch_that_the_server_points_at() {
        assert_eq!(found(Reference::Head), (Some("refs/heads/main".into()), id('1'), Some(id('1'))));
    }

    #[test]
    fn a_tag_with_a_message_is_the_commit_below_it() {
        let tag = found(Reference::Tag("v1.2.0".into()));
        assert_eq!(tag, (Some("refs/tags/v1.2.0".into()), id('3'), Some(id('4'))));
        assert_eq!(found(Reference::Tag("nightly".into())).2, None, "it may still be a tag of a tag");
    }

    #[test]
    fn the_highest_version_is_so_by_number_and_not_by_text() {
        for (range, tag) in [("^1", "1.10.0"), ("~1.2", "v1.2.0"), (">=1.0, <1.5", "v1.2.0"), ("*", "1.10.0")]
        {
            assert_eq!(found(Reference::Semver(range.into())).0, Some(format!("refs/tags/{tag}")), "{range}");
        }
        let candidate = found(Reference::Semver(">=2.0.0-rc.0".into())).0;
        assert_eq!(candidate, Some("refs/tags/v2.0.0-rc.1".into()), "candidates count only when asked for");
    }

    #[test]
    fn a_commit_is_received_by_a_name_if_it_has_one() {
        assert_eq!(found(Reference::Commit("2".repeat(40))).0, Some("refs/heads/old".into()));
        assert_eq!(found(Reference::Commit("9".repeat(40))), (None, id('9'), Some(id('9'))));
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let (reason, message) = refused(Reference::Branch("mian".into()), &server());
        assert_eq!(reason, Reason::NotFound);
        assert_eq!(message, "the repository has no branch mian; it has main, old");
        assert_eq!(refused(Reference::Tag("v9".into()), &server()).0, Reason::NotFound);
        assert_eq!(refused(Reference::Semver(">9".into()), &server()).0, Reason::NotFound);
        assert_eq!(refused(Reference::Semver("one".into()), &server()).0, Reason::Invalid);
        assert_eq!(refused(Reference::Commit("abc".into()), &server()).0, Reason::Invalid);
        assert!(refused(Reference::Head, &[]).1.contains("is empty"));
        assert!(refused(Reference::Head, &server()[1..]).1.contains("spec.ref.branch"));
    }
}
