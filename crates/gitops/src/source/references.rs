//! What a kustomization refers to must be in the repository: it is not fetched from elsewhere.

use std::collections::BTreeSet;

use orch_client::manifest::document;
use serde_json::Value;

use super::SourceError;
use super::files::resolve;
use super::kustomize::NAMES;

/// Lists of files or directories.
const PATHS: &[&str] = &[
    "resources",
    "bases",
    "components",
    "crds",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "patchesStrategicMerge",
];
/// Lists of objects that have a file as their `path`.
const PATCHES: &[&str] = &["patches", "patchesJson6902", "replacements"];
/// Lists of objects that have files, perhaps with a name before them.
const GENERATORS: &[&str] = &["configMapGenerator", "secretGenerator"];
/// What takes charts from elsewhere, with a program of its own.
const CHARTS: &[&str] = &["helmCharts", "helmChartInflationGenerator", "helmGlobals"];

/// What is at a path of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    File,
    Directory,
}

/// Checks the kustomization in a directory, and those that it refers to. Answers with all of their directories. `look` tells what is
/// at a path, `read` what a file says.
pub(super) fn check(
    directory: &str,
    look: impl Fn(&str) -> Option<There>,
    read: impl Fn(&str) -> Result<String, SourceError>,
) -> Result<BTreeSet<String>, SourceError> {
    let (mut seen, mut ahead) = (BTreeSet::new(), vec![directory.to_owned()]);
    while let Some(directory) = ahead.pop() {
        if !seen.insert(directory.clone()) {
            continue;
        }
        let Some(file) = kustomization(&look, &directory) else { continue };
        let value =
            document(&read(&file)?).map_err(|problem| SourceError::invalid(format!("{file}: {problem}")))?;
        if let Some(charts) = CHARTS.iter().find(|field| value.get(field).is_some()) {
            let message =
                format!("{file}: {charts} is not supported: commit what `helm template` makes instead");
            return Err(SourceError::invalid(message));
        }
        for (field, reference) in references(&value) {
            ahead.extend(followed(&look, &file, &directory, field, &reference)?);
        }
    }
    Ok(seen)
}

fn kustomization(look: &impl Fn(&str) -> Option<There>, directory: &str) -> Option<String> {
    let join =
        |name: &&str| if directory.is_empty() { (*name).to_owned() } else { format!("{directory}/{name}") };
    NAMES.iter().map(join).find(|file| look(file) == Some(There::File))
}

/// Everything that could be a path or a URL, and the field that it is of.
fn references(value: &Value) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut take = |field: &'static str, value: Option<&Value>| {
        found.extend(value.and_then(Value::as_str).map(|text| (field, text.to_owned())));
    };
    for field in PATHS {
        list(value, field).for_each(|item| take(field, Some(item)));
    }
    for field in PATCHES {
        list(value, field).for_each(|item| take(field, item.get("path")));
    }
    for field in GENERATORS {
        for generator in list(value, field) {
            take(field, generator.get("env"));
            list(generator, "envs").for_each(|item| take(field, Some(item)));
            for file in list(generator, "files").filter_map(Value::as_str) {
                let path = file.split_once('=').map_or(file, |(_, path)| path);
                take(field, Some(&Value::from(path)));
            }
        }
    }
    take("openapi", value.pointer("/openapi/path"));
    found
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// The directory that a reference leads to, if it leads to one.
fn followed(
    look: &impl Fn(&str) -> Option<There>,
    file: &str,
    directory: &str,
    field: &str,
    reference: &str,
) -> Result<Option<String>, SourceError> {
    // Some fields take the content itself in the place of a file.
    if reference.contains('\n') {
        return Ok(None);
    }
    let target = resolve(directory, reference);
    match target.and_then(|target| Some((look(&target)?, target))) {
        Some((There::File, _)) => Ok(None),
        Some((There::Directory, target)) => Ok(Some(target)),
        None => {
            let why = match reference.contains("://")
                || reference.contains("?ref=")
                || reference.contains('@')
            {
                true => "is somewhere else, and nothing is fetched for a kustomization: commit a copy of it",
                false => "is not a file or directory of the repository (links are not followed)",
            };
            Err(SourceError::invalid(format!("{file}: {field}: `{reference}` {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn checked(files: &[(&str, &str)]) -> Result<BTreeSet<String>, String> {
        let texts: BTreeMap<&str, &str> = files.iter().copied().collect();
        let look = |path: &str| match texts.contains_key(path) {
            true => Some(There::File),
            false => {
                let below = if path.is_empty() { String::new() } else { format!("{path}/") };
                texts.keys().any(|file| file.starts_with(&below)).then_some(There::Directory)
            }
        };
        check("apps", look, |file| Ok(texts[file].to_owned())).map_err(|error| error.message)
    }

    #[test]
    fn what_is_in_the_repository_may_be_referred_to() {
        let apps = "resources: [web.yaml, ../base]\npatches:\n- path: p.yaml\n- patch: |\n    image: https://x\n\
                    configMapGenerator: [{name: a, files: [x=web.yaml], envs: [p.yaml]}]\n";
        let files = [
            ("apps/kustomization.yaml", apps),
            ("apps/web.yaml", ""),
            ("apps/p.yaml", ""),
            ("base/Kustomization", "resources: [a.yaml, ../apps]"),
            ("base/a.yaml", ""),
        ];
        assert_eq!(checked(&files), Ok(["apps", "base"].map(str::to_owned).into()));
    }

    #[test]
    fn nothing_is_fetched_for_a_kustomization() {
        for reference in [
            "resources: [https://example.com/all.yaml]",
            "resources: [github.com/a/b//c?ref=v1]",
            "bases: ['git@example.com:a/b.git']",
            "components: [ssh://git@example.com/a/b]",
            "resources: [example.com/a/b]",
            "resources: [/etc]",
            "resources: [../../etc]",
            "patches: [{path: 'http://10.0.0.1/x'}]",
            "configMapGenerator: [{name: a, files: ['x=http://169.254.169.254/latest']}]",
            "secretGenerator: [{name: a, env: 'http://10.0.0.1/'}]",
            "openapi: {path: 'http://10.0.0.1/'}",
            "helmCharts: [{name: x, repo: 'https://charts.example.com'}]",
        ] {
            let outer = checked(&[("apps/kustomization.yaml", reference)]);
            assert!(
                outer.as_ref().is_err_and(|said| said.starts_with("apps/kustomization.yaml: ")),
                "{outer:?}"
            );
            let files =
                [("apps/kustomization.yml", "resources: [../b]"), ("b/kustomization.yaml", reference)];
            let inner = checked(&files);
            assert!(
                inner.as_ref().is_err_and(|said| said.starts_with("b/kustomization.yaml: ")),
                "{inner:?}"
            );
        }
    }
}
