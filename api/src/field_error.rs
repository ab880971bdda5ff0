//! What is wrong with one field of an object: Kubernetes' `field.Error` and `field.Path`.
//!
//! Messages are Kubernetes' own, letter for letter, because people search for them and clients match on
//! them. What Kubernetes has no word for (a suggestion) is kept beside the message, not inside it.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// Where a field is, in Kubernetes' notation: `spec.containers[0].image`, `metadata.labels[app]`.
///
/// The empty path is the object itself and prints as `<nil>`, as Kubernetes prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FieldPath(String);

impl FieldPath {
    /// The object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path that starts at the field `name`; `name` may hold several steps (`spec.template`).
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The field `name` below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// The item at `index` of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The entry `key` of this map, for maps whose keys users choose (labels, data).
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text; empty for the object itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

impl From<&str> for FieldPath {
    fn from(path: &str) -> Self {
        Self(path.to_owned())
    }
}

impl From<String> for FieldPath {
    fn from(path: String) -> Self {
        Self(path)
    }
}

impl From<&FieldPath> for FieldPath {
    fn from(path: &FieldPath) -> Self {
        path.clone()
    }
}

/// The kind of a [`FieldError`]; [`reason`](Self::reason) is the `reason` of a `StatusCause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldErrorKind {
    /// The value names something that does not exist.
    NotFound,
    /// The field must be given.
    Required,
    /// The value occurs twice where it may occur once.
    Duplicate,
    /// The value is malformed or out of range.
    Invalid,
    /// The value is not one of a closed list.
    NotSupported,
    /// The field may not be set, or not to this value, here and now.
    Forbidden,
    /// The string is longer than allowed.
    TooLong,
    /// The list or map has more entries than allowed.
    TooMany,
    /// The value has the wrong JSON type.
    TypeInvalid,
    /// The schema has no such field. Kubernetes answers these as `400` under strict field validation
    /// and drops the field with a warning otherwise.
    Unknown,
    /// Validation itself failed.
    Internal,
    /// More is wrong than is told.
    Omitted,
}

impl FieldErrorKind {
    /// Kubernetes' cause type, e.g. `FieldValueRequired`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany | Self::Omitted => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Unknown => "FieldUnknown",
            Self::Internal => "InternalError",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Unknown => "unknown field",
            Self::Internal => "Internal error",
            Self::Omitted => "and more",
        }
    }

    fn shows_value(self) -> bool {
        let hidden = [Self::Required, Self::Forbidden, Self::TooLong, Self::Internal, Self::Unknown];
        !hidden.contains(&self)
    }
}

/// One thing wrong with one field.
///
/// `Display` is Kubernetes' `field.Error`: `spec.replicas: Invalid value: -1: must be greater than or
/// equal to 0`. An unknown field prints as the strict decoder says it: `unknown field "spec.foo"`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Where.
    pub path: FieldPath,
    /// What is wrong.
    pub kind: FieldErrorKind,
    /// The offending value; shown for kinds that are about a value.
    pub value: Option<Value>,
    /// What would be right, as a sentence fragment; may be empty.
    pub detail: String,
    /// What was probably meant: a field name or a value that would be accepted.
    pub suggestion: Option<String>,
}

impl FieldError {
    /// The most errors that are told one by one: an object of some MB can have hundreds of thousands.
    pub const MAX_TOLD: usize = 100;

    fn new(path: impl Into<FieldPath>, kind: FieldErrorKind, value: Option<Value>, detail: String) -> Self {
        Self { path: path.into(), kind, value, detail, suggestion: None }
    }

    /// The field must be given; `detail` may be empty.
    pub fn required(path: impl Into<FieldPath>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Required, None, detail.into())
    }

    /// The value is malformed or out of range.
    pub fn invalid(path: impl Into<FieldPath>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Invalid, Some(value.into()), detail.into())
    }

    /// The value has the wrong JSON type; `detail` as in CRDs: `must be of type integer: "string"`.
    pub fn type_invalid(
        path: impl Into<FieldPath>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(path, FieldErrorKind::TypeInvalid, Some(value.into()), detail.into())
    }

    /// The value is not one of `allowed`; the nearest of them becomes the suggestion.
    pub fn not_supported<S: AsRef<str>>(
        path: impl Into<FieldPath>,
        value: impl Into<Value>,
        allowed: &[S],
    ) -> Self {
        let value = value.into();
        let quoted: Vec<String> = allowed.iter().map(|a| format!("{:?}", a.as_ref())).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        let suggestion = value
            .as_str()
            .and_then(|v| crate::schema::nearest(v, allowed.iter().map(AsRef::as_ref)))
            .map(str::to_owned);
        Self { suggestion, ..Self::new(path, FieldErrorKind::NotSupported, Some(value), detail) }
    }

    /// The value occurs twice.
    pub fn duplicate(path: impl Into<FieldPath>, value: impl Into<Value>) -> Self {
        Self::new(path, FieldErrorKind::Duplicate, Some(value.into()), String::new())
    }

    /// The value names something that does not exist.
    pub fn not_found(path: impl Into<FieldPath>, value: impl Into<Value>) -> Self {
        Self::new(path, FieldErrorKind::NotFound, Some(value.into()), String::new())
    }

    /// The field may not be set, or not to this value, here and now.
    pub fn forbidden(path: impl Into<FieldPath>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Forbidden, None, detail.into())
    }

    /// The string has more than `max_bytes` bytes.
    pub fn too_long(path: impl Into<FieldPath>, value: impl Into<Value>, max_bytes: usize) -> Self {
        let detail = format!("may not be more than {max_bytes} bytes");
        Self::new(path, FieldErrorKind::TooLong, Some(value.into()), detail)
    }

    /// There are `actual` entries where at most `max` are allowed.
    pub fn too_many(path: impl Into<FieldPath>, actual: usize, max: usize) -> Self {
        let detail = format!("must have at most {max} {}", if max == 1 { "item" } else { "items" });
        Self::new(path, FieldErrorKind::TooMany, Some(actual.into()), detail)
    }

    /// The schema has no such field; `suggestion` is the field that was probably meant.
    pub fn unknown(path: impl Into<FieldPath>, suggestion: Option<String>) -> Self {
        Self { suggestion, ..Self::new(path, FieldErrorKind::Unknown, None, String::new()) }
    }

    /// Validation itself failed.
    pub fn internal(path: impl Into<FieldPath>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Internal, None, detail.into())
    }

    /// So many errors more than are told.
    pub fn omitted(errors: usize) -> Self {
        Self::new(FieldPath::root(), FieldErrorKind::Omitted, Some(errors.into()), String::new())
    }

    /// As many of these errors as are told one by one, and in one more how many others there are.
    pub fn told(errors: &[Self]) -> Vec<Cow<'_, Self>> {
        let (told, others) = errors.split_at(errors.len().min(Self::MAX_TOLD));
        let omitted: usize = others.iter().map(Self::count).sum();
        let more = (omitted > 0).then(|| Cow::Owned(Self::omitted(omitted)));
        told.iter().map(Cow::Borrowed).chain(more).collect()
    }

    /// How many errors this stands for.
    fn count(&self) -> usize {
        match (self.kind, &self.value) {
            (FieldErrorKind::Omitted, Some(count)) => {
                count.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
            }
            _ => 1,
        }
    }

    /// Whether this is about a field that the schema does not have.
    pub fn is_unknown(&self) -> bool {
        self.kind == FieldErrorKind::Unknown
    }

    /// The message without the path: what Kubernetes puts into a `StatusCause`.
    pub fn body(&self) -> String {
        let mut body = self.kind.title().to_owned();
        if let Some(value) = self.value.as_ref().filter(|_| self.kind.shows_value()) {
            body.push_str(&format!(": {value}"));
        }
        if !self.detail.is_empty() {
            body.push_str(&format!(": {}", self.detail));
        }
        body
    }

    /// What to do about it, if known: ``did you mean `image`?``
    pub fn hint(&self) -> Option<String> {
        self.suggestion.as_ref().map(|meant| format!("did you mean `{meant}`?"))
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FieldErrorKind::Unknown => write!(f, "unknown field \"{}\"", self.path.as_str()),
            FieldErrorKind::Omitted => write!(f, "and {} more", self.count()),
            _ => write!(f, "{}: {}", self.path, self.body()),
        }
    }
}

impl std::error::Error for FieldError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_kubernetes_own() {
        let spec = FieldPath::new("spec");
        let cases = [
            (
                FieldError::invalid(spec.child("replicas"), -1, "must be greater than or equal to 0"),
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (FieldError::required(spec.child("containers"), ""), "spec.containers: Required value"),
            (
                FieldError::not_supported(spec.child("dnsPolicy"), "Defalt", &["ClusterFirst", "Default"]),
                "spec.dnsPolicy: Unsupported value: \"Defalt\": supported values: \"ClusterFirst\", \"Default\"",
            ),
            (
                FieldError::duplicate(spec.child("containers").index(1).child("name"), "a"),
                "spec.containers[1].name: Duplicate value: \"a\"",
            ),
            (FieldError::forbidden("spec", "is immutable"), "spec: Forbidden: is immutable"),
            (
                FieldError::too_long(FieldPath::new("metadata.labels").key("a"), "x", 63),
                "metadata.labels[a]: Too long: may not be more than 63 bytes",
            ),
            (FieldError::too_many("items", 3, 2), "items: Too many: 3: must have at most 2 items"),
            (FieldError::unknown("spec.foo", None), "unknown field \"spec.foo\""),
            (FieldError::required(FieldPath::root(), "give it"), "<nil>: Required value: give it"),
            (FieldError::omitted(7), "and 7 more"),
        ];
        for (error, expected) in cases {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_nearly_right_value_suggests_the_right_one() {
        let error = FieldError::not_supported("spec.dnsPolicy", "Defalt", &["ClusterFirst", "Default"]);
        assert_eq!(error.hint().as_deref(), Some("did you mean `Default`?"));
    }
}
