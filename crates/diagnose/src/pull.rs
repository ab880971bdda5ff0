//! Why the image of a container is not there, by what its registry and its node say.

use std::net::{IpAddr, SocketAddr};

use orch_api::Object as _;
use serde_json::{Value, json};

use crate::world::{Index, items, label, named};
use crate::{Cause, Finding};

/// The node has no room for it.
const FULL: [&str; 3] = ["no space left", "disk quota exceeded", "storage full"];
/// There is no talking to the registry.
const UNREACHABLE: [&str; 18] = [
    "connection refused",
    "connection reset",
    "connection closed",
    "broken pipe",
    "eof",
    "no such host",
    "dns error",
    "lookup address",
    "name or service not known",
    "name resolution",
    "timed out",
    "timeout",
    "unreachable",
    "no route to host",
    "connect error",
    "certificate",
    "error sending request",
    "tcp connect",
];
/// The registry answers, but not what it was asked.
const TROUBLED: [&str; 11] = [
    "429",
    "toomanyrequests",
    "too many requests",
    "rate limit",
    "500",
    "502",
    "503",
    "504",
    "internal server error",
    "bad gateway",
    "service unavailable",
];
/// The registry does not hand it out.
const REFUSED: [&str; 9] = [
    "401",
    "403",
    "unauthorized",
    "denied",
    "forbidden",
    "authentication required",
    "no basic auth credentials",
    "insufficient scope",
    "not authorized",
];
/// The registry has not got it.
const ABSENT: [&str; 6] =
    ["404", "not found", "manifest unknown", "name unknown", "no such image", "does not exist"];

/// The finding of a container that waits for its image.
pub(crate) fn finding(world: &Index<'_>, pod: &Value, container: &str, waiting: &Value) -> Finding {
    let image = image(pod, container);
    match waiting.text(&["reason"]) {
        "InvalidImageName" => return wrong(image, container, "it is no name of an image"),
        "ErrImageNeverPull" => {
            return wrong(image, container, "it is not on the node, and its pull policy is Never");
        }
        _ => {}
    }
    let of_status = Said::of(image, waiting.text(&["message"]));
    let said = if of_status.is_known() { of_status } else { Said::of(image, told(world, pod, image)) };
    // What was said of the way to the registry comes before what words of it may seem to say of the image.
    if said.has(&FULL) {
        full(pod, image)
    } else if said.has(&UNREACHABLE) {
        unreachable(image)
    } else if said.has(&TROUBLED) {
        troubled(image)
    } else {
        match (said.has(&REFUSED), said.has(&ABSENT)) {
            (true, true) => wrong(image, container, "its registry has no such image, or does not show it"),
            (true, false) => refused(image),
            (false, true) => wrong(image, container, "its registry has no such image or tag"),
            (false, false) => unknown(pod, image),
        }
    }
}

fn image<'v>(pod: &'v Value, container: &str) -> &'v str {
    let mut all = items(pod, &["spec", "initContainers"]).iter().chain(items(pod, &["spec", "containers"]));
    all.find(|c| c.text(&["name"]) == container).map(|c| c.text(&["image"])).unwrap_or_default()
}

/// What an event says of the pull: the status of a container may say only that it is tried again later.
fn told<'w>(world: &Index<'w>, pod: &Value, image: &str) -> &'w str {
    let is_of_image = |event: &&Value| {
        event.text(&["reason"]) == "Failed" && event.text(&["message"]).contains(&format!("{image:?}"))
    };
    world
        .events_of(pod)
        .into_iter()
        .find(is_of_image)
        .map(|event| event.text(&["message"]))
        .unwrap_or_default()
}

/// The words of a message, without those of the image's name, which say nothing about why it is not there.
struct Said(String);

impl Said {
    fn of(image: &str, message: &str) -> Self {
        let (image, message) = (image.to_lowercase(), message.to_lowercase());
        let name = Name::of(&image);
        let is_between = |c: char| c.is_whitespace() || "\"'`()[]{},;".contains(c);
        let told = message.split(is_between).filter(|word| !name.is_in(word) && !is_address(word));
        let words = told.flat_map(|word| word.split(|c: char| !c.is_alphanumeric()));
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        Self(format!(" {} ", words.join(" ")))
    }

    /// Whether one of these is among the words, as whole ones.
    fn has(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.0.contains(&format!(" {phrase} ")))
    }

    fn is_known(&self) -> bool {
        [&FULL[..], &UNREACHABLE, &TROUBLED, &REFUSED, &ABSENT].iter().any(|phrases| self.has(phrases))
    }
}

/// What the name of an image is made of.
struct Name<'n> {
    host: Option<&'n str>,
    path: &'n str,
}

impl<'n> Name<'n> {
    fn of(image: &'n str) -> Self {
        let whole = image.split_once('@').map_or(image, |(name, _)| name);
        let (host, rest) = match whole.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), rest),
            _ => (None, whole),
        };
        Self { host, path: rest.split_once(':').map_or(rest, |(path, _)| path) }
    }

    /// Whether a word names the image, its repository or its registry, or is where one of them is asked for.
    fn is_in(&self, word: &str) -> bool {
        let is_at = |name: &str| {
            let rest = word.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@', '/', '.']))
        };
        let within_path = !self.path.is_empty() && word.contains('/') && word.contains(self.path);
        word.contains("://")
            || word.contains("sha256:")
            || within_path
            || self.host.is_some_and(is_at)
            || (!self.path.is_empty() && is_at(self.path))
    }
}

/// Whether a word is an address, whose numbers are no codes: `10.0.0.4:404->10.0.0.1:443:`.
fn is_address(word: &str) -> bool {
    let one = |part: &str| part.parse::<SocketAddr>().is_ok() || part.parse::<IpAddr>().is_ok();
    word.trim_end_matches([':', '.']).split("->").all(one)
}

fn wrong(image: &str, container: &str, why: &str) -> Finding {
    let says = format!("image {:?} of container {container} is wrong: {why}", named(image));
    let say = format!("correct the image of container {container}; `history` says what it was before");
    Finding::new(Cause::WrongImage, image, says).fix(say, Vec::new())
}

fn refused(image: &str) -> Finding {
    let say =
        "give the pod an imagePullSecret with credentials that may pull it, or correct the image's name";
    let says = format!("the registry refuses to hand out {}", named(image));
    Finding::new(Cause::PullRefused, image, says).fix(say, Vec::new())
}

fn unreachable(image: &str) -> Finding {
    let (says, registry) =
        (format!("the registry of {} cannot be reached from the node", named(image)), registry(image));
    let say =
        format!("see whether {registry} is up and reachable from the node (name, network, certificate)");
    Finding::new(Cause::RegistryUnreachable, registry, says).fix(say, Vec::new())
}

fn troubled(image: &str) -> Finding {
    let (says, registry) = (
        format!(
            "the registry of {} does not answer as it should: it is asked too often, or has failed",
            named(image)
        ),
        registry(image),
    );
    let say = format!(
        "wait until {registry} answers again: it is tried again by itself; if it is asked too often, pull with credentials or from a mirror"
    );
    Finding::new(Cause::RegistryUnreachable, registry, says).fix(say, Vec::new())
}

fn full(pod: &Value, image: &str) -> Finding {
    let node = pod.text(&["spec", "nodeName"]);
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": node});
    let patch =
        json!({"patch": {"target": target, "type": "merge", "patch": {"spec": {"unschedulable": true}}}});
    let says = format!("the disk of node {node} has no room for {}", named(image));
    Finding::new(Cause::NodePressure, node, says)
        .surely(90)
        .fix(format!("free space on {node}, or give it more; meanwhile let no new pods come"), vec![patch])
}

fn unknown(pod: &Value, image: &str) -> Finding {
    let says = format!("{} cannot be pulled for {}", named(image), label(pod));
    let say = "see what the evidence says; the log of the node's agent may say more";
    Finding::new(Cause::PullFailed, image, says).fix(say, Vec::new())
}

fn registry(image: &str) -> &str {
    named(Name::of(image).host.unwrap_or("docker.io"))
}
