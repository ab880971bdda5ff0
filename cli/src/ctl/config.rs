//! `config`: which kubeconfig and context are in use.

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::output::print;
use super::output::table::Table;
use super::{Failure, Session};

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

/// Changes the one line, so that comments and order stay. The file is replaced at once or not at all.
fn write_current_context(file: &Path, name: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    std::fs::copy(file, &temporary).map_err(failed)?;
    std::fs::write(&temporary, with_current_context(&text, name)).map_err(failed)?;
    std::fs::rename(&temporary, file).map_err(failed)
}

fn with_current_context(text: &str, name: &str) -> String {
    // JSON is YAML: the name is quoted so that any name is itself.
    let line = format!("current-context: {}", serde_json::Value::from(name));
    let is_it = |line: &str| line.starts_with("current-context:");
    let ending = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    if !text.lines().any(is_it) {
        return format!("{text}{ending}{line}\n");
    }
    text.lines().map(|old| if is_it(old) { format!("{line}\n") } else { format!("{old}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_line_is_changed() {
        assert_eq!(
            with_current_context("# mine\ncurrent-context: a\nclusters: []", "b"),
            "# mine\ncurrent-context: \"b\"\nclusters: []\n"
        );
        assert_eq!(with_current_context("clusters: []", "b"), "clusters: []\ncurrent-context: \"b\"\n");
    }
}
