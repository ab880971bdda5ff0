//! `scale`: changes how many there are.

use std::process::ExitCode;

use clap::Parser;
use orch_api::{Params, Patch, Request, Verb};
use serde_json::json;

use super::output::{WAITING, paint, print};
use super::{Failure, Session, select};

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
    for selection in select::parse(session.discovery().await?, &args.words)? {
        if selection.names.is_empty() {
            return Err(Failure::new(format!("scale which {}?", selection.resource.plural)));
        }
        for (name, target) in selection.names.iter().zip(selection.targets(session).await?) {
            let has_scale = selection.resource.subresources.iter().any(|name| name == "scale");
            let request = Request {
                verb: Verb::Patch,
                target: if has_scale { target.subresource("scale") } else { target },
                params: Params { field_manager: Some("orchctl".into()), ..Params::default() },
                body: Some(Patch::Merge(json!({"spec": {"replicas": args.replicas}})).body()?),
            };
            session.call(request).await?;
            print(&format!(
                "{} {}\n",
                select::label(selection.resource, name),
                paint(Some(WAITING), "scaled")
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
