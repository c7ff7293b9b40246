//! Idempotency keys in the database: how long they stand for a request.

use std::time::Duration;

use database::{Database, Options};
use quiz::store::{
    self,
    keys::{self, Key, Used},
};
use testkit::Backend;
use uuid::Uuid;

testkit::both_databases!(
    a_key_stands_for_its_request_until_it_expires,
    expired_keys_are_deleted_in_bounded_batches,
);

async fn open(home: &Backend) -> Database {
    let db = home.open(Options::default()).await;
    db.migrate(store::migrations()).await.expect("tables");
    db
}

fn key(text: &str) -> Key {
    let fingerprint = vec![1, 2, 3];
    Key {
        subject: Uuid::from_u128(7),
        path: "/api/answers",
        key: text.to_owned(),
        fingerprint,
    }
}

async fn a_key_stands_for_its_request_until_it_expires(home: Backend) {
    let db = open(&home).await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let now = db.now().await.expect("a time");
    let later = now + Duration::from_secs(60);
    let mut tx = db.begin().await.expect("a transaction");
    let (one, other) = (key("k"), key("l"));
    keys::remember(&mut tx, &[(&one, first), (&other, second)], later)
        .await
        .expect("remembered");
    let expected = |answer_id| {
        Some(Used {
            fingerprint: vec![1, 2, 3],
            answer_id,
        })
    };
    // Each in its place.
    let unknown = key("m");
    let asked = [&other, &unknown, &one];
    let used = keys::find_within(&mut tx, &asked, now).await.expect("read");
    assert_eq!(used, [expected(second), None, expected(first)]);
    let used = keys::find_within(&mut tx, &[&one], later)
        .await
        .expect("read");
    assert_eq!(used, [None]);
    // The same key may be used again after that.
    keys::remember(&mut tx, &[(&one, second)], later + Duration::from_secs(1))
        .await
        .expect("used");
    tx.commit().await.expect("committed");
    assert_eq!(
        keys::find(&db, &key("k")).await.expect("read"),
        expected(second)
    );
    assert_eq!(keys::find(&db, &key("other")).await.expect("read"), None);
}

async fn expired_keys_are_deleted_in_bounded_batches(home: Backend) {
    let db = open(&home).await;
    let now = db.now().await.expect("a time");
    let mut tx = db.begin().await.expect("a transaction");
    for n in 0..5 {
        let until = now + Duration::from_secs(60 * n);
        keys::remember(&mut tx, &[(&key(&n.to_string()), Uuid::nil())], until)
            .await
            .expect("used");
    }
    tx.commit().await.expect("committed");
    let at = now + Duration::from_secs(180);
    let mut deleted = Vec::new();
    for _ in 0..3 {
        let mut tx = db.begin().await.expect("a transaction");
        deleted.push(keys::prune(&mut tx, at, 3).await.expect("pruned"));
        tx.commit().await.expect("committed");
    }
    assert_eq!(deleted, [3, 1, 0]);
    let left = keys::find(&db, &key("4")).await.expect("read");
    assert!(left.is_some());
}
