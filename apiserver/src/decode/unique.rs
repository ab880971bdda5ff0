//! A JSON value as it is read, with the fields that occur more than once.
//!
//! Costs no more than reading a [`Value`]: paths are put together only for what is repeated.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::Decoded;

/// More are not told: a body may hold a hundred thousand.
const MAX_TOLD: usize = 100;

/// Reads one value and collects the paths, below it, of repeated fields.
pub(super) struct Unique<'a>(&'a mut Vec<String>);

impl Unique<'_> {
    pub(super) fn read<'de, D: Deserializer<'de>>(reader: D) -> Result<Decoded, D::Error> {
        let mut repeated = Vec::new();
        let value = Unique(&mut repeated).deserialize(reader)?;
        let repeated = repeated.into_iter().map(|path| path.trim_start_matches('.').to_owned());
        let repeated = repeated.collect();
        Ok(Decoded { value, repeated })
    }

    /// Reads something below; `step` leads to it.
    fn below<T>(&mut self, read: impl FnOnce(Unique<'_>) -> T, step: impl FnOnce() -> String) -> T {
        let known = self.0.len();
        let value = read(Unique(self.0));
        if self.0.len() > known {
            let step = step();
            self.0[known..].iter_mut().for_each(|path| path.insert_str(0, &step));
        }
        value
    }
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number that JSON has"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        self.deserialize(reader)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let step = || format!("[{}]", items.len());
            match self.below(|below| list.next_element_seed(below), step)? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = self.below(|below| map.next_value_seed(below), || format!(".{name}"))?;
            match fields.entry(name) {
                Entry::Vacant(place) => drop(place.insert(value)),
                Entry::Occupied(mut place) => {
                    let path = format!(".{}", place.key());
                    if self.0.len() < MAX_TOLD && !self.0.contains(&path) {
                        self.0.push(path);
                    }
                    place.insert(value);
                }
            }
        }
        Ok(Value::Object(fields))
    }
}
