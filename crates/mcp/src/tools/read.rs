//! `get` and `list`: objects, as much of them as is wanted.

use orch_api::{JsonPath, Object as _, Params};
use orch_client::Accept;
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::args::{self, ArgKind, CURSOR, MAX_TOKENS, NAMESPACE, may, must};
use super::summary::{self, Groups};
use super::{Effect, Entry, counted};
use crate::answer::{Answer, Page, expired};
use crate::ask::{Ask, PAGE_OBJECTS, at_revision};
use crate::failure::{Failure, MAYBE_UNTRUSTED};
use crate::fit::weight;

/// How many paths are followed in each object: every one may lead to the whole of it.
const MOST_FIELDS: usize = 64;
/// And how much they may lead to together.
const MOST_OF_FIELDS_BYTES: usize = 8 << 20;

pub(super) const GET: Entry = Entry {
    name: "get",
    about: "Read one object, or only some fields of it.",
    effect: Effect::Reads,
    takes: &[
        must("kind", ArgKind::Text, "Pod, wl, workloads.orch.dev"),
        must("name", ArgKind::Text, ""),
        NAMESPACE,
        may("fields", ArgKind::Texts, "paths: status.phase, spec.containers[*].image"),
        may("reveal", ArgKind::Flag, "show secret values"),
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("objects", "array"), ("untrusted", "string"), ("cursor", "string")],
    run: |ask, arguments, _| Box::pin(get(ask, arguments)),
};

pub(super) const LIST: Entry = Entry {
    name: "list",
    about: "List objects of a kind as table rows, as fields, in groups, or summarized.",
    effect: Effect::Reads,
    takes: &[
        must("kind", ArgKind::Text, ""),
        may("namespace", ArgKind::Text, "none: all"),
        may("labels", ArgKind::Text, "selector: app=web,tier!=db"),
        may("where", ArgKind::Text, "field selector: spec.nodeName=n1"),
        may("fields", ArgKind::Texts, "paths; none: table rows"),
        may("group_by", ArgKind::Text, "path to count by"),
        may("summarize", ArgKind::Flag, "count values of each column"),
        may("limit", ArgKind::Number, "objects a page"),
        may("reveal", ArgKind::Flag, ""),
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("items", "array"), ("total", "integer"), ("cursor", "string")],
    run: |ask, arguments, page| Box::pin(list(ask, arguments, page)),
};

#[derive(Deserialize)]
struct Get {
    kind: String,
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    fields: Option<Vec<String>>,
    #[serde(default)]
    reveal: Option<bool>,
}

async fn get(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
    let Get { kind, name, namespace, fields, reveal } = args::read(arguments)?;
    let fields = Fields::parse(fields)?;
    let (resource, target) = ask.located(&kind, &name, namespace.as_deref()).await?;
    let object = ask.view(resource, reveal.unwrap_or(false)).await?.of(ask.get(target).await?);
    Ok(Answer::of(json!({"untrusted": MAYBE_UNTRUSTED})).list("objects", vec![fields.of(object)?]))
}

#[derive(Deserialize)]
struct List {
    kind: String,
    namespace: Option<String>,
    labels: Option<String>,
    r#where: Option<String>,
    fields: Option<Vec<String>>,
    group_by: Option<String>,
    summarize: Option<bool>,
    limit: Option<u64>,
    reveal: Option<bool>,
}

async fn list(ask: &Ask, arguments: JsonObject, page: &Page) -> Result<Answer, Failure> {
    let list: List = args::read(arguments)?;
    let resource = ask.kind(&list.kind).await?;
    let target = resource.collection(list.namespace.as_deref());
    let params = Params {
        label_selector: list.labels,
        field_selector: list.r#where,
        limit: Some(list.limit.unwrap_or(PAGE_OBJECTS).clamp(1, PAGE_OBJECTS)),
        ..Params::default()
    };
    let head = json!({"kind": resource.kind, "untrusted": MAYBE_UNTRUSTED});
    if list.summarize.unwrap_or(false) {
        let (columns, more) = counted(ask, &target, &params).await?;
        let head = json!({"kind": resource.kind, "total": columns.total, "more": more, "untrusted": MAYBE_UNTRUSTED});
        return Ok(Answer::of(head).list("items", columns.told()));
    }
    let view = ask.view(resource, list.reveal.unwrap_or(false)).await?;
    if let Some(path) = list.group_by {
        let (path, mut groups) = (args::path(&path)?, Groups::default());
        let take = |object| groups.add(&view.of(object), &path);
        let more = ask.each(&target, &params, Accept::Json, summary::MOST, take).await?;
        let mut head =
            json!({"kind": resource.kind, "total": groups.total, "more": more, "untrusted": MAYBE_UNTRUSTED});
        if groups.others > 0 {
            head["others"] = groups.others.into();
        }
        return Ok(Answer::of(head).list("items", groups.told()));
    }
    let accept = if list.fields.is_some() { Accept::Json } else { Accept::Table };
    let fields = Fields::parse(list.fields)?;
    let params = place(params, page);
    let listed = ask.page(target, params, accept).await.map_err(expired)?;
    let here = page.place().map(str::to_owned).unwrap_or_else(|| format!("r{}", listed.revision));
    let next = listed.cont.map(|cont| format!("c{cont}"));
    let many = listed.items.len();
    let before = page.given().min(many);
    let (mut items, mut bytes) = (Vec::new(), 0);
    for item in listed.items.into_iter().skip(before) {
        let item = if accept == Accept::Json { fields.of(view.of(item))? } else { item };
        bytes += weight(&item);
        items.push(item);
        // What the answer has no room for is not taken out of the objects.
        if bytes > page.room_bytes() {
            break;
        }
    }
    let after = many - before - items.len();
    Ok(Answer::of(head).list("items", items).page(Some(here), next).window(before, after))
}

/// Where the list goes on: at the page that the API named, or on the first page as it was.
fn place(params: Params, page: &Page) -> Params {
    match page.place().and_then(|place| place.split_at_checked(1)) {
        Some(("c", cont)) => Params { cont: Some(cont.to_owned()), ..params },
        Some(("r", revision)) => at_revision(params, revision),
        _ => params,
    }
}

/// The fields that are wanted; none: all.
struct Fields(Option<Vec<(String, JsonPath)>>);

impl Fields {
    fn parse(fields: Option<Vec<String>>) -> Result<Self, Failure> {
        let Some(fields) = fields.filter(|fields| !fields.is_empty()) else { return Ok(Self(None)) };
        if fields.iter().any(|field| field == "*") {
            return Ok(Self(None));
        }
        if fields.len() > MOST_FIELDS {
            let message = format!("`fields` has {} paths; {MOST_FIELDS} is the most", fields.len());
            return Err(Failure::argument(message).fix("leave `fields` out to see all of them"));
        }
        let parsed = fields.into_iter().map(|field| Ok((field.clone(), args::path(&field)?)));
        Ok(Self(Some(parsed.collect::<Result<_, Failure>>()?)))
    }

    /// The fields of an object by their paths; what is not there is left out.
    ///
    /// # Errors
    /// If they lead to the same things again and again, and are too much together.
    fn of(&self, object: Value) -> Result<Value, Failure> {
        let Some(fields) = &self.0 else { return Ok(object) };
        let (mut found, mut bytes) = (Map::new(), 0);
        for (name, path) in fields {
            let values = path.values(&object);
            bytes += values.iter().map(|value| weight(value)).sum::<usize>();
            if bytes > MOST_OF_FIELDS_BYTES {
                let message =
                    format!("the fields of {} are more than {MOST_OF_FIELDS_BYTES} bytes", object.name());
                return Err(Failure::argument(message).fix("ask for fewer fields, or for those within them"));
            }
            match (values.as_slice(), path.fields().is_some()) {
                ([], _) => {}
                ([value], true) => drop(found.insert(name.clone(), (*value).clone())),
                (values, _) => drop(found.insert(name.clone(), values.iter().copied().cloned().collect())),
            }
        }
        Ok(Value::Object(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;

    #[test]
    fn an_object_is_reduced_to_the_fields_that_are_wanted() {
        let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "x", "image": "a"}, {"name": "y", "image": "b"}]}});
        let fields =
            |paths: &[&str]| Fields::parse(Some(paths.iter().map(ToString::to_string).collect())).unwrap();
        assert_eq!(
            fields(&["metadata.name", "spec.containers[*].image", "status.phase"]).of(pod.clone()).unwrap(),
            json!({"metadata.name": "web", "spec.containers[*].image": ["a", "b"]})
        );
        let as_changes_say = r#"spec.containers[name="y"].image"#;
        assert_eq!(fields(&[as_changes_say]).of(pod.clone()).unwrap(), json!({as_changes_say: ["b"]}));
        assert_eq!(fields(&["*"]).of(pod.clone()).unwrap(), pod);
        let large = json!({"metadata": {"name": "large"}, "data": {"a": "x".repeat(1 << 20)}});
        assert!(fields(&["data", "data.a"]).of(large.clone()).is_ok());
        let again = fields(&["data"; 64]).of(large).unwrap_err();
        assert!(again.message.contains("fields of large"), "{}", again.message);
        for refused in [vec!["a..b".into()], vec!["a".into(); 65]] {
            assert_eq!(Fields::parse(Some(refused)).err().unwrap().code, Code::InvalidArgument);
        }
    }
}
