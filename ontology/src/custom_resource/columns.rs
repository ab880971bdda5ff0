//! What `get` prints of the objects of a defined kind.

use jiff::Timestamp;
use orch_api::{Column, JsonPath};
use serde_json::Value;

use super::{CustomResourceColumnDefinition, CustomResourceDefinitionVersion};

/// The columns of a version: the name, then those that it defines, or else the age.
pub(super) fn columns(version: &CustomResourceDefinitionVersion) -> Vec<Column> {
    let defined = version.additional_printer_columns.iter().filter_map(column);
    let mut columns: Vec<Column> = std::iter::once(Column::object_name()).chain(defined).collect();
    if columns.len() == 1 {
        columns.push(Column::age());
    }
    columns
}

/// None if the path is not one, which validation refuses.
fn column(defined: &CustomResourceColumnDefinition) -> Option<Column> {
    let path = JsonPath::parse(&defined.json_path).ok()?;
    let (cell_type, priority) = (cell_type(&defined.column_type), defined.priority);
    let cell = move |object: &Value, now: Timestamp| cell(&path.values(object), cell_type, now);
    let column = Column::new(defined.name.clone(), defined.description.clone(), cell);
    Some(Column { priority, cell_type, ..column })
}

fn cell_type(name: &str) -> &'static str {
    ["integer", "number", "boolean", "date"].into_iter().find(|known| *known == name).unwrap_or("string")
}

/// A value of another type than the column's is not shown.
fn cell(values: &[&Value], cell_type: &str, now: Timestamp) -> Value {
    let Some(first) = values.first() else { return Value::Null };
    match cell_type {
        "integer" => first.as_f64().map_or(Value::Null, |number| Value::from(number as i64)),
        "number" => first.as_f64().map_or(Value::Null, Value::from),
        "boolean" => first.as_bool().map_or(Value::Null, Value::from),
        "date" => match first {
            Value::String(_) => Column::age_of(Some(first), now).into(),
            _ => Value::Null,
        },
        _ if values.len() > 1 => {
            Value::Array(values.iter().map(|value| (*value).clone()).collect()).to_string().into()
        }
        _ => match first {
            Value::Null => Value::Null,
            Value::String(text) => text.clone().into(),
            other => other.to_string().into(),
        },
    }
}
