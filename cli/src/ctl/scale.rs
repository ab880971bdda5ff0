//! `scale`: changes how many there are.

use std::process::ExitCode;

use clap::Parser;
use orch_api::{Params, Patch, Request, Target, Verb};
use orch_client::ApiResource;
use serde_json::json;

use super::output::{WAITING, paint, print};
use super::{Failure, Session, select};

/// Not that of `apply`, so that a conflict says whence the number is.
const FIELD_MANAGER: &str = "orchctl-scale";

/// Change how many replicas objects have
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl scale workload/web --replicas=5")]
pub(super) struct Args {
    /// A kind and names, or kind/name
    #[arg(required = true, value_name = "KIND/NAME")]
    words: Vec<String>,
    /// How many there should be
    #[arg(long, value_name = "COUNT")]
    replicas: u32,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for selection in select::parse(session.discovery().await?, &args.words)? {
        if selection.names.is_empty() {
            return Err(Failure::new(format!("scale which {}?", selection.resource.plural)));
        }
        for (name, target) in selection.names.iter().zip(selection.targets(session).await?) {
            let label = select::label(selection.resource, name);
            match scale(session, selection.resource, target, args.replicas, &label).await {
                Ok(()) => print(&format!("{label} {}\n", paint(Some(WAITING), "scaled")))?,
                Err(failure) => code = failure.report(),
            }
        }
    }
    Ok(code)
}

async fn scale(
    session: &Session,
    resource: &ApiResource,
    target: Target,
    replicas: u32,
    label: &str,
) -> Result<(), Failure> {
    let has_scale = resource.subresources.iter().any(|name| name == "scale");
    if !has_scale && session.get(target.clone()).await?["spec"]["replicas"].is_null() {
        return Err(Failure::new(format!("{label} has no replicas to scale")));
    }
    let request = Request {
        verb: Verb::Patch,
        target: if has_scale { target.subresource("scale") } else { target },
        params: Params { field_manager: Some(FIELD_MANAGER.into()), ..Params::default() },
        body: Some(Patch::Merge(json!({"spec": {"replicas": replicas}})).body()?),
    };
    session.call(request).await?;
    Ok(())
}
