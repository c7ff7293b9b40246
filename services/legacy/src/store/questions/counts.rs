//! How many questions there are, by category and by tag.

use std::collections::BTreeMap;

use contracts::{
    Difficulty,
    http::{CategoryCount, DifficultyCounts, TagCount},
};
use database::{Database, Result, Sql, params};

use super::named;

/// Categories in an answer at most; a bank has a handful.
const CATEGORIES_MAX: i64 = 1_000;

/// Tags in an answer at most: more than anybody chooses from.
const TAGS_MAX: i64 = 500;

/// The categories that have questions, in alphabetical order; the first [`CATEGORIES_MAX`] whole.
///
/// # Errors
/// As the database says.
pub async fn categories(db: &Database) -> Result<Vec<CategoryCount>> {
    let rows: Vec<(String, String, i64)> = db
        .fetch_all(
            Sql::by_dialect(
                "SELECT category, difficulty, COUNT(*) FROM questions
                 WHERE deleted_at IS NULL AND category IN (
                     SELECT category FROM questions WHERE deleted_at IS NULL
                     GROUP BY category ORDER BY category COLLATE \"C\" LIMIT $1)
                 GROUP BY category, difficulty",
                "SELECT category, difficulty, COUNT(*) FROM questions
                 WHERE deleted_at IS NULL AND category IN (
                     SELECT category FROM questions WHERE deleted_at IS NULL
                     GROUP BY category ORDER BY category LIMIT $1)
                 GROUP BY category, difficulty",
            ),
            params![CATEGORIES_MAX],
        )
        .await?;
    let mut counts: BTreeMap<String, DifficultyCounts> = BTreeMap::new();
    for (category, difficulty, count) in rows {
        let counts = counts.entry(category).or_insert(DifficultyCounts {
            easy: 0,
            medium: 0,
            hard: 0,
        });
        match named(&difficulty)? {
            Difficulty::Easy => counts.easy += count,
            Difficulty::Medium => counts.medium += count,
            Difficulty::Hard => counts.hard += count,
        }
    }
    let counted = |(category, counts): (String, DifficultyCounts)| CategoryCount {
        category,
        count: counts.easy + counts.medium + counts.hard,
        difficulties: counts,
    };
    Ok(counts.into_iter().map(counted).collect())
}

/// The tags that questions carry, the most used ones first, equals in alphabetical order.
///
/// # Errors
/// As the database says.
pub async fn tags(db: &Database) -> Result<Vec<TagCount>> {
    let rows: Vec<(String, i64)> = db
        .fetch_all(
            Sql::by_dialect(
                "SELECT tag, COUNT(*) FROM questions, jsonb_array_elements_text(tags) AS tag
                 WHERE deleted_at IS NULL
                 GROUP BY tag ORDER BY COUNT(*) DESC, tag COLLATE \"C\" LIMIT $1",
                "SELECT tag, COUNT(*) FROM question_tags JOIN questions ON id = question_id
                 WHERE deleted_at IS NULL
                 GROUP BY tag ORDER BY COUNT(*) DESC, tag LIMIT $1",
            ),
            params![TAGS_MAX],
        )
        .await?;
    let counted = |(tag, count)| TagCount { tag, count };
    Ok(rows.into_iter().map(counted).collect())
}
