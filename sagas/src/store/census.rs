use database::{Database, Error, Timestamp, params};

/// Sagas of one definition in one state that have not ended.
#[derive(database::Record)]
pub(crate) struct Open {
    pub(crate) definition: String,
    pub(crate) state: String,
    pub(crate) sagas: i64,
    /// When the oldest of them began.
    pub(crate) oldest: Timestamp,
}

/// Counts them; few sagas are open among all that ever were, and an index has those.
pub(crate) async fn open_by_state(database: &Database) -> Result<Vec<Open>, Error> {
    let sql = "SELECT definition, state, COUNT(*) AS sagas, MIN(created_at) AS oldest
               FROM sagas WHERE ended_at IS NULL GROUP BY definition, state";
    database.fetch_all(sql, params![]).await
}
