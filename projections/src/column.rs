//! How values are kept in columns: UUIDs as 16 bytes, times as microseconds, lists and documents as JSON, words as text.

use chrono::{DateTime, Utc};
use gatebook_events::{client, resource_server};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::de::value::{Error as NotAWord, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A UUID as its 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(pub Uuid);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?).map(Self).map_err(FromSqlError::other)
    }
}

/// A time as microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub DateTime<Utc>);

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.timestamp_micros()))
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let micros = value.as_i64()?;
        DateTime::from_timestamp_micros(micros).map(Self).ok_or(FromSqlError::OutOfRange(micros))
    }
}

/// Anything as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Json<T>(pub T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0).map_err(|source| rusqlite::Error::ToSqlConversionFailure(Box::new(source)))?;
        Ok(ToSqlOutput::from(text))
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

/// Anything that was written as JSON before its row is.
#[derive(Debug)]
pub(crate) struct Written(serde_json::Result<String>);

impl Written {
    pub(crate) fn of(value: &impl Serialize) -> Self {
        Self(serde_json::to_string(value))
    }
}

impl ToSql for Written {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match &self.0 {
            Ok(text) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
            Err(source) => Err(rusqlite::Error::ToSqlConversionFailure(source.to_string().into())),
        }
    }
}

/// A word of a closed list, as the list's own serialization names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<T>(pub T);

impl<T: for<'de> Deserialize<'de>> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word: StrDeserializer<'_, NotAWord> = value.as_str()?.into_deserializer();
        T::deserialize(word).map(Self).map_err(FromSqlError::other)
    }
}

/// The life of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLife(pub client::Life);

impl ClientLife {
    pub(crate) const fn as_str(self) -> &'static str {
        match self.0 {
            client::Life::Unregistered => "unregistered",
            client::Life::Registered => "registered",
            client::Life::Withdrawn => "withdrawn",
            client::Life::Deleted => "deleted",
        }
    }
}

impl ToSql for ClientLife {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for ClientLife {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "unregistered" => Ok(Self(client::Life::Unregistered)),
            "registered" => Ok(Self(client::Life::Registered)),
            "withdrawn" => Ok(Self(client::Life::Withdrawn)),
            "deleted" => Ok(Self(client::Life::Deleted)),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// The life of a resource server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerLife(pub resource_server::Life);

impl ToSql for ServerLife {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self.0 {
            resource_server::Life::None => "none",
            resource_server::Life::Active => "active",
            resource_server::Life::Retired => "retired",
        }))
    }
}

impl FromSql for ServerLife {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "none" => Ok(Self(resource_server::Life::None)),
            "active" => Ok(Self(resource_server::Life::Active)),
            "retired" => Ok(Self(resource_server::Life::Retired)),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}
