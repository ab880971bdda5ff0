//! The variable `authorizer` of policies: rules that depend on what the caller may do elsewhere. Kubernetes' library `authz`.
//!
//! `authorizer.group('apps').resource('deployments').namespace('a').check('create').allowed()`: each call adds to what is
//! asked, `check` asks.

use std::fmt;
use std::sync::Arc;

use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::Opaque;
use kube_cel::cel::{Context, ExecutionError, ResolveResult, Value};

/// Answers what rules ask.
pub trait Authority: Send + Sync {
    /// Whether it may be done, and why. Synchronous; costs microseconds.
    fn decide(&self, question: &Question) -> (bool, String);
}

/// What a rule asks: whether somebody may do something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// A service account, by namespace and name; none for the caller.
    pub service_account: Option<(String, String)>,
    /// What would be done.
    pub verb: String,
    /// To what.
    pub asked: Asked,
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A path that is not about objects.
    Path(String),
    /// Objects.
    Resource(Resource),
}

impl Default for Asked {
    fn default() -> Self {
        Self::Resource(Resource::default())
    }
}

/// Objects. What is not said is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// The API group; empty for core.
    pub group: String,
    /// The collection, such as `pods`.
    pub resource: String,
    /// What follows the name in paths, such as `log`.
    pub subresource: String,
    /// The namespace; empty for the cluster and for all namespaces.
    pub namespace: String,
    /// The one object that it is about.
    pub name: String,
    /// The fields that a list is limited to, as a selector.
    pub fields: String,
    /// The labels that a list is limited to, as a selector.
    pub labels: String,
}

/// Which part of a question is still to be said: the types of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Authorizer,
    Group,
    Resource,
    Path,
}

impl Stage {
    fn type_name(self) -> &'static str {
        match self {
            Self::Authorizer => "kubernetes.authorization.Authorizer",
            Self::Group => "kubernetes.authorization.GroupCheck",
            Self::Resource => "kubernetes.authorization.ResourceCheck",
            Self::Path => "kubernetes.authorization.PathCheck",
        }
    }
}

/// A question that is being put together.
#[derive(Clone)]
struct Check {
    authority: Arc<dyn Authority>,
    stage: Stage,
    question: Question,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(self.stage.type_name()).field(&self.question).finish()
    }
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        (self.stage, &self.question) == (other.stage, &other.question)
    }
}

impl Eq for Check {}

impl Opaque for Check {
    fn runtime_type_name(&self) -> &str {
        self.stage.type_name()
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Decision {
    allowed: bool,
    reason: String,
}

impl Opaque for Decision {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }
}

/// The value of `authorizer`.
pub(crate) fn authorizer(authority: Arc<dyn Authority>) -> Value {
    value(Check { authority, stage: Stage::Authorizer, question: Question::default() })
}

/// The value of `authorizer.requestResource`.
pub(crate) fn resource(authority: Arc<dyn Authority>, resource: Resource) -> Value {
    let question = Question { asked: Asked::Resource(resource), ..Question::default() };
    value(Check { authority, stage: Stage::Resource, question })
}

fn value(check: Check) -> Value {
    Value::Opaque(Arc::new(check))
}

/// Adds the library's functions.
pub(crate) fn register(context: &mut Context<'_>) {
    context.add_function("serviceAccount", service_account);
    context.add_function("path", path);
    context.add_function("group", group);
    context.add_function("resource", of_resource);
    context.add_function("subresource", |this: This<Value>, text: Arc<String>| {
        narrow("subresource", this, &text, |resource| &mut resource.subresource)
    });
    context.add_function("namespace", |this: This<Value>, text: Arc<String>| {
        narrow("namespace", this, &text, |resource| &mut resource.namespace)
    });
    context.add_function("name", |this: This<Value>, text: Arc<String>| {
        narrow("name", this, &text, |resource| &mut resource.name)
    });
    context.add_function("fieldSelector", |this: This<Value>, text: Arc<String>| {
        narrow("fieldSelector", this, &text, |resource| &mut resource.fields)
    });
    context.add_function("labelSelector", |this: This<Value>, text: Arc<String>| {
        narrow("labelSelector", this, &text, |resource| &mut resource.labels)
    });
    context.add_function("check", check);
    context.add_function("allowed", |This(this): This<Value>| {
        decision("allowed", &this).map(|decision| Value::Bool(decision.allowed))
    });
    context.add_function("reason", |This(this): This<Value>| {
        decision("reason", &this).map(|decision| Value::String(Arc::new(decision.reason.clone())))
    });
    // Decisions come from an index in the process: asking cannot fail.
    context.add_function("errored", |This(this): This<Value>| {
        decision("errored", &this).map(|_| Value::Bool(false))
    });
    context.add_function("error", |This(this): This<Value>| {
        decision("error", &this).map(|_| Value::String(Arc::default()))
    });
}

fn service_account(This(this): This<Value>, namespace: Arc<String>, name: Arc<String>) -> ResolveResult {
    let mut check = stage("serviceAccount", &this, &[Stage::Authorizer])?;
    for (part, text) in [("namespace", &namespace), ("name", &name)] {
        let is_valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if text.is_empty() || !text.chars().all(is_valid) {
            return Err(ExecutionError::function_error(
                "serviceAccount",
                format!("Invalid service account {part}"),
            ));
        }
    }
    check.question.service_account = Some(((*namespace).clone(), (*name).clone()));
    Ok(value(check))
}

fn path(This(this): This<Value>, path: Arc<String>) -> ResolveResult {
    let mut check = stage("path", &this, &[Stage::Authorizer])?;
    if path.trim().is_empty() {
        return Err(ExecutionError::function_error("path", "path must not be empty"));
    }
    (check.stage, check.question.asked) = (Stage::Path, Asked::Path((*path).clone()));
    Ok(value(check))
}

fn group(This(this): This<Value>, group: Arc<String>) -> ResolveResult {
    let mut check = stage("group", &this, &[Stage::Authorizer])?;
    let asked = Resource { group: (*group).clone(), ..Resource::default() };
    (check.stage, check.question.asked) = (Stage::Group, Asked::Resource(asked));
    Ok(value(check))
}

fn of_resource(This(this): This<Value>, resource: Arc<String>) -> ResolveResult {
    let mut check = stage("resource", &this, &[Stage::Group])?;
    if resource.trim().is_empty() {
        return Err(ExecutionError::function_error("resource", "resource must not be empty"));
    }
    check.stage = Stage::Resource;
    if let Asked::Resource(asked) = &mut check.question.asked {
        resource.as_str().clone_into(&mut asked.resource);
    }
    Ok(value(check))
}

fn narrow(
    function: &str,
    This(this): This<Value>,
    text: &str,
    part: fn(&mut Resource) -> &mut String,
) -> ResolveResult {
    let mut check = stage(function, &this, &[Stage::Resource])?;
    if let Asked::Resource(asked) = &mut check.question.asked {
        text.clone_into(part(asked));
    }
    Ok(value(check))
}

fn check(This(this): This<Value>, verb: Arc<String>) -> ResolveResult {
    let mut check = stage("check", &this, &[Stage::Resource, Stage::Path])?;
    verb.as_str().clone_into(&mut check.question.verb);
    let (allowed, reason) = check.authority.decide(&check.question);
    Ok(Value::Opaque(Arc::new(Decision { allowed, reason })))
}

fn stage(function: &str, value: &Value, stages: &[Stage]) -> Result<Check, ExecutionError> {
    let check = match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<Check>(),
        _ => None,
    };
    let check = check.filter(|check| stages.contains(&check.stage));
    check.cloned().ok_or_else(|| ExecutionError::function_error(function, "no such overload"))
}

fn decision<'v>(function: &str, value: &'v Value) -> Result<&'v Decision, ExecutionError> {
    let decision = match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<Decision>(),
        _ => None,
    };
    decision.ok_or_else(|| ExecutionError::function_error(function, "no such overload"))
}
