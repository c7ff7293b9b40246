//! What must hold when nothing is left to do, read from the three databases.

use std::collections::{BTreeMap, BTreeSet};

use database::{Database, params};
use event_store::{Log, ReadQuery, log::READ_LIMIT};
use serde_json::Value;
use uuid::Uuid;

/// The log tells of an erasure.
const ERASED: &str = "personal.erased";

/// What does not hold, in words.
pub(crate) type Findings = Vec<String>;

pub(crate) struct Audit {
    pub(crate) log: Log,
    pub(crate) owner: Database,
    pub(crate) till: Database,
}

/// An event, as far as it is looked at.
struct Event {
    position: i64,
    id: Uuid,
    stream: String,
    version: i64,
    kind: String,
    saga: Option<Uuid>,
    payload: Value,
}

/// A saga's state, and its effects: how often done, undone and made final.
type Effects = BTreeMap<(Uuid, String), (i64, i64, i64)>;

impl Audit {
    pub(crate) async fn run(&self, acknowledged: &BTreeSet<u64>) -> Findings {
        let mut findings = Findings::new();
        let events = self.events().await;
        order(&events, &mut findings);
        let sagas = self.sagas().await;
        starts(&events, &sagas, acknowledged, &mut findings);
        self.effects(&sagas, &mut findings).await;
        let mut sent = BTreeSet::new();
        for (name, database) in [("owner", &self.owner), ("till", &self.till)] {
            sent.extend(outbox(name, database, &events, &mut findings).await);
            tallies(name, database, &events, &mut findings).await;
            none(
                name,
                database,
                "SELECT COUNT(*) FROM parked_events",
                &mut findings,
            )
            .await;
        }
        let is_strange = |event: &&Event| event.kind != "test.stranger";
        let strangers = events.iter().filter(is_strange);
        let strangers = strangers.filter(|event| !sent.contains(&event.id));
        let strangers = strangers.filter(|event| event.kind != ERASED);
        // Rows that were sent stay until the archive has what they became.
        let pruned = self.log.backed_up_to().await.expect("a position");
        let strangers = strangers.filter(|event| event.position > pruned);
        findings.extend(strangers.map(|event| {
            let Event { kind, position, .. } = event;
            format!("{kind} at {position} was sent by nobody")
        }));
        none(
            "owner",
            &self.owner,
            "SELECT COUNT(*) FROM saga_deadlines",
            &mut findings,
        )
        .await;
        self.erasures(&events, &mut findings).await;
        findings
    }

    /// Each person whose key was erased is told of once, and nobody else is.
    async fn erasures(&self, events: &[Event], findings: &mut Findings) {
        let told = events.iter().filter(|event| event.kind == ERASED);
        let told: Vec<_> = told
            .map(|event| event.payload["subject"].as_str())
            .collect();
        let sql = "SELECT subject, sealed IS NOT NULL, announced FROM personal_keys
                   WHERE erased_at IS NOT NULL";
        let erased: Vec<(String, bool, bool)> = self
            .log
            .database()
            .fetch_all(sql, params![])
            .await
            .expect("erasures");
        for (person, has_key, announced) in &erased {
            let times = told.iter().filter(|told| **told == Some(person)).count();
            if (times, has_key, announced) != (1, &false, &true) {
                findings.push(format!(
                    "{person} was erased and told of {times} times (key: {has_key}, noted: {announced})"
                ));
            }
        }
        if told.len() != erased.len() {
            let (told, erased) = (told.len(), erased.len());
            findings.push(format!("{erased} people were erased, {told} told of"));
        }
    }

    async fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event.position);
            let query = ReadQuery::after(after).limit(READ_LIMIT);
            let page = self.log.read(&query).await.expect("events");
            if page.is_empty() {
                return events;
            }
            events.extend(page.into_iter().map(|recorded| Event {
                position: recorded.position,
                id: recorded.event.id,
                stream: recorded.event.stream,
                version: recorded.event.version,
                kind: recorded.event.event_type,
                saga: recorded.event.saga_id,
                payload: recorded.event.payload,
            }));
        }
    }

    async fn sagas(&self) -> BTreeMap<Uuid, String> {
        let sql = "SELECT id, state FROM sagas WHERE definition = 'order'";
        let rows: Vec<(Uuid, String)> = self.owner.fetch_all(sql, params![]).await.expect("sagas");
        rows.into_iter().collect()
    }

    async fn effects(&self, sagas: &BTreeMap<Uuid, String>, findings: &mut Findings) {
        let mut effects = effects_of(&self.owner).await;
        effects.extend(effects_of(&self.till).await);
        for (saga, state) in sagas {
            for step in ["note", "pay", "pack"] {
                let effect = effects.remove(&(*saga, step.to_owned()));
                let (done, undone, made_final) = effect.unwrap_or_default();
                let once = (done, undone, made_final) == (1, 0, i64::from(step != "note"));
                let nothing = done <= 1 && done == undone && made_final == 0;
                let fits = match state.as_str() {
                    "completed" => once,
                    "compensated" => nothing,
                    _ => false,
                };
                if !fits {
                    findings.push(format!(
                        "saga {saga} is {state}, and {step} was done {done}, undone {undone} and \
                         made final {made_final} times"
                    ));
                }
            }
        }
        findings.extend(
            effects
                .keys()
                .map(|of| format!("an effect of no saga: {of:?}")),
        );
    }
}

async fn effects_of(database: &Database) -> Effects {
    let sql = "SELECT saga_id, step, done, undone, final FROM effects";
    let rows: Vec<(Uuid, String, i64, i64, i64)> =
        database.fetch_all(sql, params![]).await.expect("effects");
    rows.into_iter()
        .map(|(saga, step, done, undone, made_final)| ((saga, step), (done, undone, made_final)))
        .collect()
}

/// Positions and versions are contiguous, and no event is there twice.
fn order(events: &[Event], findings: &mut Findings) {
    let (mut ids, mut versions) = (BTreeSet::new(), BTreeMap::new());
    for (event, position) in events.iter().zip(1..) {
        if event.position != position {
            findings.push(format!("position {} stands at {position}", event.position));
        }
        let version = versions.entry(&event.stream).or_insert(0);
        *version += 1;
        if event.version != *version {
            findings.push(format!(
                "{} has {} at {version}",
                event.stream, event.version
            ));
        }
        if !ids.insert(event.id) {
            findings.push(format!("event {} is there twice", event.id));
        }
    }
}

/// Each saga was placed once and ended once; each that was acknowledged is there.
fn starts(
    events: &[Event],
    sagas: &BTreeMap<Uuid, String>,
    acknowledged: &BTreeSet<u64>,
    findings: &mut Findings,
) {
    let mut numbers = BTreeMap::new();
    let mut ends: BTreeMap<Uuid, Vec<&str>> = BTreeMap::new();
    for event in events {
        match event.kind.as_str() {
            "test.placed" => *numbers.entry(event.payload["number"].as_u64()).or_insert(0) += 1,
            "test.completed" | "test.compensated" => {
                let saga = event.saga.unwrap_or_default();
                ends.entry(saga)
                    .or_default()
                    .push(&event.kind["test.".len()..]);
            }
            _ => {}
        }
    }
    for number in acknowledged {
        if !numbers.contains_key(&Some(*number)) {
            findings.push(format!("{number} was acknowledged and is not there"));
        }
    }
    for (number, times) in &numbers {
        if *times != 1 {
            findings.push(format!("{number:?} was placed {times} times"));
        }
    }
    if numbers.len() != sagas.len() {
        let (placed, there) = (numbers.len(), sagas.len());
        findings.push(format!("{placed} sagas were placed, {there} are there"));
    }
    for (saga, state) in sagas {
        if ends.get(saga).is_none_or(|ends| *ends != [state.as_str()]) {
            let told = ends.get(saga);
            findings.push(format!("saga {saga} is {state}, and the log says {told:?}"));
        }
    }
}

/// Every row is in the log, once, where it says; the ids of all of them.
async fn outbox(
    name: &str,
    database: &Database,
    events: &[Event],
    findings: &mut Findings,
) -> BTreeSet<Uuid> {
    let sql = "SELECT id, stream, sent_position, error FROM outbox";
    let rows: Vec<(Uuid, String, Option<i64>, Option<String>)> =
        database.fetch_all(sql, params![]).await.expect("an outbox");
    let places: BTreeMap<Uuid, i64> = events.iter().map(|e| (e.id, e.position)).collect();
    let mut sent = BTreeSet::new();
    for (id, stream, position, error) in rows {
        sent.insert(id);
        // A stranger has written into it: it stands still, and holds up nobody.
        if stream.starts_with("noise-") && error.is_some() && position.is_none() {
            continue;
        }
        if error.is_some() || position.is_none() || places.get(&id) != position.as_ref() {
            let there = places.get(&id);
            findings.push(format!(
                "event {id} of {name} is sent to {position:?} ({error:?}), the log has it at {there:?}"
            ));
        }
    }
    sent
}

/// The consumers without a ledger have counted each event once.
async fn tallies(name: &str, database: &Database, events: &[Event], findings: &mut Findings) {
    let sql = "SELECT consumer, event_id, times FROM tallies WHERE consumer IN ('tally', 'narrow')";
    let rows: Vec<(String, Uuid, i64)> = database.fetch_all(sql, params![]).await.expect("tallies");
    let mut seen: BTreeMap<(&str, Uuid), i64> = BTreeMap::new();
    for (consumer, id, times) in &rows {
        seen.insert((consumer.as_str(), *id), *times);
    }
    for event in events {
        let narrow = (event.kind == "test.placed").then_some("narrow");
        for consumer in [Some("tally"), narrow].into_iter().flatten() {
            let times = seen.remove(&(consumer, event.id)).unwrap_or(0);
            if times != 1 {
                let Event { position, kind, .. } = event;
                findings.push(format!(
                    "{consumer} of {name} handled {kind} at {position} {times} times"
                ));
            }
        }
    }
    findings.extend(
        seen.keys()
            .map(|of| format!("{name} handled what is not there: {of:?}")),
    );
}

async fn none(name: &str, database: &Database, sql: &'static str, findings: &mut Findings) {
    let (count,): (i64,) = database.fetch_one(sql, params![]).await.expect("a count");
    if count != 0 {
        findings.push(format!("{name}: {sql} says {count}"));
    }
}
