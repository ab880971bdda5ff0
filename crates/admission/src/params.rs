//! The objects that a policy is parameterized with.

use orch_api::{Kind, World};
use orch_ontology::{ParamKind, ParamRef, ParameterNotFoundAction};
use serde_json::Value;

use crate::matching::labels;

/// The parameters that a request in a namespace is checked with, one after the other; `Null` stands for none. Empty if the
/// request is not to be checked.
///
/// # Errors
/// If they cannot be found, in Kubernetes' words.
pub(crate) fn collect(
    kind: Option<&ParamKind>,
    reference: Option<&ParamRef>,
    namespace: &str,
    world: &dyn World,
) -> Result<Vec<Value>, String> {
    let (Some(kind), Some(reference)) = (kind, reference) else { return Ok(vec![Value::Null]) };
    let ParamKind { api_version, kind: name } = kind;
    let found = world
        .kind(api_version, name)
        .ok_or_else(|| format!("paramKind kind `{api_version}, Kind={name}` not known"))?;
    let params = select(&found, reference, place(&found, reference, namespace)?, world);
    if params.is_empty() && reference.parameter_not_found_action == Some(ParameterNotFoundAction::Deny) {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(params)
}

fn place<'a>(kind: &Kind, reference: &'a ParamRef, namespace: &'a str) -> Result<&'a str, String> {
    let asked = reference.namespace.as_deref().unwrap_or_default();
    match (kind.is_namespaced(), asked, namespace) {
        (false, "", _) => Ok(""),
        (false, ..) => {
            Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned())
        }
        (true, "", "") => {
            Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                .to_owned())
        }
        (true, "", namespace) => Ok(namespace),
        (true, asked, _) => Ok(asked),
    }
}

fn select(kind: &Kind, reference: &ParamRef, namespace: &str, world: &dyn World) -> Vec<Value> {
    match (&reference.name, &reference.selector) {
        (Some(name), _) if !name.is_empty() => world.object(kind, namespace, name).into_iter().collect(),
        (_, Some(selector)) => {
            let all = world.objects(kind, namespace).into_iter();
            all.filter(|object| selector.matches(&labels(object))).collect()
        }
        _ => Vec::new(),
    }
}
