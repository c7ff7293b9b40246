//! Following the monolith: its edits become edits here, with their events, so that writes may stay
//! on the monolith while reads are on the new side.
//!
//! Several replicas may follow at once: each row is taken by compare-and-set on the time and the
//! version of the monolith's last write, so one of them takes it and the others do nothing.
//!
//! Invariants: state and event are one transaction; whatever the monolith wrote up to the watermark
//! is known, so it rises with them or later, and only over what can commit no more; a question that was edited here is
//! never changed by the monolith's edit, which is a conflict and listed as one.

use std::time::Duration;

use chassis::{Shutdown, shutdown::Slept};
use contracts::events::QuestionDeleted;
use database::{Database, Result, Timestamp, Tx};
use event_store::Outbox;
use service::import::{self, BATCH};
use uuid::Uuid;

use crate::{
    curation::event,
    domain::Stored,
    import::Counts,
    metrics::Metrics,
    store::{
        conflicts,
        legacy::{self, LegacyQuestion},
        progress::{self, OVERLAP},
        questions,
    },
};

/// A monolith that is down is not asked more often than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Follows the monolith's questions. Clones share everything.
#[derive(Clone)]
pub struct Follower {
    own: Database,
    outbox: Outbox,
    metrics: Metrics,
}

/// What a row of the monolith meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// A question that was not here.
    Inserted,
    /// An edit of one that was.
    Updated,
    /// Known, or the same as here.
    Nothing,
    /// The question was edited here, too.
    Conflict,
}

impl Follower {
    /// Follows into `own`, with events for `outbox`.
    pub fn new(own: Database, outbox: Outbox, metrics: Metrics) -> Self {
        Self {
            own,
            outbox,
            metrics,
        }
    }

    /// Looks for the monolith's edits in these intervals, until the shutdown.
    ///
    /// # Errors
    /// Never; the type is that of a supervised task.
    pub async fn run(self, url: String, every: Duration, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut legacy = None;
        let mut pause = every;
        loop {
            if shutdown.sleep(pause).await == Slept::ShutDown {
                return Ok(());
            }
            pause = match self.poll(&url, &mut legacy).await {
                Ok(()) => every,
                Err(error) => {
                    tracing::warn!(%error, "cannot follow the monolith now");
                    legacy = None;
                    (pause * 2).clamp(every, PAUSE_MAX.max(every))
                }
            };
        }
    }

    async fn poll(&self, url: &str, legacy: &mut Option<Database>) -> Result<()> {
        // The first import comes first; it says where following begins.
        let Some(watermark) = progress::watermark(&self.own).await? else {
            return Ok(());
        };
        let legacy = match legacy {
            Some(open) => open,
            None => legacy.insert(import::open(url).await?),
        };
        self.pass(legacy, watermark).await?;
        Ok(())
    }

    /// Takes every edit that is not known, whenever it was.
    ///
    /// # Errors
    /// As either database says.
    pub async fn catch_up(&self, legacy: &Database) -> Result<Counts> {
        self.pass(legacy, Timestamp::from_micros(-1)).await
    }

    async fn pass(&self, legacy: &Database, since: Timestamp) -> Result<Counts> {
        let tags = legacy::tags_in(legacy).await?;
        // What was written before is committed by now, or never will be. It is read before the
        // rows, on the clock that they were written by; one that was set back begins further back.
        let settled = legacy.now().await? - OVERLAP;
        let mut counts = Counts::default();
        let mut place = (since.min(settled), Uuid::max());
        loop {
            let rows = legacy::read_changed(legacy, tags, place, BATCH).await?;
            let Some(last) = rows.last() else { break };
            place = (last.updated_at, last.stored.question.id);
            let news = self.news(rows).await?;
            counts.skipped += news.known;
            if news.rows.is_empty() {
                continue;
            }
            let mut tx = self.own.begin().await?;
            let mut taken = Vec::with_capacity(news.rows.len());
            for row in &news.rows {
                taken.push(self.take(&mut tx, row).await?);
            }
            tx.commit().await?;
            self.count(&taken, &mut counts);
        }
        let known = place.0.min(settled);
        if known > since {
            progress::advance(&self.own, known).await?;
        }
        Ok(counts)
    }

    fn count(&self, taken: &[Taken], counts: &mut Counts) {
        for taken in taken {
            match taken {
                Taken::Inserted => counts.inserted += 1,
                Taken::Updated => counts.updated += 1,
                Taken::Nothing | Taken::Conflict => counts.skipped += 1,
            }
            match taken {
                Taken::Inserted | Taken::Updated => self.metrics.followed.inc(),
                Taken::Conflict => self.metrics.conflicts.inc(),
                Taken::Nothing => 0,
            };
        }
    }

    /// The rows that are not known here; most of an overlap is.
    async fn news(&self, rows: Vec<LegacyQuestion>) -> Result<News> {
        let ids = rows.iter().map(|row| row.stored.question.id).collect();
        let known = legacy::known(&self.own, ids).await?;
        let all = rows.len();
        let is_news = |row: &LegacyQuestion| {
            known
                .get(&row.stored.question.id)
                .is_none_or(|seen| seen.is_outdated_by(row))
        };
        let rows: Vec<_> = rows.into_iter().filter(is_news).collect();
        let known = (all - rows.len()) as u64;
        Ok(News { rows, known })
    }

    async fn take(&self, tx: &mut Tx, row: &LegacyQuestion) -> Result<Taken> {
        let theirs = &row.stored;
        let id = theirs.question.id;
        let Some(here) = questions::lock(tx, id).await? else {
            if !legacy::insert(tx, row, 0).await? {
                // Another replica was faster.
                return Ok(Taken::Nothing);
            }
            self.tell(tx, theirs, None).await?;
            return Ok(Taken::Inserted);
        };
        let Some(ours) = legacy::ours(tx, id).await? else {
            return Ok(Taken::Nothing);
        };
        if ours.seen.is_some_and(|seen| !seen.is_outdated_by(row)) {
            return Ok(Taken::Nothing);
        }
        let agree = here.is_deleted == theirs.is_deleted
            && (here.is_deleted || here.question.says_the_same(&theirs.question));
        match (ours.was_edited, agree) {
            (_, true) => {
                legacy::seen(tx, row).await?;
                legacy::agree(tx, id).await?;
                conflicts::settle(tx, id).await?;
                Ok(Taken::Nothing)
            }
            (true, false) => {
                let now = tx.now().await?;
                legacy::seen(tx, row).await?;
                conflicts::note(tx, row, now).await?;
                tracing::warn!(question = %id, "edited in the monolith and here; ours stays");
                Ok(Taken::Conflict)
            }
            (false, false) => {
                let version = theirs.question.version.max(here.question.version + 1);
                legacy::update(tx, row, version).await?;
                let mut now_here = theirs.clone();
                now_here.question.version = version;
                self.tell(tx, &now_here, Some(&here)).await?;
                Ok(Taken::Updated)
            }
        }
    }

    /// The event of an edit. What was created and deleted between two looks is told as deleted:
    /// somebody may have imported it meanwhile.
    async fn tell(&self, tx: &mut Tx, now: &Stored, before: Option<&Stored>) -> Result<()> {
        let id = now.question.id;
        let was_shown = before.is_some_and(|before| !before.is_deleted);
        let told = match (now.is_deleted, was_shown) {
            (true, _) => {
                let deleted = QuestionDeleted {
                    question_id: id,
                    version: now.question.version,
                };
                event(id, &deleted)
            }
            (false, true) => event(id, &now.question.updated()),
            (false, false) => event(id, &now.question.created()),
        };
        self.outbox.enqueue(tx, told).await?;
        Ok(())
    }
}

/// Rows that are not known here, and how many others were.
struct News {
    rows: Vec<LegacyQuestion>,
    known: u64,
}
