//! Reads that come together. On one thread all of them wait before the task that reads runs, so that they
//! are one group.

use database::{Options, params};
use futures::{FutureExt, future::join_all};
use testkit::{Backend, Statements};

use super::*;

testkit::both_databases!(
    everybody_is_told_what_has_its_own_id,
    where_they_cannot_be_read_together_each_is_read_alone,
    a_read_begins_after_it_was_asked_for,
);

async fn one(db: &Database, id: Uuid) -> Result<Option<String>> {
    let sql = "SELECT name FROM things WHERE id = $1";
    let row: Option<(String,)> = db.fetch_optional(sql, params![id]).await?;
    Ok(row.map(|(name,)| name))
}

async fn several(db: &Database, ids: Vec<Uuid>) -> Result<HashMap<Uuid, String>> {
    let sql = "SELECT id, name FROM things WHERE id = ANY($1)";
    let rows: Vec<(Uuid, String)> = db.fetch_all(sql, params![ids]).await?;
    Ok(rows.into_iter().collect())
}

async fn failing(db: &Database, _: Vec<Uuid>) -> Result<HashMap<Uuid, String>> {
    let rows: Vec<(Uuid, String)> = db.fetch_all("SELECT nothing", params![]).await?;
    Ok(rows.into_iter().collect())
}

/// Three things, and a fourth id that nothing has.
async fn things(backend: &Backend, several: Several<String>) -> (Arc<Gathered<String>>, Vec<Uuid>) {
    let db = backend.open(Options::default()).await;
    let ids: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
    let mut tx = db.begin().await.expect("a transaction");
    let table = "CREATE TABLE things (id UUID PRIMARY KEY, name TEXT NOT NULL)";
    tx.execute(table, params![]).await.expect("a table");
    for (id, name) in ids.iter().zip(["a", "b", "c"]) {
        write(&mut tx, *id, name).await;
    }
    tx.commit().await.expect("a commit");
    let gathered = Gathered::new(db, |db, id| one(db, id).boxed(), several);
    (Arc::new(gathered), ids)
}

async fn write(tx: &mut database::Tx, id: Uuid, name: &str) {
    let sql = "INSERT INTO things (id, name) VALUES ($1, $2)
               ON CONFLICT (id) DO UPDATE SET name = excluded.name";
    tx.execute(sql, params![id, name]).await.expect("a thing");
}

async fn all(gathered: &Arc<Gathered<String>>, ids: &[Uuid]) -> Vec<Option<String>> {
    let each = ids.iter().map(|id| gathered.find(*id));
    let found: Result<Vec<_>> = join_all(each).await.into_iter().collect();
    found.expect("they are read")
}

fn names(names: [Option<&str>; 5]) -> Vec<Option<String>> {
    names.map(|name| name.map(ToOwned::to_owned)).to_vec()
}

async fn everybody_is_told_what_has_its_own_id(backend: Backend) {
    let (gathered, ids) = things(&backend, |db, ids| several(db, ids).boxed()).await;
    let asked = [ids[2], ids[3], ids[0], ids[1], ids[0]];
    let told = names([Some("c"), None, Some("a"), Some("b"), Some("a")]);
    let statements = Statements::listen();
    assert_eq!(all(&gathered, &asked).await, told);
    let sent = statements.take();
    if gathered.db.dialect() == Dialect::Postgres {
        assert_eq!(sent.len(), 1, "{sent:?}");
    }
}

async fn where_they_cannot_be_read_together_each_is_read_alone(backend: Backend) {
    let (gathered, ids) = things(&backend, |db, ids| failing(db, ids).boxed()).await;
    let asked = [ids[0], ids[1], ids[3], ids[2], ids[1]];
    let told = names([Some("a"), Some("b"), None, Some("c"), Some("b")]);
    assert_eq!(all(&gathered, &asked).await, told);
    assert_eq!(all(&gathered, &asked).await, told, "somebody serves again");
}

async fn a_read_begins_after_it_was_asked_for(backend: Backend) {
    let (gathered, ids) = things(&backend, |db, ids| several(db, ids).boxed()).await;
    for name in ["d", "e", "f"] {
        let mut tx = gathered.db.begin().await.expect("a transaction");
        write(&mut tx, ids[3], name).await;
        tx.commit().await.expect("a commit");
        let found = gathered.find(ids[3]).await.expect("it is read");
        assert_eq!(found.as_deref(), Some(name));
        // Nobody waits for this one.
        drop(gathered.find(ids[0]).now_or_never());
    }
}
