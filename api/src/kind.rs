//! [`Kind`]: the name of a sort of object, as data.

use std::fmt;

/// Whether objects of a kind live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One name space for the whole cluster.
    Cluster,
    /// Names are unique within a namespace.
    Namespaced,
}

/// What the names of a kind's objects may look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum NameSyntax {
    /// A lowercase RFC 1123 subdomain.
    #[default]
    DnsSubdomain,
    /// Whatever can be one segment of a path, such as `system:node`.
    PathSegment,
}

/// What a kind is called on the wire. All of it is `'static`, so a `Kind` is passed by value.
///
/// Kinds are made with [`Kind::namespaced`] or [`Kind::cluster`] and refined in const context:
///
/// ```
/// use orch_api::Kind;
/// const POD: Kind = Kind::namespaced("", "v1", "Pod", "pods", "pod").short_names(&["po"]).with_status();
/// assert_eq!(POD.api_version(), "v1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group, such as `v1`.
    pub version: &'static str,
    /// The kind's name, such as `Pod`.
    pub name: &'static str,
    /// The collection's name in paths, such as `pods`.
    pub plural: &'static str,
    /// The name of one, such as `pod`.
    pub singular: &'static str,
    /// Abbreviations for the command line, such as `po`.
    pub short_names: &'static [&'static str],
    /// Groups of kinds on the command line, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub scope: Scope,
    /// Whether `status` is a subresource of its own, which spec writers cannot touch, and `metadata.generation` is kept.
    pub has_status: bool,
    /// What the names of objects may look like.
    pub names: NameSyntax,
    /// Whether objects hold secrets: they are encrypted where they are kept, and not told to the audit log.
    pub is_sensitive: bool,
}

impl Kind {
    /// A kind whose objects live in namespaces.
    pub const fn namespaced(
        group: &'static str,
        version: &'static str,
        name: &'static str,
        plural: &'static str,
        singular: &'static str,
    ) -> Self {
        let scope = Scope::Namespaced;
        Self {
            group,
            version,
            name,
            plural,
            singular,
            short_names: &[],
            categories: &[],
            scope,
            has_status: false,
            names: NameSyntax::DnsSubdomain,
            is_sensitive: false,
        }
    }

    /// A kind whose objects belong to the cluster as a whole.
    pub const fn cluster(
        group: &'static str,
        version: &'static str,
        name: &'static str,
        plural: &'static str,
        singular: &'static str,
    ) -> Self {
        Self { scope: Scope::Cluster, ..Self::namespaced(group, version, name, plural, singular) }
    }

    /// The same kind with these abbreviations.
    pub const fn short_names(self, short_names: &'static [&'static str]) -> Self {
        Self { short_names, ..self }
    }

    /// The same kind in these categories.
    pub const fn categories(self, categories: &'static [&'static str]) -> Self {
        Self { categories, ..self }
    }

    /// The same kind, whose objects hold secrets.
    pub const fn sensitive(self) -> Self {
        Self { is_sensitive: true, ..self }
    }

    /// The same kind with a status subresource.
    pub const fn with_status(self) -> Self {
        Self { has_status: true, ..self }
    }

    /// The same kind, whose objects may have any name that a path can hold.
    pub const fn path_segment_names(self) -> Self {
        Self { names: NameSyntax::PathSegment, ..self }
    }

    /// `v1` or `group/version`, as in an object's `apiVersion`.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// Whether objects of this kind live in a namespace.
    pub const fn is_namespaced(&self) -> bool {
        matches!(self.scope, Scope::Namespaced)
    }

    /// `pods` or `workloads.orch.dev`, as error messages and `orchctl` name a resource.
    pub fn resource(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Kind={}", self.api_version(), self.name)
    }
}

/// Joins a group and a version the way `apiVersion` does: the core group has no prefix.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Splits an `apiVersion` into group and version.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
