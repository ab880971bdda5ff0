//! `tree`: an object with what belongs to it.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use super::live::{Live, Node};
use super::output::{BAD, FAINT, HEADING, paint, print, print_bytes, style_of_state, yaml};
use super::{Failure, Session, select};

/// Show an object with what it owns, what these run on and refer to, and what a delete would take along
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # A workload with its pods, their nodes, and what they mount
  orchctl tree workload/web

  # Who needs this?
  orchctl tree secret/database

  # For programs
  orchctl tree workload/web -o json

How to read it: what stands below an object is owned by it; ▶ leads to what the object needs,
◀ comes from what needs the object, with the relation in brackets.
`orchctl get --raw /ontology` shows how kinds relate in general.")]
pub(super) struct Args {
    /// A kind and a name, or kind/name
    #[arg(required = true, value_name = "KIND/NAME")]
    words: Vec<String>,
    /// In this form
    #[arg(short, long, value_name = "FORM")]
    output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// As nested objects
    Json,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let selections = select::parse(session.discovery().await?, &args.words)?;
    if selections.iter().any(|selection| selection.names.is_empty()) {
        return Err(Failure::new("a tree grows from an object")
            .hint("name it as kind/name; `orchctl graph` shows all objects".to_owned()));
    }
    let namespace = session.namespace().await?;
    let glyphs = if std::io::stdout().is_terminal() { &LINES } else { &ASCII };
    for selection in &selections {
        let live = Live::read(session, Some(namespace).filter(|_| selection.resource.namespaced)).await?;
        for (name, target) in selection.names.iter().zip(selection.targets(session).await?) {
            let Some(root) = live.find(selection.resource, namespace, name) else {
                // That there is none is best said by the server.
                session.get(target).await?;
                return Err(Failure::new(format!("{name} came while it was looked for; try again")));
            };
            match args.output {
                Some(Output::Json) => {
                    print_bytes(yaml::to_json(&to_json(&live, root, &mut Vec::new()))?.as_bytes())?;
                }
                None => print(&render(&live, root, glyphs))?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a tree is drawn with.
struct Glyphs {
    branch: &'static str,
    last: &'static str,
    trunk: &'static str,
    out: &'static str,
    into: &'static str,
}

const LINES: Glyphs =
    Glyphs { branch: "├── ", last: "└── ", trunk: "│   ", out: "▶ ", into: "◀ " };
/// For files and programs.
const ASCII: Glyphs = Glyphs { branch: "|-- ", last: "`-- ", trunk: "|   ", out: "> ", into: "< " };

/// What stands below an object.
enum Child<'a> {
    Owned(usize),
    Out(usize, &'a str),
    Into(usize, &'a str),
}

/// What is owned first, then what is needed; of the root also what needs it.
fn children(live: &Live, of: usize, is_root: bool) -> Vec<Child<'_>> {
    let owned = live.edges.iter().filter(|edge| edge.from == of && edge.verb == "owns");
    let out = live.edges.iter().filter(|edge| edge.from == of && edge.verb != "owns");
    let into = live.edges.iter().filter(|edge| is_root && edge.to == of);
    let into = into.map(|edge| Child::Into(edge.from, edge.verb.as_str()));
    let inside = live.inside(of).into_iter().filter(|_| is_root).map(Child::Owned);
    let owned = owned.map(|edge| Child::Owned(edge.to));
    into.chain(owned).chain(inside).chain(out.map(|edge| Child::Out(edge.to, edge.verb.as_str()))).collect()
}

fn render(live: &Live, root: usize, glyphs: &Glyphs) -> String {
    let mut text = format!("{}\n", line(&live.nodes[root], ""));
    grow(live, root, glyphs, "", &mut vec![root], &mut text);
    text.push_str(&consequences(live, root));
    text
}

fn grow(live: &Live, of: usize, glyphs: &Glyphs, indent: &str, above: &mut Vec<usize>, text: &mut String) {
    let children = children(live, of, above.len() == 1);
    for (index, child) in children.iter().enumerate() {
        let is_last = index + 1 == children.len();
        let (place, arrow, verb) = match child {
            Child::Owned(place) => (*place, "", ""),
            Child::Out(place, verb) => (*place, glyphs.out, *verb),
            Child::Into(place, verb) => (*place, glyphs.into, *verb),
        };
        let branch = if is_last { glyphs.last } else { glyphs.branch };
        let branch = paint(Some(FAINT), &format!("{indent}{branch}{arrow}"));
        text.push_str(&format!("{branch}{}\n", line(&live.nodes[place], verb)));
        if verb.is_empty() && !above.contains(&place) {
            above.push(place);
            let further = if is_last { "    " } else { glyphs.trunk };
            grow(live, place, glyphs, &format!("{indent}{further}"), above, text);
            above.pop();
        }
    }
}

fn line(node: &Node, verb: &str) -> String {
    let name = paint(Some(if node.exists { HEADING } else { BAD }), &node.label());
    let verb = if verb.is_empty() { String::new() } else { paint(Some(FAINT), &format!(" ({verb})")) };
    let style = if node.exists { style_of_state(&node.status) } else { Some(BAD) };
    let status =
        if node.status.is_empty() { String::new() } else { format!("  {}", paint(style, &node.status)) };
    format!("{name}{verb}{status}")
}

/// What a delete would take along, by kind.
fn consequences(live: &Live, root: usize) -> String {
    let taken = live.taken_along(root);
    let label = live.nodes[root].label();
    if taken.is_empty() {
        return format!("\nA delete of {label} would take nothing along.\n");
    }
    let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for place in &taken {
        let node = &live.nodes[*place];
        *kinds.entry((&node.plural, &node.kind)).or_default() += 1;
    }
    let kinds = kinds.iter().map(|((plural, kind), count)| match count {
        1 => format!("1 {}", kind.to_lowercase()),
        _ => format!("{count} {plural}"),
    });
    format!("\nA delete of {label} would take along {}.\n", kinds.collect::<Vec<_>>().join(", "))
}

fn to_json(live: &Live, of: usize, above: &mut Vec<usize>) -> Value {
    let is_root = above.is_empty();
    above.push(of);
    let (mut owns, mut relations) = (Vec::new(), Vec::new());
    for child in children(live, of, is_root) {
        match child {
            Child::Owned(place) if above.contains(&place) => {}
            Child::Owned(place) => owns.push(to_json(live, place, above)),
            Child::Out(place, verb) => relations.push(json!({"verb": verb, "to": live.nodes[place]})),
            Child::Into(place, verb) => relations.push(json!({"verb": verb, "from": live.nodes[place]})),
        }
    }
    above.pop();
    let mut value = json!({"object": live.nodes[of], "owns": owns, "relations": relations});
    if is_root {
        let taken: Vec<_> = live.taken_along(of).into_iter().map(|place| &live.nodes[place]).collect();
        value["deleteTakesAlong"] = json!(taken);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::live::tests::shop;

    fn show(name: &str) -> String {
        let live = shop();
        let root = live.nodes.iter().position(|node| node.name == name).unwrap();
        anstream::adapter::strip_str(&render(&live, root, &ASCII)).to_string()
    }

    #[test]
    fn what_is_owned_stands_below_and_arrows_lead_elsewhere() {
        let expected = "\
workload/web  Ready
|-- pod/web-a  Ready
|   |-- configmap/other  Ready
|   `-- > node/n1 (runsOn)  Ready
`-- pod/web-b  Ready
    |-- > node/n1 (runsOn)  Ready
    `-- > configmap/c (references)  Missing

A delete of workload/web would take along 1 configmap, 1 pod.
";
        assert_eq!(show("web"), expected);
    }

    #[test]
    fn the_root_shows_who_needs_it() {
        let expected = "\
node/n1  Ready
|-- < pod/web-a (runsOn)  Ready
`-- < pod/web-b (runsOn)  Ready

A delete of node/n1 would take nothing along.
";
        assert_eq!(show("n1"), expected);
    }

    #[test]
    fn the_tree_is_nested_json() {
        let live = shop();
        let tree = to_json(&live, 0, &mut Vec::new());
        assert_eq!(tree["owns"][1]["relations"][1]["to"]["exists"], false);
        assert_eq!(tree["owns"][1]["relations"][0]["verb"], "runsOn");
        assert_eq!(tree["deleteTakesAlong"].as_array().unwrap().len(), 2);
    }
}
