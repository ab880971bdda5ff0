//! [`Status`]: what the server answers instead of an object, with Kubernetes' codes, reasons and wording.

use std::fmt;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{FieldError, Kind};

/// The outcome of a request that does not answer with an object: always a failure, except after some deletes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    #[serde(default, serialize_with = "write_kind", deserialize_with = "read_kind")]
    kind: (),
    #[serde(default, serialize_with = "write_api_version", deserialize_with = "skip")]
    api_version: (),
    /// For a list that can go on only in another way: how.
    #[serde(default)]
    pub metadata: StatusMetadata,
    /// `Success` or `Failure`.
    #[serde(default)]
    pub status: String,
    /// The sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The word for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What it is about, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<StatusDetails>>,
    /// The HTTP status code; 0, and left out, where nothing failed and 200 goes without saying.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code: u16,
}

/// The metadata of a [`Status`]: empty, but for a list that can go on only as of a later revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusMetadata {
    /// The token to go on with.
    #[serde(default, rename = "continue", skip_serializing_if = "Option::is_none")]
    pub cont: Option<Box<str>>,
}

/// Which object a [`Status`] is about, and what exactly is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDetails {
    /// The object's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The group of its kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its kind, or the plural of it where Kubernetes says the plural.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Everything that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// After how many seconds it is worth trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusCause {
    /// The word for programs, such as `FieldValueInvalid`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The path of the field, such as `spec.containers[0].image`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why a request failed. Each reason has one HTTP status code.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
            /// A reason that this version does not know, from another server.
            #[serde(untagged)]
            Other(String),
        }

        impl Reason {
            /// The HTTP status code that goes with the reason.
            pub fn code(&self) -> u16 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(_) => 500,
                }
            }
        }
    };
}

reasons! {
    /// The request itself is malformed.
    BadRequest = 400,
    /// The caller is unknown.
    Unauthorized = 401,
    /// The caller may not do this.
    Forbidden = 403,
    /// There is no such object, or no such path.
    NotFound = 404,
    /// The path does not know this verb.
    MethodNotAllowed = 405,
    /// None of the accepted media types can be made.
    NotAcceptable = 406,
    /// An object of this name is there already.
    AlreadyExists = 409,
    /// The object has changed since it was read, or a field belongs to somebody else.
    Conflict = 409,
    /// What was asked for is gone for good.
    Gone = 410,
    /// The revision asked for has been compacted: list again.
    Expired = 410,
    /// The body is larger than the server takes.
    RequestEntityTooLarge = 413,
    /// The body's media type is not understood here.
    UnsupportedMediaType = 415,
    /// The object is well-formed, but not valid.
    Invalid = 422,
    /// The server is busy with this caller: try again later.
    TooManyRequests = 429,
    /// The server failed.
    InternalError = 500,
    /// The server cannot serve now: try again.
    ServiceUnavailable = 503,
    /// The server did not manage it in time: try again.
    Timeout = 504,
    /// The server did not manage it in time, and names when to try again.
    ServerTimeout = 504,
}

impl Status {
    /// A failure for a reason.
    pub fn failure(reason: Reason, message: impl Into<String>) -> Self {
        let code = reason.code();
        Self {
            kind: (),
            api_version: (),
            metadata: StatusMetadata::default(),
            status: "Failure".into(),
            message: message.into(),
            reason: Some(reason),
            details: None,
            code,
        }
    }

    /// The answer to a delete that left nothing to show.
    pub fn success(kind: &Kind, name: &str, uid: &str) -> Self {
        let details = StatusDetails { uid: uid.into(), ..details(kind.plural, kind.group, name) };
        Self { status: "Success".into(), reason: None, code: 0, ..Self::failure(Reason::NotFound, "") }
            .about(details)
    }

    /// 400: the request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(Reason::BadRequest, message)
    }

    /// 401: the caller is unknown.
    pub fn unauthorized() -> Self {
        Self::failure(Reason::Unauthorized, "Unauthorized")
    }

    /// 403: the caller may not do this to this object.
    pub fn forbidden(kind: &Kind, name: &str, why: impl fmt::Display) -> Self {
        let message = match name {
            "" => format!("{} is forbidden: {why}", kind.resource()),
            name => format!("{} {name:?} is forbidden: {why}", kind.resource()),
        };
        Self::failure(Reason::Forbidden, message).about(details(kind.plural, kind.group, name))
    }

    /// 404: no such object.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::failure(Reason::NotFound, format!("{} {name:?} not found", kind.resource())).about(details(
            kind.plural,
            kind.group,
            name,
        ))
    }

    /// 404: no such path.
    pub fn no_such_path() -> Self {
        Self::failure(Reason::NotFound, "the server could not find the requested resource")
            .about(StatusDetails::default())
    }

    /// 405: the path does not know this verb.
    pub fn method_not_allowed() -> Self {
        Self::failure(
            Reason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        )
        .about(StatusDetails::default())
    }

    /// 409: an object of this name is there already.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::failure(Reason::AlreadyExists, format!("{} {name:?} already exists", kind.resource()))
            .about(details(kind.plural, kind.group, name))
    }

    /// 409: the object is not in the state that the caller believes.
    pub fn conflict(kind: &Kind, name: &str, why: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.resource());
        Self::failure(Reason::Conflict, message).about(details(kind.plural, kind.group, name))
    }

    /// 409: the object has changed since the caller read it.
    pub fn stale(kind: &Kind, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    /// 410: the revision asked for has been compacted.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(Reason::Expired, message)
    }

    /// 415: the body's media type is not understood here.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::failure(Reason::UnsupportedMediaType, message)
    }

    /// 422: the object is well-formed, but these fields are not valid.
    pub fn invalid(kind: &Kind, name: &str, errors: &[FieldError]) -> Self {
        let told = FieldError::told(errors);
        let list = match told.as_slice() {
            [one] => one.to_string(),
            many => format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let subject = match kind.group {
            "" => kind.name.to_owned(),
            group => format!("{}.{group}", kind.name),
        };
        let causes = told.iter().map(|error| StatusCause::from(&**error)).collect();
        Self::failure(Reason::Invalid, format!("{subject} {name:?} is invalid: {list}"))
            .about(StatusDetails { causes, ..details(kind.name, kind.group, name) })
    }

    /// 500: the server failed.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::failure(Reason::InternalError, format!("Internal error occurred: {message}"))
    }

    /// 503: the server cannot serve now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(Reason::ServiceUnavailable, message)
    }

    /// The status code of an HTTP answer with this status.
    pub fn http_code(&self) -> u16 {
        if self.code == 0 { 200 } else { self.code }
    }

    /// The same status with these details.
    pub fn about(self, details: StatusDetails) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }

    /// Whether the reason is this one.
    pub fn is(&self, reason: &Reason) -> bool {
        self.reason.as_ref() == Some(reason)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

impl From<&FieldError> for StatusCause {
    fn from(error: &FieldError) -> Self {
        Self { reason: error.kind.reason().into(), message: error.body(), field: error.path.as_str().into() }
    }
}

fn details(kind: &str, group: &str, name: &str) -> StatusDetails {
    StatusDetails { name: name.into(), group: group.into(), kind: kind.into(), ..StatusDetails::default() }
}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

// The two fields that are the same in every status take no room in it.

fn write_kind<S: Serializer>((): &(), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("Status")
}

fn read_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "Status" => Ok(()),
        other => Err(D::Error::custom(format!("kind is {other:?}, expected \"Status\""))),
    }
}

fn write_api_version<S: Serializer>((): &(), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("v1")
}

fn skip<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    IgnoredAny::deserialize(deserializer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_as_kubernetes_writes_it() {
        const PODS: Kind = Kind::namespaced("", "v1", "Pod", "pods", "pod");
        let status = Status::not_found(&PODS, "web");
        let written = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404, "reason": "NotFound",
            "message": "pods \"web\" not found", "details": {"name": "web", "kind": "pods"},
        });
        assert_eq!(serde_json::to_value(&status).unwrap(), written);
        assert_eq!(serde_json::from_value::<Status>(written).unwrap(), status);
    }

    #[test]
    fn a_reason_that_is_not_known_is_kept() {
        let status: Status =
            serde_json::from_str(r#"{"kind": "Status", "reason": "Novel", "code": 418}"#).unwrap();
        assert_eq!(status.reason, Some(Reason::Other("Novel".into())));
    }

    #[test]
    fn of_very_many_errors_the_first_are_told_and_the_others_counted() {
        const PODS: Kind = Kind::namespaced("", "v1", "Pod", "pods", "pod");
        let mut errors = vec![FieldError::required("spec.a", ""); 149];
        // What a schema says may have been cut already.
        errors.push(FieldError::omitted(201));
        let status = Status::invalid(&PODS, "web", &errors);
        assert!(status.message.ends_with("spec.a: Required value, and 250 more]"), "{status}");
        assert_eq!(status.details.unwrap().causes.len(), 101);
    }

    #[test]
    fn an_object_is_not_taken_for_a_status() {
        assert!(serde_json::from_str::<Status>(r#"{"kind": "Pod"}"#).is_err());
    }

    #[test]
    fn an_error_is_cheap_to_pass_on() {
        assert!(size_of::<Result<(), Status>>() <= 128);
    }
}
