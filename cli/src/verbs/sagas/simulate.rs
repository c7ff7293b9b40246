//! `banyan sagas simulate`: what a definition would make of scripted replies; needs no running system.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::bail;
use chassis::config::{self, Faults};
use clap::Args;
use sagas::{
    Definition,
    picture::Picture,
    simulation::{Report, Script},
};
use serde_json::Value;

use super::show;
use crate::output::Format;

/// Variables that go over a script, as over any file: `BANYAN_SIMULATION__EXPECT=completed`.
const VARIABLES: &str = "BANYAN_SIMULATION__";

/// `banyan sagas simulate`
#[derive(Debug, Args)]
pub struct Simulate {
    /// The script: TOML, or YAML by its ending.
    file: PathBuf,
    /// Print the way that the saga took as a Mermaid flowchart, and nothing else.
    #[arg(long, conflicts_with = "svg")]
    mermaid: bool,
    /// Write that picture as SVG to this file, and print nothing else; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Simulate {
    pub(in crate::verbs) fn run(&self, format: Format) -> anyhow::Result<()> {
        let report = self.simulated()?;
        if self.mermaid || self.svg.is_some() {
            let picture = Picture::of(&report.outline).with(&report.state);
            show::emit(&picture, self.mermaid, self.svg.as_deref())?;
        } else {
            format.done(&report.to_string(), &serde_json::to_value(&report)?)?;
        }
        if !report.holds {
            bail!(
                "{}: the saga does not end as `expect` says",
                self.file.display()
            );
        }
        Ok(())
    }

    fn simulated(&self) -> anyhow::Result<Report> {
        if !self.file.is_file() {
            return Err(Faults(vec![format!("{}: no such file", self.file.display())]).into());
        }
        let nothing = BTreeMap::<String, Value>::new();
        let script: Script = config::load(VARIABLES, Some(&self.file), nothing)?;
        let known = definitions();
        let Some(definition) = known.iter().find(|known| known.name() == script.definition) else {
            let names: Vec<_> = known.iter().map(Definition::name).collect();
            let fault = format!(
                "definition: there is no {:?} in this program; there is {}",
                script.definition,
                names.join(", ")
            );
            return Err(Faults(vec![fault]).into());
        };
        let told = |faults: Vec<_>| Faults(faults.iter().map(ToString::to_string).collect());
        Ok(script.run(definition).map_err(told)?)
    }
}

/// The definitions that this program has, as the services run them unless they are told otherwise.
fn definitions() -> Vec<Definition> {
    let deadline = quiz::Config::default().answer_deadline_ms;
    vec![quiz::saga::definition(Duration::from_millis(deadline))]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn simulate(file: &Path) -> anyhow::Result<Report> {
        let simulate = Simulate {
            file: file.to_owned(),
            mermaid: false,
            svg: None,
        };
        simulate.simulated()
    }

    #[test]
    fn every_script_of_the_guide_ends_as_it_says_and_they_show_different_ends() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sagas");
        let mut ends = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let report =
                simulate(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(
                report.expected.is_some(),
                "{} expects nothing",
                file.display()
            );
            assert!(report.holds, "{}: {report}", file.display());
            ends.push(report.outcome.unwrap().as_str());
        }
        assert!(ends.len() >= 5, "{ends:?}");
        for end in [
            "completed",
            "compensated",
            "needs_intervention",
            "abandoned",
        ] {
            assert!(ends.contains(&end), "{end} is not among {ends:?}");
        }
    }

    #[test]
    fn a_faulty_script_is_misuse_and_an_expectation_that_does_not_hold_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script.yaml");
        let run = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let simulate = Simulate {
                file: file.clone(),
                mermaid: false,
                svg: Some(folder.path().join("way.svg")),
            };
            simulate.run(Format::Table)
        };
        let faults = |text: &str| {
            let error = run(text).unwrap_err();
            assert!(error.is::<Faults>(), "{error}");
            error.to_string()
        };
        assert!(faults("definition: nothing\n").contains("there is answer-submission"));
        assert!(faults("definition: answer-submission\nreply: 1\n").contains("reply"));
        let fault = faults("definition: answer-submission\nlocal: { badges: {} }\n");
        assert!(
            fault.contains("record, achievements, leaderboard"),
            "{fault}"
        );
        let silent = "definition: answer-submission\nexpect: ";
        let failed = run(&format!("{silent}completed\n")).unwrap_err();
        assert!(
            !failed.is::<Faults>() && failed.to_string().contains("expect"),
            "{failed}"
        );
        run(&format!("{silent}needs_intervention\n")).unwrap();
        let drawn = std::fs::read_to_string(folder.path().join("way.svg")).unwrap();
        assert!(
            drawn.contains("data-step=\"leaderboard\" data-mark=\"stuck\""),
            "{drawn}"
        );
    }
}
