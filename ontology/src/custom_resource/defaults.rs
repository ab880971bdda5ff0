//! What a definition says by not saying it.

use super::{CustomResourceConversion, CustomResourceDefinition};

impl CustomResourceDefinition {
    pub(super) fn set_defaults(&mut self) {
        let names = &mut self.spec.names;
        if names.singular.is_empty() {
            names.singular = names.kind.to_lowercase();
        }
        if names.list_kind.is_empty() && !names.kind.is_empty() {
            names.list_kind = format!("{}List", names.kind);
        }
        self.spec
            .conversion
            .get_or_insert_with(|| CustomResourceConversion { strategy: "None".to_owned(), webhook: None });
        if let Some(storage) = self.storage_version().map(|version| version.name.clone())
            && !self.status.stored_versions.contains(&storage)
        {
            self.status.stored_versions.push(storage);
        }
    }
}
