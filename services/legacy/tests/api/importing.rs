//! Imports that are interrupted go on where they stopped.

use auth::{
    domain::{DisplayName, Email, User},
    import::{Counts, FromLegacy},
};
use database::{Options, params};
use service::import::{BATCH, Import};
use testkit::{Backend, CommitFaults};
use uuid::Uuid;

use crate::app::another;

testkit::both_databases!(an_interrupted_import_goes_on_where_it_stopped);

async fn an_interrupted_import_goes_on_where_it_stopped(backend: Backend) {
    let legacy = backend.open(Options::default()).await;
    legacy
        .migrate(legacy::store::migrations())
        .await
        .expect("the tables");
    let users = BATCH * 2 + 7;
    let mut tx = legacy.begin().await.expect("a transaction");
    let now = tx.now().await.expect("the time");
    for number in 0..users {
        let name = DisplayName::parse(&format!("player {number}")).expect("a name");
        let email = Email::parse(&format!("player{number}@example.org")).expect("an address");
        let user = User::registered(Uuid::now_v7(), &name);
        legacy::store::users::insert(&mut tx, &user, Some(&email), None, now)
            .await
            .expect("a row");
    }
    tx.commit().await.expect("a commit");

    let faults = CommitFaults::new();
    let options = Options {
        commit_hook: Some(faults.clone()),
        ..Options::default()
    };
    let database = another(&backend).await;
    let own = database.open(options).await;
    own.migrate(auth::store::migrations())
        .await
        .expect("the tables");
    faults.die_before(2);
    assert!(FromLegacy.run(&own, &legacy).await.is_err());
    faults.revive();

    let rest = FromLegacy.run(&own, &legacy).await.expect("the rest");
    let inserted = (users - BATCH).unsigned_abs();
    assert_eq!(
        rest,
        Counts {
            inserted,
            updated: 0,
            skipped: 0
        }
    );
    let (count,): (i64,) = own
        .fetch_one("SELECT COUNT(*) FROM users", params![])
        .await
        .expect("a count");
    assert_eq!(count, users);
    let again = FromLegacy.run(&own, &legacy).await.expect("a repeat");
    assert_eq!(
        again,
        Counts {
            inserted: 0,
            updated: 0,
            skipped: users.unsigned_abs()
        }
    );
}
