//! What each job does here: portions of its own tables, each a transaction.

use std::time::Duration;

use auth::store::{attempts, mails, resets};
use contracts::http::RunStatus;
use database::{Database, Result};
use maintenance::domain::{
    self, DAILY_REPORT, Definition, EXPIRED_TOKENS, GUEST_CLEANUP, HEALTH, LOG_ARCHIVE,
    LOG_SNAPSHOT, Orders, RETENTION, STATS_RESET,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::{
    departures,
    maintenance::{self as store, End},
    tokens, users,
};

/// Rows of one portion, as in the services.
const PORTION: i64 = 500;

/// Guests of one portion.
const GUESTS: i64 = 100;

/// Portions of one run: more than any night brings; what is left is the next run's.
const ROUNDS: u32 = 1_000;

/// A guest who was not here for this long goes: as long as a refresh token lives.
const GUEST_LIFETIME: Duration = Duration::from_secs(30 * DAY);

/// How long an Idempotency-Key is kept.
const KEY_LIFETIME: Duration = Duration::from_secs(DAY);

/// How long it is remembered which questions a user got.
const DRAW_LIFETIME: Duration = Duration::from_secs(30 * DAY);

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Does the work of a run and ends it.
pub(super) async fn run(db: Database, job: &'static Definition, id: Uuid, orders: Orders) {
    let end = match perform(&db, job.name, &orders.parameters).await {
        Ok(detail) => End {
            status: RunStatus::Completed,
            detail,
            error: None,
        },
        Err(error) => {
            tracing::error!(job = job.name, run = %id, %error, "maintenance failed");
            End {
                status: RunStatus::Failed,
                detail: json!({}),
                error: Some(error.to_string()),
            }
        }
    };
    // An end that cannot be written is noticed when the job runs again.
    if let Err(error) = store::end(&db, id, &end).await {
        tracing::error!(job = job.name, run = %id, %error, "the end of a run is not written");
    }
}

async fn perform(db: &Database, job: &str, parameters: &Value) -> Result<Value> {
    match job {
        EXPIRED_TOKENS => expired_tokens(db).await,
        GUEST_CLEANUP => guest_cleanup(db, parameters).await,
        RETENTION => retention(db).await,
        STATS_RESET => stats_reset(db, parameters).await,
        DAILY_REPORT => daily_report(db, parameters).await,
        HEALTH => Ok(json!({ "services": {}, "findings": [] })),
        LOG_ARCHIVE | LOG_SNAPSHOT => Ok(json!({ "note": "There is no event log here." })),
        _ => Ok(json!({})),
    }
}

async fn expired_tokens(db: &Database) -> Result<Value> {
    let mut sums = [0_u64; 4];
    for _ in 0..ROUNDS {
        let mut tx = db.begin().await?;
        let now = tx.now().await?;
        let removed = [
            tokens::sweep(&mut tx, now, PORTION).await?,
            resets::sweep(&mut tx, now, PORTION).await?,
            attempts::sweep(&mut tx, now, PORTION).await?,
            mails::sweep(&mut tx, now, PORTION).await?,
        ];
        tx.commit().await?;
        for (sum, removed) in sums.iter_mut().zip(removed) {
            *sum += removed;
        }
        if removed
            .iter()
            .all(|removed| *removed < PORTION.unsigned_abs())
        {
            break;
        }
    }
    let [refresh, reset, attempts, mails] = sums;
    Ok(json!({ "services": { "auth": {
        "refreshTokens": refresh, "resetTokens": reset, "attempts": attempts,
        "mails": mails, "signIns": 0,
    } } }))
}

async fn guest_cleanup(db: &Database, parameters: &Value) -> Result<Value> {
    let older_than = parameters["olderThanSeconds"].as_u64();
    let lifetime = older_than.map_or(GUEST_LIFETIME, Duration::from_secs);
    let mut guests = 0;
    for _ in 0..ROUNDS {
        let mut tx = db.begin().await?;
        let now = tx.now().await?;
        let idle = store::idle_guests(&mut tx, now - lifetime, GUESTS).await?;
        for guest in &idle {
            departures::delete(&mut tx, *guest, now).await?;
        }
        tx.commit().await?;
        guests += idle.len();
        if idle.len() < usize::try_from(GUESTS).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(json!({ "services": { "auth": { "guests": guests } } }))
}

async fn retention(db: &Database) -> Result<Value> {
    let (mut keys, mut draws) = (0, 0);
    for _ in 0..ROUNDS {
        let mut tx = db.begin().await?;
        let now = tx.now().await?;
        let (old_keys, old_draws) = (now - KEY_LIFETIME, now - DRAW_LIFETIME);
        let removed = store::retire(&mut tx, old_keys, old_draws, PORTION).await?;
        tx.commit().await?;
        keys += removed.0;
        draws += removed.1;
        if removed.0.max(removed.1) < PORTION.unsigned_abs() {
            break;
        }
    }
    Ok(json!({ "services": {
        "quiz": { "idempotencyKeys": keys }, "question": { "draws": draws },
    } }))
}

async fn stats_reset(db: &Database, parameters: &Value) -> Result<Value> {
    let user_id = parameters["userId"].as_str();
    let user_id = user_id.and_then(|text| Uuid::try_parse(text).ok());
    let user_id = user_id.unwrap_or_default();
    let mut tx = db.begin().await?;
    // Behind the answer that the player may be giving.
    users::lock(&mut tx, user_id).await?;
    store::reset_stats(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok(json!({ "userId": user_id }))
}

async fn daily_report(db: &Database, parameters: &Value) -> Result<Value> {
    let now = db.now().await?;
    let told = parameters["day"].as_str().and_then(domain::day_of);
    let day = told.unwrap_or_else(|| domain::day_at(now - Duration::from_secs(DAY)));
    let from = domain::midnight(day);
    let counts = store::counts(db, from, from + Duration::from_secs(DAY)).await?;
    let report = domain::report(day, &counts);
    store::store_report(db, &report).await?;
    Ok(json!({ "days": 1, "report": report }))
}
