//! `graph`: all objects and how they relate.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use super::live::{Live, Node};
use super::output::{BAD, FAINT, HEADING, paint, print, print_bytes, style_of_state, yaml};
use super::{Failure, Session, select};

/// Show how objects relate: what owns, selects, references and runs what
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Everything in the namespace; everything that has to do with one object
  orchctl graph
  orchctl graph workload/web

  # As a picture: with Graphviz, or in Markdown
  orchctl graph -A -o dot | dot -Tsvg > graph.svg
  orchctl graph -o mermaid")]
pub(super) struct Args {
    /// Only what has to do with these objects
    #[arg(value_name = "KIND/NAME")]
    words: Vec<String>,
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "words")]
    all_namespaces: bool,
    /// In this form
    #[arg(short, long, value_name = "FORM", default_value = "text", hide_default_value = true)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Each object with what it relates to
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
    /// For programs: nodes, and edges between them by their places
    Json,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let selections = select::parse_any(session.discovery().await?, &args.words)?;
    let namespace = session.namespace().await?;
    let of_cluster = selections.iter().any(|selection| !selection.resource.namespaced);
    let everywhere = args.all_namespaces || of_cluster;
    let mut live = Live::read(session, Some(namespace).filter(|_| !everywhere)).await?;
    let mut roots = BTreeSet::new();
    for selection in &selections {
        for (name, target) in selection.names.iter().zip(selection.targets(session).await?) {
            match live.find(selection.resource, namespace, name) {
                Some(root) => drop(roots.insert(root)),
                None => drop(session.get(target).await?),
            }
        }
    }
    live = if roots.is_empty() { live.related() } else { live.around(&roots) };
    if live.nodes.is_empty() {
        anstream::eprintln!("No objects that relate to others.");
    }
    match args.output {
        Output::Text => print(&text(&live))?,
        Output::Dot => print(&dot(&live))?,
        Output::Mermaid => print(&mermaid(&live))?,
        Output::Json => print_bytes(yaml::to_json(&serde_json::to_value(&live)?)?.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Live {
    /// What is reached from some objects along relations, and what relates to these objects.
    fn around(&self, roots: &BTreeSet<usize>) -> Self {
        let mut reached = roots.clone();
        let mut queue: Vec<usize> = roots.iter().copied().collect();
        let edges = self.by_origin();
        while let Some(from) = queue.pop() {
            let next = edges.get(&from).into_iter().flatten().map(|edge| edge.to);
            queue.extend(next.filter(|to| reached.insert(*to)));
        }
        let into = self.edges.iter().filter(|edge| roots.contains(&edge.to)).map(|edge| edge.from);
        reached.extend(into);
        self.only(&reached)
    }

    /// What relates to anything.
    fn related(&self) -> Self {
        self.only(&self.edges.iter().flat_map(|edge| [edge.from, edge.to]).collect())
    }
}

fn text(live: &Live) -> String {
    let mut text = String::new();
    for (from, edges) in live.by_origin() {
        text.push_str(&format!("{}\n", shown(&live.nodes[from])));
        for edge in edges {
            let verb = paint(Some(FAINT), &format!("{:<10}", edge.verb));
            text.push_str(&format!("  {verb} {}\n", shown(&live.nodes[edge.to])));
        }
    }
    text
}

fn shown(node: &Node) -> String {
    let style = if node.exists { style_of_state(&node.status) } else { Some(BAD) };
    let status =
        if node.status.is_empty() { String::new() } else { format!("  {}", paint(style, &node.status)) };
    format!("{}{status}", paint(Some(if node.exists { HEADING } else { BAD }), &node.label()))
}

fn dot(live: &Live) -> String {
    let mut text = "digraph {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n".to_owned();
    for (place, node) in live.nodes.iter().enumerate() {
        let style = if node.exists { "" } else { ", style=dashed" };
        let label = [node.label().as_str(), node.status.as_str()].join("\\n");
        text.push_str(&format!("  n{place} [label=\"{}\"{style}];\n", label.trim_end_matches("\\n")));
    }
    for edge in &live.edges {
        text.push_str(&format!("  n{} -> n{} [label=\"{}\"];\n", edge.from, edge.to, edge.verb));
    }
    text.push_str("}\n");
    text
}

fn mermaid(live: &Live) -> String {
    let mut text = "graph LR\n".to_owned();
    for (place, node) in live.nodes.iter().enumerate() {
        let status = if node.status.is_empty() { String::new() } else { format!("<br/>{}", node.status) };
        text.push_str(&format!("  n{place}[\"{}{status}\"]\n", node.label()));
    }
    for edge in &live.edges {
        text.push_str(&format!("  n{} -->|{}| n{}\n", edge.from, edge.verb, edge.to));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::live::tests::shop;

    #[test]
    fn one_object_is_shown_with_what_has_to_do_with_it() {
        let live = shop();
        let pod = live.nodes.iter().position(|node| node.name == "web-b").unwrap();
        let shown = anstream::adapter::strip_str(&text(&live.around(&[pod].into()))).to_string();
        let expected = "\
workload/web  Ready
  owns       pod/web-b  Ready
pod/web-b  Ready
  runsOn     node/n1  Ready
  references configmap/c  Missing
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn pictures_name_every_object_once() {
        let live = shop().related();
        let (dot, mermaid) = (dot(&live), mermaid(&live));
        assert!(dot.contains("  n0 [label=\"workload/web\\nReady\"];\n"), "{dot}");
        assert!(dot.contains("label=\"configmap/c\\nMissing\", style=dashed];"), "{dot}");
        assert!(dot.contains("  n0 -> n1 [label=\"owns\"];\n"), "{dot}");
        assert!(mermaid.contains("  n0[\"workload/web<br/>Ready\"]\n"), "{mermaid}");
        assert!(mermaid.contains("  n0 -->|owns| n1\n"), "{mermaid}");
    }
}
