//! Which objects a command is about: `pods`, `po,wl`, `all`, `pod a b`, `pod/a workload/b`.

use orch_api::Target;
use orch_api::plan::PlanTarget;
use orch_client::{ApiResource, Discovery};

use super::get::Scope;
use super::{Failure, Session};

/// Objects of one kind: some by name, or the whole collection.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    /// The kind.
    pub(super) resource: &'a ApiResource,
    /// The names; empty: all objects.
    pub(super) names: Vec<String>,
}

/// Reads the words that follow a verb.
pub(super) fn parse<'a>(discovery: &'a Discovery, words: &[String]) -> Result<Vec<Selection<'a>>, Failure> {
    let Some((first, rest)) = words.split_first() else {
        return Err(no_kind());
    };
    if words.iter().any(|word| word.contains('/')) {
        return slashed(discovery, words);
    }
    let mut resources = Vec::new();
    for word in first.split(',').filter(|word| !word.is_empty()) {
        match discovery.category(word) {
            category if category.is_empty() => resources.push(discovery.resolve(word)?),
            category => resources.extend(category),
        }
    }
    let selection = |resource| Selection { resource, names: rest.to_vec() };
    Ok(resources.into_iter().map(selection).collect())
}

/// As [`parse`], beside the options that choose among all objects of a kind: they say nothing about objects that are named.
///
/// # Errors
/// Names stand beside such an option.
pub(super) fn parse_among<'a>(
    discovery: &'a Discovery,
    words: &[String],
    scope: &Scope,
    all: bool,
) -> Result<Vec<Selection<'a>>, Failure> {
    let selections = parse(discovery, words)?;
    let given = choices(scope, all).find(|(_, is_given)| *is_given);
    match given.filter(|_| selections.iter().any(|selection| !selection.names.is_empty())) {
        None => Ok(selections),
        Some((option, _)) => Err(Failure::new(format!("objects cannot be named beside {option}"))
            .hint("leave out the option, or the names".to_owned())),
    }
}

/// Checks that nothing stands beside manifests that say nothing about them. Labels do.
pub(super) fn only_manifests(words: &[String], scope: &Scope, all: bool) -> Result<(), Failure> {
    let other = choices(scope, all).find(|(option, is_given)| *is_given && *option != LABELS);
    let what = match other {
        Some((option, _)) => option,
        None if !words.is_empty() => "kinds and names",
        None => return Ok(()),
    };
    Err(Failure::new(format!("the objects are those of the manifests: {what} cannot stand beside -f")))
}

const LABELS: &str = "-l";

fn choices(scope: &Scope, all: bool) -> impl Iterator<Item = (&'static str, bool)> {
    let choices = [
        ("-A", scope.all_namespaces),
        (LABELS, scope.selector.is_some()),
        ("--field-selector", scope.field_selector.is_some()),
        ("--all", all),
    ];
    choices.into_iter()
}

/// As [`parse`], where no words mean no objects.
pub(super) fn parse_any<'a>(
    discovery: &'a Discovery,
    words: &[String],
) -> Result<Vec<Selection<'a>>, Failure> {
    if words.is_empty() { Ok(Vec::new()) } else { parse(discovery, words) }
}

pub(super) fn no_kind() -> Failure {
    Failure::new("what kind of object?")
        .hint("name one, such as `pods`; `orchctl api-resources` lists them".to_owned())
}

fn slashed<'a>(discovery: &'a Discovery, words: &[String]) -> Result<Vec<Selection<'a>>, Failure> {
    let mut selections: Vec<Selection<'a>> = Vec::new();
    for word in words {
        let Some((kind, name)) = word.split_once('/').filter(|(_, name)| !name.is_empty()) else {
            let hint = "write every object as kind/name, or one kind followed by names".to_owned();
            return Err(Failure::new(format!("{word:?} is not of the form kind/name")).hint(hint));
        };
        let resource = discovery.resolve(kind)?;
        match selections.iter_mut().find(|selection| selection.resource == resource) {
            Some(selection) => selection.names.push(name.to_owned()),
            None => selections.push(Selection { resource, names: vec![name.to_owned()] }),
        }
    }
    Ok(selections)
}

impl Selection<'_> {
    /// Where to find each of the named objects.
    pub(super) async fn targets(&self, session: &Session) -> Result<Vec<Target>, Failure> {
        let collection = self.resource.collection(Some(session.namespace().await?));
        Ok(self.names.iter().map(|name| collection.clone().named(name.as_str())).collect())
    }
}

/// An object, as plans name it.
pub(super) async fn planned(
    session: &Session,
    resource: &ApiResource,
    name: &str,
) -> Result<PlanTarget, Failure> {
    let namespace = if resource.namespaced { session.namespace().await? } else { "" };
    Ok(PlanTarget {
        api_version: resource.api_version(),
        kind: resource.kind.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..PlanTarget::default()
    })
}

/// `workload.orch.dev/web`, as messages name an object.
pub(super) fn label(resource: &ApiResource, name: &str) -> String {
    join(&resource.prefix(), name)
}

/// A name behind its kind.
pub(super) fn join(prefix: &str, name: &str) -> String {
    format!("{prefix}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery() -> Discovery {
        let resource = |plural: &str, short: &str, categories: &[&str]| ApiResource {
            plural: plural.into(),
            short_names: vec![short.into()],
            categories: categories.iter().map(|c| (*c).to_owned()).collect(),
            verbs: vec!["list".into()],
            ..ApiResource::default()
        };
        let resources = vec![
            resource("pods", "po", &["all"]),
            resource("workloads", "wl", &["all"]),
            resource("nodes", "no", &[]),
        ];
        Discovery { resources }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn check(given: &[&str], expected: &str) {
        let discovery = discovery();
        let shown = match parse(&discovery, &words(given)) {
            Ok(selections) => {
                let show = |s: &Selection<'_>| format!("{}[{}]", s.resource.plural, s.names.join(" "));
                selections.iter().map(show).collect::<Vec<_>>().join(" ")
            }
            Err(failure) => format!("{failure:?}").split('"').nth(1).unwrap_or_default().to_owned(),
        };
        assert!(shown.starts_with(expected), "{given:?}: {shown}");
    }

    #[test]
    fn what_chooses_among_all_does_not_stand_beside_names() {
        let discovery = discovery();
        let labels = Scope { selector: Some("app=db".into()), ..Scope::default() };
        let fields = Scope { field_selector: Some("a=b".into()), ..Scope::default() };
        let everywhere = Scope { all_namespaces: true, ..Scope::default() };
        for (scope, all, option) in [
            (&labels, false, "-l"),
            (&fields, false, "--field-selector"),
            (&everywhere, false, "-A"),
            (&Scope::default(), true, "--all"),
        ] {
            for named in [&["po", "web"][..], &["po/web"]] {
                let refused = parse_among(&discovery, &words(named), scope, all).unwrap_err().plain();
                assert!(refused.contains(&format!("beside {option}\n")), "{refused}");
            }
            assert_eq!(parse_among(&discovery, &words(&["pods"]), scope, all).unwrap().len(), 1);
            assert_eq!(only_manifests(&[], scope, all).is_ok(), option == "-l", "{option}");
        }
        assert!(only_manifests(&words(&["po", "web"]), &Scope::default(), false).is_err());
    }

    #[test]
    fn objects_are_named_as_in_kubectl() {
        check(&["po"], "pods[]");
        check(&["pods", "a", "b"], "pods[a b]");
        check(&["po,wl"], "pods[] workloads[]");
        check(&["all"], "pods[] workloads[]");
        check(&["po/a", "wl/b", "po/c"], "pods[a c] workloads[b]");
        check(&["po/a", "b"], "\\");
        check(&["po/"], "\\");
        check(&["poodles"], "the server has no resource type");
        check(&[], "what kind of object?");
    }
}
