//! One run: what its seed makes happen, step by step, and then calm, in which everything must come to
//! its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use contracts::Recorded;
use database::{Database, Timestamp, params};
use event_store::Log;
use faults::{Simulated, Time, Write};
use sagas::NewSaga;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    bus::WildBus,
    fate::Fate,
    noise::Noise,
    process::{OF_PARTIES, PROCESSES, Place, Process, open, open_log},
    shop::{DEADLINE, Kind, OWNER},
    trace::Trace,
};

/// Steps in which things go wrong.
const STEPS: u64 = 240;

const BEGINNING: i64 = 1_800_000_000_000_000;

const ORDER_1: Kind = Kind {
    name: "order",
    version: 1,
};
const ORDER_2: Kind = Kind {
    name: "order",
    version: 2,
};
const HOLD_1: Kind = Kind {
    name: "hold",
    version: 1,
};
pub(crate) const ALL: [Kind; 3] = [ORDER_1, ORDER_2, HOLD_1];

/// What a client knows of a saga that it wanted to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was told that it has started.
    Started,
    /// It does not know.
    Nothing,
}

pub(crate) struct World {
    pub(crate) place: Place,
    wild: Option<WildBus>,
    pub(crate) processes: [Option<Process>; PROCESSES],
    /// How far the clock of the machine of each is from the database's, in microseconds.
    skews: [i64; PROCESSES],
    began: Instant,
    /// What the database's clock jumped by.
    jumped: i64,
    pub(crate) clocks: Simulated,
    /// What an observer sees.
    pub(crate) owner: Database,
    pub(crate) parties: Database,
    pub(crate) log: Log,
    pub(crate) events: Vec<Arc<Recorded>>,
    pub(crate) told: BTreeMap<Uuid, Told>,
    /// Participants who may not have been told the end of a saga, since an operator gave that up.
    pub(crate) untold: BTreeSet<(Uuid, String)>,
    pub(crate) noise: Noise,
    /// How far the sagas' history was looked at.
    pub(crate) seen: i64,
    /// Whether something was committed since.
    pub(crate) moved: bool,
    pub(crate) trace: Trace,
}

impl World {
    pub(crate) async fn new(seed: u64, folder: &Path, clocks: Simulated) -> Self {
        let fate = Fate::of(seed, PROCESSES);
        let wild = fate.roll(|dice| dice.below(2) == 0).then(WildBus::default);
        let bus = wild.clone();
        let place = Place {
            folder: folder.to_owned(),
            fate,
            bus: bus.map(|bus| Arc::new(bus) as Arc<dyn bus::Bus>),
        };
        let log = open_log(folder, None).await.expect("a log");
        let noise = Noise::begin(&place.fate, &log).await;
        let skews = [0; PROCESSES].map(|_: i64| skew(&place.fate));
        let opened = |name| open(folder, name, None);
        Self {
            owner: opened(OWNER).await.expect("a database"),
            parties: opened(super::party::PARTIES).await.expect("a database"),
            log,
            noise,
            place,
            wild,
            processes: Default::default(),
            skews,
            began: Instant::now(),
            jumped: 0,
            clocks,
            events: Vec::new(),
            told: BTreeMap::new(),
            untold: BTreeSet::new(),
            seen: 0,
            moved: false,
            trace: Trace::default(),
        }
    }

    pub(crate) fn fate(&self) -> &Fate {
        &self.place.fate
    }

    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(BEGINNING + self.jumped + elapsed)
    }

    /// The clocks as this process has them.
    pub(crate) fn look_at_clocks(&self, process: usize) {
        let of_database = self.now().as_micros();
        self.clocks.tell(Time {
            of_database,
            of_machine: of_database + self.skews[process],
        });
    }

    /// Everything that its seed makes happen.
    pub(crate) async fn happens(&mut self) -> Result<(), String> {
        for process in 0..PROCESSES {
            self.starts(process).await;
        }
        for _ in 0..STEPS {
            self.step().await;
            self.watch().await?;
        }
        Ok(())
    }

    async fn step(&mut self) {
        match self.fate().roll(|dice| dice.below(100)) {
            0..60 => self.somebody_goes_on().await,
            60..74 => self.time_passes().await,
            74..79 => self.a_client_starts_a_saga().await,
            79 => self.the_owner_tells_of_something_else().await,
            80..88 => self.the_bus_tells_something(),
            88..93 => self.an_operator_acts().await,
            93..95 => self.a_process_dies(),
            95..99 => self.a_dead_process_starts().await,
            _ => self.a_clock_changes(),
        }
    }

    async fn somebody_goes_on(&mut self) {
        let process = self.roll_below(PROCESSES);
        let Some(running) = &self.processes[process] else {
            return;
        };
        let actor = self.roll_below(running.actors.len());
        self.goes_on(process, actor).await;
    }

    pub(crate) async fn goes_on(&mut self, number: usize, actor: usize) {
        self.look_at_clocks(number);
        let Some(process) = &mut self.processes[number] else {
            return;
        };
        let actor = &mut process.actors[actor];
        let name = actor.name;
        actor.goes_on().await;
        let commits = self.place.fate.commits();
        self.moved |= commits > 0;
        if commits > 0 {
            let now = self.now();
            self.trace
                .add(|| format!("{now} {name} of {number} commits {commits} times"));
        }
        self.notice_death(number);
    }

    /// A process that died at one of its commits is no more.
    pub(crate) fn notice_death(&mut self, process: usize) {
        if self.place.fate.is_dead(process) {
            self.processes[process] = None;
            self.place.fate.revive(process);
            self.trace.add(|| format!("{process} has died at a commit"));
        }
    }

    async fn time_passes(&mut self) {
        let by = match self.fate().roll(|dice| dice.below(33)) {
            0..12 => Duration::from_millis(1),
            12..16 => Duration::from_millis(20),
            16..20 => Duration::from_millis(100),
            20..24 => Duration::from_millis(550),
            24..28 => self.until_a_deadline().await,
            28..32 => DEADLINE,
            // Leases must be held on.
            _ => 8 * DEADLINE,
        };
        self.trace.add(|| format!("{by:?} pass"));
        self.advance(by).await;
    }

    pub(crate) async fn advance(&mut self, by: Duration) {
        tokio::time::advance(by).await;
        self.look_at_clocks(0);
        tokio::task::yield_now().await;
    }

    /// So long that the nearest timer of a saga is due to the millisecond.
    async fn until_a_deadline(&self) -> Duration {
        let sql = "SELECT due_at FROM saga_deadlines ORDER BY due_at LIMIT 1";
        let due: Option<(Timestamp,)> = self
            .owner
            .fetch_optional(sql, params![])
            .await
            .expect("a row");
        due.map_or(Duration::ZERO, |(due,)| due.since(self.now()))
    }

    async fn a_client_starts_a_saga(&mut self) {
        let replica = self.roll_below(OF_PARTIES);
        let again = self.fate().roll(|dice| dice.below(4) == 0);
        let unknown = self.told.iter().filter(|(_, told)| **told == Told::Nothing);
        let unknown: Vec<Uuid> = unknown.map(|(id, _)| *id).collect();
        let known = self.fate().roll(|dice| dice.one_of(&unknown).copied());
        let id = match known {
            // Who knows nothing asks again.
            Some(id) if again || self.told.len() >= 4 => id,
            _ if self.told.len() >= 4 => return,
            _ => {
                let high = u128::from(self.fate().roll(super::dice::Dice::next));
                Uuid::from_u128(high << 64 | self.told.len() as u128)
            }
        };
        self.look_at_clocks(replica);
        let Some(process) = &self.processes[replica] else {
            return;
        };
        let name = match id.as_u128() >> 64 & 7 {
            0..5 => "order",
            _ => "hold",
        };
        let started = start(process, name, id).await;
        self.trace.add(|| {
            let how = started.as_ref().map(|()| "well").unwrap_or("badly");
            format!("a client starts {name} {id} at {replica}: {how}")
        });
        let told = match started {
            Ok(()) => Told::Started,
            Err(_) => Told::Nothing,
        };
        let before = self.told.entry(id).or_insert(told);
        if told == Told::Started {
            *before = told;
        }
        self.moved = true;
        self.notice_death(replica);
    }

    fn the_bus_tells_something(&self) {
        if let Some(wild) = &self.wild {
            self.place.fate.roll(|dice| wild.tell(dice, &self.events));
        }
    }

    fn a_process_dies(&mut self) {
        let process = self.roll_below(PROCESSES);
        self.processes[process] = None;
        self.trace.add(|| format!("{process} dies"));
    }

    async fn a_dead_process_starts(&mut self) {
        let process = self.roll_below(PROCESSES);
        if self.processes[process].is_none() {
            self.starts(process).await;
        }
    }

    async fn starts(&mut self, process: usize) {
        let kinds: &[Kind] = match self.fate().roll(|dice| dice.below(8)) {
            0 => &[ORDER_1, HOLD_1],
            1 => &[ORDER_2, HOLD_1],
            2 => &[ORDER_1, ORDER_2],
            _ => &ALL,
        };
        self.starts_with(process, kinds).await;
    }

    pub(crate) async fn starts_with(&mut self, process: usize, kinds: &[Kind]) {
        self.look_at_clocks(process);
        let started = self.place.start(process, kinds).await;
        self.trace.add(|| {
            let how = started.as_ref().map(|_| "well").unwrap_or("badly");
            format!("{process} starts with {kinds:?}: {how}")
        });
        self.processes[process] = started.ok();
        self.moved = true;
        self.notice_death(process);
    }

    fn a_clock_changes(&mut self) {
        if self.fate().roll(|dice| dice.below(2)) == 0 {
            let process = self.roll_below(PROCESSES);
            self.skews[process] = skew(&self.place.fate);
        } else {
            let by = self.fate().roll(|dice| dice.below(1_500_000));
            self.jumped += i64::try_from(by).unwrap_or_default();
        }
    }

    pub(crate) fn roll_below(&self, count: usize) -> usize {
        let below = self.place.fate.roll(|dice| dice.below(count as u64));
        usize::try_from(below).unwrap_or_default()
    }
}

async fn start(process: &Process, name: &'static str, id: Uuid) -> Result<(), sagas::Error> {
    let Some(engine) = &process.engine else {
        return Ok(());
    };
    let mut tx = process.database.begin().await?;
    let new = NewSaga::new(name, id, json!({}));
    engine.start(&mut tx, new).await?;
    faults::before(Write::ServiceCommit);
    tx.commit().await?;
    faults::after(Write::ServiceCommit);
    Ok(())
}

/// A minute at most, this way or that.
fn skew(fate: &Fate) -> i64 {
    fate.roll(|dice| {
        let minute = i64::try_from(dice.below(60_000_000)).unwrap_or_default();
        [0, minute, -minute][usize::try_from(dice.below(3)).unwrap_or_default()]
    })
}
