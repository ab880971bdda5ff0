//! Acting as somebody else.

use std::sync::{Arc, Mutex};

use orch_api::{
    Acknowledge, Asked, Attributes, Authorizer, Change, Decision, Followed, Kind, Rights, Status, Subject,
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::host::{Host, client};

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// Lets everybody do everything but act as what is called `root`, and remembers what acting was asked for.
#[derive(Default)]
struct NotAsRoot(Mutex<Vec<String>>);

impl Authorizer for NotAsRoot {
    fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        let Asked::Resource(asked) = &attributes.asked else { return Decision::allowed("") };
        if attributes.verb != "impersonate" {
            return Decision::allowed("");
        }
        let what = [asked.group, asked.resource, asked.subresource, asked.namespace, asked.name.as_str()];
        self.0.lock().unwrap().push(what.join("/"));
        if asked.name == "root" { Decision::denied("not as root") } else { Decision::allowed("") }
    }

    fn rights(&self, _: Subject<'_>, _: &str) -> Rights {
        Rights::default()
    }

    fn admit(&self, _: &Change<'_>) -> Result<(), Status> {
        Ok(())
    }

    fn follows(&self) -> Vec<(Kind, Acknowledge)> {
        Vec::new()
    }

    fn replace(&self, _: &mut dyn Iterator<Item = Followed<'_>>) {}

    fn take(&self, _: &mut dyn Iterator<Item = Followed<'_>>) {}

    fn fork(&self) -> Arc<dyn Authorizer> {
        Arc::new(Self::default())
    }
}

async fn host() -> (Host, Arc<NotAsRoot>) {
    let authorizer = Arc::new(NotAsRoot::default());
    let host = Host::with(|config| config.authorizer = authorizer.clone()).await;
    (host, authorizer)
}

/// A request by alice, who is known by a token.
fn by_alice(host: &Host, headers: &[(&str, &str)]) -> RequestBuilder {
    let request =
        client(&host.authority, None).post(host.url(REVIEWS)).bearer_auth("secret").json(&json!({}));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn acting(host: &Host, headers: &[(&str, &str)]) -> Value {
    host.send(by_alice(host, headers)).await.is(201)["status"]["userInfo"].clone()
}

#[tokio::test]
async fn whoever_has_the_right_acts_as_somebody_else() {
    let (host, asked) = host().await;
    let headers = [
        ("Impersonate-User", "bob"),
        ("Impersonate-Uid", "42"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-Scopes", "view"),
        ("Impersonate-Extra-example.org%2Fteam", "red"),
    ];
    let expected = json!({
        "username": "bob", "uid": "42", "groups": ["dev", "ops", "system:authenticated"],
        "extra": {"scopes": ["view"], "example.org/team": ["red"]},
    });
    assert_eq!(acting(&host, &headers).await, expected);
    let mut asked = asked.0.lock().unwrap().clone();
    asked.sort();
    assert_eq!(
        asked,
        [
            "/groups///dev",
            "/groups///ops",
            "/users///bob",
            "authentication.k8s.io/uids///42",
            "authentication.k8s.io/userextras/example.org/team//red",
            "authentication.k8s.io/userextras/scopes//view",
        ]
    );
}

#[tokio::test]
async fn a_service_account_that_is_acted_as_has_its_groups() {
    let (host, asked) = host().await;
    let user = acting(&host, &[("Impersonate-User", "system:serviceaccount:shop:robot")]).await;
    let groups = ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"];
    assert_eq!(user["groups"], json!(groups));
    assert_eq!(*asked.0.lock().unwrap(), ["/serviceaccounts//shop/robot"]);
}

#[tokio::test]
async fn nobody_acts_as_whom_they_may_not() {
    let (host, _) = host().await;
    for headers in [
        &[("Impersonate-User", "root")][..],
        &[("Impersonate-User", "bob"), ("Impersonate-Group", "root")],
        &[("Impersonate-User", "bob"), ("Impersonate-Uid", "root")],
        &[("Impersonate-User", "bob"), ("Impersonate-Extra-scopes", "root")],
        &[("Impersonate-User", "system:serviceaccount:shop:root")],
    ] {
        let reply = host.send(by_alice(&host, headers)).await;
        reply.fails(403, "Forbidden", "not as root");
    }
    for headers in
        [&[("Impersonate-Group", "dev")][..], &[("Impersonate-User", ""), ("Impersonate-Uid", "1")]]
    {
        host.send(by_alice(&host, headers)).await.fails(400, "BadRequest", "Impersonate-User");
    }
    let unknown = [("Impersonate-User", "bob"), ("Impersonate-Nothing", "1")];
    host.send(by_alice(&host, &unknown)).await.fails(400, "BadRequest", "is not known");
    let stranger = client(&host.authority, None).get(host.url("/livez")).header("Impersonate-User", "bob");
    host.send(stranger).await.fails(401, "Unauthorized", "");
}
