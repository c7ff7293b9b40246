//! `cargo xtask bench gateway`: the gateway beside the proxies that people trust, on one machine, in
//! one run.
//!
//! All of it happens on loopback with programs that are started here and stopped here. A run of all
//! parts renews `docs/benchmarks/gateway.md` and its plot; one of some parts writes to
//! `target/bench` only.

mod configs;
mod figures;
mod measures;
mod peers;
mod programs;
mod report;
mod verdict;
mod wrk;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use super::place::{named, place};
use crate::workspace::Workspace;
use figures::Figures;
use measures::{Bench, Part};
use peers::Peer;
use programs::Programs;

/// What the arguments ask for.
struct Options {
    parts: Vec<Part>,
    /// Besides the gateway itself.
    peers: Vec<Peer>,
    repetitions: usize,
    time: Duration,
    /// A gateway that was built before, instead of this tree's.
    gateway: Option<PathBuf>,
    /// Another one, beside it.
    before: Option<PathBuf>,
}

impl Options {
    fn read(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            parts: Part::ALL.to_vec(),
            peers: Peer::ALL.to_vec(),
            repetitions: 5,
            time: Duration::from_secs(5),
            gateway: None,
            before: None,
        };
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let value = words
                .next()
                .with_context(|| format!("{word} needs a value"))?;
            match word {
                "--only" => options.parts = named(value, &Part::ALL, Part::name)?,
                "--peers" => options.peers = named(value, &Peer::ALL, Peer::name)?,
                "--repetitions" => options.repetitions = value.parse().context(word.to_owned())?,
                "--seconds" => options.time = Duration::from_secs(value.parse()?),
                "--gateway" => options.gateway = Some(value.into()),
                "--before" => options.before = Some(value.into()),
                _ => bail!(
                    "there is no {word}: --only, --peers, --repetitions, --seconds, --gateway, --before"
                ),
            }
        }
        if options.repetitions == 0 || options.time.is_zero() {
            bail!("nothing would be measured");
        }
        Ok(options)
    }

    fn wants(&self, peer: Peer) -> bool {
        matches!(peer, Peer::Banyan | Peer::Before) || self.peers.contains(&peer)
    }

    fn is_everything(&self) -> bool {
        let is_this_tree = self.gateway.is_none() && self.before.is_none();
        is_this_tree && self.parts.len() == Part::ALL.len() && self.peers.len() == Peer::ALL.len()
    }
}

/// Measures, prints the page, and keeps it.
///
/// # Errors
/// When the arguments are wrong, a program is missing, or one that is measured breaks.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    let options = Options::read(arguments)?;
    let programs = Programs::ready(workspace, &options)?;
    let target: &Path = workspace.metadata.target_directory.as_ref();
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    let mut bench = Bench {
        programs: &programs,
        folder: folder.clone(),
        options: &options,
        figures: Figures::default(),
    };
    measures::run(&mut bench, &options.parts)?;
    let page = report::markdown(&bench.figures, &place(options.repetitions, options.time));
    let plot = report::svg(&bench.figures);
    println!("\n{page}");
    let mut folders = vec![folder];
    if options.is_everything() {
        folders.push(workspace.root.join("docs/benchmarks"));
    }
    for folder in folders {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("gateway.md"), &page)?;
        fs::write(folder.join("gateway.svg"), &plot)?;
        println!("    written: {}", folder.join("gateway.md").display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> anyhow::Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::read(&words)
    }

    #[test]
    fn a_part_can_be_run_alone_and_only_everything_renews_the_page() {
        assert!(read("").unwrap().is_everything());
        let some = read("--only get,jwt --repetitions 3 --seconds 2").unwrap();
        assert_eq!(some.parts, [Part::Get, Part::Jwt]);
        assert_eq!((some.repetitions, some.time.as_secs()), (3, 2));
        assert!(!some.is_everything() && some.wants(Peer::Caddy));
        let compared = read("--gateway /a --before /b").unwrap();
        assert!(!compared.is_everything() && compared.wants(Peer::Before));
        let few = read("--peers nginx").unwrap();
        assert!(few.wants(Peer::Banyan) && !few.wants(Peer::Haproxy) && !few.is_everything());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "--only soup",
            "--peers apache",
            "--fast yes",
            "--seconds",
            "--seconds 0",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
