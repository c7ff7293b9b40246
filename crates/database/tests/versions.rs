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

#[tokio::test]
async fn who_may_only_read_opens_what_is_applied_and_is_told_what_is_missing() {
    let backend = testkit::Backend::postgres().await;
    let owner = backend.open(Options::default()).await;
    owner.migrate(version(1)).await.expect("it opens");
    // Roles belong to the whole server, which other tests use, too.
    let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
    for sql in [
        format!("CREATE ROLE {role} LOGIN"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"),
    ] {
        run(&owner, sql).await;
    }
    let url = backend.url.replace("//postgres@", &format!("//{role}@"));
    let reader = database::Database::connect(&url, Options::default())
        .await
        .expect("a role that may log in");
    reader.migrate(version(1)).await.expect("nothing to do");
    let error = reader.migrate(version(2)).await.expect_err("no right");
    assert!(error.to_string().contains("permission denied"), "{error}");
    reader.close().await;
    run(&owner, format!("DROP OWNED BY {role}")).await;
    run(&owner, format!("DROP ROLE {role}")).await;
}

async fn run(database: &database::Database, sql: String) {
    let pool = database.postgres_pool().expect("PostgreSQL");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(pool)
        .await
        .expect("a superuser may");
}
