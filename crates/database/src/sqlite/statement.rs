//! One statement on one connection: values in, rows out.

use rusqlite::{
    Connection, Statement,
    types::{Null, ToSql},
};

use crate::{Error, Record, Result, Value, record::Row};

/// Runs a statement; the number of rows it touched.
pub(super) fn execute(connection: &Connection, text: &str, values: &[Value]) -> Result<u64> {
    let mut statement = connection.prepare_cached(text)?;
    bind(&mut statement, values)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(connection.changes())
}

/// Reads all rows.
pub(super) fn fetch_all<T: Record>(
    connection: &Connection,
    text: &str,
    values: &[Value],
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(text)?;
    bind(&mut statement, values)?;
    let mut rows = statement.raw_query();
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(T::read(&Row::sqlite(row))?);
    }
    Ok(records)
}

/// Reads the first row. What a statement writes is written as it gives its first row.
pub(super) fn fetch_optional<T: Record>(
    connection: &Connection,
    text: &str,
    values: &[Value],
) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached(text)?;
    bind(&mut statement, values)?;
    let mut rows = statement.raw_query();
    let row = rows.next()?;
    row.map(|row| T::read(&Row::sqlite(row))).transpose()
}

/// SQLite numbers parameters as they appear; `$3` is the third value wherever it stands.
fn bind(statement: &mut Statement<'_>, values: &[Value]) -> Result<()> {
    for index in 1..=statement.parameter_count() {
        let number = statement.parameter_name(index).and_then(|name| {
            let digits = name.strip_prefix('$')?;
            digits.parse::<usize>().ok()
        });
        let value = number.and_then(|number| values.get(number.checked_sub(1)?));
        let Some(value) = value else {
            return Err(Error::Query(
                format!("no value for parameter {index}").into(),
            ));
        };
        bind_one(statement, index, value)?;
    }
    Ok(())
}

fn bind_one(statement: &mut Statement<'_>, index: usize, value: &Value) -> Result<()> {
    let mut bind = |value: &dyn ToSql| statement.raw_bind_parameter(index, value);
    let bound = match value {
        Value::Integer(Some(v)) => bind(v),
        Value::Float(Some(v)) => bind(v),
        Value::Boolean(Some(v)) => bind(v),
        Value::Text(Some(v)) => bind(v),
        Value::Uuid(Some(v)) => bind(&v.as_bytes().as_slice()),
        Value::Bytes(Some(v)) => bind(v),
        Value::Time(Some(v)) => bind(&v.as_micros()),
        Value::Json(Some(v)) => bind(&json(v)?),
        Value::Texts(v) => bind(&json(v)?),
        Value::Integers(v) => bind(&json(v)?),
        Value::Uuids(v) => {
            let hex: Vec<_> = v.iter().map(|id| id.simple().to_string()).collect();
            bind(&json(&hex)?)
        }
        Value::Integer(None)
        | Value::Float(None)
        | Value::Boolean(None)
        | Value::Text(None)
        | Value::Uuid(None)
        | Value::Bytes(None)
        | Value::Time(None)
        | Value::Json(None) => bind(&Null),
    };
    Ok(bound?)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::query)
}
