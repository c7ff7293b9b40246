//! How many questions there are, at the bounds of an answer.

use database::{Database, Options, Sql, params};
use question::store::{self, counts};
use testkit::Backend;

testkit::both_databases!(
    a_category_is_counted_whole_or_not_at_all,
    two_versions_at_work_do_not_take_turns_at_the_index,
);

/// $1 categories with one easy question each.
const FILL: Sql = Sql::by_dialect(
    "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id, version,
                            updated_at, legacy_updated_at)
     SELECT gen_random_uuid(), 'What is it?', 'c-' || CAST(1000000 + i AS TEXT), 'easy', '[]', 'a',
            1, now(), now()
     FROM generate_series(1, CAST($1 AS BIGINT)) AS i",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
     INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id, version,
                            updated_at, legacy_updated_at)
     SELECT randomblob(16), 'What is it?', 'c-' || CAST(1000000 + i AS TEXT), 'easy', '[]', 'a',
            1, 1, 1
     FROM n",
);

async fn bank(backend: &Backend, categories: i64) -> Database {
    let db = backend.open(Options::default()).await;
    db.migrate(store::migrations()).await.expect("its tables");
    let filled = db.execute(FILL, params![categories]).await;
    filled.expect("questions");
    db
}

async fn a_category_is_counted_whole_or_not_at_all(backend: Backend) {
    let db = bank(&backend, 1_001).await;
    db.execute(
        "UPDATE questions SET difficulty = 'hard', category = 'c-1000001'
         WHERE category = 'c-1000002'",
        params![],
    )
    .await
    .expect("an edit");
    db.execute(FILL, params![1_001_i64]).await.expect("more");
    let counts = counts::categories(&db).await.expect("counts");
    assert_eq!(counts.len(), 1_000);
    let first = &counts[0];
    assert_eq!(
        (
            first.category.as_str(),
            first.difficulties.easy,
            first.difficulties.hard
        ),
        ("c-1000001", 2, 1)
    );
    assert_eq!(counts[999].category, "c-1001000");
    db.close().await;
}

async fn two_versions_at_work_do_not_take_turns_at_the_index(backend: Backend) {
    let db = bank(&backend, 3).await;
    let indexed = async || store::index::refresh(&db).await.expect("an index");
    assert_eq!(indexed().await, 3);
    let format = async |sql: &'static str| db.execute(sql, params![]).await.expect("an edit");
    format("UPDATE question_search SET format = format + 1").await;
    assert_eq!(indexed().await, 0);
    format("UPDATE question_search SET format = format - 2").await;
    assert_eq!(indexed().await, 3);
    db.close().await;
}
