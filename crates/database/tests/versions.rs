//! Two versions of a program over one database: forward, and back again.

use std::borrow::Cow;

use database::{Migrations, Options, params};
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// The scripts of a version of the program: the first `count` of them.
fn version(count: usize) -> Migrations {
    let scripts = [
        "CREATE TABLE things (name TEXT NOT NULL)",
        "ALTER TABLE things ADD COLUMN size BIGINT",
    ];
    let migrator = || {
        let migrations = (1..).zip(scripts).take(count).map(|(number, script)| {
            let kind = MigrationType::Simple;
            Migration::new(
                number,
                Cow::Borrowed("script"),
                kind,
                script.into_sql_str(),
                false,
            )
        });
        Migrator::with_migrations(migrations.collect())
    };
    Migrations::new("things", migrator(), migrator())
}

#[tokio::test]
async fn the_version_before_works_on_a_database_that_the_next_one_expanded() {
    for backend in testkit::backends().await {
        let database = backend.open(Options::default()).await;
        for count in [1, 2, 1, 2] {
            database.migrate(version(count)).await.expect("it opens");
            let insert = "INSERT INTO things (name) VALUES ($1)";
            database
                .execute(insert, params!["any"])
                .await
                .expect("a row");
        }
    }
}
