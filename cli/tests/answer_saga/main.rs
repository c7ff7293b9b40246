//! The life of an answer over three services: quiz owns the saga, achievement and leaderboard take
//! part. Everything here is told over HTTP, as clients and operators see it, on both databases.

mod accounts;
mod books;
mod compensated;
mod completed;
mod concurrent;
mod crashes;
mod departures;
mod leaderless;
mod repeated;
mod world;

/// Turns `async fn name(kind: Kind)` into a test for each database.
macro_rules! on_both_databases {
    ($($body:ident),+ $(,)?) => {$(
        mod $body {
            use crate::world::Kind;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$body(Kind::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$body(Kind::Postgres).await;
            }
        }
    )+};
}
pub(crate) use on_both_databases;
