//! What is measured: each engine is started afresh in each repetition, one at a time, since an idle
//! system that polls takes processors from the one under load.

use std::{fs, path::Path};

use super::peers::{Part, Peer, Programs};
use super::{Figures, Options};
use crate::bench::options::Named;
use crate::bench::programs::{self, Servers};

/// A thing that is measured; numbers are callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Sagas a second.
    Rate(usize),
    /// Milliseconds.
    P50(usize),
    P99(usize),
    /// CPU-milliseconds for a saga, without the load generator.
    Cpu(usize),
    /// Those of one part of it.
    PartCpu(usize, &'static str),
}

/// What is measured for a number of callers, with its name.
pub(super) type Kind = (&'static str, fn(usize) -> What);

/// Callers that each wait for the end of one saga before they begin the next.
pub(super) const CALLERS: [usize; 3] = [1, 16, 64];

/// Whose CPU is told apart.
pub(super) const PARTS: [&str; 16] = [
    "banyan up",
    "quiz",
    "achievement",
    "leaderboard",
    "log",
    "auth",
    "question",
    "legacy",
    "admin",
    "maintenance",
    "gateway",
    "PostgreSQL",
    "NATS",
    "Restate",
    "Node",
    "program",
];

/// Runs all repetitions.
///
/// # Errors
/// When a program of ours breaks.
pub(super) fn run(
    programs: &Programs,
    options: &Options,
    folder: &Path,
) -> anyhow::Result<Figures> {
    fs::create_dir_all(folder)?;
    let mut figures = Figures::default();
    for _ in 0..options.repetitions {
        for peer in &options.peers {
            let is_wanted = peer.only().is_none_or(|part| options.parts.contains(&part));
            if is_wanted && programs.has(*peer) {
                println!("    {}", peer.name());
                let seconds = options.time.as_secs();
                match measure(programs, *peer, seconds, folder, &mut figures) {
                    // What others' programs come to is no reason to have no figures of ours.
                    Err(error) if peer.only().is_none() => {
                        println!("    {} lacks this repetition: {error:#}", peer.name());
                    }
                    measured => measured?,
                }
            }
        }
    }
    Ok(figures)
}

impl Peer {
    /// The part that it belongs to; those of others run with each.
    fn only(self) -> Option<Part> {
        match self {
            Self::Embedded => Some(Part::Embedded),
            Self::Distributed => Some(Part::Distributed),
            _ => None,
        }
    }
}

fn measure(
    programs: &Programs,
    peer: Peer,
    seconds: u64,
    folder: &Path,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let servers = match peer.needs_postgres() {
        true => Some(Servers::start(&programs.measure)?),
        false => None,
    };
    let mut load = programs.load();
    let callers = CALLERS.map(|count| count.to_string()).join(",");
    load.args(["--callers", &callers, "--seconds", &seconds.to_string()]);
    let _running = programs.start(peer, folder, servers.as_ref(), &mut load)?;
    for measured in programs::answers(&mut load)? {
        let Some(callers) = measured["callers"].as_u64() else {
            continue;
        };
        let callers = usize::try_from(callers)?;
        let keys: [Kind; 4] = [
            ("rate", What::Rate),
            ("p50", What::P50),
            ("p99", What::P99),
            ("cpu", What::Cpu),
        ];
        for (key, what) in keys {
            if let Some(value) = measured[key].as_f64() {
                figures.add(what(callers), peer, value);
            }
        }
        for part in PARTS {
            if let Some(value) = measured["parts"][part].as_f64() {
                figures.add(What::PartCpu(callers, part), peer, value);
            }
        }
    }
    Ok(())
}
