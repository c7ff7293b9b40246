//! Rows of the monolith: what is read of them, and how they are taken over.
//!
//! Invariant: a row that was edited here is never overwritten.

use std::collections::HashMap;

use contracts::events::Choice;
use database::{Database, Json, Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

use super::{named, questions::values};
use crate::domain::{Question, Stored};

/// A question as the monolith has it.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacyQuestion {
    /// What it says, deleted or not.
    pub stored: Stored,
    /// When it was written last there.
    pub updated_at: Timestamp,
    created_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

/// Whether the monolith stores tags. One that was not upgraded yet does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tags {
    /// There is a column.
    Stored,
    /// There is none.
    Unknown,
}

/// As of when a row of the monolith is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    updated_at: Timestamp,
    /// None: it was taken over before versions were noted.
    version: Option<i64>,
}

/// What is here of one of the monolith's questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ours {
    /// The monolith's row as it is known; none: it was never seen.
    pub seen: Option<Seen>,
    /// Whether it was edited here.
    pub was_edited: bool,
}

impl Seen {
    /// Whether the row is another one than what is known. The version counts, too: the monolith's
    /// clock may be set back.
    #[must_use]
    pub fn is_outdated_by(&self, row: &LegacyQuestion) -> bool {
        let version = row.stored.question.version;
        self.updated_at < row.updated_at || self.version.is_some_and(|known| known < version)
    }
}

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
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

impl TryFrom<Row> for LegacyQuestion {
    type Error = database::Error;

    fn try_from(row: Row) -> Result<Self> {
        let question = Question {
            id: row.id,
            text: row.text,
            category: row.category,
            difficulty: named(&row.difficulty)?,
            choices: row.choices.0,
            correct_choice_id: row.correct_choice_id,
            tags: row.tags.0,
            version: row.version,
        };
        Ok(Self {
            stored: Stored {
                question,
                is_deleted: row.deleted_at.is_some(),
            },
            updated_at: row.updated_at,
            created_at: row.created_at,
            deleted_at: row.deleted_at,
        })
    }
}

/// Looks whether the monolith stores tags.
///
/// # Errors
/// As the monolith's database says.
pub async fn tags_in(legacy: &Database) -> Result<Tags> {
    let (columns,): (i64,) = legacy
        .fetch_one(
            Sql::by_dialect(
                "SELECT COUNT(*) FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = 'questions'
                   AND column_name = 'tags'",
                "SELECT COUNT(*) FROM pragma_table_info('questions') WHERE name = 'tags'",
            ),
            params![],
        )
        .await?;
    Ok(if columns > 0 {
        Tags::Stored
    } else {
        Tags::Unknown
    })
}

/// The next rows of the monolith's table, by id; deleted ones too.
///
/// # Errors
/// As the monolith's database says.
pub async fn read(
    legacy: &Database,
    tags: Tags,
    after: Uuid,
    limit: i64,
) -> Result<Vec<LegacyQuestion>> {
    let sql = match tags {
        Tags::Stored => Sql::from(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                    created_at, updated_at, deleted_at
             FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
        ),
        Tags::Unknown => Sql::by_dialect(
            "SELECT id, text, category, difficulty, choices, correct_choice_id,
                    CAST('[]' AS JSONB) AS tags, version, created_at, updated_at, deleted_at
             FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
            "SELECT id, text, category, difficulty, choices, correct_choice_id, '[]' AS tags,
                    version, created_at, updated_at, deleted_at
             FROM questions WHERE id > $1 ORDER BY id LIMIT $2",
        ),
    };
    let rows: Vec<Row> = legacy.fetch_all(sql, params![after, limit]).await?;
    rows.into_iter().map(LegacyQuestion::try_from).collect()
}

/// The next rows behind a place in the order of their last write.
///
/// # Errors
/// As the monolith's database says.
pub async fn read_changed(
    legacy: &Database,
    tags: Tags,
    (at, id): (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<LegacyQuestion>> {
    let sql = match tags {
        Tags::Stored => Sql::from(
            "SELECT id, text, category, difficulty, choices, correct_choice_id, tags, version,
                    created_at, updated_at, deleted_at
             FROM questions WHERE (updated_at, id) > ($1, $2)
             ORDER BY updated_at, id LIMIT $3",
        ),
        Tags::Unknown => Sql::by_dialect(
            "SELECT id, text, category, difficulty, choices, correct_choice_id,
                    CAST('[]' AS JSONB) AS tags, version, created_at, updated_at, deleted_at
             FROM questions WHERE (updated_at, id) > ($1, $2)
             ORDER BY updated_at, id LIMIT $3",
            "SELECT id, text, category, difficulty, choices, correct_choice_id, '[]' AS tags,
                    version, created_at, updated_at, deleted_at
             FROM questions WHERE (updated_at, id) > ($1, $2)
             ORDER BY updated_at, id LIMIT $3",
        ),
    };
    let rows: Vec<Row> = legacy.fetch_all(sql, params![at, id, limit]).await?;
    rows.into_iter().map(LegacyQuestion::try_from).collect()
}

/// When the monolith's last write was; the epoch where it holds nothing.
///
/// # Errors
/// As the monolith's database says.
pub async fn last_write(legacy: &Database) -> Result<Timestamp> {
    let (at,): (Option<Timestamp>,) = legacy
        .fetch_one("SELECT MAX(updated_at) FROM questions", params![])
        .await?;
    Ok(at.unwrap_or(Timestamp::from_micros(0)))
}

/// What is here of a question; nothing for one that is not here.
///
/// # Errors
/// As the database says.
pub async fn ours(tx: &mut Tx, id: Uuid) -> Result<Option<Ours>> {
    let row: Option<(Option<Timestamp>, Option<i64>, Option<Timestamp>)> = tx
        .fetch_optional(
            "SELECT legacy_updated_at, legacy_version, changed_here_at
             FROM questions WHERE id = $1",
            params![id],
        )
        .await?;
    Ok(row.map(|(updated_at, version, changed_here_at)| Ours {
        seen: updated_at.map(|updated_at| Seen {
            updated_at,
            version,
        }),
        was_edited: changed_here_at.is_some(),
    }))
}

/// As of when the monolith's rows with these ids are known, where they are.
///
/// # Errors
/// As the database says.
pub async fn known(own: &Database, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Seen>> {
    let rows: Vec<(Uuid, Timestamp, Option<i64>)> = own
        .fetch_all(
            Sql::by_dialect(
                "SELECT id, legacy_updated_at, legacy_version FROM questions
                 WHERE id = ANY($1) AND legacy_updated_at IS NOT NULL",
                "SELECT id, legacy_updated_at, legacy_version FROM questions
                 WHERE id IN (SELECT unhex(value) FROM json_each($1))
                   AND legacy_updated_at IS NOT NULL",
            ),
            params![ids],
        )
        .await?;
    let seen = |(id, updated_at, version)| {
        let seen = Seen {
            updated_at,
            version,
        };
        (id, seen)
    };
    Ok(rows.into_iter().map(seen).collect())
}

/// Adds a question of the monolith, unless its id is here; whether it did. `applied` is the version
/// that players are known to see.
///
/// # Errors
/// As the database says.
pub async fn insert(tx: &mut Tx, row: &LegacyQuestion, applied: i64) -> Result<bool> {
    let mut parameters = values(&row.stored.question, row.updated_at);
    parameters.extend(params![row.created_at, row.deleted_at, applied]);
    let inserted = tx
        .execute(
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    tags, version, legacy_version, updated_at,
                                    legacy_updated_at, created_at, deleted_at, applied_version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $9, $10, $11, $12)
             ON CONFLICT (id) DO NOTHING",
            parameters,
        )
        .await?;
    Ok(inserted == 1)
}

/// Takes over what the monolith says of a question now, unless it was edited here or this is
/// known; whether it did. `version` is what it counts as here.
///
/// # Errors
/// As the database says.
pub async fn update(tx: &mut Tx, row: &LegacyQuestion, version: i64) -> Result<bool> {
    let question = Question {
        version,
        ..row.stored.question.clone()
    };
    let mut parameters = values(&question, row.updated_at);
    parameters.extend(params![row.deleted_at, row.stored.question.version]);
    let updated = tx
        .execute(
            "UPDATE questions SET text = $2, category = $3, difficulty = $4, choices = $5,
                    correct_choice_id = $6, tags = $7, version = $8, updated_at = $9,
                    legacy_updated_at = $9, legacy_version = $11, deleted_at = $10
             WHERE id = $1 AND changed_here_at IS NULL
               AND (legacy_updated_at < $9 OR legacy_version < $11)",
            parameters,
        )
        .await?;
    Ok(updated == 1)
}

/// Notes that the monolith's row is known, and changes nothing else.
///
/// # Errors
/// As the database says.
pub async fn seen(tx: &mut Tx, row: &LegacyQuestion) -> Result<()> {
    tx.execute(
        "UPDATE questions SET legacy_updated_at = $2, legacy_version = $3 WHERE id = $1",
        params![
            row.stored.question.id,
            row.updated_at,
            row.stored.question.version
        ],
    )
    .await?;
    Ok(())
}

/// Both sides say the same: the monolith's next edit is none of a question that was edited here.
///
/// # Errors
/// As the database says.
pub async fn agree(tx: &mut Tx, id: Uuid) -> Result<()> {
    tx.execute(
        "UPDATE questions SET changed_here_at = NULL
         WHERE id = $1 AND legacy_updated_at IS NOT NULL",
        params![id],
    )
    .await?;
    Ok(())
}
