//! Taking an answer in: which saga a request stands for, and waiting for what becomes of it.
//!
//! Invariant: a player has one undecided answer at a time. A request that comes meanwhile waits for
//! it, bounded, so that streaks are never built on an answer that is taken back.

mod gathered;
mod line;
mod recorder;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chassis::{Shutdown, identity::Caller, shutdown::Slept, trace::TraceContext};
use contracts::http::{AnswerStatus, SubmitAnswer};
use database::Database;
use futures::FutureExt;
use sagas::{Engine, Waiter};
use service::departed;
use uuid::Uuid;

use self::{
    gathered::Gathered,
    recorder::{Attempt, Recorder, same_body},
};
use crate::{
    domain::Asked,
    error::Error,
    store::{
        answers::{self, Answer},
        keys::{self, Key},
        questions,
    },
};

/// Expired keys are deleted this often, with or without the maintenance service,
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// and this many in one statement, so that no player waits behind a long one.
const PRUNE_BATCH: i64 = 500;

/// Takes answers in. Clones share it.
#[derive(Clone)]
pub struct Submissions {
    db: Database,
    engine: Engine,
    recorder: Arc<Recorder>,
    questions: Arc<Gathered<Asked>>,
    answers: Arc<Gathered<Answer>>,
    predecessor_wait: Duration,
}

/// A request to count an answer.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Who answers.
    pub caller: Caller,
    /// What was sent.
    pub body: SubmitAnswer,
    /// The Idempotency-Key, where one was sent.
    pub key: Option<Key>,
    /// The request's trace, which becomes the events' correlation.
    pub trace: TraceContext,
}

/// A place in line for what becomes of an answer.
pub struct Ticket {
    answer_id: Uuid,
    /// Whose it is.
    user_id: Uuid,
    /// It was recorded just now, so that it is not decided yet.
    is_new: bool,
    waiter: Waiter,
}

impl Submissions {
    /// Takes answers into `db`, whose sagas `engine` moves. An answer waits `predecessor_wait` at
    /// most for the same player's answer before it.
    pub fn new(db: Database, engine: Engine, predecessor_wait: Duration) -> Self {
        Self {
            recorder: Arc::new(Recorder::new(db.clone(), engine.clone())),
            questions: Arc::new(Gathered::new(
                db.clone(),
                |db, id| questions::find(db, id).boxed(),
                |db, ids| questions::find_all(db, ids).boxed(),
            )),
            answers: Arc::new(Gathered::new(
                db.clone(),
                |db, id| answers::find(db, id).boxed(),
                |db, ids| answers::find_all(db, ids).boxed(),
            )),
            db,
            engine,
            predecessor_wait,
        }
    }

    /// The service's database.
    pub fn db(&self) -> &Database {
        &self.db
    }

    /// Records the answer and starts its saga, or finds the one that the same key started.
    ///
    /// # Errors
    /// [`Error::AccountDeleted`] when the caller left; what is wrong with the request; [`Error::InProgress`] when the player's answer before it is
    /// not decided in time; or as the database says.
    pub async fn submit(&self, submission: &Submission) -> Result<Ticket, Error> {
        if let Some(answer_id) = self.repeated(submission).await? {
            return Ok(self.ticket(answer_id, submission));
        }
        let asked = self.questions.find(submission.body.question_id).await?;
        let asked = asked.ok_or(Error::UnknownQuestion(submission.body.question_id))?;
        asked.judge(&submission.body.choice_id)?;
        let begun = Instant::now();
        let mut waited_for = None;
        loop {
            let predecessor = match self.recorder.record(submission, &asked).await? {
                Attempt::Recorded(answer_id, waiter) => {
                    return Ok(Ticket {
                        answer_id,
                        user_id: submission.caller.user_id,
                        is_new: true,
                        waiter,
                    });
                }
                Attempt::Repeated(answer_id) => return Ok(self.ticket(answer_id, submission)),
                Attempt::Behind(predecessor) => predecessor,
            };
            let left = self.predecessor_wait.saturating_sub(begun.elapsed());
            let saga = self.engine.wait(predecessor, left).await?;
            // A saga that has ended and left its answer undecided (abandoned without its definition)
            // is an operator's to mend: looking again would not help.
            if !saga.is_decided() || waited_for.replace(predecessor) == Some(predecessor) {
                return Err(Error::InProgress(predecessor));
            }
        }
    }

    /// Waits until the answer is decided, at most `wait`, and tells where it stands then.
    ///
    /// # Errors
    /// [`Error::AccountDeleted`] when its player left meanwhile, or as the database says.
    pub async fn decided(&self, ticket: Ticket, wait: Duration) -> Result<Answer, Error> {
        let Ticket {
            answer_id,
            user_id,
            is_new,
            waiter,
        } = ticket;
        let before = if is_new {
            None
        } else {
            self.find(answer_id).await?
        };
        let is_open = |answer: &Answer| answer.status == AnswerStatus::Pending;
        let answer = if is_new {
            waiter.is_decided_within(wait).await;
            self.find(answer_id).await?
        } else if before.as_ref().is_some_and(is_open) {
            waiter.wait(wait).await?;
            self.find(answer_id).await?
        } else {
            before
        };
        match answer {
            Some(answer) => Ok(answer),
            None if departed::left(&self.db, user_id).await? => Err(Error::AccountDeleted),
            None => Err(Error::UnknownAnswer(answer_id)),
        }
    }

    /// An answer by its id, whoever gave it.
    ///
    /// # Errors
    /// As the database says.
    pub async fn find(&self, answer_id: Uuid) -> Result<Option<Answer>, Error> {
        Ok(self.answers.find(answer_id).await?)
    }

    /// Deletes expired keys, until the shutdown.
    ///
    /// # Errors
    /// Never; the type is that of a supervised task.
    pub async fn prune_keys(self, shutdown: Shutdown) -> anyhow::Result<()> {
        while shutdown.sleep(PRUNE_EVERY).await == Slept::Whole {
            if let Err(error) = self.prune().await {
                tracing::warn!(%error, "cannot delete expired keys; tried again later");
            }
        }
        Ok(())
    }

    async fn prune(&self) -> database::Result<()> {
        let now = self.db.now().await?;
        loop {
            let mut tx = self.db.begin().await?;
            let pruned = keys::prune(&mut tx, now, PRUNE_BATCH).await?;
            tx.commit().await?;
            if pruned < PRUNE_BATCH.unsigned_abs() {
                return Ok(());
            }
        }
    }

    fn ticket(&self, answer_id: Uuid, submission: &Submission) -> Ticket {
        Ticket {
            answer_id,
            user_id: submission.caller.user_id,
            is_new: false,
            waiter: self.engine.waiter(answer_id),
        }
    }

    /// The answer that the request's key stands for already.
    async fn repeated(&self, submission: &Submission) -> Result<Option<Uuid>, Error> {
        let Some(key) = &submission.key else {
            return Ok(None);
        };
        let used = keys::find(&self.db, key).await?;
        used.map(|used| same_body(key, &used)).transpose()
    }
}
