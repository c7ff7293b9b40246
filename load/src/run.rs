//! A whole run: start, gather, warm up, search, measure, settle, audit, judge.

mod accounts;
mod curation;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use self::{
    accounts::{account, processors},
    curation::curation,
};
use crate::{
    arguments::Arguments,
    engine::{Driven, drive},
    figures::{Audit, Generator, Phase, Run, SearchStep},
    machine,
    measure::{Window, histogram},
    mix::{Journey, Mix},
    peak::Search,
    players::{self, Player},
    process,
    schedule::Schedule,
    site::Site,
    system::System,
    verdict,
    world::World,
};

/// Before a search step counts.
const LEAD_OF_STEP: Duration = Duration::from_secs(1);
/// Before a measurement counts.
const LEAD: Duration = Duration::from_secs(2);
/// How long the system may take to come to rest after a rate that it did not sustain.
const QUIET_WITHIN: Duration = Duration::from_secs(20);
/// How long clients go on asking for an outcome after the load.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Arrivals that may wait for a player, in seconds of the rate.
const QUEUED_SECONDS: f64 = 2.0;
/// … and however low the rate is.
const QUEUE_MIN: usize = 100;
/// The rate of `--costs` unless told: low, so that parts do not wait for each other.
const COSTS_RATE: f64 = 20.0;
/// The measurement that the latency bar is about, when the peak was looked for.
const HALF: &str = "half of the peak";
const MOST: &str = "80 % of the peak";
const FIXED: &str = "the given rate";
/// What `--costs` calls the measurement without load.
pub const IDLE: &str = "idle";

/// Who does it.
struct Runner<'a> {
    arguments: &'a Arguments,
    system: &'a System,
    mix: Mix,
    world: Arc<World>,
    players: Vec<Player>,
    seed: u64,
    phases: u64,
}

/// Runs all of it.
///
/// # Errors
/// When the system does not start, refuses players, or was not there to be measured. A bar that is
/// missed is no error: it is in the verdict.
pub async fn run(arguments: &Arguments, mix: Mix) -> anyhow::Result<Run> {
    let begun = Instant::now();
    let now = OffsetDateTime::now_utc();
    let at = now.replace_nanosecond(0)?.format(&Rfc3339)?;
    let seed = arguments.seed.unwrap_or_else(rand::random);
    say(&format!("seed {seed}"));
    let system = System::open(arguments).await?;
    say(&format!("{} at {}", system.description, system.gateway));
    let mut runner = Runner::prepare(arguments, &system, mix, seed).await?;
    let mut run = Run {
        system: system.description.clone(),
        at,
        commit: machine::commit(),
        machine: machine::description(),
        parameters: parameters(arguments, &runner.mix, seed),
        mix: shares(&runner.mix),
        search: Vec::new(),
        peak: None,
        phases: Vec::new(),
        audit: None,
        bars: Vec::new(),
        p99_bar: arguments.p99,
        took_seconds: 0.0,
    };
    let judged = runner.measure(&mut run).await?;
    run.audit = runner.audit().await?;
    run.bars = verdict::bars(&run, judged);
    run.took_seconds = begun.elapsed().as_secs_f64();
    Ok(run)
}

impl<'a> Runner<'a> {
    /// Brings players in, moves them over, and warms everything up.
    async fn prepare(
        arguments: &'a Arguments,
        system: &'a System,
        mix: Mix,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let site = Site::new(&system.gateway)?;
        let percent = arguments.percent.or(system.is_ours().then_some(100.0));
        // Whoever begins on the new side can stay longer than an access token lasts there; a split
        // needs everybody on both sides, and so an import of who began on legacy.
        let is_split = percent.is_none_or(|percent| percent < 100.0);
        if let Some(percent) = percent.filter(|_| !is_split) {
            system.move_over(percent).await?;
        }
        let begun = Instant::now();
        let crowd = players::gather(&site, &mix).await?;
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!(
            "{} players came in within {seconds:.1} s",
            crowd.players.len()
        ));
        if let Some(percent) = percent.filter(|_| is_split) {
            system.move_over(percent).await?;
        }
        if let Some(percent) = percent {
            say(&format!("{percent} % of them play on the new side"));
        }
        let wants_curators = mix.share(Journey::Curate) > 0.0;
        let curation = match &system.administrator {
            Some(_) if wants_curators => Some(curation(&site, system).await?),
            _ => None,
        };
        let mix = if wants_curators && curation.is_none() {
            say("nobody's password is known here: no curators");
            let without = mix.without(Journey::Curate);
            without.context("nothing is left of the mix without curators")?
        } else {
            mix
        };
        let world = World::new(site, crowd.accounts, curation, mix.remembered);
        let mut runner = Self {
            arguments,
            system,
            mix,
            world: Arc::new(world),
            players: crowd.players,
            seed,
            phases: 0,
        };
        if arguments.warm_up > 0 {
            let seconds = Duration::from_secs(arguments.warm_up);
            let rate = arguments.rate.unwrap_or(arguments.from);
            let mix = runner.mix.clone();
            runner
                .phase("warm-up", &mix, rate, Duration::ZERO, seconds)
                .await?;
            system.quiet(QUIET_WITHIN).await;
        }
        Ok(runner)
    }

    /// Does what the arguments ask for; the name of the phase that the latency bar is about.
    async fn measure(&mut self, run: &mut Run) -> anyhow::Result<&'static str> {
        let mix = self.mix.clone();
        let seconds = Duration::from_secs(self.arguments.seconds);
        if self.arguments.costs {
            let rate = self.arguments.rate.unwrap_or(COSTS_RATE);
            let idle = mix.clone();
            run.phases
                .push(self.phase(IDLE, &idle, 0.0, LEAD, seconds).await?);
            for (journey, _) in &mix.journeys {
                let only = mix.only(*journey);
                let phase = self
                    .phase(journey.name(), &only, rate, LEAD, seconds)
                    .await?;
                run.phases.push(phase);
            }
            return Ok(Journey::Answer.name());
        }
        if let Some(rate) = self.arguments.rate {
            run.phases
                .push(self.phase(FIXED, &mix, rate, LEAD, seconds).await?);
            return Ok(FIXED);
        }
        run.search = self.search(&mut run.peak).await?;
        let Some(peak) = run.peak else {
            say("no rate was sustained");
            return Ok(HALF);
        };
        say(&format!("the peak is {peak:.0} arrivals/s"));
        for (name, part) in [(HALF, 0.5), (MOST, 0.8)] {
            let phase = self.phase(name, &mix, peak * part, LEAD, seconds).await?;
            run.phases.push(phase);
        }
        Ok(HALF)
    }

    async fn search(&mut self, peak: &mut Option<f64>) -> anyhow::Result<Vec<SearchStep>> {
        let mix = self.mix.clone();
        let seconds = Duration::from_secs(self.arguments.step);
        let mut search = Search::new(self.arguments.from);
        let mut steps = Vec::new();
        while let Some(rate) = search.next() {
            let phase = self
                .phase("search", &mix, rate, LEAD_OF_STEP, seconds)
                .await?;
            let step = verdict::step(&phase);
            search.judged(step.broken.is_empty());
            if !step.broken.is_empty() {
                say(&format!("  not sustained: {}", step.broken.join("; ")));
                self.system.quiet(QUIET_WITHIN).await;
            }
            steps.push(step);
        }
        *peak = search.peak();
        Ok(steps)
    }

    /// One measurement: `lead` and then `seconds` that count.
    async fn phase(
        &mut self,
        name: &str,
        mix: &Mix,
        rate: f64,
        lead: Duration,
        seconds: Duration,
    ) -> anyhow::Result<Phase> {
        let window = Window {
            from: lead,
            to: lead + seconds,
        };
        let stored = self.system.stored();
        let events = self.system.events().await;
        self.world.measure(window);
        let accounts = account(self.system.parts.clone(), window);
        let queue = self.queue(rate);
        let driven = if rate > 0.0 {
            self.phases += 1;
            let seed = self.seed.wrapping_add(self.phases);
            let schedule = Schedule::new(seed, mix, self.arguments.spread, rate, window.to);
            let driven = drive(&self.world, &mut self.players, schedule, queue).await;
            driven.context("a journey was broken off")?
        } else {
            nothing(window).await
        };
        let accounts = accounts.await?;
        let measured = self.world.measure(window);
        let mut phase = Phase::of(name, rate, &measured, Generator::of(&driven, queue));
        let journeys = measured.achieved as f64;
        phase.costs = accounts.costs(window, measured.requests as f64, journeys);
        phase.machine_busy = accounts.busy;
        let cores: f64 = phase.costs.iter().map(|cost| cost.cores).sum();
        phase.other_cores = (accounts.busy * processors() - cores).max(0.0);
        phase.load_average = process::load_average();
        let now = self.system.events().await;
        phase.events = events.zip(now).map(|(before, now)| now - before);
        phase.grown = grown(&stored, &self.system.stored());
        say(&summary(&phase));
        Ok(phase)
    }

    fn queue(&self, rate: f64) -> usize {
        let default = ((rate * QUEUED_SECONDS) as usize).max(QUEUE_MIN);
        self.arguments.queue.unwrap_or(default)
    }

    /// Asks for what clients were never told, then holds all of it against both sides.
    async fn audit(&mut self) -> anyhow::Result<Option<Audit>> {
        let ledger = &self.world.ledger;
        let players = &mut self.players;
        let unknown = ledger
            .settle(&self.world.site, players, SETTLED_WITHIN)
            .await;
        if !self.system.has_operator() {
            return Ok(None);
        }
        self.system.quiet(QUIET_WITHIN).await;
        let folder = testkit::temp_dir();
        let file = folder.path().join("ledger.jsonl");
        ledger.write(&file)?;
        let path = file
            .to_str()
            .context("the temporary folder has a strange name")?;
        let begun = Instant::now();
        let said = self.system.ask(&["audit", "--demo-ledger", path]).await?;
        let (json, told) = (&said.json, &said.json["told"]);
        let text = format!(
            "{} disagreements as of position {}; clients were told: {} accepted, {} compensated, \
             {} refused; judged in {:.1} s",
            json["total"],
            json["position"],
            ledger.accepted(),
            told["compensated"],
            told["refused"],
            begun.elapsed().as_secs_f64()
        );
        say(&format!("audit: {text}"));
        let agrees = said.is_good && json["total"] == 0;
        Ok(Some(Audit {
            agrees,
            text,
            unknown,
        }))
    }
}

/// Waits as long as a phase lasts.
async fn nothing(window: Window) -> Driven {
    tokio::time::sleep(window.to).await;
    Driven {
        started: 0,
        dropped: 0,
        longest_queue: 0,
        lag: histogram(),
    }
}

fn grown(before: &[(String, u64)], now: &[(String, u64)]) -> Vec<(String, i64)> {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let pairs = before.iter().zip(now);
    pairs
        .map(|((name, before), (_, now))| (name.clone(), signed(*now) - signed(*before)))
        .collect()
}

fn shares(mix: &Mix) -> Vec<(Journey, f64)> {
    let journeys = mix.journeys.iter();
    journeys
        .map(|(journey, _)| (*journey, mix.share(*journey)))
        .collect()
}

fn parameters(arguments: &Arguments, mix: &Mix, seed: u64) -> Vec<(String, String)> {
    let file = arguments.mix.as_ref();
    let all = [
        ("seed", seed.to_string()),
        ("arrivals", arguments.spread.name().to_owned()),
        (
            "players",
            format!("{}, {} % of them guests", mix.players, mix.guests),
        ),
        (
            "mix",
            file.map_or("load/mix.toml".to_owned(), |file| {
                file.display().to_string()
            }),
        ),
        ("seconds of a measurement", arguments.seconds.to_string()),
        ("seconds of a search step", arguments.step.to_string()),
        (
            "percent on the new side",
            arguments.percent.map_or_else(
                || {
                    if arguments.target.is_some() {
                        "as it was"
                    } else {
                        "100"
                    }
                    .to_owned()
                },
                |percent| percent.to_string(),
            ),
        ),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn summary(phase: &Phase) -> String {
    let answers = phase.answers.as_ref().map_or(String::new(), |answers| {
        format!(
            ", answers p50 {:.1} p99 {:.1} ms",
            answers.corrected.p50, answers.corrected.p99
        )
    });
    format!(
        "{}: {:.0} arrivals/s offered, {:.0}/s ended{answers}, {} faults, machine {:.0} % busy \
         (others: {:.2} processors)",
        phase.name,
        phase.offered,
        phase.achieved,
        phase.faults,
        phase.machine_busy * 100.0,
        phase.other_cores
    )
}

/// Progress, beside what is printed for programs.
fn say(text: &str) {
    eprintln!("    {text}");
}
