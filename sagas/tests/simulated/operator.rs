//! Operators, who do anything at any time, and state nothing that is not so.

use contracts::Payload;
use database::{Database, params};
use event_store::consumer::Start;
use sagas::{Intervention, Resolution, Verb};
use uuid::Uuid;

use super::{
    party::TALLY,
    process::{OF_PARTIES, PROCESSES},
    shop::{ASKS, Completed},
    world::World,
};

impl World {
    pub(crate) async fn an_operator_acts(&mut self) {
        match self.fate().roll(|dice| dice.below(11)) {
            10 => self.an_operator_lets_a_stream_be_tried_again().await,
            0..4 => self.an_operator_acts_on_a_saga().await,
            4..8 => self.an_operator_acts_on_what_is_parked().await,
            8 => self.an_operator_stops_a_consumer_or_lets_it_go_on().await,
            _ => {
                if let Some(process) = &self.processes[OF_PARTIES] {
                    // Where it fails, nothing has changed.
                    let _ = process.consumers.replay(TALLY, Start::Beginning).await;
                }
            }
        }
        self.moved = true;
        for process in 0..PROCESSES {
            self.notice_death(process);
        }
    }

    async fn an_operator_acts_on_a_saga(&mut self) {
        let sagas: Vec<Uuid> = self.told.keys().copied().collect();
        let Some(saga) = self.fate().roll(|dice| dice.one_of(&sagas).copied()) else {
            return;
        };
        let step = self.fate().roll(|dice| dice.one_of(&ASKS).copied());
        let step = step.unwrap_or_default();
        let truths = truths(&self.parties, saga, step).await;
        let truth = self.fate().roll(|dice| dice.one_of(&truths).copied());
        let step = step.to_owned();
        let verb = match (self.fate().roll(|dice| dice.below(8)), truth) {
            (0..2, _) => Verb::RetryStep { step },
            (2..4, _) => Verb::RetryCompensation,
            (4, _) => Verb::ForceCompensation,
            (5, _) => Verb::Abandon,
            (_, Some(outcome)) => Verb::ResolveStep { step, outcome },
            (_, None) => return,
        };
        let replica = self.roll_below(OF_PARTIES);
        self.look_at_clocks(replica);
        let Some(process) = &self.processes[replica] else {
            return;
        };
        let Some(engine) = &process.engine else {
            return;
        };
        let by = Intervention {
            verb: verb.clone(),
            actor: "somebody".to_owned(),
            reason: "it is so".to_owned(),
        };
        let acted = engine.intervene(saga, by, None).await.map(|_| ());
        self.trace.add(|| format!("{verb:?} on {saga}: {acted:?}"));
    }

    async fn an_operator_acts_on_what_is_parked(&mut self) {
        let process = self.roll_below(PROCESSES);
        self.look_at_clocks(process);
        let Some(running) = &self.processes[process] else {
            return;
        };
        let parked = running.consumers.parked(None, 100).await.expect("a list");
        let Some(parked) = self.fate().roll(|dice| dice.one_of(&parked).cloned()) else {
            return;
        };
        let (name, id) = (parked.consumer.as_str(), parked.event_id);
        let act = self.fate().roll(|dice| dice.below(5));
        if act == 4 && parked.event_type == Completed::TYPE {
            // So its participant may never learn that what it did is final.
            let saga = parked.event.event.saga_id.unwrap_or_default();
            self.untold.insert((saga, name.to_owned()));
        }
        let acted = match act {
            0..2 => running.consumers.retry(name, id).await.map(|_| "retries"),
            2..4 => running
                .consumers
                .retry_alone(name, id)
                .await
                .map(|_| "retries alone"),
            _ => running
                .consumers
                .discard(name, id)
                .await
                .map(|_| "discards"),
        };
        let told = acted.map_or_else(|error| error.to_string(), ToOwned::to_owned);
        self.trace
            .add(|| format!("an operator and {} for {name}: {told}", parked.position));
    }

    async fn an_operator_stops_a_consumer_or_lets_it_go_on(&mut self) {
        let process = self.roll_below(PROCESSES);
        self.look_at_clocks(process);
        let Some(running) = &self.processes[process] else {
            return;
        };
        let names = running.consumers.interests();
        let name = self.fate().roll(|dice| dice.one_of(&names).copied());
        let (name, _) = name.expect("a consumer");
        let stops = self.fate().roll(|dice| dice.below(3)) == 0;
        let acted = match stops {
            true => running.consumers.pause(name).await,
            false => running.consumers.resume(name).await,
        };
        let worked = acted.is_ok();
        self.trace
            .add(|| format!("{name} of {process} stops: {stops}, {worked}"));
    }

    pub(crate) async fn operators_let_everything_go_on(&self) {
        for process in self.processes.iter().flatten() {
            for (name, _) in process.consumers.interests() {
                process.consumers.resume(name).await.expect("it goes on");
            }
        }
    }

    pub(crate) async fn operators_retry_what_is_parked(&mut self) {
        self.moved = true;
        for number in [0, OF_PARTIES] {
            self.look_at_clocks(number);
            let Some(process) = &self.processes[number] else {
                continue;
            };
            for (name, _) in process.consumers.interests() {
                let retried = process.consumers.retry_all(name, 0).await.expect("retries");
                self.trace
                    .add(|| format!("{name}: {} again", retried.handled));
            }
        }
    }
}

/// What is so of a participant's step.
async fn truths(parties: &Database, saga: Uuid, step: &str) -> Vec<Resolution> {
    let sql = "SELECT outcome, ending FROM saga_ledger WHERE saga_id = $1 AND step = $2";
    let row: Option<(Option<String>, Option<String>)> = parties
        .fetch_optional(sql, params![saga, step])
        .await
        .expect("a row");
    let Some((outcome, ending)) = row else {
        return Vec::new();
    };
    let mut truths = Vec::new();
    match (outcome.as_deref(), ending.as_deref()) {
        (Some("done"), None) => truths.push(Resolution::Done),
        (Some("refused"), _) => truths.push(Resolution::Refused),
        _ => {}
    }
    if ending.as_deref() == Some("revoked") {
        truths.push(Resolution::Undone);
    }
    truths
}
