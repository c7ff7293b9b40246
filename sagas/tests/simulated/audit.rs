//! What must be so when a run has come to its end.

use std::collections::{BTreeMap, HashMap};

use database::{Database, Sql, params};
use sagas::{Phase, Progress, StepState};
use uuid::Uuid;

use super::{
    shop::ASKS,
    world::{Told, World},
};

type Effects = BTreeMap<(Uuid, String), (i64, i64, i64)>;

impl World {
    /// What has not come to its end; none when all has.
    pub(crate) async fn unfinished(&self) -> Option<String> {
        let head = self.log.head().await.expect("a head").position;
        for process in self.processes.iter().flatten() {
            for progress in process.consumers.all_progress() {
                if progress.position() != head {
                    let (name, at) = (progress.name(), progress.position());
                    return Some(format!("{name} is at {at} of {head}"));
                }
            }
        }
        let unsent = "SELECT COUNT(*) FROM outbox WHERE sent_position IS NULL
            AND stream NOT IN (SELECT stream FROM outbox WHERE error IS NOT NULL)";
        let unsent = count(&self.owner, unsent).await + count(&self.parties, unsent).await;
        if unsent > 0 {
            return Some(format!("{unsent} events are not in the log"));
        }
        let parked = "SELECT COUNT(*) FROM parked_events";
        let parked = count(&self.owner, parked).await + count(&self.parties, parked).await;
        if parked > 0 {
            return Some(format!("{parked} events are parked"));
        }
        let sql = "SELECT COUNT(*) FROM sagas WHERE state IN ('running', 'compensating')
                       OR suspended IS NOT NULL";
        let going = count(&self.owner, sql).await;
        (going > 0).then(|| format!("{going} sagas have neither ended nor wait for a person"))
    }

    /// What is wrong; none when nothing is.
    pub(crate) async fn audit(&mut self) -> Result<(), String> {
        self.audit_log()?;
        self.audit_refusals().await?;
        self.audit_outboxes().await?;
        self.audit_tally().await?;
        self.audit_sagas().await?;
        self.audit_history().await?;
        let ledger: Vec<(Uuid, String, Option<String>, Option<String>)> = rows(
            &self.parties,
            "SELECT saga_id, step, outcome, ending FROM saga_ledger ORDER BY 1, 2",
        )
        .await;
        self.trace.rows(&ledger);
        Ok(())
    }

    fn audit_log(&self) -> Result<(), String> {
        let mut versions: HashMap<&str, i64> = HashMap::new();
        for (recorded, position) in self.events.iter().zip(1..) {
            if recorded.position != position {
                return Err(format!("position {position} is missing"));
            }
            let version = versions.entry(&recorded.event.stream).or_default();
            *version += 1;
            if recorded.event.version != *version {
                return Err(format!("{} lacks version {version}", recorded.event.stream));
            }
        }
        Ok(())
    }

    /// Each row is in the log once, where its outbox says, and nothing else is.
    async fn audit_outboxes(&mut self) -> Result<(), String> {
        let sql = "SELECT id, sent_position FROM outbox ORDER BY sequence";
        let mut sent: Vec<(Uuid, Option<i64>)> = rows(&self.owner, sql).await;
        sent.extend(rows::<(Uuid, Option<i64>)>(&self.parties, sql).await);
        self.trace.rows(&sent);
        let at: HashMap<Uuid, i64> = self
            .events
            .iter()
            .map(|recorded| (recorded.event.id, recorded.position))
            .collect();
        for (id, position) in &sent {
            if at.get(id).copied() != *position {
                return Err(format!("the outbox says that {id} is at {position:?}"));
            }
        }
        let sent = sent.iter().filter(|(_, position)| position.is_some());
        let (sent, there) = (sent.count(), self.events.len() - self.noise.strange);
        match sent == there {
            true => Ok(()),
            false => Err(format!(
                "an event in the log that nobody sent: {there} are there, {sent} were sent"
            )),
        }
    }

    /// Nothing is refused but what follows a stranger's event.
    async fn audit_refusals(&mut self) -> Result<(), String> {
        let sql = "SELECT stream, version FROM outbox WHERE error IS NOT NULL ORDER BY 1, 2";
        let mut refused: Vec<(String, i64)> = rows(&self.owner, sql).await;
        refused.extend(rows::<(String, i64)>(&self.parties, sql).await);
        self.trace.rows(&refused);
        let is_so = |(stream, version): &(String, i64)| {
            self.noise.strange == 1 && stream == "noise-stranger" && *version == 1
        };
        match refused.iter().find(|refused| !is_so(refused)) {
            None => Ok(()),
            Some((stream, version)) => Err(format!("the log refused {version} of {stream}")),
        }
    }

    async fn audit_tally(&mut self) -> Result<(), String> {
        let sql = "SELECT event_id, counted FROM tallies ORDER BY event_id";
        let counted: Vec<(Uuid, i64)> = rows(&self.parties, sql).await;
        self.trace.rows(&counted);
        if let Some((id, times)) = counted.iter().find(|(_, times)| *times != 1) {
            return Err(format!("event {id} was counted {times} times"));
        }
        let wanted = |kind: &str| matches!(kind, "test.answered" | "test.completed");
        let events = self.events.iter();
        let wanted = events
            .filter(|event| wanted(&event.event.event_type))
            .count();
        match counted.len() == wanted {
            true => Ok(()),
            false => Err(format!("{} of {wanted} events were counted", counted.len())),
        }
    }

    /// Each saga's effects are there once or net to nothing.
    async fn audit_sagas(&mut self) -> Result<(), String> {
        let sql = "SELECT saga_id, step, done, undone, final FROM effects ORDER BY saga_id, step";
        let mut all: Vec<(Uuid, String, i64, i64, i64)> = rows(&self.owner, sql).await;
        all.extend(rows::<(Uuid, String, i64, i64, i64)>(&self.parties, sql).await);
        self.trace.rows(&all);
        let row = |(saga, step, done, undone, last)| ((saga, step), (done, undone, last));
        let effects: Effects = all.into_iter().map(row).collect();
        for ((saga, step), (done, undone, last)) in &effects {
            if *done > 1 || undone > done || *last > 1 {
                return Err(format!(
                    "{step} of {saga} was done {done} times, undone {undone}, final {last}"
                ));
            }
        }
        let sql = "SELECT id, state, steps FROM sagas ORDER BY id";
        let sagas: Vec<(Uuid, String, String)> = rows(&self.owner, sql).await;
        for (id, state, steps) in &sagas {
            let steps: Vec<StepState> = serde_json::from_str(steps).expect("steps");
            let phase = Phase::parse(state).expect("a phase");
            for step in &steps {
                let effect = effects.get(&(*id, step.name.clone()));
                let effect = effect.copied().unwrap_or_default();
                let is_untold = self.untold.contains(&(*id, step.name.clone()));
                if !nets(phase, step, effect, is_untold) {
                    let (done, undone, last) = effect;
                    return Err(format!(
                        "{id} is {state}, and its {} was done {done} times, undone {undone}, \
                         final {last}",
                        step.name
                    ));
                }
            }
            let timers = steps.iter().any(|step| !step.timers.is_empty());
            if phase.is_end() && timers {
                return Err(format!("{id} has ended and has timers"));
            }
        }
        for (id, told) in &self.told {
            let is_there = sagas.iter().any(|(saga, ..)| saga == id);
            if *told == Told::Started && !is_there {
                return Err(format!("a client was told of {id}, which is not there"));
            }
        }
        Ok(())
    }

    /// Versions are contiguous, the first end is the last, and nothing goes forward that turned back.
    async fn audit_history(&mut self) -> Result<(), String> {
        let sql = "SELECT saga_id, version, state FROM saga_transitions ORDER BY saga_id, version";
        let moved: Vec<(Uuid, i64, String)> = rows(&self.owner, sql).await;
        self.trace.rows(&moved);
        let mut last: Option<(Uuid, i64)> = None;
        let (mut turned, mut ended) = (false, false);
        for (saga, version, state) in moved {
            let phase = Phase::parse(&state).expect("a phase");
            let before = match last {
                Some((of, before)) if of == saga => before,
                _ => {
                    (turned, ended) = (false, false);
                    0
                }
            };
            if version != before + 1 {
                return Err(format!("{saga} lacks version {}", before + 1));
            }
            if ended || (turned && matches!(phase, Phase::Running | Phase::Completed)) {
                return Err(format!("{saga} was decided, and is {state} afterwards"));
            }
            turned |= phase.is_compensating() || phase == Phase::Compensated;
            ended |= phase.is_end();
            last = Some((saga, version));
        }
        Ok(())
    }
}

/// Whether a step's effect is as the end of its saga wants it.
fn nets(
    phase: Phase,
    step: &StepState,
    (done, undone, last): (i64, i64, i64),
    is_untold: bool,
) -> bool {
    match phase {
        Phase::Completed if ASKS.contains(&step.name.as_str()) => {
            let is_final = last == done || (is_untold && last == 0);
            undone == 0 && is_final && (done == 1 || step.progress != Progress::Done)
        }
        Phase::Completed => (done, undone) == (1, 0),
        Phase::Compensated => done == undone,
        _ => true,
    }
}

async fn count(database: &Database, sql: impl Into<Sql>) -> i64 {
    let (count,): (i64,) = database.fetch_one(sql, params![]).await.expect("a count");
    count
}

async fn rows<T: database::Record>(database: &Database, sql: &'static str) -> Vec<T> {
    database.fetch_all(sql, params![]).await.expect("rows")
}
