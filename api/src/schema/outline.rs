//! [`Schema::outline`]: what fields there are, as a plain schema that holds everything in place.

use serde_json::{Map, Value, json};

use super::{Schema, Type, Types};

impl Schema {
    /// What fields objects have and of what type, as a plain schema: no references, no texts, no limits. A type within
    /// itself may be anything. Cost: linear in the places of an object.
    pub fn outline(&self) -> Value {
        outline(self.root(), &mut Vec::new())
    }
}

fn outline<'a>(ty: Type<'a>, above: &mut Vec<Type<'a>>) -> Value {
    let mut out = Map::new();
    if above.iter().any(|seen| seen.same(ty)) {
        return Value::Object(out);
    }
    above.push(ty);
    let single = [Types::OBJECT, Types::ARRAY, Types::STRING, Types::INTEGER, Types::NUMBER, Types::BOOLEAN];
    if single.contains(&ty.types) && !ty.int_or_string {
        out.insert("type".into(), ty.types.name().into());
    }
    out.extend(ty.format.as_ref().map(|format| ("format".into(), format.as_str().into())));
    let properties: Map<String, Value> =
        ty.properties().map(|(name, property)| (name.to_owned(), outline(property, above))).collect();
    if !properties.is_empty() {
        out.insert("properties".into(), properties.into());
    }
    let below = [("items", ty.items()), ("additionalProperties", ty.entries())];
    let below = below.map(|(keyword, ty)| (keyword, ty.map(|ty| outline(ty, above))));
    out.extend(below.into_iter().filter_map(|(keyword, outline)| Some((keyword.to_owned(), outline?))));
    if ty.entries().is_none() && ty.accepts_any_field() {
        out.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
    }
    above.pop();
    out.into()
}
