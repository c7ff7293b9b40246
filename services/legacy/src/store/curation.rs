//! The `questions` table as curators write it. Deleted ones are only hidden, because answers refer
//! to them, and keep their ids.

use admin::domain::{Candidate, Choice, Difficulty, Filter, Known, Question, Stored};
use database::{Database, Dialect, Json, Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

use super::{json, named};

/// Rows that a scan reads at a time: what a filter in memory passes over costs no second query.
const SCAN: usize = 500;

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
    deleted_at: Option<Timestamp>,
}

impl TryFrom<Row> for Stored {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            question: Question {
                id: row.id,
                text: row.text,
                category: row.category,
                difficulty: named(&row.difficulty)?,
                choices: row.choices.0,
                correct_choice_id: row.correct_choice_id,
                tags: row.tags.0,
                version: row.version,
            },
            is_deleted: row.deleted_at.is_some(),
        })
    }
}

/// The first `wanted` questions behind `after` that the filter lets through, by id.
///
/// # Errors
/// As the database says.
pub async fn list(
    db: &Database,
    filter: &Filter,
    mut after: Uuid,
    wanted: usize,
) -> Result<Vec<Question>> {
    let mut found = Vec::new();
    // Category and difficulty have an index; tags and texts are looked through here.
    let is_selective = filter.tag.is_some() || filter.search.is_some();
    let limit = if is_selective { SCAN } else { wanted };
    while found.len() < wanted {
        let rows: Vec<Row> = db
            .fetch_all(
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                        deleted_at
                 FROM questions
                 WHERE deleted_at IS NULL AND id > $1
                   AND ($2 = '' OR category = $2) AND ($3 = '' OR difficulty = $3)
                 ORDER BY id LIMIT $4",
                params![
                    after,
                    filter.category.as_deref().unwrap_or_default(),
                    filter.difficulty.map_or("", Difficulty::as_str),
                    i64::try_from(limit).unwrap_or(i64::MAX)
                ],
            )
            .await?;
        let is_last = rows.len() < limit;
        for row in rows {
            let question = Stored::try_from(row)?.question;
            after = question.id;
            if found.len() < wanted && filter.matches(&question) {
                found.push(question);
            }
        }
        if is_last {
            break;
        }
    }
    Ok(found)
}

/// The question with that id.
///
/// # Errors
/// As the database says.
pub async fn by_id(db: &Database, id: Uuid) -> Result<Option<Question>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                    deleted_at
             FROM questions WHERE id = $1 AND deleted_at IS NULL",
            params![id],
        )
        .await?;
    let stored = row.map(Stored::try_from).transpose()?;
    Ok(stored.map(|stored| stored.question))
}

/// The row with that id, deleted or not; other edits of it wait until the transaction ends.
///
/// # Errors
/// As the database says.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Stored>> {
    Ok(lock_all(tx, vec![id]).await?.pop())
}

/// The rows with these ids, locked in the order of the ids.
///
/// # Errors
/// As the database says.
pub async fn lock_all(tx: &mut Tx, ids: Vec<Uuid>) -> Result<Vec<Stored>> {
    // A writing transaction on SQLite is alone anyway.
    let rows: Vec<Row> = tx
        .fetch_all(
            Sql::by_dialect(
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                        deleted_at
                 FROM questions WHERE id = ANY($1) ORDER BY id FOR UPDATE",
                "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                        deleted_at
                 FROM questions WHERE id IN (SELECT unhex(value) FROM json_each($1)) ORDER BY id",
            ),
            params![ids],
        )
        .await?;
    rows.into_iter().map(Stored::try_from).collect()
}

/// Waits until nobody else gives a question one of these contents, and keeps others from it until
/// the transaction ends; before any row is locked, so that nobody waits in a circle. `contents` are
/// what [`Question::content_id`] says.
///
/// # Errors
/// As the database says.
pub async fn claim(tx: &mut Tx, mut contents: Vec<Uuid>) -> Result<()> {
    // A writing transaction on SQLite is alone anyway.
    if tx.dialect() == Dialect::Postgres {
        contents.sort_unstable();
        tx.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(id::TEXT, 0))
             FROM unnest($1::UUID[]) AS given (id)",
            params![contents],
        )
        .await?;
    }
    Ok(())
}

/// The id of a question that is not deleted and has this text and category, but not its id.
///
/// # Errors
/// As the database says.
pub async fn twin(tx: &mut Tx, question: &Question) -> Result<Option<Uuid>> {
    let row: Option<(Uuid,)> = tx
        .fetch_optional(
            "SELECT id FROM questions
             WHERE category = $1 AND text = $2 AND id <> $3 AND deleted_at IS NULL
             ORDER BY id LIMIT 1",
            params![&question.category, &question.text, question.id],
        )
        .await?;
    Ok(row.map(|(id,)| id))
}

/// What is there of the questions that a batch of an import may be about, locked, and its contents
/// claimed.
///
/// # Errors
/// As the database says.
pub async fn known(tx: &mut Tx, batch: &[Candidate]) -> Result<Known> {
    claim(tx, batch.iter().map(Candidate::content_id).collect()).await?;
    let (categories, texts): (Vec<String>, Vec<String>) = batch
        .iter()
        .map(Candidate::content)
        .map(|(category, text)| (category.to_owned(), text.to_owned()))
        .unzip();
    let found: Vec<(Uuid,)> = tx
        .fetch_all(
            Sql::by_dialect(
                "SELECT id FROM questions
                 WHERE category = ANY($1) AND text = ANY($2) AND deleted_at IS NULL",
                "SELECT id FROM questions
                 WHERE category IN (SELECT DISTINCT value FROM json_each($1))
                   AND text IN (SELECT value FROM json_each($2)) AND deleted_at IS NULL",
            ),
            params![categories, texts],
        )
        .await?;
    let mut ids: Vec<Uuid> = batch.iter().map(Candidate::id).collect();
    ids.extend(found.into_iter().map(|(id,)| id));
    let mut known = Known::default();
    // Only the locked rows say what is so: an edit may have come between the two looks.
    for stored in lock_all(tx, ids).await? {
        let question = &stored.question;
        if !stored.is_deleted {
            // Of several with one content the one with the lowest id stays, as in `twin`.
            let content = (question.category.clone(), question.text.clone());
            known.by_content.entry(content).or_insert(question.id);
        }
        known.by_id.insert(question.id, stored);
    }
    Ok(known)
}

/// Adds a question, unless its id is taken; whether it did.
///
/// # Errors
/// As the database says.
pub async fn insert(tx: &mut Tx, question: &Question, now: Timestamp) -> Result<bool> {
    let inserted = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    tags, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
             ON CONFLICT (id) DO NOTHING",
            params![
                question.id,
                &question.text,
                &question.category,
                question.difficulty.as_str(),
                json(&question.choices)?,
                &question.correct_choice_id,
                json(&question.tags)?,
                question.version,
                now
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Replaces a row by the question as it is now, shown from now on. Its `updated_at` rises whatever the
/// clock says: whoever follows the edits finds them by it.
///
/// # Errors
/// As the database says.
pub async fn replace(tx: &mut Tx, question: &Question, now: Timestamp) -> Result<()> {
    tx.execute(
        Sql::by_dialect(
            "UPDATE questions SET text = $2, category = $3, difficulty = $4, choices = $5,
                    correct_choice_id = $6, tags = $7, version = $8, deleted_at = NULL,
                    updated_at = GREATEST($9, updated_at + INTERVAL '1 microsecond')
             WHERE id = $1",
            "UPDATE questions SET text = $2, category = $3, difficulty = $4, choices = $5,
                    correct_choice_id = $6, tags = $7, version = $8, deleted_at = NULL,
                    updated_at = MAX($9, updated_at + 1)
             WHERE id = $1",
        ),
        params![
            question.id,
            &question.text,
            &question.category,
            question.difficulty.as_str(),
            json(&question.choices)?,
            &question.correct_choice_id,
            json(&question.tags)?,
            question.version,
            now
        ],
    )
    .await?;
    Ok(())
}

/// Hides a question.
///
/// # Errors
/// As the database says.
pub async fn hide(tx: &mut Tx, id: Uuid, version: i64, now: Timestamp) -> Result<()> {
    tx.execute(
        Sql::by_dialect(
            "UPDATE questions SET deleted_at = $3, version = $2,
                    updated_at = GREATEST($3, updated_at + INTERVAL '1 microsecond')
             WHERE id = $1",
            "UPDATE questions SET deleted_at = $3, version = $2,
                    updated_at = MAX($3, updated_at + 1)
             WHERE id = $1",
        ),
        params![id, version, now],
    )
    .await?;
    Ok(())
}

/// Whether there is any question, hidden ones included.
///
/// # Errors
/// As the database says.
pub async fn is_empty(tx: &mut Tx) -> Result<bool> {
    let any: Option<(Uuid,)> = tx
        .fetch_optional("SELECT id FROM questions LIMIT 1", params![])
        .await?;
    Ok(any.is_none())
}
