//! `-f`: the manifests that a command is about.

use clap::Args;
use orch_api::Object as _;
use orch_client::ApiResource;
use orch_client::manifest::{Input, Manifest};

use super::{Failure, Session, select};

/// Where manifests are read from.
#[derive(Args, Debug)]
pub(super) struct FileArgs {
    /// A file, a directory, or - for standard input; may be given several times
    #[arg(short, long = "filename", value_name = "PATH")]
    pub(super) filename: Vec<String>,
    /// Look into the directories below, too
    #[arg(short = 'R', long, requires = "filename")]
    recursive: bool,
}

impl FileArgs {
    /// The manifests to `verb`, as [`FileArgs::read`]. That there are none at all is an error: whatever made them may have failed.
    pub(super) fn read_some(&self, verb: &str) -> Result<(Vec<Manifest>, usize), Failure> {
        if self.filename.is_empty() {
            return Err(Failure::new(format!("nothing to {verb}"))
                .hint("name files with -f, or use -f - for standard input".to_owned()));
        }
        let (manifests, failed) = self.read();
        if manifests.is_empty() && failed == 0 {
            return Err(Failure::new("no objects in what was read"));
        }
        Ok((manifests, failed))
    }

    /// All manifests that can be read; what cannot be read is reported, and counted.
    pub(super) fn read(&self) -> (Vec<Manifest>, usize) {
        let inputs: Vec<Input> = self.filename.iter().map(|name| name.as_str().into()).collect();
        let mut failed = 0;
        let mut manifests = Vec::new();
        for result in orch_client::manifest::read(&inputs, self.recursive) {
            match result {
                Ok(manifest) => manifests.push(manifest),
                Err(error) => {
                    failed += 1;
                    Failure::from(error).report();
                }
            }
        }
        (manifests, failed)
    }
}

/// A manifest, the kind that it is of, and where its object is or will be.
pub(super) struct Placed<'a> {
    pub(super) manifest: Manifest,
    pub(super) resource: &'a ApiResource,
    pub(super) namespace: Option<String>,
}

impl<'a> Placed<'a> {
    /// Finds out the kind and the namespace, and writes the namespace into the object.
    pub(super) async fn new(session: &'a Session, mut manifest: Manifest) -> Result<Self, Failure> {
        let discovery = session.discovery().await?;
        let (api_version, kind) = (manifest.object.api_version(), manifest.object.kind());
        let Some(resource) = discovery.of_kind(api_version, kind) else {
            let hint =
                discovery.nearest_kind(api_version, kind).map(|meant| format!("did you mean `{meant}`?"));
            return Err(Failure::new(format!("the server does not know the kind {kind} of {api_version}"))
                .detail("", manifest.snippet("kind"))
                .hint(hint.unwrap_or_else(|| "`orchctl api-resources` lists the kinds it knows".into())));
        };
        if !resource.namespaced {
            return Ok(Self { manifest, resource, namespace: None });
        }
        let given = manifest.object.namespace().to_owned();
        let namespace = match session.explicit_namespace() {
            Some(wanted) if !given.is_empty() && given != wanted => {
                let message = format!("the manifest is of namespace {given:?}, but -n says {wanted:?}");
                return Err(Failure::new(message).detail("", manifest.snippet("metadata.namespace")));
            }
            _ if !given.is_empty() => given,
            _ => session.namespace().await?.to_owned(),
        };
        manifest.object["metadata"]["namespace"] = namespace.as_str().into();
        Ok(Self { manifest, resource, namespace: Some(namespace) })
    }

    /// `workload.orch.dev/web`
    pub(super) fn label(&self) -> String {
        select::label(self.resource, self.manifest.object.name())
    }

    pub(super) fn collection(&self) -> orch_api::Target {
        self.resource.collection(self.namespace.as_deref())
    }
}
