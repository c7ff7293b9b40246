//! Who is measured beside the log, and the program that does it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use super::Options;
use super::measures::{Load, Place};
use crate::bench::options::Named;
use crate::bench::programs::{self, Servers};
use crate::workspace::Workspace;

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    Banyan,
    /// The same rows in the same table, in no order.
    ByHand,
    /// With ids that lie anywhere in the index.
    ByHandRandom,
    /// A transaction for each event, one after the other.
    OneLock,
    Emmett,
    Eventsourcing,
}

impl Named for Peer {
    const ALL: &'static [Self] = &[
        Self::Banyan,
        Self::ByHand,
        Self::ByHandRandom,
        Self::OneLock,
        Self::Emmett,
        Self::Eventsourcing,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Banyan => "Banyan",
            Self::ByHand => "by hand",
            Self::ByHandRandom => "by hand, random ids",
            Self::OneLock => "by hand, one lock",
            Self::Emmett => "Emmett",
            Self::Eventsourcing => "eventsourcing",
        }
    }

    fn is_ours(self) -> bool {
        self == Self::Banyan
    }
}

impl Peer {
    /// Whether it can do this, and anything is compared with it.
    pub(super) fn takes(self, load: Load) -> bool {
        let is_batch = load.batch > 1;
        match (self, load.place) {
            (Self::Banyan, _) => true,
            _ if load.is_narrow => false,
            (Self::ByHand, Place::Postgres) => true,
            (Self::ByHand, Place::Sqlite) => load.callers == 1,
            (Self::ByHandRandom, _) => is_batch,
            (Self::OneLock, place) => place == Place::Postgres && !is_batch,
            (Self::Emmett, place) => place == Place::Postgres && (is_batch || load.callers == 16),
            (Self::Eventsourcing, Place::Postgres) => load.callers <= 16,
            (Self::Eventsourcing, Place::Sqlite) => load.callers == 1,
        }
    }
}

/// Where the programs are; a peer that this machine cannot have is left out of the tables.
pub(super) struct Programs {
    /// Ours, which also starts the servers.
    pub(super) measure: PathBuf,
    by_hand: Option<PathBuf>,
    emmett: Option<PathBuf>,
    python: Option<PathBuf>,
    root: PathBuf,
}

impl Programs {
    /// Builds and installs what is missing.
    ///
    /// # Errors
    /// When ours does not build.
    pub(super) fn ready(workspace: &Workspace, options: &Options) -> anyhow::Result<Self> {
        let measure = programs::ours(workspace, "event-store", "--example", "measure")?;
        let wanted = |peer: Peer, find: &dyn Fn() -> anyhow::Result<PathBuf>| {
            if !options.peers.contains(&peer) {
                return None;
            }
            find()
                .inspect_err(|error| println!("    without {}: {error:#}", peer.name()))
                .ok()
        };
        let any_by_hand = [Peer::ByHand, Peer::ByHandRandom]
            .into_iter()
            .find(|peer| options.peers.contains(peer));
        Ok(Self {
            measure,
            by_hand: any_by_hand
                .and_then(|peer| wanted(peer, &|| programs::beside(workspace, "by-hand"))),
            emmett: wanted(Peer::Emmett, &|| programs::from_npm(workspace, "emmett")),
            python: wanted(Peer::Eventsourcing, &|| {
                programs::from_pypi(workspace, "eventsourcing")
            }),
            root: workspace.root.clone(),
        })
    }

    pub(super) fn has(&self, peer: Peer, place: Place) -> bool {
        match (peer, place) {
            (Peer::Emmett, _) => self.emmett.is_some(),
            (Peer::Eventsourcing, _) => self.python.is_some(),
            (Peer::ByHand | Peer::ByHandRandom, Place::Sqlite) => self.by_hand.is_some(),
            _ => true,
        }
    }

    /// The program that puts this load on this peer.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn command(
        &self,
        peer: Peer,
        load: Load,
        seconds: u64,
        servers: &Servers,
    ) -> anyhow::Result<Command> {
        let (callers, batch) = (load.callers.to_string(), load.batch.to_string());
        let seconds = seconds.to_string();
        let missing = || format!("{} is not there", peer.name());
        let mut command = match (peer, load.place) {
            (Peer::Emmett, _) => {
                let folder = self.emmett.as_ref().with_context(missing)?;
                let mut command = Command::new("node");
                command.current_dir(folder).arg("append.mjs");
                command.args([&servers.postgres, &callers, &batch, &seconds]);
                command
            }
            (Peer::Eventsourcing, place) => {
                let mut command = Command::new(self.python.as_ref().with_context(missing)?);
                command.arg(self.root.join("load/peers/eventsourcing/append.py"));
                command.args([place.name(), &servers.postgres, &callers, &batch, &seconds]);
                command
            }
            (Peer::ByHand | Peer::ByHandRandom, Place::Sqlite) => {
                let folder: &Path = self.by_hand.as_ref().with_context(missing)?;
                let mut command = Command::new(folder.join("sqlite"));
                command.arg(self.root.join("migrations/log/sqlite"));
                let is_random = peer == Peer::ByHandRandom;
                let ids = if is_random { "random" } else { "ordered" };
                command.args([&batch, &seconds]).arg(ids);
                command
            }
            _ => {
                let mut command = Command::new(&self.measure);
                match peer {
                    Peer::Banyan => command.args(["append", "--on", load.place.name()]),
                    Peer::OneLock => command.args(["by-hand", "--order", "total"]),
                    _ => command.args(["by-hand", "--order", "none"]),
                };
                if peer == Peer::ByHandRandom {
                    command.args(["--ids", "random"]);
                }
                if load.is_narrow {
                    command.arg("--narrow");
                }
                command.args([
                    "--callers",
                    &callers,
                    "--batch",
                    &batch,
                    "--seconds",
                    &seconds,
                ]);
                command
            }
        };
        command.env("BANYAN_TEST_POSTGRES", &servers.postgres);
        Ok(command)
    }
}
