use serde_json::Value as Json;
use sqlx::{Arguments, postgres::PgArguments};
use uuid::Uuid;

use crate::{Dialect, Error, Result, Timestamp};

/// A statement: one text for both databases, or one for each.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    postgres: &'static str,
    sqlite: &'static str,
}

impl Sql {
    /// Two texts for what the dialects say differently; the parameters are the same.
    pub const fn by_dialect(postgres: &'static str, sqlite: &'static str) -> Self {
        Self { postgres, sqlite }
    }

    pub(crate) fn text(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Postgres => self.postgres,
            Dialect::Sqlite => self.sqlite,
        }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self {
            postgres: text,
            sqlite: text,
        }
    }
}

/// A value bound to a statement; typed also when it is NULL, as PostgreSQL wants it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// BIGINT / INTEGER
    Integer(Option<i64>),
    /// DOUBLE PRECISION / REAL
    Float(Option<f64>),
    /// BOOLEAN
    Boolean(Option<bool>),
    /// TEXT
    Text(Option<String>),
    /// UUID / BLOB
    Uuid(Option<Uuid>),
    /// JSONB / TEXT
    Json(Option<Json>),
    /// BYTEA / BLOB
    Bytes(Option<Vec<u8>>),
    /// TIMESTAMPTZ / INTEGER
    Time(Option<Timestamp>),
    /// `TEXT[]` for `= ANY($n)` / a JSON array for `IN (SELECT value FROM json_each($n))`
    Texts(Vec<String>),
    /// `BIGINT[]` / a JSON array, as above
    Integers(Vec<i64>),
    /// `TEXT[]` with NULLs / a JSON array
    OptionalTexts(Vec<Option<String>>),
    /// `BIGINT[]` with NULLs / a JSON array
    OptionalIntegers(Vec<Option<i64>>),
    /// `UUID[]` with NULLs / a JSON array of lower-case hex
    OptionalUuids(Vec<Option<Uuid>>),
    /// `TIMESTAMPTZ[]` / a JSON array of microseconds
    Times(Vec<Timestamp>),
    /// `UUID[]` for `= ANY($n)` / a JSON array of lower-case hex, for
    /// `lower(hex(id)) IN (SELECT value FROM json_each($n))`
    Uuids(Vec<Uuid>),
}

macro_rules! value_from {
    ($($variant:ident: $($type:ty),+;)+) => {$($(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(Some(value.into()))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map(Into::into))
            }
        }
    )+)+};
}
value_from! {
    Integer: i64, i32, u32;
    Float: f64;
    Boolean: bool;
    Text: String, &str;
    Uuid: Uuid;
    Json: Json;
    Bytes: Vec<u8>;
    Time: Timestamp;
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}
impl From<Vec<String>> for Value {
    fn from(values: Vec<String>) -> Self {
        Self::Texts(values)
    }
}
impl From<Vec<i64>> for Value {
    fn from(values: Vec<i64>) -> Self {
        Self::Integers(values)
    }
}
impl From<Vec<Option<String>>> for Value {
    fn from(values: Vec<Option<String>>) -> Self {
        Self::OptionalTexts(values)
    }
}
impl From<Vec<Option<i64>>> for Value {
    fn from(values: Vec<Option<i64>>) -> Self {
        Self::OptionalIntegers(values)
    }
}
impl From<Vec<Option<Uuid>>> for Value {
    fn from(values: Vec<Option<Uuid>>) -> Self {
        Self::OptionalUuids(values)
    }
}
impl From<Vec<Timestamp>> for Value {
    fn from(values: Vec<Timestamp>) -> Self {
        Self::Times(values)
    }
}
impl From<Vec<Uuid>> for Value {
    fn from(values: Vec<Uuid>) -> Self {
        Self::Uuids(values)
    }
}

pub(crate) fn postgres_arguments(values: Vec<Value>) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Integer(v) => arguments.add(v),
            Value::Float(v) => arguments.add(v),
            Value::Boolean(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::Uuid(v) => arguments.add(v),
            Value::Json(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
            Value::Time(v) => arguments.add(v),
            Value::Texts(v) => arguments.add(v),
            Value::Integers(v) => arguments.add(v),
            Value::OptionalTexts(v) => arguments.add(v),
            Value::OptionalIntegers(v) => arguments.add(v),
            Value::OptionalUuids(v) => arguments.add(v),
            Value::Times(v) => arguments.add(v),
            Value::Uuids(v) => arguments.add(v),
        }
        .map_err(Error::Query)?;
    }
    Ok(arguments)
}
