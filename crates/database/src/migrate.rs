use sqlx::migrate::Migrator;

use crate::{Database, Result, connect::Pools};

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
    /// # Errors
    /// [`crate::Error::Migration`] when a script fails, or is not the one that was applied.
    pub async fn migrate(&self, mut migrations: Migrations) -> Result<()> {
        let book = format!("migrations_{}", migrations.name);
        match &self.inner.pools {
            Pools::Postgres(pool) => {
                migrations.postgres.set_ignore_missing(true);
                migrations.postgres.dangerous_set_table_name(book);
                migrations.postgres.run(pool).await?;
            }
            Pools::Sqlite { writer, .. } => {
                migrations.sqlite.set_ignore_missing(true);
                migrations.sqlite.dangerous_set_table_name(book);
                migrations.sqlite.run(writer).await?;
            }
        }
        Ok(())
    }
}
