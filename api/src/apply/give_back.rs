//! [`give_back`]: who owns what in an object of which a change is taken back.

use serde_json::Value;

use super::managers::{Managers, Owned, set_managed_fields};

/// The record of an object `now` once the change that made `after` of `before` is taken back: who gained fields by the change has
/// them no more, and who lost fields has them again. What the server's parts say in the status stays theirs. None if nobody owns
/// anything then, or a record is malformed.
pub fn give_back(before: &Value, after: &Value, now: &Value) -> Option<Value> {
    let (before, after) = (Managers::decode(before).ok()?, Managers::decode(after).ok()?);
    let mut managers = Managers::decode(now).ok()?;
    for (manager, gained) in after.0.iter().filter(|(manager, _)| manager.subresource != "status") {
        let had = before.0.get(manager).map(|owned| owned.fields.clone()).unwrap_or_default();
        managers.take(manager, &gained.fields.difference(&had));
    }
    for (manager, had) in before.0.into_iter().filter(|(manager, _)| manager.subresource != "status") {
        let kept = after.0.get(&manager).map(|owned| owned.fields.clone()).unwrap_or_default();
        let lost = had.fields.difference(&kept);
        match managers.0.get_mut(&manager) {
            _ if lost.is_empty() => {}
            Some(owned) => owned.fields = owned.fields.union(&lost),
            None => drop(managers.0.insert(manager, Owned { fields: lost, ..had })),
        }
    }
    let mut recorded = Value::Object(serde_json::Map::new());
    set_managed_fields(&mut recorded, &managers).ok()?;
    recorded["metadata"].as_object_mut()?.remove("managedFields")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(owners: &[(&str, &str, &[&str])]) -> Value {
        let entry = |(manager, subresource, fields): &(&str, &str, &[&str])| {
            let fields: serde_json::Map<String, Value> =
                fields.iter().map(|name| (format!("f:{name}"), json!({}))).collect();
            json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": fields, "subresource": subresource})
        };
        json!({"metadata": {"managedFields": owners.iter().map(entry).collect::<Vec<_>>()}})
    }

    fn given_back(before: &Value, after: &Value, now: &Value) -> Vec<String> {
        let given = give_back(before, after, now).unwrap_or_default();
        let text = |entry: &Value| {
            let fields: Vec<&String> = entry["fieldsV1"].as_object().unwrap().keys().collect();
            format!("{} {fields:?}", entry["manager"].as_str().unwrap())
        };
        given.as_array().into_iter().flatten().map(text).collect()
    }

    #[test]
    fn what_a_change_took_goes_back_and_what_others_got_since_stays() {
        let before = owned(&[("ann", "", &["a", "b"])]);
        let after = owned(&[("ann", "", &["b"]), ("bob", "", &["a", "c"])]);
        let now = owned(&[("ann", "", &["b", "d"]), ("bob", "", &["a", "c"]), ("eve", "", &["e"])]);
        assert_eq!(given_back(&before, &after, &now), [r#"ann ["f:a", "f:b", "f:d"]"#, r#"eve ["f:e"]"#]);
        assert_eq!(given_back(&before, &after, &after), [r#"ann ["f:a", "f:b"]"#]);
    }

    #[test]
    fn of_a_new_object_all_is_whose_it_was_but_the_status() {
        let before = owned(&[("ann", "", &["a"]), ("kubelet", "status", &["status"])]);
        assert_eq!(given_back(&before, &json!({}), &json!({})), [r#"ann ["f:a"]"#]);
        assert_eq!(give_back(&json!({}), &json!({}), &json!({})), None);
    }
}
