//! `config`: which kubeconfig and context are in use.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use orch_client::manifest;
use serde_json::{Value, json};

use super::output::table::Table;
use super::output::{print, yaml};
use super::{Failure, Session};

const CURRENT_CONTEXT: &str = "current-context";

/// Show and choose which server is talked to
#[derive(Parser, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show the contexts and where they are defined
    View,
    /// Show the name of the context in use
    CurrentContext,
    /// Show all contexts
    GetContexts,
    /// Use another context from now on
    UseContext {
        /// The context
        name: String,
    },
}

pub(super) fn run(session: &Session, args: &Args) -> Result<ExitCode, Failure> {
    let config = session.kubeconfig()?;
    let current = config.current_context.clone().unwrap_or_default();
    let contexts = || {
        let mut table = Table::new(&["CURRENT", "NAME", "CLUSTER", "USER", "NAMESPACE"]);
        for context in config.contexts() {
            let mark = if context[0] == current { "*" } else { "" };
            table.rows.push([&[mark], &context[..]].concat().into_iter().map(str::to_owned).collect());
        }
        table.render(true)
    };
    match &args.action {
        Action::View => {
            let files =
                config.files.iter().map(|file| format!("file: {}\n", file.display())).collect::<String>();
            print(&format!("{files}{}", contexts()))?;
        }
        Action::GetContexts => print(&contexts())?,
        Action::CurrentContext if current.is_empty() => return Err(Failure::new("no context is in use")),
        Action::CurrentContext => print(&format!("{current}\n"))?,
        Action::UseContext { name } => {
            let known: Vec<_> = config.contexts().map(|[name, ..]| name.to_owned()).collect();
            let Some(file) = config.file_of_current_context().filter(|_| known.contains(name)) else {
                return Err(Failure::new(format!("there is no context {name:?}"))
                    .hint(format!("known contexts: {}", known.join(", "))));
            };
            write_current_context(file, name)?;
            print(&format!("Switched to context {name:?}.\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the file anew, with its mode and owner, where it is and not where a link to it is. It is replaced at once or not at all.
fn write_current_context(file: &Path, name: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
    let file = &file.canonicalize().map_err(failed)?;
    let changed = with_current_context(&std::fs::read_to_string(file).map_err(failed)?, name)?;
    let replace = || {
        let before = std::fs::metadata(file)?;
        let mut fresh = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new("/")))?;
        fresh.write_all(changed.as_bytes())?;
        fresh.as_file().set_permissions(before.permissions())?;
        let own = fresh.as_file().metadata()?;
        if (own.uid(), own.gid()) != (before.uid(), before.gid()) {
            std::os::unix::fs::fchown(fresh.as_file(), Some(before.uid()), Some(before.gid()))?;
        }
        fresh.as_file().sync_all()?;
        fresh.persist(file)?;
        Ok(())
    };
    replace().map_err(failed)
}

/// Changes the one line, so that comments and order stay, if that is all that it changes; else the file is written as a whole.
fn with_current_context(text: &str, name: &str) -> Result<String, Failure> {
    let read = |text: &str| manifest::document(text).map_err(Failure::new);
    let mut wanted = match read(text)? {
        Value::Null => json!({}),
        object => object,
    };
    wanted[CURRENT_CONTEXT] = name.into();
    let changed = with_line(text, name);
    if read(&changed).is_ok_and(|read| read == wanted) {
        return Ok(changed);
    }
    if text.trim_start().starts_with('{') { yaml::to_json(&wanted) } else { yaml::to_yaml(&wanted) }
}

fn with_line(text: &str, name: &str) -> String {
    // JSON is YAML: the name is quoted so that any name is itself.
    let line = format!("{CURRENT_CONTEXT}: {}", Value::from(name));
    let is_it = |line: &str| line.strip_prefix(CURRENT_CONTEXT).is_some_and(|rest| rest.starts_with(':'));
    let ending = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    if !text.lines().any(is_it) {
        return format!("{text}{ending}{line}\n");
    }
    text.lines().map(|old| if is_it(old) { format!("{line}\n") } else { format!("{old}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_one_line_is_changed() {
        let changed = |text: &str| with_current_context(text, "b").unwrap();
        assert_eq!(
            changed("# mine\ncurrent-context: a\nclusters: []"),
            "# mine\ncurrent-context: \"b\"\nclusters: []\n"
        );
        assert_eq!(changed("clusters: []"), "clusters: []\ncurrent-context: \"b\"\n");
    }

    #[test]
    fn a_file_of_another_style_is_written_as_a_whole() {
        let wanted = json!({"clusters": [], "current-context": "b"});
        for text in [
            r#"{"current-context": "a", "clusters": []}"#,
            "{current-context: a, clusters: []}",
            "\"current-context\": a\nclusters: []\n",
            "current-context: >-\n  a\n  b\nclusters: []\n",
            "clusters: []\n...\n",
        ] {
            let changed = with_current_context(text, "b").unwrap();
            assert_eq!(manifest::document(&changed).unwrap(), wanted, "{text}\n{changed}");
            assert_eq!(text.starts_with('{'), changed.starts_with('{'), "{changed}");
        }
        assert!(with_current_context("a: b: c", "b").is_err());
    }

    #[test]
    fn a_link_stays_and_so_does_the_mode() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("config"));
        std::fs::write(&file, "clusters: []\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        // Only root can give a file away; others keep their own.
        let owner = std::os::unix::fs::chown(&file, Some(1), Some(1)).is_ok();
        write_current_context(&link, "b").unwrap();
        assert!(link.is_symlink());
        assert!(std::fs::read_to_string(&file).unwrap().contains("current-context: \"b\""));
        let after = std::fs::metadata(&file).unwrap();
        assert_eq!(after.permissions().mode() & 0o777, 0o640);
        assert!(!owner || (after.uid(), after.gid()) == (1, 1));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
