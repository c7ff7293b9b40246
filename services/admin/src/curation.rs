//! Curators' writes: state and event in one transaction, then a bounded wait until the question
//! service shows the edit.

use std::time::Duration;

use contracts::{Payload, events::QuestionDeleted, http::ImportReport};
use database::{Database, Tx};
use event_store::{NewEvent, Outbox};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::{
    domain::{Act, Candidate, Decided, Draft, Import, Question},
    error::Error,
    metrics::Metrics,
    store::{confirmations, conflicts, questions},
};

/// How long a curator waits for players to see an edit: far above what a healthy system takes, and
/// short enough not to look broken.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// Between two looks at a confirmation that another replica may have taken.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Tries of a transaction that lost a race: the winner is seen by the next try, and a loser of
/// several races in a row should rather be told.
const ATTEMPTS: u32 = 4;

/// Writes questions. Clones share everything.
#[derive(Clone)]
pub struct Curation {
    db: Database,
    outbox: Outbox,
    metrics: Metrics,
}

/// What was written, and whether players see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The question as it is now.
    pub question: Question,
    /// Whether the question service has confirmed it.
    pub shown: Shown,
}

/// Whether players see an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// They do.
    Yes,
    /// It is written and on its way.
    NotYet,
}

impl Curation {
    /// Writes to `db`, with events for `outbox`.
    pub fn new(db: Database, outbox: Outbox, metrics: Metrics) -> Self {
        Self {
            db,
            outbox,
            metrics,
        }
    }

    /// The database, for reading.
    pub fn db(&self) -> &Database {
        &self.db
    }

    /// Adds a question.
    ///
    /// # Errors
    /// [`Error::Draft`], [`Error::Duplicate`], or as the database says.
    pub async fn create(&self, draft: &Draft) -> Result<Written, Error> {
        let mut question = Question::new(Uuid::nil(), 1, draft).map_err(Error::Draft)?;
        let content = question.content_id();
        for _ in 0..ATTEMPTS {
            let mut tx = self.db.begin().await?;
            // Two curators who write the same question meet here.
            questions::claim(&mut tx, vec![content]).await?;
            let is_taken = questions::lock(&mut tx, content).await?.is_some();
            question.id = Uuid::nil();
            if let Some(twin) = questions::twin(&mut tx, &question).await? {
                return Err(Error::Duplicate(twin));
            }
            question.id = if is_taken { Uuid::now_v7() } else { content };
            let now = tx.now().await?;
            if questions::insert(&mut tx, &question, now).await? {
                self.emit(&mut tx, question.id, &question.created()).await?;
                tx.commit().await?;
                return Ok(self.written(question).await);
            }
            tx.rollback().await?;
        }
        Err(Error::Duplicate(content))
    }

    /// Replaces a question by what the draft says.
    ///
    /// # Errors
    /// [`Error::Draft`], [`Error::NotFound`], [`Error::Stale`] when `expected` is not the current
    /// version, [`Error::Duplicate`], or as the database says.
    pub async fn replace(
        &self,
        id: Uuid,
        expected: Option<i64>,
        draft: &Draft,
    ) -> Result<Written, Error> {
        let mut question = Question::new(id, 1, draft).map_err(Error::Draft)?;
        let mut tx = self.db.begin().await?;
        questions::claim(&mut tx, vec![question.content_id()]).await?;
        let current = current(&mut tx, id, expected).await?;
        let asks_the_same = current.content_id() == question.content_id();
        if !asks_the_same && let Some(twin) = questions::twin(&mut tx, &question).await? {
            return Err(Error::Duplicate(twin));
        }
        question.version = current.version + 1;
        let now = tx.now().await?;
        questions::replace(&mut tx, &question, now).await?;
        conflicts::compare(&mut tx, id, Some(&question)).await?;
        self.emit(&mut tx, id, &question.updated()).await?;
        tx.commit().await?;
        Ok(self.written(question).await)
    }

    /// Deletes a question.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Stale`] when `expected` is not the current version, or as the
    /// database says.
    pub async fn delete(&self, id: Uuid, expected: Option<i64>) -> Result<Shown, Error> {
        let mut tx = self.db.begin().await?;
        let mut question = current(&mut tx, id, expected).await?;
        question.version += 1;
        let now = tx.now().await?;
        questions::hide(&mut tx, id, question.version, now).await?;
        conflicts::compare(&mut tx, id, None).await?;
        let deleted = QuestionDeleted {
            question_id: id,
            version: question.version,
        };
        self.emit(&mut tx, id, &deleted).await?;
        tx.commit().await?;
        Ok(self.written(question).await.shown)
    }

    /// Takes the good rows of a file, a bounded number in each transaction. It does not wait for
    /// players to see them.
    ///
    /// # Errors
    /// As the database says; what was committed until then stays, and the same file again goes on.
    pub async fn import(&self, mut import: Import) -> Result<ImportReport, Error> {
        while let Some(batch) = import.next_batch() {
            let decided = self.import_batch(&import, &batch).await?;
            import.note(decided);
        }
        Ok(import.finish())
    }

    async fn import_batch(
        &self,
        import: &Import,
        batch: &[Candidate],
    ) -> Result<Decided, database::Error> {
        let mut attempt = 1;
        loop {
            match self.try_batch(import, batch).await {
                Err(database::Error::Contention(_)) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn try_batch(
        &self,
        import: &Import,
        batch: &[Candidate],
    ) -> Result<Decided, database::Error> {
        let mut tx = self.db.begin().await?;
        let known = questions::known(&mut tx, batch).await?;
        let decided = import.decide(batch, &known);
        let now = tx.now().await?;
        let is_new = |act: &&Act| !known.by_id.contains_key(&act.question().id);
        let acts = &decided.acts;
        let new: Vec<_> = acts.iter().filter(is_new).map(Act::question).collect();
        if questions::insert_all(&mut tx, &new, now).await? < new.len() as u64 {
            // Somebody else added one of them since it was looked for.
            tx.rollback().await?;
            let lost = "a question was added meanwhile".into();
            return Err(database::Error::Contention(lost));
        }
        for act in acts.iter().filter(|act| !is_new(act)) {
            let question = act.question();
            questions::replace(&mut tx, question, now).await?;
            conflicts::compare(&mut tx, question.id, Some(question)).await?;
        }
        let told = acts.iter().map(|act| match act {
            Act::Create(question) => event(question.id, &question.created()),
            Act::Update(question) => event(question.id, &question.updated()),
        });
        self.outbox.enqueue_all(&mut tx, told.collect()).await?;
        if decided.acts.is_empty() {
            tx.rollback().await?;
        } else {
            tx.commit().await?;
        }
        self.metrics.edits.inc_by(decided.acts.len() as u64);
        Ok(decided)
    }

    async fn emit<P: Payload>(
        &self,
        tx: &mut Tx,
        id: Uuid,
        payload: &P,
    ) -> Result<(), database::Error> {
        self.outbox.enqueue(tx, event(id, payload)).await?;
        Ok(())
    }

    /// Whether players see what was just committed. It is written whatever happens here, so
    /// nothing here is an error.
    async fn written(&self, question: Question) -> Written {
        self.metrics.edits.inc();
        let seen = self.seen(question.id, question.version).await;
        let shown = match seen {
            Ok(shown) => shown,
            Err(error) => {
                tracing::warn!(%error, question = %question.id, "cannot look for a confirmation");
                Shown::NotYet
            }
        };
        if shown == Shown::NotYet {
            self.metrics.unconfirmed.inc();
        }
        Written { question, shown }
    }

    async fn seen(&self, id: Uuid, version: i64) -> Result<Shown, database::Error> {
        let deadline = Instant::now() + CONFIRMED_WITHIN;
        let mut confirmed = self.db.signal(confirmations::SIGNAL);
        loop {
            confirmed.mark_unchanged();
            if confirmations::is_applied(&self.db, id, version).await? {
                return Ok(Shown::Yes);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Shown::NotYet);
            }
            // Either way it looks again; a signal only makes it sooner.
            timeout(left.min(LOOK_AGAIN), confirmed.changed())
                .await
                .ok();
        }
    }
}

/// An event of a question's stream.
pub(crate) fn event<P: Payload>(id: Uuid, payload: &P) -> NewEvent {
    NewEvent::of(payload)
        .stream(format!("question-{id}"))
        .aggregate(id)
}

/// The question, locked, when it is there and at the version that the edit was made on.
async fn current(tx: &mut Tx, id: Uuid, expected: Option<i64>) -> Result<Question, Error> {
    let stored = questions::lock(tx, id).await?;
    let shown = stored.filter(|stored| !stored.is_deleted);
    let question = shown.ok_or(Error::NotFound)?.question;
    match expected {
        Some(expected) if expected != question.version => Err(Error::Stale(Box::new(question))),
        _ => Ok(question),
    }
}
