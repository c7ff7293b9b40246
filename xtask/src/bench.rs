//! `cargo xtask bench`: measurements, each a program of its own that prints a table. They run alone
//! and optimised; no test has a bar for speed.

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

const BENCHES: [Bench; 1] = [Bench {
    name: "leaderboard",
    package: "leaderboard",
    example: "million",
    what: "own place and top 6 among 1,000,000 players, over HTTP, on both databases",
}];

/// The names, for those who ask.
pub(crate) fn names() -> String {
    let lines = BENCHES.map(|bench| format!("    {:<12} {}", bench.name, bench.what));
    lines.join("\n")
}

/// Runs one of them; `arguments` go to its program.
///
/// # Errors
/// When there is none of this name, or it fails.
pub(crate) fn run(workspace: &Workspace, name: &str, arguments: &[String]) -> anyhow::Result<()> {
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
            let examples = root.join("services").join(bench.package).join("examples");
            let file = examples.join(format!("{}.rs", bench.example));
            let folder = examples.join(bench.example).join("main.rs");
            assert!(file.is_file() || folder.is_file(), "{}", bench.name);
        }
    }
}
