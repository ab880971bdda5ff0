//! Why an image is not there, by what registries and nodes say.

use super::*;

/// The cause that is found where the pull of an image failed with a message.
fn pulled(image: &str, message: &str) -> Finding {
    let mut pod = pod(json!({}), waiting("ImagePullBackOff", message));
    pod["spec"]["containers"][0]["image"] = image.into();
    first(of(pod))
}

#[test]
fn each_failure_of_a_pull_is_told_apart() {
    let image = "registry.example/web:2";
    for (said, cause) in [
        ("429 Too Many Requests", "registry_unreachable"),
        ("toomanyrequests: You have reached your unauthenticated pull rate limit", "registry_unreachable"),
        ("unexpected status from HEAD request: 503 Service Unavailable", "registry_unreachable"),
        ("received unexpected HTTP status: 500 Internal Server Error", "registry_unreachable"),
        ("read tcp 10.0.0.4:404->10.0.0.1:443: read: connection reset by peer", "registry_unreachable"),
        ("unexpected EOF", "registry_unreachable"),
        ("failed to do request: dial tcp 10.0.0.1:443: i/o timeout", "registry_unreachable"),
        (
            "dns error: failed to lookup address information: Name or service not known",
            "registry_unreachable",
        ),
        ("write /var/lib/containerd/ingest/1: no space left on device", "node_pressure"),
        ("unexpected status: 401 Unauthorized", "pull_refused"),
        ("denied: requested access to the resource is denied", "pull_refused"),
        ("manifest unknown", "wrong_image"),
        ("pull access denied, repository does not exist or may require authorization", "wrong_image"),
        ("failed to extract layer: archive/tar: invalid tar header", "pull_failed"),
        ("", "pull_failed"),
    ] {
        for message in [
            said.to_owned(),
            format!("Back-off pulling image {image:?}: ErrImagePull: failed to pull image {image:?}: {said}"),
        ] {
            assert_eq!(json!(pulled(image, &message).cause), cause, "{message}");
        }
    }
}

#[test]
fn the_name_of_an_image_says_nothing_about_why_it_is_not_there() {
    let digest = format!("registry.example/web@sha256:{}", "404403".repeat(11));
    for image in [
        "e:1",
        "coredns/coredns:1.9",
        "dns.example/timeout/certificate:1",
        "registry.example/web:404",
        "registry.example/web:401",
        "registry.example/denied:403",
        "registry.example/not-found/unauthorized:500",
        digest.as_str(),
    ] {
        for (said, cause) in [
            ("invalid tar header", "pull_failed"),
            ("manifest unknown", "wrong_image"),
            ("401 Unauthorized", "pull_refused"),
        ] {
            let (path, tag) = image.rsplit_once([':', '@']).unwrap();
            let url = format!("https://registry.example/v2/{path}/manifests/{tag}");
            let message = format!("failed to pull image {image:?}: pulling from {path:?}: {url}: {said}");
            assert_eq!(json!(pulled(image, &message).cause), cause, "{message}");
        }
    }
}

#[test]
fn what_is_not_known_is_less_likely_than_what_is() {
    let image = "registry.example/web:2";
    let (unknown, wrong) = (pulled(image, "invalid tar header"), pulled(image, "manifest unknown"));
    assert!(unknown.confidence < 60 && wrong.confidence == 90, "{} {}", unknown.confidence, wrong.confidence);
    assert!(!unknown.fix.say.contains("correct the image"), "{}", unknown.fix.say);
}

#[test]
fn what_an_event_says_of_a_pull_counts_where_the_status_says_nothing() {
    let event = json!({"type": "Warning", "reason": "Failed", "involvedObject": {"name": "web-1", "uid": "p1"},
        "message": "Failed to pull image \"registry.example/web:2\": manifest unknown"});
    let mut world =
        of(pod(json!({}), waiting("ImagePullBackOff", "Back-off pulling image \"registry.example/web:2\"")));
    world["events"] = json!([event]);
    assert_eq!(first(world).cause, Cause::WrongImage);
}

#[test]
fn a_disk_that_is_full_is_its_nodes() {
    let found = pulled("registry.example/web:2", "no space left on device");
    assert!(found.says.contains("node a"), "{}", found.says);
    let mut world = of(pod(json!({}), waiting("ErrImagePull", "no space left on device")));
    world["nodes"] = json!([node(
        "a",
        json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]}})
    )]);
    let all = diagnose(&serde_json::from_value(world).unwrap(), NOW.parse().unwrap());
    assert_eq!(all.len(), 1, "one node, one finding: {all:?}");
    assert!(all[0].confidence > 80, "{all:?}");
}

#[test]
fn an_image_that_is_never_pulled_is_not_said_to_be_misspelt() {
    let said = waiting(
        "ErrImageNeverPull",
        "Container image \"registry.example/web:2\" is not present with pull policy of Never",
    );
    let found = first(of(pod(json!({}), said)));
    assert_eq!(found.cause, Cause::WrongImage);
    assert!(found.says.contains("pull policy"), "{}", found.says);
}
