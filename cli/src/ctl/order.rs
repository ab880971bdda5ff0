//! In which order manifests are applied: what is referred to comes before what refers to it.
//!
//! The order is read from the ontology: kinds of the cluster first, because the others live in them, and then by the
//! longest chain of references. Kinds that it does not know come last, in the order in which they were written.

use orch_api::Object as _;
use orch_client::manifest::Manifest;
use orch_ontology::rank;

/// Sorts manifests; those of one rank stay in their order.
pub(super) fn by_references(manifests: &mut [Manifest]) {
    manifests.sort_by_key(|manifest| rank(manifest.object.api_version(), manifest.object.kind()));
}

#[cfg(test)]
mod tests {
    use orch_ontology::KINDS;

    use super::*;

    fn order(kinds: &[(&str, &str)]) -> Vec<String> {
        let text: String = kinds
            .iter()
            .map(|(version, kind)| format!("---\napiVersion: {version}\nkind: {kind}\n"))
            .collect();
        let mut manifests: Vec<_> = Manifest::parse("x", &text).into_iter().map(Result::unwrap).collect();
        by_references(&mut manifests);
        manifests.iter().map(|manifest| manifest.object.kind().to_owned()).collect()
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let written = [
            ("example.com/v1", "Zebra"),
            ("orch.dev/v1", "Workload"),
            ("v1", "Pod"),
            ("v1", "Secret"),
            ("example.com/v1", "Ant"),
            ("v1", "ConfigMap"),
            ("v1", "Namespace"),
        ];
        assert_eq!(order(&written), ["Namespace", "Secret", "ConfigMap", "Pod", "Workload", "Zebra", "Ant"]);
    }

    #[test]
    fn every_kind_that_refers_comes_after_its_target() {
        let rank = |name: &str| {
            let entry = KINDS.iter().find(|entry| entry.kind.name == name)?;
            Some(rank(&entry.kind.api_version(), name))
        };
        for entry in KINDS.iter().filter(|entry| entry.kind.is_namespaced()) {
            for at in entry.schema.relations().iter().filter(|at| at.relation.verb == "references") {
                let (from, to) = (rank(entry.kind.name), rank(&at.relation.target));
                assert!(
                    to.is_none() || from > to || at.relation.target == entry.kind.name,
                    "{} {at:?}",
                    entry.kind.name
                );
            }
        }
    }
}
