//! Curators' writes, each in one transaction.

use ::admin::{
    domain::{Act, Candidate, Decided, Draft, Import, Question},
    error::Error,
};
use contracts::http::ImportReport;
use database::{Database, Tx};
use uuid::Uuid;

use crate::store::curation;

/// Tries of a transaction that lost a race: the winner is seen by the next try.
const ATTEMPTS: u32 = 4;

/// Adds a question.
///
/// # Errors
/// [`Error::Draft`], [`Error::Duplicate`], or as the database says.
pub(super) async fn create(db: &Database, draft: &Draft) -> Result<Question, Error> {
    let mut question = Question::new(Uuid::nil(), 1, draft).map_err(Error::Draft)?;
    let content = question.content_id();
    for _ in 0..ATTEMPTS {
        let mut tx = db.begin().await?;
        // Two curators who write the same question meet here.
        curation::claim(&mut tx, vec![content]).await?;
        let is_taken = curation::lock(&mut tx, content).await?.is_some();
        question.id = Uuid::nil();
        if let Some(twin) = curation::twin(&mut tx, &question).await? {
            return Err(Error::Duplicate(twin));
        }
        question.id = if is_taken { Uuid::now_v7() } else { content };
        let now = tx.now().await?;
        if curation::insert(&mut tx, &question, now).await? {
            tx.commit().await?;
            return Ok(question);
        }
        tx.rollback().await?;
    }
    Err(Error::Duplicate(content))
}

/// Replaces a question by what the draft says.
///
/// # Errors
/// [`Error::Draft`], [`Error::NotFound`], [`Error::Stale`], [`Error::Duplicate`], or as the
/// database says.
pub(super) async fn replace(
    db: &Database,
    id: Uuid,
    expected: Option<i64>,
    draft: &Draft,
) -> Result<Question, Error> {
    let mut question = Question::new(id, 1, draft).map_err(Error::Draft)?;
    let mut tx = db.begin().await?;
    curation::claim(&mut tx, vec![question.content_id()]).await?;
    let current = current(&mut tx, id, expected).await?;
    let asks_the_same = current.content_id() == question.content_id();
    if !asks_the_same && let Some(twin) = curation::twin(&mut tx, &question).await? {
        return Err(Error::Duplicate(twin));
    }
    question.version = current.version + 1;
    let now = tx.now().await?;
    curation::replace(&mut tx, &question, now).await?;
    tx.commit().await?;
    Ok(question)
}

/// Deletes a question.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Stale`], or as the database says.
pub(super) async fn delete(db: &Database, id: Uuid, expected: Option<i64>) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    let version = current(&mut tx, id, expected).await?.version + 1;
    let now = tx.now().await?;
    curation::hide(&mut tx, id, version, now).await?;
    Ok(tx.commit().await?)
}

/// Takes the good rows of a file, a bounded number in each transaction.
///
/// # Errors
/// As the database says; what was committed until then stays, and the same file again goes on.
pub(super) async fn import(db: &Database, mut import: Import) -> Result<ImportReport, Error> {
    while let Some(batch) = import.next_batch() {
        let mut attempt = 1;
        let decided = loop {
            match try_batch(db, &import, &batch).await {
                Err(database::Error::Contention(_)) if attempt < ATTEMPTS => attempt += 1,
                result => break result?,
            }
        };
        import.note(decided);
    }
    Ok(import.finish())
}

async fn try_batch(
    db: &Database,
    import: &Import,
    batch: &[Candidate],
) -> Result<Decided, database::Error> {
    let mut tx = db.begin().await?;
    let known = curation::known(&mut tx, batch).await?;
    let decided = import.decide(batch, &known);
    let now = tx.now().await?;
    for act in &decided.acts {
        let question = act.question();
        match act {
            Act::Create(_) if !known.by_id.contains_key(&question.id) => {
                if !curation::insert(&mut tx, question, now).await? {
                    // Somebody else added it since it was looked for.
                    tx.rollback().await?;
                    let lost = "a question was added meanwhile".into();
                    return Err(database::Error::Contention(lost));
                }
            }
            Act::Create(_) | Act::Update(_) => curation::replace(&mut tx, question, now).await?,
        }
    }
    if decided.acts.is_empty() {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    Ok(decided)
}

/// The question, locked, when it is there and at the version that the edit was made on.
async fn current(tx: &mut Tx, id: Uuid, expected: Option<i64>) -> Result<Question, Error> {
    let stored = curation::lock(tx, id).await?;
    let shown = stored.filter(|stored| !stored.is_deleted);
    let question = shown.ok_or(Error::NotFound)?.question;
    match expected {
        Some(expected) if expected != question.version => Err(Error::Stale(Box::new(question))),
        _ => Ok(question),
    }
}
