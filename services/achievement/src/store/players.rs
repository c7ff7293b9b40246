//! The players that a transaction works on: read once, changed in memory, and written together before the
//! commit.
//!
//! Invariants:
//! - A player is this transaction's from when it is read. (One that was first read after a savepoint is
//!   read again when that is gone back to.)
//! - Nothing is laid over what an import wrote meanwhile of a player or a badge that was not there: the
//!   transaction does not commit then, and its repeat finds it.

mod writing;

use std::collections::{BTreeMap, BTreeSet};

use database::{Dialect, Error, Json, Result, Timestamp, Tx, Writing, params};
use serde_json::Value;
use service::departed;
use time::OffsetDateTime;
use uuid::Uuid;

use super::json;
use crate::domain::Player;

/// The players by their ids.
#[derive(Clone, Default)]
struct Players {
    known: BTreeMap<Uuid, Kept>,
}

/// What is known of one player, as it is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    has_left: bool,
    /// Whether the table has the player's row, and keeps it.
    is_stored: bool,
    /// Whether the row that the table has is to go.
    is_gone: bool,
    is_changed: bool,
    row: Option<Row>,
    /// The badges that the player has, provisional ones included, by their ids.
    badges: BTreeMap<String, Badge>,
    /// The badges that the table has and that are to go.
    gone: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    /// The fold of the player's answers.
    state: Value,
    /// Those given here.
    answers: i64,
}

#[derive(Clone, Debug, PartialEq)]
struct Badge {
    answer_id: Option<Uuid>,
    /// Since when, where the table does not have it yet.
    earned_at: Option<Timestamp>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Earned,
    /// Final, as the table says already.
    Unlocked,
    /// Final from now on.
    UnlockedAt(Timestamp),
}

/// One player, read and kept still where it is not yet.
///
/// # Errors
/// As the database says.
pub async fn kept(tx: &mut Tx, user_id: Uuid) -> Result<&mut Kept> {
    open(tx, [user_id].into()).await?;
    let known = &mut tx.deferred::<Players>().known;
    known.get_mut(&user_id).ok_or(Error::NotFound)
}

/// Reads those players that are not read yet, and keeps them still until the transaction ends.
///
/// # Errors
/// As the database says.
pub async fn open(tx: &mut Tx, users: BTreeSet<Uuid>) -> Result<()> {
    let known = &tx.deferred::<Players>().known;
    let new = users.into_iter().filter(|user| !known.contains_key(user));
    let mut new: BTreeMap<Uuid, Kept> = new.map(|user| (user, Kept::default())).collect();
    if new.is_empty() {
        return Ok(());
    }
    match tx.dialect() {
        Dialect::Postgres => read_all(tx, &mut new).await?,
        // Nobody else writes meanwhile.
        Dialect::Sqlite => {
            for (user_id, kept) in &mut new {
                read_one(tx, *user_id, kept).await?;
            }
        }
    }
    tx.deferred::<Players>().known.extend(new);
    Ok(())
}

async fn read_all(tx: &mut Tx, players: &mut BTreeMap<Uuid, Kept>) -> Result<()> {
    // In one order for everybody.
    const LOCK: &str = "SELECT user_id, state, answers FROM players
         WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE";
    // After the lock, so that whoever left before it was had is seen. A line without a badge is one of
    // these.
    const BADGES: &str = "SELECT user_id, badge_id, answer_id, status = 'unlocked' FROM badges
             WHERE user_id = ANY($1)
         UNION ALL
         SELECT user_id, NULL, NULL, FALSE FROM departed_users WHERE user_id = ANY($1)";
    let users: Vec<Uuid> = players.keys().copied().collect();
    let rows: Vec<(Uuid, Json<Value>, i64)> = tx.fetch_all(LOCK, params![users.clone()]).await?;
    for (user_id, state, answers) in rows {
        players.entry(user_id).or_default().found(state.0, answers);
    }
    let rows: Vec<(Uuid, Option<String>, Option<Uuid>, bool)> =
        tx.fetch_all(BADGES, params![users]).await?;
    for (user_id, badge, answer_id, is_unlocked) in rows {
        let kept = players.entry(user_id).or_default();
        match badge {
            Some(badge) => kept.has(badge, answer_id, is_unlocked),
            None => kept.has_left = true,
        }
    }
    Ok(())
}

async fn read_one(tx: &mut Tx, user_id: Uuid, kept: &mut Kept) -> Result<()> {
    const STATE: &str = "SELECT state, answers FROM players WHERE user_id = $1";
    const BADGES: &str =
        "SELECT badge_id, answer_id, status = 'unlocked' FROM badges WHERE user_id = $1";
    kept.has_left = departed::has_left(tx, user_id).await?;
    let row: Option<(Json<Value>, i64)> = tx.fetch_optional(STATE, params![user_id]).await?;
    if let Some((state, answers)) = row {
        kept.found(state.0, answers);
    }
    let rows: Vec<(String, Option<Uuid>, bool)> = tx.fetch_all(BADGES, params![user_id]).await?;
    for (badge, answer_id, is_unlocked) in rows {
        kept.has(badge, answer_id, is_unlocked);
    }
    Ok(())
}

impl Kept {
    fn found(&mut self, state: Value, answers: i64) {
        self.is_stored = true;
        self.row = Some(Row { state, answers });
    }

    fn has(&mut self, badge: String, answer_id: Option<Uuid>, is_unlocked: bool) {
        let stage = if is_unlocked {
            Stage::Unlocked
        } else {
            Stage::Earned
        };
        let badge_held = Badge {
            answer_id,
            earned_at: None,
            stage,
        };
        self.badges.insert(badge, badge_held);
    }

    /// Whether the account was deleted.
    #[must_use]
    pub const fn has_left(&self) -> bool {
        self.has_left
    }

    /// The fold of the player's answers, as JSON, where there is one; read by [`Kept::player`].
    #[must_use]
    pub fn state(&self) -> Option<&Value> {
        self.row.as_ref().map(|row| &row.state)
    }

    /// The player as the badge rules take it. What was earned is what the table of badges says,
    /// so that an imported badge is not earned a second time.
    ///
    /// # Errors
    /// When the stored state is not one.
    pub fn player(&self) -> Result<Player, serde_json::Error> {
        let mut player = match self.state() {
            Some(state) => serde::Deserialize::deserialize(state)?,
            None => Player::default(),
        };
        player.earned = self.badges.keys().cloned().collect();
        Ok(player)
    }

    /// The player after one answer more.
    ///
    /// # Errors
    /// Never; a player is JSON.
    pub fn save(&mut self, player: &Player) -> Result<()> {
        let answers = self.row.as_ref().map_or(0, |row| row.answers) + 1;
        let state = json(player)?;
        self.row = Some(Row { state, answers });
        self.is_changed = true;
        Ok(())
    }

    /// The player as it was before an answer; without one, as if it had never been seen. A player who
    /// was forgotten meanwhile stays forgotten, and one whose counters were set back meanwhile keeps
    /// those: the answer does not count among them.
    pub fn restore(&mut self, before: Option<&Value>) {
        let Some(row) = self.row.as_mut().filter(|row| row.answers > 0) else {
            return;
        };
        self.is_changed = true;
        match before {
            Some(state) => {
                row.state = state.clone();
                row.answers -= 1;
            }
            None => {
                self.row = None;
                self.is_gone |= self.is_stored;
                self.is_stored = false;
            }
        }
    }

    /// Notes a badge that the player does not have as earned, provisionally.
    pub fn earn(&mut self, badge: &str, answer_id: Uuid, at: OffsetDateTime) {
        self.badges.entry(badge.to_owned()).or_insert(Badge {
            answer_id: Some(answer_id),
            earned_at: Some(at.into()),
            stage: Stage::Earned,
        });
    }

    /// Makes the answer's badges final; their ids, sorted: the events that tell of them are numbered.
    pub fn unlock(&mut self, answer_id: Uuid, at: OffsetDateTime) -> Vec<String> {
        let ids = self.provisional(answer_id);
        for id in &ids {
            if let Some(badge) = self.badges.get_mut(id) {
                badge.stage = Stage::UnlockedAt(at.into());
            }
        }
        ids
    }

    /// Takes the answer's provisional badges back; their ids, as of [`Kept::unlock`].
    pub fn take_back(&mut self, answer_id: Uuid) -> Vec<String> {
        let ids = self.provisional(answer_id);
        for id in &ids {
            let badge = self.badges.remove(id);
            if badge.is_some_and(|badge| badge.earned_at.is_none()) {
                self.gone.insert(id.clone());
            }
        }
        ids
    }

    fn provisional(&self, answer_id: Uuid) -> Vec<String> {
        let of_answer =
            |badge: &Badge| badge.answer_id == Some(answer_id) && badge.stage == Stage::Earned;
        let badges = self.badges.iter().filter(|(_, badge)| of_answer(badge));
        badges.map(|(id, _)| id.clone()).collect()
    }
}

impl database::Deferred for Players {
    fn write(self, tx: &mut Tx) -> Writing<'_> {
        Box::pin(writing::write(tx, self.known))
    }
}
