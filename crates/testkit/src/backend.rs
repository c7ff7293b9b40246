use std::any::Any;

use crate::{database, temp_dir};

/// One of the databases that everything must run on, empty and private to the test.
pub struct Backend {
    /// `sqlite` or `postgres`, for messages.
    pub name: &'static str,
    /// What `database::Database::connect` takes.
    pub url: String,
    /// Deletes the folder or drops the database.
    _guard: Box<dyn Any + Send + Sync>,
}

impl Backend {
    /// An SQLite file in a fresh folder.
    pub fn sqlite() -> Self {
        let folder = temp_dir();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        Self {
            name: "sqlite",
            url,
            _guard: Box::new(folder),
        }
    }

    /// A fresh database on PostgreSQL.
    ///
    /// # Panics
    /// As [`database`] does.
    pub async fn postgres() -> Self {
        let database = database().await;
        Self {
            name: "postgres",
            url: database.url().to_owned(),
            _guard: Box::new(database),
        }
    }

    /// Opens the database.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn open(&self, options: database::Options) -> database::Database {
        database::Database::connect(&self.url, options)
            .await
            .unwrap_or_else(|error| panic!("cannot open the {} database: {error}", self.name))
    }
}

/// Both databases, so that one conformance test runs over each:
/// `for backend in testkit::backends().await { … }`.
///
/// # Panics
/// As [`database`] does.
pub async fn backends() -> Vec<Backend> {
    vec![Backend::sqlite(), Backend::postgres().await]
}

/// Turns an `async fn name(backend: testkit::Backend)` into two tests, `name::sqlite` and
/// `name::postgres`: `testkit::both_databases!(it_appends_once, it_reads_in_order);`
#[macro_export]
macro_rules! both_databases {
    ($($body:ident),+ $(,)?) => {$(
        mod $body {
            #[tokio::test]
            async fn sqlite() {
                super::$body($crate::Backend::sqlite()).await;
            }
            #[tokio::test]
            async fn postgres() {
                super::$body($crate::Backend::postgres().await).await;
            }
        }
    )+};
}
