//! Simulated images: any reference can be pulled, and its digest follows from it.

use super::world::chance;
use crate::ImageStatus;

/// The full form of a reference, as containerd's clients make it.
pub(super) fn full_reference(image: &str) -> String {
    let (host, rest) = match image.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
        Some(_) => ("docker.io", image.to_owned()),
        None => ("docker.io", format!("library/{image}")),
    };
    let last = rest.rsplit('/').next().unwrap_or(&rest);
    let tag = if last.contains([':', '@']) { "" } else { ":latest" };
    format!("{host}/{rest}{tag}")
}

pub(super) fn made_up(reference: String) -> ImageStatus {
    let digest = match reference.split_once('@') {
        Some((_, digest)) => digest.to_owned(),
        None => digest_of(&reference, "manifest"),
    };
    ImageStatus {
        id: digest_of(&digest, "config"),
        size_bytes: (1 << 20) + chance(1, &digest) % (64 << 20),
        digest,
        reference,
        user: None,
    }
}

fn digest_of(what: &str, salt: &str) -> String {
    let hex: String =
        (0..4).map(|part| format!("{:016x}", chance(part, &format!("{salt}/{what}")))).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_references_are_completed() {
        assert_eq!(full_reference("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(full_reference("a/b:1"), "docker.io/a/b:1");
        assert_eq!(full_reference("localhost:5000/b"), "localhost:5000/b:latest");
        assert_eq!(full_reference("r.io/b@sha256:00"), "r.io/b@sha256:00");
    }
}
