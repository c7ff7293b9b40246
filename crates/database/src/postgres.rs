//! One statement on PostgreSQL: values in, rows out.

use sqlx::{Executor, Postgres};

use crate::{Record, Result, Value, record::Row, sql::postgres_arguments};

/// Runs a statement; the number of rows it touched.
pub(crate) async fn execute<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    text: &'static str,
    values: Vec<Value>,
) -> Result<u64> {
    let query = sqlx::query_with(text, postgres_arguments(values)?);
    Ok(query.execute(executor).await?.rows_affected())
}

/// Reads all rows.
pub(crate) async fn fetch_all<'c, T: Record>(
    executor: impl Executor<'c, Database = Postgres>,
    text: &'static str,
    values: Vec<Value>,
) -> Result<Vec<T>> {
    let query = sqlx::query_with(text, postgres_arguments(values)?);
    let rows = query.fetch_all(executor).await?;
    rows.iter()
        .map(|row| T::read(&Row::postgres(row)))
        .collect()
}

/// Reads the first row.
pub(crate) async fn fetch_optional<'c, T: Record>(
    executor: impl Executor<'c, Database = Postgres>,
    text: &'static str,
    values: Vec<Value>,
) -> Result<Option<T>> {
    let query = sqlx::query_with(text, postgres_arguments(values)?);
    let row = query.fetch_optional(executor).await?;
    row.map(|row| T::read(&Row::postgres(&row))).transpose()
}
