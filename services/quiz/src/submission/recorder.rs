//! Recording answers: those that come while others are being recorded are recorded together, with one
//! transaction and hardly more statements than for one.
//!
//! Invariants:
//! - Nobody waits for another's player: an answer whose player's row is held elsewhere is left out of its
//!   group and recorded alone.
//! - An answer is tried again alone only when its group is known to have recorded nothing.
//! - Who gives up waiting takes nobody else's answer along.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use database::{Database, Timestamp, Tx};
use sagas::{Engine, NewSaga, Waiter};
use tokio::sync::oneshot;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    Submission,
    line::{Duty, Line},
};
use crate::{
    domain::Asked,
    error::Error,
    saga::{self, Submitted},
    store::{
        answers::{self, Obstacles},
        keys::{self, Key, Used},
        stats,
    },
};

/// How long an Idempotency-Key stands for its request.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Answers in one group at most: beyond this a transaction gets longer and hardly cheaper.
const MAX_GROUP: usize = 32;

/// What one look at the player's row led to.
pub(super) enum Attempt {
    /// The answer is recorded now, under this id.
    Recorded(Uuid, Waiter),
    /// An earlier request with the same key recorded it.
    Repeated(Uuid),
    /// This answer of the player's has to be decided first.
    Behind(Uuid),
}

type Outcome = Result<Attempt, Error>;

/// Records answers.
pub(super) struct Recorder {
    db: Database,
    engine: Engine,
    line: Line<Wish>,
}

struct Wish {
    submission: Submission,
    asked: Asked,
    reply: oneshot::Sender<Outcome>,
}

impl Wish {
    fn player(&self) -> Uuid {
        self.submission.caller.user_id
    }

    fn tell(self, outcome: Outcome) {
        // Who no longer waits finds the answer by its key.
        let _ = self.reply.send(outcome);
    }
}

/// How players' rows are held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Those that are there and that nobody else holds.
    Free,
    /// That of one player, whoever holds it now; made where there is none.
    Waiting,
}

impl Recorder {
    pub(super) fn new(db: Database, engine: Engine) -> Self {
        Self {
            db,
            engine,
            line: Line::new(),
        }
    }

    /// Records the answer, unless something is in its way.
    ///
    /// # Errors
    /// What is wrong with the request, or as the database says: after [`database::Error::Unavailable`]
    /// it may have been recorded.
    pub(super) async fn record(
        self: &Arc<Self>,
        submission: &Submission,
        asked: &Asked,
    ) -> Result<Attempt, Error> {
        let (reply, outcome) = oneshot::channel();
        let wish = Wish {
            submission: submission.clone(),
            asked: asked.clone(),
            reply,
        };
        if self.line.join(wish) == Duty::Serve {
            tokio::spawn(Arc::clone(self).serve().in_current_span());
        }
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn serve(self: Arc<Self>) {
        let _serving = self.line.serving();
        while let Some(group) = self.next_group() {
            self.record_group(group).await;
        }
    }

    /// The next group: of each player one answer.
    fn next_group(&self) -> Option<Vec<Wish>> {
        let mut players = BTreeSet::new();
        self.line
            .next(|wish| players.len() < MAX_GROUP && players.insert(wish.player()))
    }

    async fn record_group(self: &Arc<Self>, group: Vec<Wish>) {
        let wishes: Vec<&Wish> = group.iter().collect();
        let outcomes = match self.attempt(&wishes, Hold::Free).await {
            Ok(outcomes) => outcomes,
            Err(Error::Database(database::Error::Unavailable(cause))) => {
                let cause: Arc<str> = cause.to_string().into();
                for wish in group {
                    let cause = database::Error::Unavailable(cause.to_string().into());
                    wish.tell(Err(cause.into()));
                }
                return;
            }
            Err(error) => {
                tracing::debug!(%error, answers = group.len(), "not together; one by one");
                group.iter().map(|_| None).collect()
            }
        };
        for (wish, outcome) in group.into_iter().zip(outcomes) {
            match outcome {
                Some(outcome) => wish.tell(outcome),
                None => {
                    let recorder = Arc::clone(self);
                    let alone = async move { recorder.record_alone(wish).await };
                    tokio::spawn(alone.in_current_span());
                }
            }
        }
    }

    async fn record_alone(&self, wish: Wish) {
        let tried = self.attempt(&[&wish], Hold::Waiting).await;
        let outcome =
            tried.and_then(|mut outcomes| outcomes.pop().flatten().unwrap_or(Err(gone())));
        wish.tell(outcome);
    }

    /// Records answers of different players in one transaction; none for those whose player's row is not
    /// to be had.
    async fn attempt(&self, wishes: &[&Wish], hold: Hold) -> Result<Vec<Option<Outcome>>, Error> {
        let mut tx = self.db.begin().await?;
        let players: Vec<Uuid> = wishes.iter().map(|wish| wish.player()).collect();
        let (held, now) = lock(&mut tx, &players, hold).await?;
        // Asked once the rows are held: whoever forgets a player holds the row, too, so that either this
        // answer is forgotten with the rest or it is never recorded.
        let obstacles = obstacles(&mut tx, &held).await?;
        let used = used_keys(&mut tx, wishes, now).await?;
        let mut begun = Vec::new();
        let mut outcomes = Vec::with_capacity(wishes.len());
        for (wish, used) in wishes.iter().zip(used) {
            let outcome = match obstacles.get(&wish.player()) {
                None => None,
                Some(obstacles) => match in_the_way(obstacles, wish, used) {
                    Some(outcome) => Some(outcome),
                    None => {
                        let answer_id = Uuid::now_v7();
                        begun.push((*wish, answer_id));
                        // In line before the commit, so that a decision right after it is not missed.
                        Some(Ok(Attempt::Recorded(
                            answer_id,
                            self.engine.waiter(answer_id),
                        )))
                    }
                },
            };
            outcomes.push(outcome);
        }
        if !begun.is_empty() {
            self.begin(&mut tx, &begun, now).await?;
            tx.commit().await?;
        }
        Ok(outcomes)
    }

    /// Starts the answers' sagas, and remembers their keys.
    async fn begin(
        &self,
        tx: &mut Tx,
        begun: &[(&Wish, Uuid)],
        now: Timestamp,
    ) -> Result<(), Error> {
        let saga = |&(wish, answer_id): &(&Wish, Uuid)| saga_of(wish, answer_id);
        let sagas = begun.iter().map(saga).collect::<Result<Vec<_>, Error>>()?;
        self.engine.start_all(tx, sagas).await?;
        let keyed = begun
            .iter()
            .filter_map(|(wish, answer_id)| Some((wish.submission.key.as_ref()?, *answer_id)));
        let keyed: Vec<(&Key, Uuid)> = keyed.collect();
        Ok(keys::remember(tx, &keyed, now + KEY_LIFETIME).await?)
    }
}

/// Whose rows are held now, and the time.
async fn lock(
    tx: &mut Tx,
    players: &[Uuid],
    hold: Hold,
) -> Result<(BTreeSet<Uuid>, Timestamp), Error> {
    Ok(match (hold, players) {
        (Hold::Waiting, [player]) => {
            let (_, now) = stats::lock(tx, *player).await?;
            ([*player].into(), now)
        }
        _ => stats::lock_free(tx, players).await?,
    })
}

async fn obstacles(tx: &mut Tx, held: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, Obstacles>, Error> {
    let found = answers::obstacles(tx, held).await?;
    Ok(found.into_iter().map(|one| (one.user_id, one)).collect())
}

/// What the key of each wish stood for.
async fn used_keys(
    tx: &mut Tx,
    wishes: &[&Wish],
    now: Timestamp,
) -> Result<Vec<Option<Used>>, Error> {
    let keyed: Vec<&Key> = wishes
        .iter()
        .filter_map(|wish| wish.submission.key.as_ref())
        .collect();
    let mut used = keys::find_within(tx, &keyed, now).await?.into_iter();
    let of = |wish: &&Wish| {
        wish.submission
            .key
            .as_ref()
            .and_then(|_| used.next().flatten())
    };
    Ok(wishes.iter().map(of).collect())
}

/// What keeps the answer from being recorded.
fn in_the_way(obstacles: &Obstacles, wish: &Wish, used: Option<Used>) -> Option<Outcome> {
    if obstacles.has_left {
        return Some(Err(Error::AccountDeleted));
    }
    if let (Some(key), Some(used)) = (&wish.submission.key, used) {
        return Some(same_body(key, &used).map(Attempt::Repeated));
    }
    obstacles
        .undecided
        .map(|predecessor| Ok(Attempt::Behind(predecessor)))
}

fn saga_of(wish: &Wish, answer_id: Uuid) -> Result<NewSaga, Error> {
    let Submission {
        caller,
        body,
        trace,
        ..
    } = &wish.submission;
    let submitted = Submitted {
        answer_id,
        user_id: caller.user_id,
        display_name: caller.display_name.clone(),
        asked: wish.asked.clone(),
        choice_id: body.choice_id.clone(),
        quiz_mode: body.quiz_mode,
    };
    Ok(NewSaga::new(saga::NAME, answer_id, submitted.to_json()?)
        .correlation(trace.correlation_id())
        .traceparent(trace.to_string()))
}

/// Which answer the key stands for, if the request is the one that it came with.
pub(super) fn same_body(key: &Key, used: &Used) -> Result<Uuid, Error> {
    if used.fingerprint == key.fingerprint {
        Ok(used.answer_id)
    } else {
        Err(Error::KeyReused)
    }
}

/// The task that was to record it has ended.
fn gone() -> Error {
    database::Error::Unavailable("the service is stopping".into()).into()
}

#[cfg(test)]
mod tests;
