//! Taking over the monolith's questions, straight from its table.

use database::{Database, Options, Sql, Timestamp, params};
use question::{
    domain::{Filter, RawFilter},
    import::{Counts, FromLegacy},
    store::{self, imports, questions},
};
use serde_json::json;
use service::import::Import;
use testkit::Backend;
use uuid::Uuid;

use crate::id;

testkit::both_databases!(
    a_monolith_that_was_not_upgraded_yet_is_imported_without_tags,
    tags_and_words_come_along_and_follow_later_edits,
    an_import_that_goes_on_looks_once_more_at_what_lies_before_its_place,
);

/// The monolith's table, as far as an import reads it.
const TABLE: Sql = Sql::by_dialect(
    "CREATE TABLE questions (id UUID, text TEXT, category TEXT, difficulty TEXT, choices JSONB,
         correct_choice_id TEXT, version BIGINT, updated_at TIMESTAMPTZ, deleted_at TIMESTAMPTZ)",
    "CREATE TABLE questions (id BLOB, text TEXT, category TEXT, difficulty TEXT, choices TEXT,
         correct_choice_id TEXT, version INTEGER, updated_at INTEGER, deleted_at INTEGER)",
);

const TAGS: Sql = Sql::by_dialect(
    "ALTER TABLE questions ADD COLUMN tags JSONB NOT NULL DEFAULT '[]'",
    "ALTER TABLE questions ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
);

/// The monolith with one question, and an empty bank.
async fn both(backend: &Backend) -> (Backend, Database, Database) {
    let monolith = match backend.name {
        "postgres" => Backend::postgres().await,
        _ => Backend::sqlite(),
    };
    let legacy = monolith.open(Options::default()).await;
    legacy.execute(TABLE, params![]).await.expect("a table");
    let choices = json!([{ "id": "a", "text": "A reference" }]);
    legacy
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    version, updated_at)
             VALUES ($1, 'What is a borrow?', 'rust', 'easy', $2, 'a', 3, $3)",
            params![id(1), choices, Timestamp::from_micros(1_000_000)],
        )
        .await
        .expect("a question");
    let own = backend.open(Options::default()).await;
    own.migrate(store::migrations()).await.expect("its tables");
    (monolith, legacy, own)
}

async fn found(own: &Database, tag: Option<&str>, q: Option<&str>) -> Vec<Uuid> {
    let raw = RawFilter {
        tag: tag.map(str::to_owned),
        q: q.map(str::to_owned),
        ..RawFilter::default()
    };
    let filter = Filter::parse(&raw).expect("it is valid");
    let rows = questions::list(own, &filter).await.expect("a list");
    rows.into_iter().map(|question| question.id).collect()
}

async fn import(own: &Database, legacy: &Database) -> Counts {
    FromLegacy.run(own, legacy).await.expect("an import")
}

async fn a_monolith_that_was_not_upgraded_yet_is_imported_without_tags(backend: Backend) {
    let (_monolith, legacy, own) = both(&backend).await;
    assert_eq!(import(&own, &legacy).await.inserted, 1);
    let question = questions::by_id(&own, id(1)).await.expect("a read");
    let question = question.expect("it is there");
    assert_eq!((question.version, question.tags), (3, Vec::new()));
    assert_eq!(found(&own, None, Some("borr")).await, [id(1)]);
}

async fn tags_and_words_come_along_and_follow_later_edits(backend: Backend) {
    let (_monolith, legacy, own) = both(&backend).await;
    import(&own, &legacy).await;
    legacy.execute(TAGS, params![]).await.expect("a column");
    legacy
        .execute(
            "UPDATE questions SET text = 'What is a trait?', tags = $1, updated_at = $2",
            params![json!(["traits"]), Timestamp::from_micros(2_000_000)],
        )
        .await
        .expect("an edit");
    let updated = Counts {
        updated: 1,
        ..Counts::default()
    };
    assert_eq!(import(&own, &legacy).await, updated);
    assert_eq!(found(&own, Some("traits"), None).await, [id(1)]);
    assert_eq!(found(&own, None, Some("trait")).await, [id(1)]);
    assert_eq!(found(&own, None, Some("borrow")).await, [] as [Uuid; 0]);
    legacy
        .execute(
            "UPDATE questions SET deleted_at = $1, updated_at = $1",
            params![Timestamp::from_micros(3_000_000)],
        )
        .await
        .expect("a removal");
    assert_eq!(import(&own, &legacy).await, updated);
    assert_eq!(found(&own, Some("traits"), None).await, [] as [Uuid; 0]);
}

async fn an_import_that_goes_on_looks_once_more_at_what_lies_before_its_place(backend: Backend) {
    let (_monolith, legacy, own) = both(&backend).await;
    import(&own, &legacy).await;
    let mut tx = own.begin().await.expect("a transaction");
    let noted = imports::note_progress(&mut tx, id(9)).await;
    noted.expect("a place behind the question");
    tx.commit().await.expect("a commit");
    legacy
        .execute(
            "UPDATE questions SET text = 'What is a trait?', updated_at = $1",
            params![Timestamp::from_micros(2_000_000)],
        )
        .await
        .expect("an edit");
    assert_eq!(import(&own, &legacy).await.updated, 1);
    assert_eq!(found(&own, None, Some("trait")).await, [id(1)]);
    assert_eq!(imports::progress(&own).await.expect("a read"), None);
}
