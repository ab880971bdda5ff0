//! `api-resources`: what the server serves.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use orch_client::ApiResource;

use super::output::print;
use super::output::table::Table;
use super::{Failure, Session};

/// Show the kinds of objects that the server serves
#[derive(Parser, Debug)]
pub(super) struct Args {
    /// In this form
    #[arg(short, long, value_name = "FORM")]
    output: Option<Output>,
    /// Only kinds that live in namespaces, or only those that do not
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    namespaced: Option<bool>,
    /// Only kinds of this group
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,
    /// Show no headings
    #[arg(long)]
    no_headers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// With verbs and categories
    Wide,
    /// Names only
    Name,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let wanted = |resource: &&ApiResource| {
        args.namespaced.is_none_or(|namespaced| resource.namespaced == namespaced)
            && args.api_group.as_ref().is_none_or(|group| resource.group == *group)
    };
    let resources: Vec<_> = session.discovery().await?.resources.iter().filter(wanted).collect();
    let text = match args.output {
        Some(Output::Name) => resources.iter().map(|resource| format!("{}\n", resource.resource())).collect(),
        output => table(&resources, output.is_some()).render(!args.no_headers),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn table(resources: &[&ApiResource], wide: bool) -> Table {
    let mut heading = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
    if wide {
        heading.extend(["VERBS", "CATEGORIES"]);
    }
    let row = |resource: &&ApiResource| {
        let narrow = [
            resource.plural.clone(),
            resource.short_names.join(","),
            resource.api_version(),
            resource.namespaced.to_string(),
            resource.kind.clone(),
        ];
        let rest = [resource.verbs.join(","), resource.categories.join(",")];
        narrow.into_iter().chain(rest.into_iter().filter(|_| wide)).collect()
    };
    Table { rows: resources.iter().map(row).collect(), ..Table::new(&heading) }
}
