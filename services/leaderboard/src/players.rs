//! What happens to a player beside answers: a badge's bonus, a new name, a new beginning, the end.

use contracts::{
    Payload, Recorded,
    events::{AchievementUnlocked, PersonalErased, UserDeleted, UserStatsReset, UserUpdated},
};
use database::{Timestamp, Tx};
use event_store::HandlerError;
use sagas::participant::{self, Ledger};
use service::departed;
use uuid::Uuid;

use crate::{
    answers::{Effect, STEP},
    config::Bonus,
    domain::{self, Board, Entry},
    store::{
        self, bonuses,
        held::{self, Origin},
        players::{self, Source},
        standings,
        tree::Tree,
    },
};

/// Takes in an event that belongs to no saga of this service.
pub(crate) async fn heard(
    tx: &mut Tx,
    recorded: &Recorded,
    bonus: &Bonus,
) -> Result<(), HandlerError> {
    let event = &recorded.event;
    if event.event_type == AchievementUnlocked::TYPE {
        return reward(tx, recorded, bonus).await;
    }
    // All others go to the tables past what answers did in this transaction.
    tx.write_deferred().await?;
    match event.event_type.as_str() {
        UserStatsReset::TYPE => {
            let UserStatsReset { user_id, .. } = event.payload()?;
            begin_anew(tx, user_id, event.timestamp.into()).await
        }
        UserDeleted::TYPE => {
            let UserDeleted { user_id } = event.payload()?;
            forget(tx, user_id).await
        }
        UserUpdated::TYPE => {
            let renamed: UserUpdated = event.payload()?;
            tx.signal(store::CHANGED);
            let source = Source::Account;
            if let Some(name) = renamed.display_name.opened()? {
                players::name(tx, renamed.user_id, &name, source).await?;
            }
            Ok(())
        }
        PersonalErased::TYPE => {
            let PersonalErased { subject, .. } = event.payload()?;
            if let Ok(user_id) = subject.parse() {
                tx.signal(store::CHANGED);
                players::unname(tx, user_id).await?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Adds the badge's points to the boards that count the answer that earned it, once.
async fn reward(tx: &mut Tx, recorded: &Recorded, bonus: &Bonus) -> Result<(), HandlerError> {
    let unlocked: AchievementUnlocked = recorded.event.payload()?;
    let points = bonus.of(&unlocked.badge.id);
    if points == 0 {
        return Ok(());
    }
    // The quiz service gives an answer and its saga the same id.
    let Some(kept) = Ledger.kept(tx, unlocked.answer_id, STEP).await? else {
        let answer = unlocked.answer_id;
        tracing::warn!(%answer, "a badge was earned by an answer that counts on no board");
        return Ok(());
    };
    let effect: Effect = participant::effect(&kept)?;
    let (user_id, badge) = (unlocked.user_id, &unlocked.badge.id);
    let Some(held) = effect.held(tx, user_id).await? else {
        return Ok(());
    };
    let at = Timestamp::from(recorded.event.timestamp).into();
    let boards = effect.boards();
    let lines = boards.filter_map(|(board, _)| Some((board, held.on(board)?)));
    let lines: Vec<(Board, Entry)> = lines.collect();
    // Whoever left stands nowhere, and nothing is noted of them.
    if lines.is_empty() || !bonuses::note(tx, user_id, unlocked.answer_id, badge, points).await? {
        return Ok(());
    }
    for (board, before) in lines {
        let after = domain::reward(&before, points, at).unwrap_or(before);
        held::set(tx, user_id, board, Some(after), Origin::Badge);
    }
    Ok(())
}

/// Takes the player off all boards; what was earned before does not come back, and what is taken
/// back of it takes nothing any more.
async fn begin_anew(tx: &mut Tx, user_id: Uuid, at: Timestamp) -> Result<(), HandlerError> {
    store::lock(tx).await?;
    standings::clear(tx, Tree::default(), user_id).await?;
    if !departed::has_left(tx, user_id).await? {
        players::note_reset(tx, user_id, at).await?;
    }
    Ok(())
}

async fn forget(tx: &mut Tx, user_id: Uuid) -> Result<(), HandlerError> {
    store::lock(tx).await?;
    departed::note(tx, user_id).await?;
    standings::clear(tx, Tree::default(), user_id).await?;
    bonuses::forget(tx, user_id).await?;
    players::forget(tx, user_id).await?;
    // An answer that is undecided finds nothing to undo or to reward at its end.
    Ledger
        .erase(tx, STEP, user_id, &Effect::of_nobody())
        .await?;
    Ok(())
}
