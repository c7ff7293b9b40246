//! Who plays and what they do, from a file. All faults of a file are told at once.

use std::{fmt, path::Path};

use rand::distr::weighted::WeightedIndex;
use serde::Serialize;
use toml::{Table, Value};

/// The mix that is used unless another is named.
const DEFAULT: &str = include_str!("../mix.toml");
/// More players than any machine of ours holds open requests for.
const PLAYERS_MAX: i64 = 20_000;

/// What somebody comes for: a few requests, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Journey {
    /// A question and its answer.
    Answer,
    /// A page of questions and one of them.
    Browse,
    /// The top of a leaderboard and the own neighbourhood.
    Board,
    /// The own stats and badges.
    Own,
    /// Somebody without an account comes and sees a question.
    Guest,
    /// An account is opened.
    Register,
    /// Somebody logs in.
    Login,
    /// A curator looks at a page of questions and edits one.
    Curate,
}

impl Journey {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Answer,
        Self::Browse,
        Self::Board,
        Self::Own,
        Self::Guest,
        Self::Register,
        Self::Login,
        Self::Curate,
    ];

    /// Its name in the file and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Browse => "browse",
            Self::Board => "board",
            Self::Own => "own",
            Self::Guest => "guest",
            Self::Register => "register",
            Self::Login => "login",
            Self::Curate => "curate",
        }
    }

    /// The journey of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|journey| journey.name() == name)
    }
}

/// A mix of players.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mix {
    /// How many there are.
    pub players: usize,
    /// Percent of them without an account.
    pub guests: u8,
    /// Percent of the known questions that are answered right.
    pub remembered: u8,
    /// Weights; journeys without one do not happen.
    pub journeys: Vec<(Journey, f64)>,
}

/// Everything that is wrong with a mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Faults {}

impl Mix {
    /// Reads `file`, or the default.
    ///
    /// # Errors
    /// [`Faults`]: all of them, or that the file cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let Some(path) = file else {
            return Self::parse(DEFAULT);
        };
        let place = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Faults(vec![format!("cannot read {place} (--mix): {error}")]))?;
        Self::parse(&text).map_err(|Faults(faults)| {
            Faults(faults.iter().map(|one| format!("{place}: {one}")).collect())
        })
    }

    /// Reads a mix.
    ///
    /// # Errors
    /// All faults at once; of a text that is no TOML the first one.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let mut file: Table = text
            .parse()
            .map_err(|error: toml::de::Error| Faults(vec![error.to_string()]))?;
        let mut reader = Reader {
            faults: Vec::new(),
            missing: Vec::new(),
        };
        let mut players = reader.table(&mut file, "players");
        let mut journeys = reader.table(&mut file, "journeys");
        reader.no_more("", &file);
        let count = reader.number(&mut players, "players.count", 1..=PLAYERS_MAX);
        let guests = reader.number(&mut players, "players.guests", 0..=100);
        let remembered = reader.number(&mut players, "players.remembered", 0..=100);
        reader.no_more("players.", &players);
        let weights = reader.weights(&mut journeys);
        if guests == 100 && weights.iter().any(|(one, _)| *one == Journey::Login) {
            let fault = "journeys.login needs somebody with an account: players.guests is 100";
            reader.faults.push(fault.to_owned());
        }
        if !reader.faults.is_empty() {
            return Err(Faults(reader.faults));
        }
        let percent = |number: i64| u8::try_from(number).unwrap_or(100);
        Ok(Self {
            players: usize::try_from(count).unwrap_or(1),
            guests: percent(guests),
            remembered: percent(remembered),
            journeys: weights,
        })
    }

    /// The same players, who only go on this journey.
    #[must_use]
    pub fn only(&self, journey: Journey) -> Self {
        Self {
            journeys: vec![(journey, 1.0)],
            ..self.clone()
        }
    }

    /// The same without this journey; none when nothing would be left.
    #[must_use]
    pub fn without(&self, journey: Journey) -> Option<Self> {
        let mut rest = self.clone();
        rest.journeys.retain(|(one, _)| *one != journey);
        (!rest.journeys.is_empty()).then_some(rest)
    }

    /// Draws indices into `journeys`. There is a positive weight: [`Mix::parse`] sees to it.
    pub(crate) fn draw(&self) -> Option<WeightedIndex<f64>> {
        WeightedIndex::new(self.journeys.iter().map(|(_, weight)| *weight)).ok()
    }

    /// Which part of the arrivals goes on this journey, 0 to 1.
    pub fn share(&self, journey: Journey) -> f64 {
        let all: f64 = self.journeys.iter().map(|(_, weight)| weight).sum();
        let one = self.journeys.iter().find(|(one, _)| *one == journey);
        one.map_or(0.0, |(_, weight)| weight / all)
    }
}

struct Reader {
    faults: Vec<String>,
    /// Tables that are not there.
    missing: Vec<&'static str>,
}

impl Reader {
    fn table(&mut self, file: &mut Table, name: &'static str) -> Table {
        match file.remove(name) {
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.faults.push(format!("{name} must be a table"));
                Table::new()
            }
            None => {
                self.faults.push(format!("[{name}] is missing"));
                self.missing.push(name);
                Table::new()
            }
        }
    }

    fn number(
        &mut self,
        table: &mut Table,
        path: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> i64 {
        let key = path.rsplit('.').next().unwrap_or(path);
        let (low, high) = (*range.start(), *range.end());
        match table.remove(key) {
            Some(Value::Integer(number)) if range.contains(&number) => return number,
            Some(other) => {
                let fault = format!("{path} must be a whole number from {low} to {high}: {other}");
                self.faults.push(fault);
            }
            // Of a table that is missing that is told already.
            None if self.missing.iter().any(|table| path.starts_with(table)) => {}
            None => self.faults.push(format!("{path} is missing")),
        }
        low
    }

    fn weights(&mut self, table: &mut Table) -> Vec<(Journey, f64)> {
        let mut weights = Vec::new();
        let before = self.faults.len();
        for (name, value) in std::mem::take(table) {
            let weight = match value {
                Value::Integer(number) => number as f64,
                Value::Float(number) => number,
                _ => f64::NAN,
            };
            let Some(journey) = Journey::named(&name) else {
                let known = Journey::ALL.map(Journey::name).join(", ");
                let fault = format!("journeys.{name} is not known; there are {known}");
                self.faults.push(fault);
                continue;
            };
            if !weight.is_finite() || weight < 0.0 {
                let fault = format!("journeys.{name} must be a number, 0 or more: {value}");
                self.faults.push(fault);
            } else if weight > 0.0 {
                weights.push((journey, weight));
            }
        }
        if weights.is_empty() && self.faults.len() == before {
            self.faults.push("no journey has a weight".to_owned());
        }
        weights.sort_by_key(|(journey, _)| *journey);
        weights
    }

    fn no_more(&mut self, prefix: &str, table: &Table) {
        for key in table.keys() {
            self.faults.push(format!("{prefix}{key} is not known"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_good_mix_with_every_journey() {
        let mix = Mix::load(None).unwrap();
        assert_eq!(mix.journeys.len(), Journey::ALL.len());
        assert!((mix.share(Journey::Answer) - 0.6).abs() < 1e-9);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let text = "speed = 1\n[players]\ncount = 0\nguests = 101\ncolour = 'red'\n[journeys]\n\
                    answer = -1\nwander = 2\nboard = 'much'\nown = nan";
        let Faults(faults) = Mix::parse(text).unwrap_err();
        for part in [
            "speed is not known",
            "players.count must be a whole number from 1 to 20000: 0",
            "players.guests must be a whole number from 0 to 100: 101",
            "players.remembered is missing",
            "players.colour is not known",
            "journeys.answer must be a number, 0 or more: -1",
            "journeys.wander is not known; there are answer, browse",
            "journeys.board must be a number",
            "journeys.own must be a number",
        ] {
            let found = faults.iter().filter(|fault| fault.contains(part)).count();
            assert_eq!(found, 1, "{part}: {faults:#?}");
        }
        assert_eq!(faults.len(), 9, "{faults:#?}");
    }

    #[test]
    fn what_is_missing_or_empty_is_a_fault() {
        let Faults(faults) = Mix::parse("").unwrap_err();
        assert!(faults.contains(&"[players] is missing".to_owned()));
        assert!(faults.contains(&"[journeys] is missing".to_owned()));
        let text = "[players]\ncount = 1\nguests = 0\nremembered = 0\n[journeys]\nanswer = 0\n";
        let fault = Mix::parse(text).unwrap_err();
        assert_eq!(fault.to_string(), "no journey has a weight");
        assert_eq!(Mix::parse("[").unwrap_err().0.len(), 1);
        let text = "[players]\ncount = 1\nguests = 100\nremembered = 0\n[journeys]\nlogin = 1\n";
        let fault = Mix::parse(text).unwrap_err();
        assert!(fault.to_string().contains("an account"), "{fault}");
    }

    #[test]
    fn a_file_that_is_faulty_is_named_with_each_fault() {
        let folder = testkit::temp_dir();
        let path = folder.path().join("players.toml");
        std::fs::write(&path, "[journeys]\nanswer = -1\n").unwrap();
        let Faults(faults) = Mix::load(Some(&path)).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.contains("players.toml: ")));
    }

    #[test]
    fn a_mix_can_be_cut_down() {
        let mix = Mix::load(None).unwrap();
        assert_eq!(mix.only(Journey::Own).share(Journey::Own), 1.0);
        let rest = mix.without(Journey::Curate).unwrap();
        assert_eq!(rest.share(Journey::Curate), 0.0);
        assert!(mix.only(Journey::Own).without(Journey::Own).is_none());
    }
}
