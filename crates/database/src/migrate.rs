use std::{collections::HashMap, fs::File, path::Path, time::Instant};

use sqlx::{
    PgPool,
    migrate::{MigrateError, Migration, Migrator},
};

use crate::{Database, Error, Result, connect::Pools, params, sqlite::Sqlite};

/// One named set of forward-only migrations, in both dialects.
///
/// Several sets live in one database (a service's own tables, the outbox's, the sagas'): each
/// keeps its book in a table of its own, `migrations_{name}`.
pub struct Migrations {
    name: &'static str,
    postgres: Migrator,
    sqlite: Migrator,
}

impl Migrations {
    /// `name` is the database's folder under `migrations/`; the migrators come from
    /// `sqlx::migrate!`.
    pub const fn new(name: &'static str, postgres: Migrator, sqlite: Migrator) -> Self {
        Self {
            name,
            postgres,
            sqlite,
        }
    }
}

impl Database {
    /// Applies what is missing of `migrations`; safe to run from several replicas at once. A database
    /// that a later version of the program has brought further is left as it is: migrations only
    /// expand, so the version before works on it, which is what rolling a service back needs.
    ///
    /// A PostgreSQL database that has all of them is only looked at, which takes no right but to
    /// read: whoever uses tables of another owner, as every service does the log's, needs no more.
    ///
    /// # Errors
    /// [`crate::Error::Migration`] when a script fails, or is not the one that was applied.
    pub async fn migrate(&self, mut migrations: Migrations) -> Result<()> {
        let book = format!("migrations_{}", migrations.name);
        match &self.inner.pools {
            Pools::Postgres(pool) => {
                if is_applied(pool, &migrations.postgres, &book).await? {
                    return Ok(());
                }
                migrations.postgres.set_ignore_missing(true);
                migrations.postgres.dangerous_set_table_name(book);
                migrations.postgres.run(pool).await?;
            }
            Pools::Sqlite(sqlite) => {
                let _alone = alone(&sqlite.path).await?;
                apply(sqlite, &migrations.sqlite, &book).await?;
            }
        }
        Ok(())
    }
}

/// Whether the book has every migration as it is here, each with success.
async fn is_applied(pool: &PgPool, wanted: &Migrator, book: &str) -> Result<bool> {
    let (there,): (bool,) = sqlx::query_as("SELECT to_regclass($1) IS NOT NULL")
        .bind(book)
        .fetch_one(pool)
        .await?;
    if !there {
        return Ok(false);
    }
    // The name is one of ours, from `Migrations::new`.
    let sql = format!("SELECT version, checksum FROM {book} WHERE success");
    let applied: HashMap<i64, Vec<u8>> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_all(pool)
        .await?
        .into_iter()
        .collect();
    Ok(wanted
        .iter()
        .filter(|migration| !migration.migration_type.is_down_migration())
        .all(|migration| {
            applied
                .get(&migration.version)
                .is_some_and(|checksum| **checksum == *migration.checksum)
        }))
}

/// Applies what is missing of `wanted` to a file, each script in a transaction with its line in the
/// book, whose columns are those that `sqlx` gives it on either database.
async fn apply(sqlite: &Sqlite, wanted: &Migrator, book: &str) -> Result<()> {
    let mut unit = sqlite.writer.begin().await?;
    unit.run_script(&format!(
        "CREATE TABLE IF NOT EXISTS {book} (
             version BIGINT PRIMARY KEY,
             description TEXT NOT NULL,
             installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
             success BOOLEAN NOT NULL,
             checksum BLOB NOT NULL,
             execution_time BIGINT NOT NULL
         )"
    ))?;
    unit.commit(Vec::new()).await?;
    for migration in wanted.iter() {
        if !migration.migration_type.is_down_migration() {
            apply_one(sqlite, migration, book).await?;
        }
    }
    Ok(())
}

async fn apply_one(sqlite: &Sqlite, migration: &Migration, book: &str) -> Result<()> {
    let version = migration.version;
    let started = Instant::now();
    let mut unit = sqlite.writer.begin().await?;
    let sql = format!("SELECT checksum, success FROM {book} WHERE version = $1");
    let applied: Option<(Vec<u8>, bool)> = unit.fetch_optional(&sql, &params![version])?;
    if let Some((checksum, success)) = applied {
        return if !success {
            Err(MigrateError::Dirty(version).into())
        } else if *checksum == *migration.checksum {
            Ok(())
        } else {
            Err(MigrateError::VersionMismatch(version).into())
        };
    }
    unit.run_script(migration.sql.as_str())
        .map_err(|error| failed(error, version))?;
    let took = i64::try_from(started.elapsed().as_nanos()).unwrap_or(i64::MAX);
    let sql = format!(
        "INSERT INTO {book} (version, description, success, checksum, execution_time)
         VALUES ($1, $2, TRUE, $3, $4)"
    );
    let description = migration.description.to_string();
    let checksum = migration.checksum.to_vec();
    let values = params![version, description, checksum, took];
    unit.execute(&sql, &values)?;
    unit.commit(Vec::new()).await
}

/// What a script that fails says; a full disk or a busy file is not the script's fault.
fn failed(error: Error, version: i64) -> Error {
    if error.is_transient() {
        return error;
    }
    let cause = sqlx::Error::Decode(error.into());
    MigrateError::ExecuteMigration(cause, version).into()
}

/// Waits until no other process migrates the same SQLite file. PostgreSQL has advisory locks for
/// this, which the migrator takes by itself; SQLite has none that outlives a transaction, and two
/// first starts would both find the tables missing. The lock is a file beside the database, for a
/// process that opens and closes the database's own file loses SQLite's locks on it.
async fn alone(database: &Path) -> Result<File> {
    let mut name = database.as_os_str().to_owned();
    name.push(".migrating");
    let cannot_lock = |error: std::io::Error| {
        let path = Path::new(&name).display();
        Error::Configuration(format!("cannot lock {path}: {error}"))
    };
    let file = File::create(&name).map_err(cannot_lock)?;
    if faults::simulated().is_some() {
        return Ok(file);
    }
    let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    locking
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(cannot_lock)
}
