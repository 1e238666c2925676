//! JSON documents with clients in them, read without what may be large and is of no use.

use std::fmt;
use std::io::Read;

use gatebook_events::json::Strict;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The people of a realm, of whom there may be many.
const PASSED_OVER: [&str; 2] = ["users", "federatedUsers"];

/// The object that a document is, or the objects of the array that it is.
pub(super) fn read(document: impl Read) -> serde_json::Result<Vec<Map<String, Value>>> {
    let mut reader = serde_json::Deserializer::from_reader(document);
    let objects = reader.deserialize_any(Objects)?;
    reader.end()?;
    Ok(objects)
}

struct Objects;

impl<'de> Visitor<'de> for Objects {
    type Value = Vec<Map<String, Value>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        Object.visit_map(members).map(|object| vec![object])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut objects = Vec::new();
        while let Some(object) = items.next_element_seed(Object)? {
            objects.push(object);
        }
        Ok(objects)
    }
}

struct Object;

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if PASSED_OVER.contains(&name.as_str()) {
                members.next_value::<IgnoredAny>()?;
            } else if object.insert(name, members.next_value_seed(Strict::default())?).is_some() {
                return Err(A::Error::custom("a key appears twice"));
            }
        }
        Ok(object)
    }
}

/// The objects of an array; none where it has anything else.
pub(super) fn of_array(value: Value) -> Option<Vec<Map<String, Value>>> {
    let Value::Array(items) = value else { return None };
    let object = |item| match item {
        Value::Object(object) => Some(object),
        _ => None,
    };
    items.into_iter().map(object).collect()
}
