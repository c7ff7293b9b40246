//! The `users` table as administrators read it, and who among them are administrators.

use auth::store::directory::Wanted;
use contracts::http::ManagedUser;
use database::{Database, Json, Result, Sql, Timestamp, Tx, params};
use uuid::Uuid;

#[derive(database::Record)]
struct Row {
    id: Uuid,
    email: Option<String>,
    display_name: String,
    roles: Json<Vec<String>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Row> for ManagedUser {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            email: row.email,
            display_name: row.display_name,
            roles: row.roles.0,
            created_at: row.created_at.to_string(),
            updated_at: row.updated_at.to_string(),
        }
    }
}

/// A page of users, by id.
///
/// # Errors
/// As the database says.
pub async fn list(db: &Database, wanted: &Wanted) -> Result<Vec<ManagedUser>> {
    let rows: Vec<Row> = db
        .fetch_all(
            Sql::by_dialect(
                r"SELECT id, email, display_name, roles, created_at, updated_at FROM users
                  WHERE id > $1
                    AND ($2 IS NULL OR email_key LIKE $2 ESCAPE '\'
                         OR lower(display_name) LIKE $2 ESCAPE '\')
                    AND ($3 IS NULL OR jsonb_exists(roles, $3))
                  ORDER BY id LIMIT $4",
                r"SELECT id, email, display_name, roles, created_at, updated_at FROM users
                  WHERE id > $1
                    AND ($2 IS NULL OR email_key LIKE $2 ESCAPE '\'
                         OR lower(display_name) LIKE $2 ESCAPE '\')
                    AND ($3 IS NULL OR EXISTS (SELECT 1 FROM json_each(roles) WHERE value = $3))
                  ORDER BY id LIMIT $4",
            ),
            params![
                wanted.after.unwrap_or(Uuid::nil()),
                wanted.query.as_deref().map(containing),
                wanted.role.as_deref(),
                wanted.limit
            ],
        )
        .await?;
    Ok(rows.into_iter().map(ManagedUser::from).collect())
}

/// One user.
///
/// # Errors
/// As the database says.
pub async fn show(db: &Database, id: Uuid) -> Result<Option<ManagedUser>> {
    let row: Option<Row> = db
        .fetch_optional(
            "SELECT id, email, display_name, roles, created_at, updated_at FROM users
             WHERE id = $1",
            params![id],
        )
        .await?;
    Ok(row.map(ManagedUser::from))
}

/// Locks the user together with all administrators, in the order of their ids, so that two who
/// take each other's role cannot both succeed; the ids of the administrators.
///
/// # Errors
/// As the database says.
pub async fn lock_with_administrators(tx: &mut Tx, id: Uuid) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid, bool)> = tx
        .fetch_all(
            Sql::by_dialect(
                r#"SELECT id, roles @> '["admin"]'::jsonb FROM users
                   WHERE id = $1 OR roles @> '["admin"]'::jsonb ORDER BY id FOR UPDATE"#,
                r#"SELECT id, instr(roles, '"admin"') > 0 FROM users
                   WHERE id = $1 OR instr(roles, '"admin"') > 0 ORDER BY id"#,
            ),
            params![id],
        )
        .await?;
    let administrators = rows.into_iter().filter(|(_, administers)| *administers);
    Ok(administrators.map(|(id, _)| id).collect())
}

/// The pattern of whatever contains `text` as it is.
fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}
