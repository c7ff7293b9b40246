//! The jobs as they are to run: what is built in, and over it the configuration.

use std::{collections::BTreeMap, time::Duration};

use contracts::events::CATALOGUE;
use contracts::http::StartMaintenance;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::{self, Definition, Fault, JOBS, Missed, Orders, Overlap, Schedule, Work};

/// Runs end within this, below the two hours after which an ask is nobody's any more.
const TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

/// Less is no time for an event to go there and back.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Services that may be asked.
const SERVICES: [&str; 7] = [
    "auth",
    "question",
    "quiz",
    "achievement",
    "leaderboard",
    "admin",
    "maintenance",
];

/// What the configuration says of a job; whatever it leaves out is as built in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobSettings {
    /// A cron expression of five fields.
    pub schedule: Option<String>,
    /// The IANA time zone that the schedule is read in.
    pub time_zone: Option<String>,
    /// Such as `90s`, `10m`.
    pub timeout: Option<String>,
    /// `skip` or `queue`.
    pub overlap: Option<String>,
    /// `run_once` or `skip`.
    pub missed: Option<String>,
    /// Whether it runs by schedule and by events.
    pub enabled: Option<bool>,
    /// Event types that start it.
    pub on: Option<Vec<String>>,
    /// What it is told unless the asker says otherwise.
    pub parameters: Option<Map<String, Value>>,
    /// The services that are expected to answer.
    pub participants: Option<Vec<String>>,
}

/// A job as it is to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it is.
    pub definition: &'static Definition,
    /// When it is due.
    pub schedule: Option<Schedule>,
    /// The time zone of the schedule.
    pub time_zone: String,
    /// How long a run may take.
    pub timeout: Duration,
    /// What a run is while another runs.
    pub overlap: Overlap,
    /// What due times are that passed unseen.
    pub missed: Missed,
    /// Whether it runs by schedule and by events.
    pub enabled: bool,
    /// Event types that start it.
    pub on: Vec<&'static str>,
    /// What it is told.
    pub parameters: Map<String, Value>,
    /// The services that are expected to answer; none for local work.
    pub participants: Vec<String>,
}

impl Job {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.definition.name
    }

    /// Checks what the job is told, over what the configuration says.
    ///
    /// # Errors
    /// The first fault.
    pub fn orders(&self, mut told: StartMaintenance) -> Result<Orders, Fault> {
        for (name, value) in &self.parameters {
            let given = told.parameters.entry(name.clone());
            given.or_insert_with(|| value.clone());
        }
        domain::orders(self.name(), told)
    }
}

/// All jobs, by name.
#[derive(Clone, Debug)]
pub struct Jobs(Vec<Job>);

impl Jobs {
    /// The job of that name.
    pub fn get(&self, name: &str) -> Option<&Job> {
        self.0.iter().find(|job| job.name() == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Job> {
        self.0.iter()
    }

    /// Puts `settings` over what is built in, and notes what is wrong with them.
    pub(super) fn resolve(
        settings: &BTreeMap<String, JobSettings>,
        faults: &mut Vec<String>,
    ) -> Self {
        // A variable's name cannot have a hyphen: `guest_cleanup` is `guest-cleanup`.
        let named: BTreeMap<String, &JobSettings> = settings
            .iter()
            .map(|(name, settings)| (name.replace('_', "-"), settings))
            .collect();
        for name in named.keys() {
            if domain::definition(name).is_none() {
                let known: Vec<_> = JOBS.iter().map(|job| job.name).collect();
                faults.push(format!(
                    "jobs.{name}: no such job; there are {}",
                    known.join(", ")
                ));
            }
        }
        let default = JobSettings::default();
        let jobs = JOBS.iter().map(|definition| {
            let settings = named.get(definition.name).copied().unwrap_or(&default);
            let mut check = Check {
                definition,
                settings,
                faults,
            };
            check.job()
        });
        Self(jobs.collect())
    }
}

struct Check<'a> {
    definition: &'static Definition,
    settings: &'a JobSettings,
    faults: &'a mut Vec<String>,
}

impl Check<'_> {
    fn job(&mut self) -> Job {
        let (definition, settings) = (self.definition, self.settings);
        let time_zone = settings.time_zone.clone().unwrap_or_else(|| "UTC".into());
        let overlap = match settings.overlap.as_deref() {
            None => definition.overlap,
            Some("skip") => Overlap::Skip,
            Some("queue") => Overlap::Queue,
            Some(other) => {
                self.fault("overlap", &format!("{other:?} is neither skip nor queue"));
                definition.overlap
            }
        };
        let missed = match settings.missed.as_deref() {
            None => definition.missed,
            Some("run_once") => Missed::RunOnce,
            Some("skip") => Missed::Skip,
            Some(other) => {
                self.fault("missed", &format!("{other:?} is neither run_once nor skip"));
                definition.missed
            }
        };
        Job {
            definition,
            schedule: self.schedule(&time_zone),
            time_zone,
            timeout: self.timeout(),
            overlap,
            missed,
            enabled: settings.enabled.unwrap_or(true),
            on: self.on(),
            parameters: self.parameters(),
            participants: self.participants(),
        }
    }

    fn fault(&mut self, key: &str, text: &str) {
        self.faults
            .push(format!("jobs.{}.{key}: {text}", self.definition.name));
    }

    fn schedule(&mut self, zone: &str) -> Option<Schedule> {
        let is_zone = match Schedule::zone(zone) {
            Ok(_) => true,
            Err(fault) => {
                self.fault("time_zone", &fault.to_string());
                false
            }
        };
        let given = self.settings.schedule.as_deref();
        let expression = given.or(self.definition.schedule)?;
        // With a faulty zone the expression is still checked, in UTC.
        let zone = if is_zone { zone } else { "UTC" };
        match Schedule::parse(expression, zone) {
            Ok(schedule) => Some(schedule),
            Err(fault) => {
                self.fault("schedule", &fault.to_string());
                None
            }
        }
    }

    fn timeout(&mut self) -> Duration {
        let Some(text) = self.settings.timeout.as_deref() else {
            return self.definition.timeout;
        };
        match duration(text).filter(|timeout| (TIMEOUT_MIN..=TIMEOUT_MAX).contains(timeout)) {
            Some(timeout) => timeout,
            None => {
                self.fault("timeout", &format!("{text:?} is no time from 1s to 60m"));
                self.definition.timeout
            }
        }
    }

    fn on(&mut self) -> Vec<&'static str> {
        let mut on = Vec::new();
        for given in self.settings.on.iter().flatten() {
            let known = CATALOGUE
                .iter()
                .map(|contract| contract.event_type)
                .find(|known| known == given);
            match known {
                None => self.fault("on", &format!("{given:?} is no event type")),
                // A run would start the next one, for ever.
                Some(known) if known.starts_with("maintenance.") => {
                    self.fault(
                        "on",
                        &format!("{given:?} is an event of the runs themselves"),
                    );
                }
                Some(known) => on.push(known),
            }
        }
        on
    }

    fn parameters(&mut self) -> Map<String, Value> {
        let parameters = self.settings.parameters.clone().unwrap_or_default();
        let told = StartMaintenance {
            parameters: parameters.clone(),
            reason: None,
        };
        let is_given = self.settings.parameters.is_some();
        if is_given && let Err(fault) = domain::orders(self.definition.name, told) {
            let field = fault.field.clone();
            self.fault(&field, fault.text);
        }
        parameters
    }

    fn participants(&mut self) -> Vec<String> {
        let built_in = match self.definition.work {
            Work::Services(services) | Work::Survey(services) => services,
            Work::Event | Work::Local => &[],
        };
        let Some(given) = self.settings.participants.clone() else {
            return built_in
                .iter()
                .map(|service| (*service).to_owned())
                .collect();
        };
        if built_in.is_empty() {
            self.fault("participants", "no service takes part in this job");
        } else if given.is_empty() {
            self.fault("participants", "must not be empty; set `enabled = false`");
        }
        for service in &given {
            if !built_in.is_empty() && !SERVICES.contains(&service.as_str()) {
                self.fault("participants", &format!("{service:?} is no service"));
            }
        }
        let mut services = given;
        services.sort();
        services.dedup();
        services
    }
}

/// A number with `s`, `m` or `h`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}
