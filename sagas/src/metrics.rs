//! What a process counts about its sagas. Counted with the transition, so one that is rolled back
//! by its caller counts too; the tables are the truth.

use std::{collections::HashMap, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    Saga, Verb,
    state::{Phase, Timer},
};

/// From an answer within one commit to a saga that waited for a person.
const SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0,
];

/// A label set: `(name, value)` pairs.
type Labels = Vec<(&'static str, String)>;

/// Counters of one process's sagas; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    started: Family<Labels, Counter>,
    ended: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram>,
    turned: Family<Labels, Counter>,
    needs_intervention: Family<Labels, Counter>,
    interventions: Family<Labels, Counter>,
    lateness: Family<Labels, Histogram>,
    stuck: Counter,
    open: Family<Labels, Gauge>,
    oldest: Family<Labels, Gauge<f64, AtomicU64>>,
    overdue: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            started: Family::default(),
            ended: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            turned: Family::default(),
            needs_intervention: Family::default(),
            interventions: Family::default(),
            lateness: Family::new_with_constructor(histogram),
            stuck: Counter::default(),
            open: Family::default(),
            oldest: Family::default(),
            overdue: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Adds all of them to a process's registry.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry;
        r.register("sagas_started", "Sagas started", self.started.clone());
        r.register("sagas_ended", "Sagas ended, by outcome", self.ended.clone());
        r.register(
            "saga_seconds",
            "From start to end, by outcome",
            self.seconds.clone(),
        );
        r.register(
            "sagas_turned",
            "Sagas that turned back",
            self.turned.clone(),
        );
        r.register(
            "sagas_needing_intervention",
            "Times that a saga could not be taken back without a person",
            self.needs_intervention.clone(),
        );
        r.register(
            "saga_interventions",
            "Operators' acts, by verb",
            self.interventions.clone(),
        );
        r.register(
            "saga_timer_lateness_seconds",
            "From when a timer was due to its commit",
            self.lateness.clone(),
        );
        r.register(
            "saga_timer_failures",
            "Timers that could not fire",
            self.stuck.clone(),
        );
        r.register(
            "sagas_open",
            "Sagas that have not ended, by state",
            self.open.clone(),
        );
        r.register(
            "saga_oldest_open_seconds",
            "Age of the oldest saga that has not ended",
            self.oldest.clone(),
        );
        r.register(
            "saga_timer_overdue_seconds",
            "How long the most overdue timer has waited to fire; 0 while none is due",
            self.overdue.clone(),
        );
    }

    /// Shows zeros for this definition, so that the first one of a kind is seen as a rise.
    pub(crate) fn begin(&self, definition: &str) {
        let named = vec![("definition", definition.to_owned())];
        self.started.get_or_create_owned(&named);
        self.turned.get_or_create_owned(&named);
        self.needs_intervention.get_or_create_owned(&named);
        self.oldest.get_or_create_owned(&named);
        for phase in Phase::ALL {
            if phase.is_end() {
                let labels = outcome(definition, phase.as_str());
                self.ended.get_or_create_owned(&labels);
                self.seconds.get_or_create_owned(&labels);
            } else {
                self.open
                    .get_or_create_owned(&state(definition, phase.as_str()));
            }
        }
        for verb in Verb::NAMES {
            self.interventions
                .get_or_create_owned(&vec![("verb", verb.to_owned())]);
        }
        for timer in [Timer::Deadline, Timer::Retry, Timer::UndoRetry] {
            self.lateness
                .get_or_create_owned(&vec![("kind", timer.as_str().to_owned())]);
        }
    }

    /// What a count of the table has found.
    pub(crate) fn open(
        &self,
        oldest: &HashMap<&str, Duration>,
        counts: &HashMap<(&str, &str), i64>,
        overdue: Duration,
    ) {
        for (definition, age) in oldest {
            self.oldest
                .get_or_create(&vec![("definition", (*definition).to_owned())])
                .set(age.as_secs_f64());
            for phase in Phase::ALL.into_iter().filter(|phase| !phase.is_end()) {
                let count = counts.get(&(*definition, phase.as_str()));
                self.open
                    .get_or_create(&state(definition, phase.as_str()))
                    .set(count.copied().unwrap_or(0));
            }
        }
        self.overdue.set(overdue.as_secs_f64());
    }

    pub(crate) fn moved(&self, saga: &Saga, before: Phase) {
        let definition = || ("definition", saga.definition.clone());
        let phase = saga.state.phase;
        if saga.version == 1 {
            self.started.get_or_create(&vec![definition()]).inc();
        }
        if phase == before && saga.version > 1 {
            return;
        }
        let compensating = matches!(phase, Phase::Compensating | Phase::NeedsIntervention)
            || phase == Phase::Compensated;
        let came_forward = matches!(before, Phase::Running | Phase::Parked);
        if compensating && came_forward {
            self.turned.get_or_create(&vec![definition()]).inc();
        }
        if phase == Phase::NeedsIntervention {
            self.needs_intervention
                .get_or_create(&vec![definition()])
                .inc();
        }
        if phase.is_end() {
            let labels = outcome(&saga.definition, phase.as_str());
            let took = saga.updated_at.since(saga.created_at);
            self.ended.get_or_create(&labels).inc();
            self.seconds
                .get_or_create(&labels)
                .observe(took.as_secs_f64());
        }
    }

    pub(crate) fn intervened(&self, verb: &str) {
        self.interventions
            .get_or_create(&vec![("verb", verb.to_owned())])
            .inc();
    }

    pub(crate) fn fired(&self, timer: Timer, late: Duration) {
        let labels = vec![("kind", timer.as_str().to_owned())];
        self.lateness
            .get_or_create(&labels)
            .observe(late.as_secs_f64());
    }

    pub(crate) fn stuck(&self) {
        self.stuck.inc();
    }
}

fn outcome(definition: &str, outcome: &str) -> Labels {
    vec![
        ("definition", definition.to_owned()),
        ("outcome", outcome.to_owned()),
    ]
}

fn state(definition: &str, state: &str) -> Labels {
    vec![
        ("definition", definition.to_owned()),
        ("state", state.to_owned()),
    ]
}
