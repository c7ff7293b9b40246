//! The `participants` table: which services a run waits for.

use database::{Json, Result, Tx, params};
use serde_json::Value;
use uuid::Uuid;

/// A service in a run.
#[derive(Clone, Debug, database::Record)]
pub struct Participant {
    /// The service.
    pub service: String,
    /// The last round that it answered; 0 before the first.
    pub round: i64,
    /// Whether it has more to do, as far as known.
    pub more: bool,
    /// What it did in all rounds.
    pub detail: Json<Value>,
    /// Why it could not.
    pub error: Option<String>,
}

/// Expects an answer of `service`.
///
/// # Errors
/// As the database says.
pub async fn expect(tx: &mut Tx, run_id: Uuid, service: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO participants (run_id, service, round, more, detail)
         VALUES ($1, $2, 0, TRUE, $3)",
        params![run_id, service, serde_json::json!({})],
    )
    .await?;
    Ok(())
}

/// All services of a run.
///
/// # Errors
/// As the database says.
pub async fn all(tx: &mut Tx, run_id: Uuid) -> Result<Vec<Participant>> {
    tx.fetch_all(
        "SELECT service, round, more, detail, error FROM participants
         WHERE run_id = $1 ORDER BY service",
        params![run_id],
    )
    .await
}

/// Stores what a service answered.
///
/// # Errors
/// As the database says.
pub async fn answered(tx: &mut Tx, run_id: Uuid, participant: &Participant) -> Result<()> {
    tx.execute(
        "UPDATE participants SET round = $3, more = $4, detail = $5, error = $6
         WHERE run_id = $1 AND service = $2",
        params![
            run_id,
            &participant.service,
            participant.round,
            participant.more,
            participant.detail.0.clone(),
            participant.error.clone()
        ],
    )
    .await?;
    Ok(())
}
