//! `gitsync diff`: what a GitSync would change, has changed back, and has changed last.

use std::process::ExitCode;

use jiff::Timestamp;
use orch_api::{FieldQuery, Object as _};
use serde_json::Value;

use super::{show, target};
use crate::ctl::history::{Changes, entry, is_gap};
use crate::ctl::output::{HEADING, paint, print};
use crate::ctl::{Failure, Session};

pub(super) async fn run(session: &Session, name: &str) -> Result<ExitCode, Failure> {
    let sync = session.get(target(session, name).await?).await?;
    let told = [show::held(&sync), show::drift(&sync, Timestamp::now())].concat();
    print(&told)?;
    let plans = sync["status"]["lastPlans"].as_array().map_or(&[][..], Vec::as_slice);
    for plan in plans.iter().filter_map(Value::as_str) {
        print(&changed(session, plan).await?)?;
    }
    if told.is_empty() && plans.is_empty() {
        print("nothing is held, nothing has drifted, and nothing has been changed yet\n")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a plan has changed, field by field, in its order.
async fn changed(session: &Session, plan: &str) -> Result<String, Failure> {
    let mut changes = Changes::selected(session, &FieldQuery::equals("plan", plan)).await?;
    let mut newest_first = Vec::new();
    while let Some(change) = changes.next().await? {
        // A gap is of no plan, and is told with any.
        if !is_gap(&change) {
            newest_first.push(format!("{}\n{}", object(&change), entry(&change)));
        }
    }
    let heading = paint(Some(HEADING), &format!("Applied by plan {plan}:"));
    Ok(match newest_first.is_empty() {
        true => format!("{heading}\nnot known any more: changes are kept for some days\n"),
        false => {
            newest_first.reverse();
            format!("{heading}\n{}", newest_first.concat())
        }
    })
}

fn object(change: &Value) -> String {
    let text = |field: &str| change.text(&["object", field]);
    let namespace = Some(text("namespace")).filter(|namespace| !namespace.is_empty());
    let place = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
    paint(Some(HEADING), &format!("{} {place}{}", text("kind"), text("name")))
}
