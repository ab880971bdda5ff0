//! `edit`: changes objects in an editor.

mod text;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use orch_api::{FieldValidation, Object as _, Params, Patch, Request, Status, Target, Verb};
use orch_client::manifest::Manifest;
use serde_json::Value;

use super::apply::explain;
use super::files::Placed;
use super::output::{WAITING, paint, print, yaml};
use super::{Failure, Session, select};

/// Not that of `apply`, so that a conflict says whence a value is.
const FIELD_MANAGER: &str = "orchctl-edit";
/// The code of an answer that says that the object is not at the revision any more.
const CONFLICT: u16 = 409;

/// Change objects in an editor
///
/// The editor is $KUBE_EDITOR or $EDITOR, else vi. Only what is changed is sent. What the server refuses is
/// opened again, with the reasons above it; to give up, save nothing more. What others have changed meanwhile is kept; where both
/// have changed the same, the text is opened again.
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
    let mut code = ExitCode::SUCCESS;
    for selection in select::parse(session.discovery().await?, &args.words)? {
        if selection.names.is_empty() {
            return Err(Failure::new(format!("edit which {}?", selection.resource.plural)));
        }
        for (name, target) in selection.names.iter().zip(selection.targets(session).await?) {
            let label = select::label(selection.resource, name);
            match edit(session, target).await {
                Ok(true) => print(&format!("{label} {}\n", paint(Some(WAITING), "edited")))?,
                Ok(false) => print("Edit cancelled, no changes made.\n")?,
                Err(failure) => code = failure.report(),
            }
        }
    }
    Ok(code)
}

/// Has an object edited until the server takes it. False if nothing was changed.
async fn edit(session: &Session, target: Target) -> Result<bool, Failure> {
    let mut before = read(session, &target).await?;
    let mut file = Draft::new()?;
    let mut offered = text::first(&yaml::to_yaml(&before)?);
    let mut refused: Option<Failure> = None;
    loop {
        let (edited, is_saved) = file.edit(&offered)?;
        let is_same = text::body(&edited) == text::body(&offered);
        // What others have done may be looked at and then be replaced.
        let gives_up = |failure: &Failure| is_same && !(is_saved && failure.code() == CONFLICT);
        if let Some(failure) = refused.take().filter(gives_up) {
            return Err(file.keep(failure));
        }
        if text::body(&edited).trim().is_empty() {
            return Ok(false);
        }
        match send(session, &target, &mut before, &edited).await {
            Ok(Sent::Taken) => return Ok(true),
            Ok(Sent::Nothing) => return Ok(false),
            Ok(Sent::Collided { merged, paths }) => {
                let mut failure =
                    Failure::new("others have changed the same meanwhile; what is below is yours")
                        .coded(CONFLICT);
                for path in paths {
                    failure = failure.detail(path, None);
                }
                let failure = failure.hint("save to replace theirs".to_owned());
                offered = text::again(&failure.plain(), &yaml::to_yaml(&merged)?);
                refused = Some(failure);
            }
            Err(failure) => {
                offered = text::again(&failure.plain(), &edited);
                refused = Some(failure.coded(0));
            }
        }
    }
}

async fn read(session: &Session, target: &Target) -> Result<Value, Failure> {
    let mut object = session.get(target.clone()).await?;
    yaml::hide_managed_fields(&mut object);
    Ok(object)
}

/// What has become of an edited text.
enum Sent {
    Taken,
    /// Nothing was changed.
    Nothing,
    /// Others have changed the same: the object with the changes of both, and where they collide.
    Collided {
        merged: Value,
        paths: Vec<String>,
    },
}

/// Sends what was changed since `before`, unless others have changed the same in the meantime: then `before` is what they made of it.
async fn send(session: &Session, target: &Target, before: &mut Value, edited: &str) -> Result<Sent, Failure> {
    let mut manifests = Manifest::parse("edited object", edited);
    let mut manifest = match (manifests.pop(), manifests.is_empty()) {
        (Some(manifest), true) => manifest?,
        _ => return Err(Failure::new("exactly one object is expected")),
    };
    let identity = |object: &Value| {
        [object.api_version(), object.kind(), object.namespace(), object.name()].map(str::to_owned)
    };
    if identity(before) != identity(&manifest.object) {
        return Err(Failure::new("apiVersion, kind, name and namespace cannot be edited"));
    }
    let resource = Placed::new(session, manifest.clone()).await?;
    loop {
        manifest.object["metadata"]["resourceVersion"] = before.resource_version().into();
        let Some(patch) = text::merge_patch(before, &manifest.object) else { return Ok(Sent::Nothing) };
        let status = match patch_at(session, target, patch, before.resource_version()).await {
            Ok(()) => return Ok(Sent::Taken),
            Err(status) if status.code == CONFLICT => status,
            Err(status) => return Err(explain(status, &resource)),
        };
        let now = read(session, target).await?;
        if now.resource_version() == before.resource_version() {
            return Err(explain(status, &resource));
        }
        let mut paths = Vec::new();
        let merged = text::merge([Some(before), Some(&manifest.object), Some(&now)], "", &mut paths);
        *before = now;
        manifest.object = merged.unwrap_or_default();
        if !paths.is_empty() {
            return Ok(Sent::Collided { merged: manifest.object, paths });
        }
    }
}

/// Patches an object that is still at this revision.
async fn patch_at(
    session: &Session,
    target: &Target,
    mut patch: Value,
    revision: &str,
) -> Result<(), Status> {
    patch["metadata"]["resourceVersion"] = revision.into();
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
    let client = session.client().await.map_err(|_| Status::unavailable("not connected"))?;
    client.send_as(session.explained(request), orch_client::Accept::Json).await.map(drop)
}

/// The file that the editor works on. Removed in the end, unless it is kept.
struct Draft(tempfile::NamedTempFile);

impl Draft {
    fn new() -> Result<Self, Failure> {
        let file = tempfile::Builder::new().prefix("orchctl-edit-").suffix(".yaml").tempfile();
        Ok(Self(file.map_err(|error| Failure::new(format!("cannot make a file to edit: {error}")))?))
    }

    /// Opens the editor on a text and answers with what it has made of it, and whether that was saved.
    fn edit(&mut self, text: &str) -> Result<(String, bool), Failure> {
        let path = self.0.path().to_owned();
        let mut file = std::fs::File::create(&path).map_err(|error| unusable(&path, &error))?;
        file.write_all(text.as_bytes()).map_err(|error| unusable(&path, &error))?;
        let written = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        let before = written(&path);
        let editor = editor();
        // As a shell reads it, because people set `code --wait` and the like.
        let mut command = Command::new("sh");
        let status = command.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status();
        match status {
            Ok(status) if status.success() => {
                let edited = std::fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?;
                Ok((edited, written(&path) != before))
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
