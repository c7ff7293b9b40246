//! What is measured, and in which order: repetitions are interleaved, since the machine drifts and
//! only what ran side by side compares.

use std::process::Command;

use anyhow::Context;

use super::peers::{Peer, Programs};
use super::{Figures, Options};
use crate::bench::options::Named;
use crate::bench::programs::{self, Servers};

/// Where events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Postgres,
    Sqlite,
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Sqlite => "sqlite",
        }
    }
}

/// Who writes how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load {
    pub(super) place: Place,
    pub(super) callers: usize,
    /// Events in one commit of one caller.
    pub(super) batch: usize,
    /// Rows as small as a peer's.
    pub(super) is_narrow: bool,
}

/// A thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Events a second.
    Rate(Load),
    /// Milliseconds until a caller has its answer.
    P50(Load),
    P99(Load),
    /// Milliseconds from an append to its effect in another process.
    HopP50,
    HopP99,
    /// Events a second that a new consumer of a full log handles, and MiB that it holds at most.
    Backlog,
    BacklogMemory,
}

/// What of a load is measured, with its name.
pub(super) type Kind = (&'static str, fn(Load) -> What);

/// Callers that append one event at a time.
pub(super) const ON_POSTGRES: [usize; 3] = [1, 16, 32];
pub(super) const ON_SQLITE: [usize; 2] = [1, 32];
/// Events a second, of the hop.
pub(super) const RATE: u64 = 1_000;
/// Events in a full log.
pub(super) const BACKLOG: u64 = 1_000_000;
/// Events in a batch.
pub(super) const BATCH: usize = 100;

impl Load {
    pub(super) fn singles(place: Place, callers: usize) -> Self {
        Self {
            place,
            callers,
            batch: 1,
            is_narrow: false,
        }
    }

    pub(super) fn batches(place: Place) -> Self {
        Self {
            batch: BATCH,
            ..Self::singles(place, 1)
        }
    }

    pub(super) fn narrow() -> Self {
        Self {
            is_narrow: true,
            ..Self::batches(Place::Sqlite)
        }
    }
}

/// A part that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Append,
    Batches,
    Hop,
    Backlog,
}

impl Named for Part {
    const ALL: &'static [Self] = &[Self::Append, Self::Batches, Self::Hop, Self::Backlog];

    fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Batches => "batches",
            Self::Hop => "hop",
            Self::Backlog => "backlog",
        }
    }
}

/// One run of the measurement.
pub(super) struct Bench<'a> {
    programs: &'a Programs,
    options: &'a Options,
    servers: Servers,
    pub(super) figures: Figures,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// When the servers do not start.
    pub(super) fn new(programs: &'a Programs, options: &'a Options) -> anyhow::Result<Self> {
        Ok(Self {
            programs,
            options,
            servers: Servers::start(&programs.measure)?,
            figures: Figures::default(),
        })
    }

    /// # Errors
    /// When a program breaks.
    pub(super) fn run(&mut self, part: Part) -> anyhow::Result<()> {
        println!("    {}", part.name());
        match part {
            Part::Append => {
                let postgres = ON_POSTGRES.map(|callers| Load::singles(Place::Postgres, callers));
                let sqlite = ON_SQLITE.map(|callers| Load::singles(Place::Sqlite, callers));
                self.writes(&[postgres.as_slice(), &sqlite].concat())
            }
            Part::Batches => {
                let [postgres, sqlite] = [Place::Postgres, Place::Sqlite].map(Load::batches);
                self.writes(&[postgres, sqlite, Load::narrow()])
            }
            Part::Hop => {
                let (rate, time) = (RATE.to_string(), self.options.time.as_secs().to_string());
                let hop = ["hop", "--rate", &rate, "--seconds", &time];
                self.consumes(&hop, &[("p50", What::HopP50), ("p99", What::HopP99)])
            }
            Part::Backlog => {
                let backlog = ["backlog", "--events", &BACKLOG.to_string()];
                let keys = [("rate", What::Backlog), ("memory", What::BacklogMemory)];
                self.consumes(&backlog, &keys)
            }
        }
    }

    fn writes(&mut self, loads: &[Load]) -> anyhow::Result<()> {
        for _ in 0..self.options.repetitions {
            for load in loads {
                for peer in &self.options.peers {
                    if peer.takes(*load) && self.programs.has(*peer, load.place) {
                        self.write(*peer, *load)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Ours alone: nobody else has such a thing.
    fn consumes(&mut self, arguments: &[&str], keys: &[(&str, What)]) -> anyhow::Result<()> {
        for _ in 0..self.options.repetitions {
            let mut command = Command::new(&self.programs.measure);
            command.args(arguments);
            command.env("BANYAN_TEST_POSTGRES", &self.servers.postgres);
            let measured = programs::answers(&mut command)?;
            let measured = measured.last().context("nothing was measured")?;
            for (key, what) in keys {
                let value = measured[key].as_f64();
                let value = value.with_context(|| format!("no {key} in {measured}"))?;
                self.figures.add(*what, Peer::Banyan, value);
            }
        }
        Ok(())
    }

    fn write(&mut self, peer: Peer, load: Load) -> anyhow::Result<()> {
        let seconds = self.options.time.as_secs();
        let command = self.programs.command(peer, load, seconds, &self.servers);
        let measured = programs::answers(&mut command?)?;
        let measured = measured.last().context("nothing was measured")?;
        let keys: [Kind; 3] = [("rate", What::Rate), ("p50", What::P50), ("p99", What::P99)];
        for (key, what) in keys {
            if let Some(value) = measured[key].as_f64() {
                self.figures.add(what(load), peer, value);
            }
        }
        Ok(())
    }
}
