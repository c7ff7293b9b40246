use std::{collections::HashMap, fs::File, path::Path};

use sqlx::{PgPool, migrate::Migrator, sqlite::SqliteConnectOptions};

use crate::{Database, Error, Result, connect::Pools};

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
            Pools::Sqlite { writer, .. } => {
                migrations.sqlite.set_ignore_missing(true);
                migrations.sqlite.dangerous_set_table_name(book);
                let _alone = alone(&writer.connect_options()).await?;
                migrations.sqlite.run(writer).await?;
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

/// Waits until no other process migrates the same SQLite file. PostgreSQL has advisory locks for
/// this, which the migrator takes by itself; SQLite has none that outlives a transaction, and two
/// first starts would both find the tables missing. The lock is a file beside the database, for a
/// process that opens and closes the database's own file loses SQLite's locks on it.
async fn alone(options: &SqliteConnectOptions) -> Result<File> {
    let mut name = options.get_filename().as_os_str().to_owned();
    name.push(".migrating");
    let cannot_lock = |error: std::io::Error| {
        let path = Path::new(&name).display();
        Error::Configuration(format!("cannot lock {path}: {error}"))
    };
    let file = File::create(&name).map_err(cannot_lock)?;
    let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    locking
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(cannot_lock)
}
