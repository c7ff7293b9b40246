//! What other services' events change here: the copy of the questions, users who left, and players
//! who begin again.

use async_trait::async_trait;
use contracts::{
    Payload, Recorded,
    events::{
        AnswerSubmitted, PersonalErased, QuestionCreated, QuestionDeleted, QuestionUpdated,
        UserDeleted, UserStatsReset,
    },
};
use database::Tx;
use event_store::{Handler, HandlerError, Kind, Outbox, outbox::Whereabouts};
use sagas::Engine;
use service::departed;
use uuid::Uuid;

use crate::{
    saga,
    store::{
        answers, keys,
        questions::{self, Change},
        stats,
    },
    tally::Tally,
};

/// Keeps the copy of the questions up to date.
#[derive(Clone, Copy, Debug)]
pub struct Questions;

/// Forgets users who were deleted, and sets those back whose stats are to begin again.
///
/// Its name is new with the second of these: a consumer of another version under the same name would
/// pass over what it does not know. So it reads the log from its beginning, which repeats
/// harmlessly what was forgotten before.
pub struct Accounts {
    engine: Engine,
    outbox: Outbox,
}

impl Accounts {
    /// For the sagas of `engine`, whose events go through `outbox`.
    #[must_use]
    pub fn new(engine: Engine, outbox: Outbox) -> Self {
        Self { engine, outbox }
    }

    /// Forgets the user. An answer that is undecided runs to its end, so that the participants learn
    /// it; then its saga is erased, too.
    async fn leave(&self, tx: &mut Tx, user_id: Uuid) -> Result<(), HandlerError> {
        // First the sagas, then the player's row, as everybody who moves a saga. A saga that began
        // in between is seen by the second look.
        self.engine.erase(tx, user_id).await?;
        stats::lock(tx, user_id).await?;
        departed::note(tx, user_id).await?;
        self.engine.erase(tx, user_id).await?;
        keys::forget(tx, user_id).await?;
        answers::forget(tx, user_id).await?;
        Ok(stats::forget(tx, user_id).await?)
    }

    /// Sets the stats back to what was answered after the reset, which the log alone can tell.
    async fn reset(
        &self,
        tx: &mut Tx,
        user_id: Uuid,
        recorded: &Recorded,
    ) -> Result<(), HandlerError> {
        if departed::has_left(tx, user_id).await? {
            return Ok(());
        }
        stats::lock(tx, user_id).await?;
        let stream = saga::stream(user_id);
        let events = self.outbox.after(tx, &stream, recorded.position).await?;
        let mut later = Vec::new();
        for (event, whereabouts) in events {
            if event.event_type != AnswerSubmitted::TYPE {
                continue;
            }
            if whereabouts == Whereabouts::OnItsWay {
                // The relay has it in the log within moments; then its place is known.
                return Err(HandlerError::transient(
                    "an answer is on its way to the log",
                ));
            }
            later.push(event.payload::<AnswerSubmitted>()?.answer_id);
        }
        let (mut own, mut before) = (Tally::default(), Tally::default());
        for (quiz_mode, is_correct, points, is_open) in answers::counting(tx, later).await? {
            if is_open {
                before = own;
            }
            own = own.with(quiz_mode, is_correct, points);
        }
        answers::rebase(tx, user_id, &before).await?;
        let at = recorded.event.timestamp.into();
        Ok(stats::reset(tx, user_id, &own, at).await?)
    }
}

#[async_trait]
impl Handler for Questions {
    fn name(&self) -> &'static str {
        "questions"
    }

    fn kind(&self) -> Kind {
        // It only builds state, but what was imported is not in the log and could not be rebuilt.
        Kind::Process
    }

    fn types(&self) -> &'static [&'static str] {
        &[
            QuestionCreated::TYPE,
            QuestionUpdated::TYPE,
            QuestionDeleted::TYPE,
        ]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let event = &recorded.event;
        let change = match event.event_type.as_str() {
            QuestionCreated::TYPE => Change::Written(event.payload::<QuestionCreated>()?.into()),
            QuestionUpdated::TYPE => Change::Written(event.payload::<QuestionUpdated>()?.into()),
            _ => Change::Deleted(event.payload::<QuestionDeleted>()?.question_id),
        };
        Ok(questions::apply(tx, &change, event.version, event.timestamp.into()).await?)
    }
}

#[async_trait]
impl Handler for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    fn kind(&self) -> Kind {
        Kind::Process
    }

    fn types(&self) -> &'static [&'static str] {
        &[
            UserDeleted::TYPE,
            UserStatsReset::TYPE,
            PersonalErased::TYPE,
        ]
    }

    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        if recorded.event.event_type == UserDeleted::TYPE {
            let UserDeleted { user_id } = recorded.event.payload()?;
            return self.leave(tx, user_id).await;
        }
        if recorded.event.event_type == PersonalErased::TYPE {
            // Sagas hold the name that came with the answer.
            let PersonalErased { subject, .. } = recorded.event.payload()?;
            if let Ok(user_id) = subject.parse() {
                self.engine.erase(tx, user_id).await?;
            }
            return Ok(());
        }
        let UserStatsReset { user_id, .. } = recorded.event.payload()?;
        self.reset(tx, user_id, recorded).await
    }
}
