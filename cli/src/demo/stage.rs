//! Performs the script in front of the audience: acts, watching, and what each step measured.

use std::{future::Future, io, sync::Arc, time::Duration};

use anyhow::bail;
use chassis::Shutdown;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::{
    observed::{Observed, Tally},
    operator,
    report::{Apart, StepReport},
    sampler::{Latest, Sample},
    steps::{Act, Step, must_compensate},
    system::System,
    view::{Rates, Scene, Screen},
};

/// Between two drawings.
const DRAW: Duration = Duration::from_millis(250);
/// Between two measurements of rates, and between two lines.
const SECOND: Duration = Duration::from_secs(1);

/// The script's performance.
#[derive(Debug)]
pub(crate) struct Stage {
    screen: Screen,
    observed: Arc<Observed>,
    latest: Latest,
    baseline: Sample,
    ticks: Interval,
    now: Now,
    reports: Vec<StepReport>,
    /// What legacy had accepted at the last import.
    imported: u64,
    /// When the process was killed last.
    killed: Option<Instant>,
    missed: Vec<String>,
}

/// The step that is on.
#[derive(Debug)]
struct Now {
    script: &'static [Step],
    step: usize,
    commands: Vec<String>,
    begun: Instant,
    lasts: Duration,
    /// When rates were measured last, from what, and what they were.
    measured: Instant,
    before: Tally,
    rates: Rates,
}

impl Stage {
    /// A stage on `screen`.
    pub(crate) fn new(
        screen: Screen,
        observed: Arc<Observed>,
        latest: Latest,
        baseline: Sample,
    ) -> Self {
        let mut ticks = interval(DRAW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Now {
            script: &[],
            step: 0,
            commands: Vec::new(),
            begun: Instant::now(),
            lasts: Duration::ZERO,
            measured: Instant::now(),
            before: observed.total(),
            rates: Rates::default(),
        };
        let (reports, missed) = (Vec::new(), Vec::new());
        Self {
            screen,
            observed,
            latest,
            baseline,
            ticks,
            now,
            reports,
            imported: 0,
            killed: None,
            missed,
        }
    }

    /// Performs all steps.
    ///
    /// # Errors
    /// When the system refuses an act, or the shutdown begins.
    pub(crate) async fn perform(
        &mut self,
        script: &'static [Step],
        step: Duration,
        system: &mut System,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        self.now.script = script;
        let mut ended = self.baseline.ended();
        for (number, one) in script.iter().enumerate() {
            self.now.step = number;
            self.now.commands.clear();
            self.now.begun = Instant::now();
            self.now.lasts = one.hold.lasts(step);
            self.head(number, one)?;
            for act in one.acts {
                self.act(*act, system, shutdown).await?;
            }
            let held = self.now.lasts;
            self.during(async {
                tokio::select! {
                    () = sleep(held) => {}
                    () = shutdown.cancelled() => {}
                }
            })
            .await?;
            if let Some(killed) = self.killed.take() {
                self.outcomes_of_before(killed, shutdown).await?;
            }
            if shutdown.is_cancelled() {
                bail!("interrupted");
            }
            self.report(one, &mut ended);
        }
        Ok(())
    }

    /// Keeps the view moving while `work` goes on.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> io::Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                _ = self.ticks.tick() => self.refresh()?,
            }
        }
    }

    /// Leaves the last picture where it is.
    pub(crate) fn close(&mut self) -> Screen {
        self.screen.keep();
        std::mem::replace(&mut self.screen, Screen::new(true))
    }

    /// What only one side knows, of what clients were told in `total`.
    pub(crate) fn apart(&self, total: &Tally) -> Apart {
        Apart {
            on_legacy: total.accepted_legacy.saturating_sub(self.imported),
            on_candidate: total.accepted_candidate,
        }
    }

    /// What a step should have shown and did not.
    pub(crate) fn missed(&self) -> Vec<String> {
        self.missed.clone()
    }

    /// What each step measured.
    pub(crate) fn into_reports(self) -> Vec<StepReport> {
        self.reports
    }

    /// Waits until every client that was waiting when the process was killed has its outcome, which
    /// is what the step is to show; clients' patience bounds it.
    ///
    /// It also keeps the script from moving players whose keys the killed gateway had in memory: a
    /// repeat goes where the flag then says.
    async fn outcomes_of_before(&mut self, killed: Instant, shutdown: &Shutdown) -> io::Result<()> {
        let observed = Arc::clone(&self.observed);
        self.during(async {
            while observed.waits_since_before(killed) && !shutdown.is_cancelled() {
                sleep(DRAW).await;
            }
        })
        .await
    }

    async fn act(
        &mut self,
        act: Act,
        system: &mut System,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        let commands = operator::announce(act, system).await?;
        if !self.screen.is_live() {
            for command in &commands {
                self.screen.say(&format!("  $ {command}"))?;
            }
        }
        self.now.commands.extend(commands);
        let accepted = self.observed.total().accepted_legacy;
        let begun = Instant::now();
        self.during(operator::perform(act, system, shutdown))
            .await??;
        match act {
            // What legacy accepted before it began is over for certain.
            Act::Import => self.imported = accepted,
            Act::KillAndRestart => {
                // Whoever began before now may have been waiting for the killed process.
                self.killed = Some(Instant::now());
                let seconds = begun.elapsed().as_secs_f64();
                let line = format!("# killed and serving again within {seconds:.1} s");
                if !self.screen.is_live() {
                    self.screen.say(&format!("  {line}"))?;
                }
                self.now.commands.push(line);
            }
            _ => {}
        }
        Ok(())
    }

    fn head(&mut self, number: usize, step: &Step) -> io::Result<()> {
        if self.screen.is_live() {
            return Ok(());
        }
        let count = self.now.script.len();
        self.screen.say(&format!(
            "{}/{count} {}: {}",
            number + 1,
            step.title,
            step.shows
        ))
    }

    fn report(&mut self, step: &Step, ended: &mut i64) {
        let tally = self.observed.take_step();
        if must_compensate(step) && tally.compensated == 0 {
            self.missed.push(format!(
                "no answer was taken back in the step {:?}",
                step.title
            ));
        }
        let now = self.latest.get().map(|sample| sample.ended());
        let sagas = now.map(|now| now - std::mem::replace(ended, now));
        let took = self.now.begun.elapsed();
        self.reports.push(StepReport {
            title: step.title,
            took,
            tally,
            sagas,
        });
    }

    fn refresh(&mut self) -> io::Result<()> {
        let total = self.observed.total();
        let since = self.now.measured.elapsed();
        let is_second = since >= SECOND;
        if is_second {
            self.now.rates = Rates::between(&self.now.before, &total, since.as_secs_f64());
            self.now.before = total.clone();
            self.now.measured = Instant::now();
            self.observed.second();
        }
        let sample = self.latest.get();
        let scene = Scene {
            script: self.now.script,
            step: self.now.step,
            elapsed: self.now.begun.elapsed(),
            lasts: self.now.lasts,
            commands: &self.now.commands,
            total: &total,
            rates: self.now.rates,
            recent: self.observed.recent(),
            sample: sample.as_ref(),
            baseline: &self.baseline,
        };
        if self.screen.is_live() {
            self.screen.draw(&scene.block())
        } else if is_second {
            self.screen.say(&scene.line())
        } else {
            Ok(())
        }
    }
}
