//! [`Target`]: which object or collection a request is about. The only maker and the only parser of resource paths.

use std::borrow::Cow;
use std::fmt;

use crate::{Kind, Scope, Status, names};

/// Which object or collection a request is about.
///
/// The path is `/api/v1/…` for the core group and `/apis/<group>/<version>/…` for all others, then
/// `[namespaces/<namespace>/]<plural>[/<name>[/<subresource>]]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// API group; empty for core.
    pub group: Cow<'static, str>,
    /// API version.
    pub version: Cow<'static, str>,
    /// The collection's name.
    pub plural: Cow<'static, str>,
    /// The namespace; none for kinds of the cluster and for collections across namespaces.
    pub namespace: Option<String>,
    /// The object's name; none for a collection.
    pub name: Option<String>,
    /// What follows the name, such as `status`; none for the object itself.
    pub subresource: Option<Cow<'static, str>>,
}

impl Target {
    /// The collection of a kind across all namespaces.
    pub fn all(kind: &Kind) -> Self {
        Self {
            group: kind.group.into(),
            version: kind.version.into(),
            plural: kind.plural.into(),
            namespace: None,
            name: None,
            subresource: None,
        }
    }

    /// The collection of a kind in a namespace. The namespace is dropped if the kind belongs to the cluster.
    pub fn in_namespace(kind: &Kind, namespace: impl Into<String>) -> Self {
        let namespace = match kind.scope {
            Scope::Namespaced => Some(namespace.into()),
            Scope::Cluster => None,
        };
        Self { namespace, ..Self::all(kind) }
    }

    /// One object of the collection.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// A subresource of the object.
    pub fn subresource(self, subresource: impl Into<Cow<'static, str>>) -> Self {
        Self { subresource: Some(subresource.into()), ..self }
    }

    /// Whether a path can say this. An empty name would mean the whole collection, and whoever reads an address takes `.` and
    /// `..` out of it, however they are written: what is left is something else.
    ///
    /// # Errors
    /// 400 with the name that no path can carry, and why.
    pub fn check(&self) -> Result<(), Status> {
        let subresource = self.subresource.as_deref();
        let segments = [
            ("namespace", self.namespace.as_deref()),
            ("name", self.name.as_deref()),
            ("subresource", subresource),
        ];
        for (what, segment) in segments {
            let Some(segment) = segment else { continue };
            let empty = segment.is_empty().then(|| "may not be empty".to_owned());
            if let Some(problem) = empty.into_iter().chain(names::path_segment(segment)).next() {
                return Err(Status::bad_request(format!("the {what} {segment:?} {problem}")));
            }
        }
        Ok(())
    }

    /// Reads a path. Answers none if it is not the path of a resource (but of discovery, say). A trailing slash is
    /// accepted. `segments` are percent-decoded by the caller.
    pub fn parse<'a>(segments: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let segments: Vec<&str> = segments.into_iter().collect();
        let segments = match segments.as_slice() {
            [rest @ .., ""] => rest,
            all => all,
        };
        let (group, version, rest) = match segments {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `/namespaces/x` is the namespace x itself, and `/namespaces/x/status` its subresource.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
            ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, None, None),
            [plural, name] => (*plural, Some(*name), None),
            [plural, name, subresource] => (*plural, Some(*name), Some((*subresource).to_owned())),
            _ => return None,
        };
        if [group, version, plural].iter().skip(usize::from(group.is_empty())).any(|part| part.is_empty()) {
            return None;
        }
        Some(Self {
            group: group.to_owned().into(),
            version: version.to_owned().into(),
            plural: plural.to_owned().into(),
            namespace,
            name: name.map(str::to_owned),
            subresource: subresource.map(Cow::Owned),
        })
    }
}

/// The path on the wire, percent-encoded where needed.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.group {
            "" => write!(f, "/api/{}", self.version)?,
            group => write!(f, "/apis/{group}/{}", self.version)?,
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "/namespaces/{}", Segment(namespace))?;
        }
        write!(f, "/{}", Segment(&self.plural))?;
        for segment in [self.name.as_deref(), self.subresource.as_deref()].into_iter().flatten() {
            write!(f, "/{}", Segment(segment))?;
        }
        Ok(())
    }
}

struct Segment<'a>(&'a str);

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Option<Target> {
        Target::parse(path.trim_start_matches('/').split('/'))
    }

    #[test]
    fn paths_are_read_back_as_they_are_written() {
        for path in [
            "/api/v1/pods",
            "/api/v1/namespaces",
            "/api/v1/namespaces/default",
            "/api/v1/namespaces/default/status",
            "/api/v1/namespaces/default/pods",
            "/api/v1/namespaces/default/pods/web-0",
            "/api/v1/namespaces/default/pods/web-0/log",
            "/apis/orch.dev/v1/workloads",
            "/apis/orch.dev/v1/namespaces/default/workloads/web/status",
        ] {
            assert_eq!(parse(path).expect(path).to_string(), path);
        }
    }

    #[test]
    fn the_object_namespace_and_the_place_namespace_are_told_apart() {
        let object = parse("/api/v1/namespaces/default/finalize").unwrap();
        assert_eq!((object.namespace, object.name.as_deref()), (None, Some("default")));
        let place = parse("/api/v1/namespaces/default/pods/").unwrap();
        assert_eq!((place.namespace.as_deref(), &*place.plural, place.name), (Some("default"), "pods", None));
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        let pods = || parse("/api/v1/namespaces/default/pods").unwrap();
        for name in ["", ".", "..", "a/b", "%2e%2e"] {
            let status = pods().named(name).check().unwrap_err();
            assert!(status.message.contains(&format!("the name {name:?} may not")), "{}", status.message);
            let elsewhere = Target { namespace: Some(name.to_owned()), ..pods() };
            assert!(elsewhere.check().unwrap_err().message.contains("the namespace"), "{name}");
            assert!(pods().named("web").subresource(name).check().is_err(), "{name}");
        }
        assert!(pods().named("system:..:a.b").subresource("log").check().is_ok());
        assert!(pods().check().is_ok());
    }

    #[test]
    fn other_paths_are_not_resources() {
        for path in [
            "/",
            "/api",
            "/api/v1",
            "/apis",
            "/apis/g",
            "/apis/g/v1",
            "/livez",
            "/api//pods",
            "/api/v1/a/b/c/d",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
