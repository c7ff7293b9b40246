//! What each job does here: portions of its own tables, each a transaction.

use std::time::{Duration, Instant};

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

/// Portions of one run: more than any night brings; what is left fails the run and is the next
/// one's.
const ROUNDS: u32 = 1_000;

/// No portion begins later than this: a run is over well before it would be taken for lost.
pub(super) const TIME: Duration = Duration::from_secs(5 * 60);

/// A guest who was not here for this long goes: as long as a refresh token lives.
const GUEST_LIFETIME: Duration = Duration::from_secs(30 * DAY);

/// How long an Idempotency-Key is kept.
const KEY_LIFETIME: Duration = Duration::from_secs(DAY);

/// How long it is remembered which questions a user got.
const DRAW_LIFETIME: Duration = Duration::from_secs(30 * DAY);

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The portions of one run.
struct Portions {
    left: u32,
    until: Instant,
}

impl Portions {
    fn new() -> Self {
        Self {
            left: ROUNDS,
            until: Instant::now() + TIME,
        }
    }

    /// Whether there may be another one.
    fn next(&mut self) -> bool {
        let is_left = self.left > 0 && Instant::now() < self.until;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

/// What was done, and whether there is more to do.
struct Done {
    detail: Value,
    more: bool,
}

impl From<Value> for Done {
    fn from(detail: Value) -> Self {
        Self {
            detail,
            more: false,
        }
    }
}

/// Does the work of a run and ends it.
pub(super) async fn run(db: Database, job: &'static Definition, id: Uuid, orders: Orders) {
    let work = {
        let (db, parameters) = (db.clone(), orders.parameters);
        tokio::spawn(async move { perform(&db, job.name, &parameters).await })
    };
    let (status, detail, error) = match work.await {
        Ok(Ok(Done {
            detail,
            more: false,
        })) => (RunStatus::Completed, detail, None),
        Ok(Ok(Done { detail, more: true })) => {
            let error = "there is more to do; ask for the job again".to_owned();
            (RunStatus::Failed, detail, Some(error))
        }
        Ok(Err(error)) => (RunStatus::Failed, json!({}), Some(error.to_string())),
        // It panicked, which is in this process's own log.
        Err(_) => {
            let error = "the work was broken off".to_owned();
            (RunStatus::Failed, json!({}), Some(error))
        }
    };
    if let Some(error) = &error {
        tracing::error!(job = job.name, run = %id, error, "maintenance failed");
    }
    let end = End {
        status,
        detail,
        error,
    };
    // An end that cannot be written is noticed when runs are looked at later.
    if let Err(error) = store::end(&db, id, &end).await {
        tracing::error!(job = job.name, run = %id, %error, "the end of a run is not written");
    }
}

async fn perform(db: &Database, job: &str, parameters: &Value) -> Result<Done> {
    Ok(match job {
        EXPIRED_TOKENS => expired_tokens(db).await?,
        GUEST_CLEANUP => guest_cleanup(db, parameters).await?,
        RETENTION => retention(db).await?,
        STATS_RESET => stats_reset(db, parameters).await?.into(),
        DAILY_REPORT => daily_report(db, parameters).await?.into(),
        HEALTH => json!({ "services": {}, "findings": [] }).into(),
        LOG_ARCHIVE | LOG_SNAPSHOT => json!({ "note": "There is no event log here." }).into(),
        _ => json!({}).into(),
    })
}

async fn expired_tokens(db: &Database) -> Result<Done> {
    let mut sums = [0_u64; 4];
    let (mut portions, mut more) = (Portions::new(), true);
    while more && portions.next() {
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
        more = removed
            .iter()
            .any(|removed| *removed >= PORTION.unsigned_abs());
    }
    let [refresh, reset, attempts, mails] = sums;
    let detail = json!({ "services": { "auth": {
        "refreshTokens": refresh, "resetTokens": reset, "attempts": attempts,
        "mails": mails, "signIns": 0,
    } } });
    Ok(Done { detail, more })
}

async fn guest_cleanup(db: &Database, parameters: &Value) -> Result<Done> {
    let older_than = parameters["olderThanSeconds"].as_u64();
    let lifetime = older_than.map_or(GUEST_LIFETIME, Duration::from_secs);
    let mut guests = 0;
    let (mut portions, mut more) = (Portions::new(), true);
    while more && portions.next() {
        let mut tx = db.begin().await?;
        let now = tx.now().await?;
        let idle = store::idle_guests(&mut tx, now - lifetime, GUESTS).await?;
        for guest in &idle {
            departures::delete(&mut tx, *guest, now).await?;
        }
        tx.commit().await?;
        guests += idle.len();
        more = idle.len() >= usize::try_from(GUESTS).unwrap_or(usize::MAX);
    }
    let detail = json!({ "services": { "auth": { "guests": guests } } });
    Ok(Done { detail, more })
}

async fn retention(db: &Database) -> Result<Done> {
    let (mut keys, mut draws) = (0, 0);
    let (mut portions, mut more) = (Portions::new(), true);
    while more && portions.next() {
        let mut tx = db.begin().await?;
        let now = tx.now().await?;
        let (old_keys, old_draws) = (now - KEY_LIFETIME, now - DRAW_LIFETIME);
        let removed = store::retire(&mut tx, old_keys, old_draws, PORTION).await?;
        tx.commit().await?;
        keys += removed.0;
        draws += removed.1;
        more = removed.0.max(removed.1) >= PORTION.unsigned_abs();
    }
    let detail = json!({ "services": {
        "quiz": { "idempotencyKeys": keys }, "question": { "draws": draws },
    } });
    Ok(Done { detail, more })
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
