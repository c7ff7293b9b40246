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

/// Runs a statement once for each of `rows`; the number of rows that all of them touched.
pub(super) fn execute_each(
    connection: &Connection,
    text: &str,
    rows: &[Vec<Value>],
) -> Result<u64> {
    let mut statement = connection.prepare_cached(text)?;
    let places = places(&statement)?;
    let mut touched = 0;
    for values in rows {
        bind_at(&mut statement, &places, values)?;
        statement.raw_execute()?;
        touched += connection.changes();
    }
    Ok(touched)
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

fn bind(statement: &mut Statement<'_>, values: &[Value]) -> Result<()> {
    for index in 1..=statement.parameter_count() {
        let place = place(statement, index)?;
        bind_one(statement, index, given(values, place)?)?;
    }
    Ok(())
}

/// Which value each parameter takes.
fn places(statement: &Statement<'_>) -> Result<Vec<usize>> {
    let places = 1..=statement.parameter_count();
    places.map(|index| place(statement, index)).collect()
}

/// Which value a parameter takes. SQLite numbers parameters as they appear; `$3` is the third value
/// wherever it stands.
fn place(statement: &Statement<'_>, index: usize) -> Result<usize> {
    let name = statement.parameter_name(index);
    let number = name.and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
    let place = number.and_then(|number| number.checked_sub(1));
    place.ok_or_else(|| Error::query(format!("parameter {index} is not named $n")))
}

fn given(values: &[Value], place: usize) -> Result<&Value> {
    let missing = || Error::query(format!("no value for ${}", place + 1));
    values.get(place).ok_or_else(missing)
}

fn bind_at(statement: &mut Statement<'_>, places: &[usize], values: &[Value]) -> Result<()> {
    for (index, place) in (1..).zip(places) {
        bind_one(statement, index, given(values, *place)?)?;
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
        Value::OptionalTexts(v) => bind(&json(v)?),
        Value::OptionalIntegers(v) => bind(&json(v)?),
        Value::Times(v) => {
            let micros: Vec<_> = v.iter().map(|time| time.as_micros()).collect();
            bind(&json(&micros)?)
        }
        Value::Uuids(v) => {
            let hex: Vec<_> = v.iter().map(|id| id.simple().to_string()).collect();
            bind(&json(&hex)?)
        }
        Value::OptionalUuids(v) => {
            let hex = v.iter().map(|id| id.map(|id| id.simple().to_string()));
            bind(&json(&hex.collect::<Vec<_>>())?)
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
