//! `simulate`: what would be if.

use std::process::ExitCode;

use clap::Parser;
use orch_api::{Body, Params, Request, Target, Verb};
use serde_json::{Value, json};

use super::files::FileArgs;
use super::output::print;
use super::{Failure, Session, plan, select};

const FIELD_MANAGER: &str = "orchctl";

/// Show what would be if nodes were lost, others added, or workloads scaled
///
/// The decisions are those of the controllers and the scheduler, made on a copy of everything there is. Nothing is written.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # What if a node dies?
  orchctl simulate --lose worker-1

  # What if there are three times as many, on one more node of this kind?
  orchctl simulate --scale workload/web=x3 --add node.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// A node that is gone; may be given several times
    #[arg(long, value_name = "NODE")]
    lose: Vec<String>,
    /// A file with nodes that there are beside the others; may be given several times
    #[arg(long, value_name = "FILE")]
    add: Vec<String>,
    /// How many pods a workload wants: a number, or x and a factor; may be given several times
    #[arg(long, value_name = "KIND/NAME=COUNT")]
    scale: Vec<String>,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let placed = plan::manifests(session, &args.files).await?;
    let mut added = Vec::new();
    for manifest in orch_client::manifest::read(
        &args.add.iter().map(|file| file.as_str().into()).collect::<Vec<_>>(),
        false,
    ) {
        added.push(manifest?.object);
    }
    let mut scale = Vec::new();
    for word in &args.scale {
        scale.push(scaled(session, word).await?);
    }
    let asked = json!({
        "apiVersion": "orch.dev/v1", "kind": "Simulation",
        "spec": {
            "changes": plan::applies(&placed, FIELD_MANAGER, false),
            "nodesLost": args.lose, "nodesAdded": added, "scale": scale,
        },
    });
    let target = Target::parse(["apis", "orch.dev", "v1", "simulations"])
        .ok_or_else(|| Failure::new("no path leads to simulations"))?;
    let request =
        Request { verb: Verb::Create, target, params: Params::default(), body: Some(Body::json(&asked)?) };
    session.log(&request);
    match session.client().await?.send_as(request, orch_client::Accept::Json).await {
        Ok(answer) => {
            let answer: Value = serde_json::from_slice(&answer)?;
            print(&plan::show(&answer["status"]))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(status) => {
            plan::refusals(status, &placed).iter().for_each(|failure| {
                failure.report();
            });
            Ok(ExitCode::FAILURE)
        }
    }
}

/// `workload/web=5`, `workload/web=x2`
async fn scaled(session: &Session, word: &str) -> Result<Value, Failure> {
    let bad = || {
        Failure::new(format!("{word:?} does not say how many"))
            .hint("write workload/web=5, or workload/web=x2 for twice as many".to_owned())
    };
    let (object, count) = word.split_once('=').ok_or_else(bad)?;
    let selections = select::parse(session.discovery().await?, &[object.to_owned()])?;
    let selection = selections.first().ok_or_else(bad)?;
    let name = selection.names.first().ok_or_else(bad)?;
    let mut scaled = json!({"target": select::planned(session, selection.resource, name).await?});
    match count.strip_prefix('x') {
        Some(factor) => scaled["factor"] = factor.parse::<f64>().map_err(|_| bad())?.into(),
        None => scaled["replicas"] = count.parse::<u32>().map_err(|_| bad())?.into(),
    }
    Ok(scaled)
}
