//! Everything at once, on one thread and by chance that a seed decides: the engine, outboxes, relays,
//! the log, consumers, the ledger, timers and operators, over SQLite, as processes run them; they die,
//! their commits fail, the bus lies, clocks jump, and participants refuse, stay silent and contradict
//! themselves. Then it is calm, and everything must come to its end, and be right.
//!
//! A seed that fails is printed and happens again exactly so:
//! `BANYAN_SIMULATION_SEED=7 cargo test -p sagas --test simulated -- --nocapture`.
//! `BANYAN_SIMULATION_SEEDS=100000` looks at more of them.

mod audit;
mod bus;
mod calm;
mod dice;
mod fate;
mod noise;
mod operator;
mod party;
mod process;
mod run;
mod shop;
mod trace;
mod world;

use std::collections::BTreeSet;

use faults::{Mutation, SwitchedHere, Write};

use self::run::{Stage, simulate};

/// One seed, with all that happens.
pub(crate) const SEED: &str = "BANYAN_SIMULATION_SEED";

/// How many seeds.
const SEEDS: &str = "BANYAN_SIMULATION_SEEDS";

/// Seeds looked at unless told.
const USUAL: u64 = 2_000;

/// Seeds within which each bug is found.
const ENOUGH: u64 = 400;

/// What is not simulated: the archive, erasures, the publisher, what only PostgreSQL has, second copies of
/// projections, and what only a hand in the tables leads to.
const ELSEWHERE: [Write; 15] = [
    Write::ArchiveSegment,
    Write::ArchiveManifest,
    Write::LogArchiveNote,
    Write::LogArchiveRemove,
    Write::PartitionsMake,
    Write::PartitionDrop,
    Write::PersonalErase,
    Write::PersonalAnnounced,
    Write::BusPublish,
    Write::PublisherCursor,
    Write::ConsumerLease,
    Write::ConsumerRebuild,
    Write::ConsumerSwap,
    Write::ConsumerAbandon,
    Write::DeadlineClear,
];

fn told(name: &str) -> Option<u64> {
    let told = std::env::var(name).ok()?;
    Some(
        told.parse()
            .unwrap_or_else(|_| panic!("{name}={told} is no number")),
    )
}

fn seeds() -> std::ops::Range<u64> {
    match told(SEED) {
        Some(seed) => seed..seed + 1,
        None => 0..told(SEEDS).unwrap_or(USUAL),
    }
}

/// What a thread saw of its seeds.
#[derive(Default)]
struct Looked {
    lines: u64,
    events: usize,
    reached: BTreeSet<&'static str>,
}

/// Each of a thread's seeds, one after the other.
fn look_at_each(seeds: impl Iterator<Item = u64>) -> Result<Looked, String> {
    let stage = Stage::new();
    let mut looked = Looked::default();
    for seed in seeds {
        let ran = simulate(seed, &stage)
            .map_err(|why| format!("seed {seed}: {why}\nit happens again with {SEED}={seed}"))?;
        looked.lines += ran.lines;
        looked.events += ran.events;
        looked
            .reached
            .extend(ran.reached.iter().map(|write| write.name()));
    }
    Ok(looked)
}

/// A seed is one thread's, and there are as many threads as processors.
fn look_at(seeds: std::ops::Range<u64>) {
    let began = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let looked: Vec<Looked> = std::thread::scope(|scope| {
        let of = |thread| seeds.clone().skip(thread).step_by(threads);
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || look_at_each(of(thread))))
            .collect();
        let ended = running
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        ended
            .map(|looked| looked.unwrap_or_else(|why| panic!("{why}")))
            .collect()
    });
    let lines: u64 = looked.iter().map(|looked| looked.lines).sum();
    let events: usize = looked.iter().map(|looked| looked.events).sum();
    println!(
        "{} seeds, {lines} happenings, {events} events, {:.1} s",
        seeds.clone().count(),
        began.elapsed().as_secs_f64()
    );
    if seeds.count() as u64 >= USUAL {
        let reached: BTreeSet<&str> = looked
            .into_iter()
            .flat_map(|looked| looked.reached)
            .collect();
        let writes = Write::ALL.iter().filter(|write| !ELSEWHERE.contains(write));
        let missed: Vec<_> = writes
            .map(|write| write.name())
            .filter(|name| !reached.contains(name))
            .collect();
        assert!(missed.is_empty(), "no seed comes to {missed:?}");
    }
}

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_is_done_twice_and_every_saga_ends() {
    look_at(seeds());
}

#[test]
fn a_seed_happens_again_exactly() {
    for seed in 0..20 {
        let ran = || simulate(seed, &Stage::new());
        assert_eq!(ran(), ran(), "seed {seed}");
    }
}

/// Looks for a seed that shows the bug.
#[track_caller]
fn finds(mutation: Mutation) {
    let stage = Stage::new();
    let mutated = SwitchedHere::on(mutation);
    let found = (0..ENOUGH).find_map(|seed| Some((seed, simulate(seed, &stage).err()?)));
    drop(mutated);
    let (seed, why) = found.unwrap_or_else(|| panic!("{} shows nowhere", mutation.name()));
    println!("{} shows with seed {seed}: {why}", mutation.name());
}

#[test]
fn a_checkpoint_after_the_commit_is_found() {
    finds(Mutation::CheckpointAfterCommit);
}

#[test]
fn a_compensation_that_is_not_repeated_is_found() {
    finds(Mutation::CompensationNotRepeated);
}

#[test]
fn a_barrier_that_is_skipped_is_found() {
    finds(Mutation::BarrierSkipped);
}

#[test]
fn a_log_that_does_not_know_its_events_is_found() {
    finds(Mutation::DedupOff);
}

#[test]
fn a_deadline_by_the_clock_of_a_replica_is_found() {
    finds(Mutation::DeadlineByLocalClock);
}

#[test]
fn a_late_reply_that_counts_is_found() {
    finds(Mutation::LateReplyAccepted);
}
