//! The `questions` table as players read it; deleted ones are never seen here. Curators write it:
//! see [`super::curation`].

mod counts;
mod draws;
mod index;

use contracts::events::Choice;
use database::{Database, Dialect, Json, Result, Sql, Tx, Value, params};
use question::domain::{Filter, Place, Pool, Question, Search};
use uuid::Uuid;

use super::named;

pub use counts::{categories, tags};
pub use draws::{Draw, draw};
pub use index::follow as keep_indexed;

#[derive(database::Record)]
struct Row {
    id: Uuid,
    text: String,
    category: String,
    difficulty: String,
    choices: Json<Vec<Choice>>,
    correct_choice_id: String,
    tags: Json<Vec<String>>,
    version: i64,
}

impl TryFrom<Row> for Question {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            text: row.text,
            category: row.category,
            difficulty: named(&row.difficulty)?,
            choices: row.choices.0,
            correct_choice_id: row.correct_choice_id,
            tags: row.tags.0,
            version: row.version,
        })
    }
}

/// The conditions of a pool: $1, $2 and $3 are [`Pool::parts`].
macro_rules! in_pool {
    (postgres) => {
        "deleted_at IS NULL AND ($1 = '' OR category = $1) AND ($2 = '' OR difficulty = $2)
         AND ($3 = '' OR tags @> jsonb_build_array($3))"
    };
    (sqlite) => {
        "deleted_at IS NULL AND ($1 = '' OR category = $1) AND ($2 = '' OR difficulty = $2)
         AND ($3 = '' OR id IN (SELECT question_id FROM question_tags WHERE tag = $3))"
    };
}

macro_rules! listed {
    ($dialect:ident) => {
        concat!(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
             FROM questions WHERE id > $4 AND ",
            in_pool!($dialect),
            " ORDER BY id LIMIT $5"
        )
    };
}

/// $6, $7 and $8 are the search's conditions, $9 and $4 the place behind which the page begins.
macro_rules! found {
    ($dialect:ident, $found:literal, $rank:literal) => {
        concat!(
            "WITH found AS (
                 SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version, ",
            $rank,
            " AS fit FROM question_search JOIN questions ON id = question_id WHERE ",
            $found,
            " AND ",
            in_pool!($dialect),
            ")
             SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
             FROM found WHERE fit < $9 OR (fit = $9 AND id > $4)
             ORDER BY fit DESC, id LIMIT $5"
        )
    };
}

const LISTED: Sql = Sql::by_dialect(listed!(postgres), listed!(sqlite));

/// `fit` is [`Search::rank`], by the index.
const FOUND: Sql = Sql::by_dialect(
    found!(
        postgres,
        "words @@ CAST($6 AS tsquery)",
        "2 * CAST(head_words @@ CAST($7 AS tsquery) AS INTEGER)
         + CAST(words @@ CAST($8 AS tsquery) AS INTEGER)"
    ),
    found!(
        sqlite,
        "number IN (SELECT rowid FROM question_words WHERE question_words MATCH $6)",
        "2 * (number IN (SELECT rowid FROM question_words WHERE question_words MATCH $7))
         + (number IN (SELECT rowid FROM question_words WHERE question_words MATCH $8))"
    ),
);

/// The rows of a page and one more, in the list's order: see [`Filter::page`].
///
/// # Errors
/// As the database says.
pub async fn list(db: &Database, filter: &Filter) -> Result<Vec<Question>> {
    let first = Place {
        rank: i64::MAX,
        id: Uuid::nil(),
    };
    let after = filter.after.unwrap_or(first);
    let mut values = of_pool(&filter.pool);
    values.extend(params![after.id, filter.rows()]);
    let sql = match &filter.search {
        None => LISTED,
        Some(search) => {
            let conditions = match db.dialect() {
                Dialect::Postgres => Search::postgres(search),
                Dialect::Sqlite => Search::sqlite(search),
            };
            let Some(conditions) = conditions else {
                return Ok(Vec::new());
            };
            index::refresh(db).await?;
            values.extend(params![
                conditions.found,
                conditions.in_head,
                conditions.exactly,
                after.rank
            ]);
            FOUND
        }
    };
    let rows: Vec<Row> = db.fetch_all(sql, values).await?;
    rows.into_iter().map(Question::try_from).collect()
}

/// The question with that id.
///
/// # Errors
/// As the database says.
pub async fn by_id(db: &Database, id: Uuid) -> Result<Option<Question>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
             FROM questions WHERE id = $1 AND deleted_at IS NULL",
            params![id],
        )
        .await?;
    row.map(Question::try_from).transpose()
}

/// The question with that id, kept from changing until the transaction ends.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Question>> {
    let row: Option<Row> = tx
        .fetch_optional(
            Sql::by_dialect(
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
                 FROM questions WHERE id = $1 AND deleted_at IS NULL FOR SHARE",
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version
                 FROM questions WHERE id = $1 AND deleted_at IS NULL",
            ),
            params![id],
        )
        .await?;
    row.map(Question::try_from).transpose()
}

/// The ids of a pool. One row comes back, whatever the pool's size: ten thousand would take most of
/// their time on the way.
///
/// # Errors
/// As the database says.
pub async fn ids(db: &Database, pool: &Pool) -> Result<Vec<Uuid>> {
    let (all,): (String,) = db
        .fetch_one(
            Sql::by_dialect(
                concat!(
                    "SELECT COALESCE(encode(string_agg(uuid_send(id), ''), 'hex'), '')
                     FROM questions WHERE ",
                    in_pool!(postgres)
                ),
                concat!(
                    "SELECT COALESCE(group_concat(hex(id), ''), '') FROM questions WHERE ",
                    in_pool!(sqlite)
                ),
            ),
            of_pool(pool),
        )
        .await?;
    let (ids, _) = all.as_bytes().as_chunks::<{ uuid::fmt::Simple::LENGTH }>();
    let undecodable = |error| database::Error::Query(Box::new(error));
    ids.iter()
        .map(|hex| Uuid::try_parse_ascii(hex).map_err(undecodable))
        .collect()
}

fn of_pool(pool: &Pool) -> Vec<Value> {
    pool.parts().map(Value::from).to_vec()
}
