//! `cargo xtask bench`: measurements, each of which prints a table. They run alone and optimised; no
//! test has a bar for speed.

mod figures;
mod gateway;
mod log;
mod options;
mod page;
mod place;
mod process;
mod programs;
mod sagas;

use std::process::Command;

use anyhow::bail;

use crate::{step::succeed, workspace::Workspace};

/// A measurement: an example program of a package.
struct Bench {
    name: &'static str,
    package: &'static str,
    example: &'static str,
    what: &'static str,
}

const BENCHES: [Bench; 2] = [
    Bench {
        name: "leaderboard",
        package: "leaderboard",
        example: "million",
        what: "own place and top 6 among 1,000,000 players, over HTTP, on both databases",
    },
    Bench {
        name: "recovery",
        package: "sagas",
        example: "recovery",
        what: "a restart while 100,000 sagas wait, on both databases; -- [SAGAS]",
    },
];

/// One that is no example program, since it starts other people's programs.
struct Beside {
    name: &'static str,
    what: &'static str,
    run: fn(&Workspace, &[String]) -> anyhow::Result<()>,
}

const BESIDE: [Beside; 3] = [
    Beside {
        name: "gateway",
        what: "the gateway beside nginx, HAProxy, Pingora, Traefik and Caddy: \
               docs/benchmarks/gateway.md; \
               -- [--only PART,…] [--peers NAME,…] [--repetitions N] [--seconds N] \
               [--gateway PROGRAM] [--before PROGRAM]",
        run: gateway::run,
    },
    Beside {
        name: "log",
        what: "the log beside rows written by hand, Emmett and eventsourcing: \
               docs/benchmarks/log.md; \
               -- [--only append,batches,hop,backlog] [--peers NAME,…|none] [--repetitions N] [--seconds N]",
        run: log::run,
    },
    Beside {
        name: "sagas",
        what: "the answer-submission saga beside Restate, DBOS, mire-sagas, duroxide, dtmrs and its \
               writes by hand: docs/benchmarks/sagas.md; \
               -- [--only embedded,distributed] [--peers NAME,…|none] [--repetitions N] [--seconds N]",
        run: sagas::run,
    },
];

/// The names, for those who ask.
pub(crate) fn names() -> String {
    let examples = BENCHES.iter().map(|bench| (bench.name, bench.what));
    let lines: Vec<String> = examples
        .chain(BESIDE.iter().map(|bench| (bench.name, bench.what)))
        .map(|(name, what)| format!("    {name:<12} {what}"))
        .collect();
    lines.join("\n")
}

/// Runs one of them; `arguments` go to its program.
///
/// # Errors
/// When there is none of this name, or it fails.
pub(crate) fn run(workspace: &Workspace, name: &str, arguments: &[String]) -> anyhow::Result<()> {
    if let Some(bench) = BESIDE.iter().find(|bench| bench.name == name) {
        return (bench.run)(workspace, arguments);
    }
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        bail!("there is no measurement {name:?}; there are:\n{}", names());
    };
    let mut command = Command::new("cargo");
    command.args(["run", "--release", "--locked", "--package", bench.package]);
    command.args(["--example", bench.example, "--"]);
    succeed(command.args(arguments).current_dir(&workspace.root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_has_its_program() {
        let root = Workspace::find().unwrap().root;
        for bench in &BENCHES {
            let package = [root.join("services"), root.clone()]
                .map(|folder| folder.join(bench.package))
                .into_iter()
                .find(|folder| folder.is_dir());
            let examples = package.unwrap().join("examples");
            let file = examples.join(format!("{}.rs", bench.example));
            let folder = examples.join(bench.example).join("main.rs");
            assert!(file.is_file() || folder.is_file(), "{}", bench.name);
        }
    }
}
