//! `edit`: changes objects in an editor.

mod text;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use orch_api::{FieldValidation, Object as _, Params, Patch, Request, Target, Verb};
use orch_client::manifest::Manifest;
use serde_json::Value;

use super::apply::explain;
use super::files::Placed;
use super::output::{WAITING, paint, print, yaml};
use super::{Failure, Session, select};

/// Not that of `apply`, so that a conflict says whence a value is.
const FIELD_MANAGER: &str = "orchctl-edit";

/// Change objects in an editor
///
/// The editor is $KUBE_EDITOR or $EDITOR, else vi. Only what is changed is sent. What the server refuses is
/// opened again, with the reasons above it; to give up, save nothing more.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl edit workload web
  EDITOR=nano orchctl edit configmap/web-config")]
pub(super) struct Args {
    /// A kind and names, or kind/name
    #[arg(required = true, value_name = "KIND/NAME")]
    words: Vec<String>,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    for selection in select::parse(session.discovery().await?, &args.words)? {
        if selection.names.is_empty() {
            return Err(Failure::new(format!("edit which {}?", selection.resource.plural)));
        }
        for (name, target) in selection.names.iter().zip(selection.targets(session).await?) {
            let label = select::label(selection.resource, name);
            match edit(session, target).await? {
                true => print(&format!("{label} {}\n", paint(Some(WAITING), "edited")))?,
                false => print("Edit cancelled, no changes made.\n")?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Has an object edited until the server takes it. False if nothing was changed.
async fn edit(session: &Session, target: Target) -> Result<bool, Failure> {
    let mut before = session.get(target.clone()).await?;
    yaml::hide_managed_fields(&mut before);
    let mut file = Draft::new()?;
    let mut offered = text::first(&yaml::to_yaml(&before)?);
    let mut refused: Option<Failure> = None;
    loop {
        let edited = file.edit(&offered)?;
        if let Some(failure) = refused.take().filter(|_| text::body(&edited) == text::body(&offered)) {
            return Err(file.keep(failure));
        }
        if text::body(&edited).trim().is_empty() {
            return Ok(false);
        }
        match send(session, &target, &before, &edited).await {
            Ok(changed) => return Ok(changed),
            Err(failure) => {
                offered = text::again(&failure.plain(), &edited);
                refused = Some(failure);
            }
        }
    }
}

/// Sends what was changed. False if nothing was.
async fn send(session: &Session, target: &Target, before: &Value, edited: &str) -> Result<bool, Failure> {
    let mut manifests = Manifest::parse("edited object", edited);
    let manifest = match (manifests.pop(), manifests.is_empty()) {
        (Some(manifest), true) => manifest?,
        _ => return Err(Failure::new("exactly one object is expected")),
    };
    let after = &manifest.object;
    let identity = |object: &Value| {
        [object.api_version(), object.kind(), object.namespace(), object.name()].map(str::to_owned)
    };
    if identity(before) != identity(after) {
        return Err(Failure::new("apiVersion, kind, name and namespace cannot be edited"));
    }
    let Some(patch) = text::merge_patch(before, after) else { return Ok(false) };
    let request = Request {
        verb: Verb::Patch,
        target: target.clone(),
        params: Params {
            field_manager: Some(FIELD_MANAGER.into()),
            field_validation: Some(FieldValidation::Strict),
            ..Params::default()
        },
        body: Some(Patch::Merge(patch).body()?),
    };
    session.log(&request);
    let answer = session.client().await?.send_as(session.explained(request), orch_client::Accept::Json).await;
    let placed = Placed::new(session, manifest).await?;
    answer.map_err(|status| explain(status, &placed))?;
    Ok(true)
}

/// The file that the editor works on. Removed in the end, unless it is kept.
struct Draft(tempfile::NamedTempFile);

impl Draft {
    fn new() -> Result<Self, Failure> {
        let file = tempfile::Builder::new().prefix("orchctl-edit-").suffix(".yaml").tempfile();
        Ok(Self(file.map_err(|error| Failure::new(format!("cannot make a file to edit: {error}")))?))
    }

    /// Opens the editor on a text and answers with what it has made of it.
    fn edit(&mut self, text: &str) -> Result<String, Failure> {
        let path = self.0.path().to_owned();
        let mut file = std::fs::File::create(&path).map_err(|error| unusable(&path, &error))?;
        file.write_all(text.as_bytes()).map_err(|error| unusable(&path, &error))?;
        let editor = editor();
        // As a shell reads it, because people set `code --wait` and the like.
        let mut command = Command::new("sh");
        let status = command.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status();
        match status {
            Ok(status) if status.success() => {
                std::fs::read_to_string(&path).map_err(|error| unusable(&path, &error))
            }
            Ok(status) => Err(Failure::new(format!("the editor {editor:?} failed: {status}"))),
            Err(error) => Err(Failure::new(format!("the editor {editor:?} cannot be started: {error}"))),
        }
    }

    /// Leaves the file where it is, so that nobody's work is lost.
    fn keep(self, failure: Failure) -> Failure {
        let path: Option<PathBuf> = self.0.keep().ok().map(|(_, path)| path);
        let hint = path.map(|path| format!("what you have written is in {}", path.display()));
        failure.while_doing("edit cancelled").hint(hint)
    }
}

fn editor() -> String {
    let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    ["KUBE_EDITOR", "EDITOR"].into_iter().find_map(set).unwrap_or_else(|| "vi".into())
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
