//! Rows as they come out of either database, and what they are read into.

use serde::de::DeserializeOwned;
use sqlx::{ColumnIndex, Decode, Postgres, Row as _, Type, postgres::PgRow};
use uuid::Uuid;

use crate::{Error, Json, Result, Timestamp};

/// A row of either database, for as long as the statement stands on it.
pub struct Row<'r>(Inside<'r>);

enum Inside<'r> {
    Postgres(&'r PgRow),
    Sqlite(&'r rusqlite::Row<'r>),
}

impl<'r> Row<'r> {
    pub(crate) const fn postgres(row: &'r PgRow) -> Self {
        Self(Inside::Postgres(row))
    }

    pub(crate) const fn sqlite(row: &'r rusqlite::Row<'r>) -> Self {
        Self(Inside::Sqlite(row))
    }

    /// The value of the column with this name.
    ///
    /// # Errors
    /// [`Error::Query`] where there is no such column, or it holds something else.
    pub fn named<T: Field>(&self, name: &str) -> Result<T> {
        match &self.0 {
            Inside::Postgres(row) => T::of_postgres(row, Column(name.index(*row)?)),
            Inside::Sqlite(row) => {
                let columns: &rusqlite::Statement<'_> = row.as_ref();
                let at = columns.column_index(name).map_err(Error::query)?;
                T::of_sqlite(row, Column(at))
            }
        }
    }

    /// The value of the column in this place, counted from 0.
    ///
    /// # Errors
    /// As [`Row::named`].
    pub fn at<T: Field>(&self, place: usize) -> Result<T> {
        match &self.0 {
            Inside::Postgres(row) => T::of_postgres(row, Column(place)),
            Inside::Sqlite(row) => T::of_sqlite(row, Column(place)),
        }
    }
}

/// What a row is read into: a tuple, or a struct with `#[derive(database::Record)]`, whose fields are
/// columns of the same names.
///
/// A field may be named otherwise with `#[record(name = "…")]`, or be a record itself, read from the
/// same row, with `#[record(flatten)]`. Sums need `CAST(… AS BIGINT)`: PostgreSQL widens them to
/// `NUMERIC`.
pub trait Record: Sized + Send + 'static {
    /// Reads one row.
    ///
    /// # Errors
    /// [`Error::Query`] where a column is missing or holds something else.
    fn read(row: &Row<'_>) -> Result<Self>;
}

/// What a column is read into: `i64`, `f64`, `bool`, `String`, `Vec<u8>`, `Uuid` (SQLite: `BLOB`),
/// [`Json`] (PostgreSQL: `JSONB`, SQLite: `TEXT`), [`Timestamp`], and `Option`s of these.
pub trait Field: Sized {
    /// Reads it from a row of PostgreSQL.
    ///
    /// # Errors
    /// [`Error::Query`] where the column holds something else.
    fn of_postgres(row: &PgRow, column: Column) -> Result<Self>;

    /// Reads it from a row of SQLite.
    ///
    /// # Errors
    /// As [`Field::of_postgres`].
    fn of_sqlite(row: &rusqlite::Row<'_>, column: Column) -> Result<Self>;
}

/// A column's place in its row.
#[derive(Clone, Copy, Debug)]
pub struct Column(usize);

fn postgres<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    column: Column,
) -> Result<T> {
    row.try_get(column.0).map_err(Error::from)
}

macro_rules! fields {
    ($($type:ty),+) => {$(
        impl Field for $type {
            fn of_postgres(row: &PgRow, column: Column) -> Result<Self> {
                postgres(row, column)
            }

            fn of_sqlite(row: &rusqlite::Row<'_>, column: Column) -> Result<Self> {
                row.get(column.0).map_err(Error::query)
            }
        }
    )+};
}
fields!(i64, f64, bool, String, Vec<u8>);

impl Field for Uuid {
    fn of_postgres(row: &PgRow, column: Column) -> Result<Self> {
        postgres(row, column)
    }

    fn of_sqlite(row: &rusqlite::Row<'_>, column: Column) -> Result<Self> {
        row.get(column.0)
            .map(Self::from_bytes)
            .map_err(Error::query)
    }
}

impl Field for Timestamp {
    fn of_postgres(row: &PgRow, column: Column) -> Result<Self> {
        postgres(row, column)
    }

    fn of_sqlite(row: &rusqlite::Row<'_>, column: Column) -> Result<Self> {
        let micros = row.get(column.0).map_err(Error::query)?;
        Ok(Self::from_micros(micros))
    }
}

/// PostgreSQL: `BIGINT[]`; SQLite: a JSON array.
impl Field for Vec<i64> {
    fn of_postgres(row: &PgRow, column: Column) -> Result<Self> {
        postgres(row, column)
    }

    fn of_sqlite(row: &rusqlite::Row<'_>, column: Column) -> Result<Self> {
        Json::<Self>::of_sqlite(row, column).map(|Json(values)| values)
    }
}

impl<T: DeserializeOwned + 'static> Field for Json<T> {
    fn of_postgres(row: &PgRow, column: Column) -> Result<Self> {
        postgres(row, column)
    }

    fn of_sqlite(row: &rusqlite::Row<'_>, column: Column) -> Result<Self> {
        let value = row.get_ref(column.0).map_err(Error::query)?;
        let text = value.as_bytes().map_err(Error::query)?;
        serde_json::from_slice(text).map(Json).map_err(Error::query)
    }
}

impl<T: Field> Field for Option<T> {
    fn of_postgres(row: &PgRow, column: Column) -> Result<Self> {
        use sqlx::ValueRef;
        if row.try_get_raw(column.0)?.is_null() {
            return Ok(None);
        }
        T::of_postgres(row, column).map(Some)
    }

    fn of_sqlite(row: &rusqlite::Row<'_>, column: Column) -> Result<Self> {
        let value = row.get_ref(column.0).map_err(Error::query)?;
        if value == rusqlite::types::ValueRef::Null {
            return Ok(None);
        }
        T::of_sqlite(row, column).map(Some)
    }
}

macro_rules! tuples {
    ($(($($type:ident $place:tt),+))+) => {$(
        impl<$($type: Field + Send + 'static),+> Record for ($($type,)+) {
            fn read(row: &Row<'_>) -> Result<Self> {
                Ok(($(row.at::<$type>($place)?,)+))
            }
        }
    )+};
}
tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
}
