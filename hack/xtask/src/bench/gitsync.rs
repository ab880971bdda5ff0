//! Git: from a push to what it says, and a thousand manifests.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use orch_api::{Api, Client, Event, Object as _, Params, Patch};
use orch_client::HttpClient;
use orch_gitops::testing::GitServer;
use orch_ontology::{ClusterRoleBinding, ConfigMap, GitSync, Plan, Secret};
use serde_json::{Value, json};

use super::load::Outcome;
use super::report::{Report, Section, millis};
use super::server::Server;

const PUSHES: usize = 20;
const MANIFESTS: usize = 1000;
const LOOKS: usize = 5;
const TOKEN: &str = "only-a-benchmark";
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures both, on the embedded store.
pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let method = "A repository served by `git daemon`, whose post-receive hook posts to the webhook with curl. From the start of \
                  `git push` until a watch has the ConfigMap that the commit changes, 20 times; the whole of it, and from when \
                  `git push` has ended (hook included).";
    let section = report.section("From a push to what it says", method, &["from", "p50", "p99"]);
    pushes(section).await?;
    let method = "1,000 ConfigMaps in 100 files. Cold: from making the GitSync until it is Ready, and how many plans that took. \
                  Unchanged: from asking for a look until it has been, 5 times; the writes are those of all looks together beside the \
                  request for each and the answer to it.";
    let section = report.section("1,000 manifests", method, &["figure", "value"]);
    manifests(section).await
}

async fn pushes(section: &mut Section) -> Result<()> {
    let (server, git) = (Server::start(&["--runtime", "simulated"])?, GitServer::start());
    let client = server.client()?;
    hook(&git, &server)?;
    git.push(&[("page.yaml", &map("page", 0))], "first");
    prepare(&client, &git).await?;
    until_applied(&client).await?;
    let params = Params { field_selector: Some("metadata.name=page".into()), ..Params::default() };
    let maps = Api::<ConfigMap>::namespaced(client.clone() as Arc<dyn Client>, "default");
    let mut events = maps.watch(params).await?;
    let (mut whole, mut after) = (Vec::new(), Vec::new());
    for number in 1..=PUSHES {
        let start = Instant::now();
        let pushing = tokio::task::block_in_place(|| {
            git.push(&[("page.yaml", &map("page", number))], "another");
            Instant::now()
        });
        let wanted = number.to_string();
        loop {
            let event =
                tokio::time::timeout(PATIENCE, events.next()).await?.context("the watch has ended")??;
            if let Event::Added(page) | Event::Modified(page) = event
                && page.data.get("number") == Some(&wanted)
            {
                break;
            }
        }
        whole.push(start.elapsed());
        after.push(pushing.elapsed());
    }
    for (name, times) in [("the start of git push, commit included", whole), ("its end", after)] {
        let outcome = Outcome::new(times, Duration::from_secs(1));
        section.row([name.into(), millis(outcome.quantile(0.5)), millis(outcome.quantile(0.99))]);
    }
    Ok(())
}

async fn manifests(section: &mut Section) -> Result<()> {
    let (server, git) = (Server::start(&["--runtime", "simulated"])?, GitServer::start());
    let client = server.client()?;
    let texts: Vec<(String, String)> = (0..MANIFESTS / 10)
        .map(|file| {
            let maps: Vec<String> = (0..10).map(|one| map(&format!("map-{file}-{one}"), one)).collect();
            (format!("maps/{file}.yaml"), maps.join("---\n"))
        })
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    git.push(&files, "a thousand");
    let start = Instant::now();
    prepare(&client, &git).await?;
    until_applied(&client).await?;
    section.row(["cold".into(), millis(start.elapsed())]);
    let plans = Api::<Plan>::all(client.clone()).list(Params::default()).await?.items.len();
    section.row(["plans".into(), plans.to_string()]);
    let before = revision(&client).await?;
    let mut times = Vec::new();
    for look in 0..LOOKS {
        let (start, token) = (Instant::now(), format!("look-{look}"));
        let patch = json!({"metadata": {"annotations": {(GitSync::RECONCILE): token}}});
        syncs(&client).patch("shop", &Patch::Merge(patch), Params::default()).await?;
        until(&client, |sync| sync["status"].text(&["handledReconcile"]) == token).await?;
        times.push(start.elapsed());
    }
    // Of each look the annotation that asks for it and the status that answers it.
    let writes = revision(&client).await? - before - 2 * LOOKS as u64;
    section.row(["unchanged, p50".into(), millis(Outcome::new(times, Duration::from_secs(1)).quantile(0.5))]);
    section.row(["unchanged, writes".into(), writes.to_string()]);
    Ok(())
}

/// Tells the server of every push, as a hosting service would.
fn hook(git: &GitServer, server: &Server) -> Result<()> {
    let path = git.path().join("shop.git/hooks/post-receive");
    let url = format!("{}/webhooks/gitsync/default/shop", server.connection()?.server);
    let text =
        format!("#!/bin/sh\nexec curl -ksS -o /dev/null -X POST -H 'Authorization: Bearer {TOKEN}' {url}\n");
    std::fs::write(&path, text)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

async fn prepare(client: &Arc<HttpClient>, git: &GitServer) -> Result<()> {
    let client = client.clone() as Arc<dyn Client>;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "hook"}, "stringData": {"token": TOKEN}}))?;
    Api::namespaced(client.clone(), "default").create(&secret).await?;
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "gitsync"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    }))?;
    Api::all(client.clone()).create(&binding).await?;
    let sync: GitSync = serde_json::from_value(json!({
        "metadata": {"name": "shop"},
        "spec": {"url": git.url(), "intervalSeconds": 3600, "prune": true, "webhook": {"secretRef": {"name": "hook"}}},
    }))?;
    Api::namespaced(client, "default").create(&sync).await?;
    Ok(())
}

fn syncs(client: &Arc<HttpClient>) -> Api<GitSync> {
    Api::namespaced(client.clone() as Arc<dyn Client>, "default")
}

async fn until_applied(client: &Arc<HttpClient>) -> Result<()> {
    until(client, |sync| {
        let conditions = sync["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
    })
    .await
}

/// Waits until the GitSync is as it should be, by a watch.
async fn until(client: &Arc<HttpClient>, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    let mut events = syncs(client).watch(Params::default()).await?;
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.context("the sync takes too long")?;
        if let Event::Added(sync) | Event::Modified(sync) = event.context("the watch has ended")?? {
            let sync = serde_json::to_value(&sync)?;
            if is_so(&sync) {
                return Ok(());
            }
            let refused = sync["status"]["conditions"].to_string();
            ensure!(!refused.contains(r#""reason":"Refused""#), "refused: {refused}");
        }
    }
}

async fn revision(client: &Arc<HttpClient>) -> Result<u64> {
    let list = Api::<ConfigMap>::all(client.clone() as Arc<dyn Client>);
    let list = list.list(Params { limit: Some(1), ..Params::default() }).await?;
    Ok(list.metadata.resource_version.parse()?)
}

fn map(name: &str, number: usize) -> String {
    let text = "x".repeat(500);
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\ndata: {{number: '{number}', text: {text}}}\n"
    )
}
