//! What the answers of a batch will look at, read at once before the first of them is taken in.
//!
//! Invariant: it is only ever a guess. What an answer does is decided in its own turn, by what is held
//! then; what was guessed wrong is read then.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    Event, Payload, Recorded,
    events::{AnswerRevoked, AnswerSubmitted},
};
use database::{Timestamp, Tx};
use event_store::HandlerError;
use sagas::participant::{self, Ledger};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    answers::{Effect, STEP},
    domain::{self, Board, Entry},
    store::held,
};

/// An answer that asks for its points.
struct Ask {
    user_id: Uuid,
    points: i64,
    boards: [Board; 3],
    at: OffsetDateTime,
}

/// Reads the lines that these events will change, and counts who stands above where their players will
/// be.
pub(crate) async fn look(tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
    let mut asks = Vec::new();
    let mut wanted = BTreeSet::new();
    for recorded in events {
        let event = &recorded.event;
        if let Some(ask) = Ask::of(event) {
            wanted.extend(ask.boards.map(|board| (ask.user_id, board)));
            asks.push(ask);
        } else if let Some(effect) = taken_back(tx, event).await? {
            let boards = effect.boards();
            wanted.extend(boards.map(|(board, _)| (effect.user_id, board)));
        }
    }
    held::open(tx, wanted).await?;
    let mut will_be: BTreeMap<(Uuid, Board), Entry> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for ask in asks {
        let board = ask.boards[0];
        let before = match will_be.get(&(ask.user_id, board)) {
            Some(entry) => Some(*entry),
            None => held::held(tx, ask.user_id, &[board]).await?.on(board),
        };
        if let Ok(credit) = domain::credit(before.as_ref(), ask.user_id, ask.points, ask.at) {
            keys.insert((board.id(), credit.after.key()));
            will_be.insert((ask.user_id, board), credit.after);
        }
    }
    Ok(held::count(tx, keys).await?)
}

impl Ask {
    /// None also where it cannot be read, which its own turn tells.
    fn of(event: &Event) -> Option<Self> {
        if event.event_type != AnswerSubmitted::TYPE {
            return None;
        }
        let ask: AnswerSubmitted = event.payload().ok()?;
        let at = counted_at(event);
        Some(Self {
            user_id: ask.user_id,
            points: ask.points,
            boards: Board::counting(ask.quiz_mode, at),
            at,
        })
    }
}

/// When an answer counts: as the databases keep it, since a finer time would not compare equal when it is
/// read again.
pub(crate) fn counted_at(event: &Event) -> OffsetDateTime {
    Timestamp::from(event.timestamp).into()
}

/// What a revocation takes back, as far as the ledger tells yet. Of an ask that comes with it the lines
/// are known already.
async fn taken_back(tx: &mut Tx, event: &Event) -> Result<Option<Effect>, HandlerError> {
    let is_revocation = event.event_type == AnswerRevoked::TYPE;
    let Some(saga) = event.saga_id.filter(|_| is_revocation) else {
        return Ok(None);
    };
    let kept = Ledger.kept(tx, saga, STEP).await?;
    Ok(kept.and_then(|kept| participant::effect(&kept).ok()))
}
