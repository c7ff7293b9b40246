//! What an answer does to the boards: its points count at once, and are taken off again when the
//! answer is taken back. An answer counts on the boards of the day on which it was submitted.
//!
//! Invariant: taking an answer back restores its entries exactly as they were before. A player has
//! one undecided answer at a time and the log keeps the order, so no answer was added on top of it;
//! where a bonus or an import was, only the answer's points go.

use async_trait::async_trait;
use contracts::{
    Payload, Period, QuizMode, Recorded,
    events::{
        AchievementUnlocked, AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmitted,
        LeaderboardEntryReverted, LeaderboardEntryUpdated, LeaderboardUpdateFailed, PersonalErased,
        UserDeleted, UserStatsReset, UserUpdated,
    },
};
use database::Tx;
use event_store::{HandlerError, NewEvent};
use sagas::participating::{Applied, Finished, Participant, Role};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    ahead,
    config::Bonus,
    domain::{self, Board, Credit, Entry},
    players,
    store::{
        self,
        held::{self, Held, Origin},
    },
};

/// The step of the answer-submission saga that this service does.
pub const STEP: &str = "leaderboard";

/// Keeps the boards.
#[derive(Clone, Debug, Default)]
pub struct Boards {
    /// What badges add.
    pub bonus: Bonus,
}

/// What an answer did here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Who answered; nil once the answer is decided or its player left, when nobody has to know
    /// any more.
    #[serde(default)]
    pub user_id: Uuid,
    /// How it was played.
    pub quiz_mode: QuizMode,
    /// The player's place of all time with the answer.
    pub position: i64,
    /// The entry of all time before and after.
    pub credit: Credit,
    /// The same on the boards of its day and its week.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<Placed>,
    /// How often the player had begun anew by then.
    #[serde(default)]
    pub resets: i64,
}

/// What an answer did to the board of a day or a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placed {
    /// Day or week.
    pub period: Period,
    /// Its first day, as [`Board::begins`].
    pub begins: u32,
    /// The entry before and after.
    pub credit: Credit,
}

impl Effect {
    fn all_time(&self) -> Board {
        store::entries::all_time(self.quiz_mode)
    }

    /// All boards that the answer counts on, that of all time first, with what it did there.
    pub fn boards(&self) -> impl Iterator<Item = (Board, &Credit)> {
        let all_time = self.all_time();
        let periods = self.periods.iter().map(|placed| {
            let board = Board {
                quiz_mode: self.quiz_mode,
                period: placed.period,
                begins: placed.begins,
            };
            (board, &placed.credit)
        });
        std::iter::once((all_time, &self.credit)).chain(periods)
    }

    /// The player's entries on these boards; none of them when the player began anew since.
    pub(crate) async fn held(&self, tx: &mut Tx, user_id: Uuid) -> database::Result<Option<Held>> {
        let boards: Vec<Board> = self.boards().map(|(board, _)| board).collect();
        let held = held::held(tx, user_id, &boards).await?;
        Ok((held.resets == self.resets).then_some(held))
    }

    /// What is left of the effect when it is never undone again: it names nobody, and tells how
    /// much the answer earned on which boards.
    #[must_use]
    pub fn nameless(mut self) -> Self {
        self.user_id = Uuid::nil();
        let periods = self.periods.iter_mut().map(|placed| &mut placed.credit);
        for credit in periods.chain([&mut self.credit]) {
            credit.before = None;
            credit.after.user_id = Uuid::nil();
        }
        self
    }

    /// What is left of the effects of a player who left.
    pub(crate) fn of_nobody() -> Self {
        let after = Entry {
            user_id: Uuid::nil(),
            score: 0,
            reached_at: OffsetDateTime::UNIX_EPOCH,
        };
        Self {
            user_id: Uuid::nil(),
            quiz_mode: QuizMode::Classic,
            position: 0,
            credit: Credit {
                points: 0,
                before: None,
                after,
            },
            periods: Vec::new(),
            resets: 0,
        }
    }

    /// Takes the answer's points off again; the score of all time without it.
    async fn take_back(&self, tx: &mut Tx, user_id: Uuid) -> database::Result<i64> {
        let Some(held) = self.held(tx, user_id).await? else {
            return Ok(0);
        };
        for (board, credit) in self.boards() {
            let after = held.on(board).and_then(|now| now.revert(credit));
            held::set(tx, user_id, board, after, Origin::Answer);
        }
        let all_time = held::held(tx, user_id, &[self.all_time()]).await?;
        let score = all_time.on(self.all_time()).map(|entry| entry.score);
        if score.is_none() {
            held::forget_unplaced(tx, user_id);
        }
        Ok(score.unwrap_or(0))
    }
}

#[async_trait]
impl Participant for Boards {
    type Effect = Effect;

    fn name(&self) -> &'static str {
        "boards"
    }

    fn step(&self) -> &'static str {
        STEP
    }

    fn types(&self) -> &'static [&'static str] {
        &[
            AnswerSubmitted::TYPE,
            AnswerRevoked::TYPE,
            AnswerSubmissionCompleted::TYPE,
            AchievementUnlocked::TYPE,
            UserUpdated::TYPE,
            UserStatsReset::TYPE,
            UserDeleted::TYPE,
            PersonalErased::TYPE,
        ]
    }

    /// That an answer was completed, and what a badge adds, shows a moment later.
    fn awaited(&self) -> &'static [&'static str] {
        &[
            AnswerSubmitted::TYPE,
            AnswerRevoked::TYPE,
            UserUpdated::TYPE,
            UserStatsReset::TYPE,
            UserDeleted::TYPE,
            PersonalErased::TYPE,
        ]
    }

    fn signals(&self) -> &'static [&'static str] {
        &[store::CHANGED]
    }

    fn role(&self, event_type: &str) -> Role {
        match event_type {
            AnswerSubmitted::TYPE => Role::Ask,
            AnswerRevoked::TYPE => Role::Revocation,
            AnswerSubmissionCompleted::TYPE => Role::Completion,
            _ => Role::Other,
        }
    }

    async fn look_ahead(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        ahead::look(tx, events).await
    }

    async fn apply(
        &self,
        tx: &mut Tx,
        recorded: &Recorded,
    ) -> Result<Applied<Effect>, HandlerError> {
        let ask: AnswerSubmitted = recorded.event.payload()?;
        let AnswerSubmitted {
            user_id,
            quiz_mode,
            points,
            ..
        } = ask;
        let at = ahead::counted_at(&recorded.event);
        let boards = Board::counting(quiz_mode, at);
        let held = held::held(tx, user_id, &boards).await?;
        // Whoever has a line has not left: the log says so before anything else.
        if held.on(boards[0]).is_none() && held.has_left {
            return Ok(Applied::Refused("the account was deleted".to_owned()));
        }
        let credit = |board| domain::credit(held.on(board).as_ref(), user_id, points, at);
        let [all_time, day, week] = match boards.map(credit) {
            [Ok(all_time), Ok(day), Ok(week)] => [all_time, day, week],
            [Err(refusal), ..] | [_, Err(refusal), _] | [.., Err(refusal)] => {
                return Ok(Applied::Refused(refusal.to_string()));
            }
        };
        if let Some(name) = ask.display_name.opened()? {
            held::rename(tx, user_id, name);
        }
        for (board, credit) in [(boards[0], all_time), (boards[1], day), (boards[2], week)] {
            held::set(tx, user_id, board, Some(credit.after), Origin::Answer);
        }
        let above = held::above(tx, boards[0], &all_time.after.key()).await?;
        let placed = |board: Board, credit| Placed {
            period: board.period,
            begins: board.begins,
            credit,
        };
        Ok(Applied::Done(Effect {
            user_id,
            quiz_mode,
            position: above + 1,
            credit: all_time,
            periods: vec![placed(boards[1], day), placed(boards[2], week)],
            resets: held.resets,
        }))
    }

    fn applied(&self, recorded: &Recorded, effect: &Effect) -> Result<Vec<NewEvent>, HandlerError> {
        let AnswerSubmitted {
            answer_id, user_id, ..
        } = recorded.event.payload()?;
        let payload = LeaderboardEntryUpdated {
            answer_id,
            user_id,
            quiz_mode: effect.quiz_mode,
            score: effect.credit.after.score,
            position: effect.position,
        };
        Ok(vec![addressed(&payload, user_id)])
    }

    fn refused(&self, recorded: &Recorded, reason: &str) -> Result<Vec<NewEvent>, HandlerError> {
        let AnswerSubmitted {
            answer_id, user_id, ..
        } = recorded.event.payload()?;
        let reason = reason.to_owned();
        Ok(vec![addressed(
            &LeaderboardUpdateFailed {
                answer_id,
                user_id,
                reason,
            },
            user_id,
        )])
    }

    async fn undo(
        &self,
        tx: &mut Tx,
        recorded: &Recorded,
        effect: Option<&Effect>,
    ) -> Result<Vec<NewEvent>, HandlerError> {
        let AnswerRevoked {
            answer_id,
            user_id,
            quiz_mode,
            ..
        } = recorded.event.payload()?;
        let score = match effect {
            Some(effect) => effect.take_back(tx, user_id).await?,
            None => {
                let board = store::entries::all_time(quiz_mode);
                let held = held::held(tx, user_id, &[board]).await?;
                held.on(board).map_or(0, |entry| entry.score)
            }
        };
        let payload = LeaderboardEntryReverted {
            answer_id,
            user_id,
            quiz_mode,
            score,
        };
        Ok(vec![addressed(&payload, user_id)])
    }

    fn undone(&self, effect: Effect) -> Effect {
        effect.nameless()
    }

    /// The points count already.
    async fn finish(
        &self,
        _tx: &mut Tx,
        _recorded: &Recorded,
        effect: Effect,
    ) -> Result<Finished<Effect>, HandlerError> {
        Ok(Finished {
            effect: effect.nameless(),
            events: Vec::new(),
        })
    }

    async fn other(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        players::heard(tx, recorded, &self.bonus).await
    }
}

fn addressed<P: Payload>(payload: &P, user_id: Uuid) -> NewEvent {
    NewEvent::of(payload)
        .stream(format!("leaderboard-{user_id}"))
        .aggregate(user_id)
}
