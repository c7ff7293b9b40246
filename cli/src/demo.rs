//! `banyan demo`: the main job on real input. Players play through the gateway at a steady rate
//! while an operator moves the traffic, stops a participant, kills the process and rolls back; at
//! the end an audit holds what every client was told against both sides.

pub(crate) mod ledger;
mod load;
mod observed;
mod operator;
mod players;
mod report;
mod sampler;
mod session;
mod stage;
mod steps;
mod system;
mod view;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use chassis::Shutdown;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval, sleep};

use self::{
    ledger::Told,
    load::{Game, Load},
    observed::Observed,
    players::Player,
    report::Summary,
    sampler::{Latest, Sample},
    session::Site,
    stage::Stage,
    steps::SCRIPT,
    system::System,
    view::Screen,
};
use crate::{
    arguments::{Demo, Global},
    verbs::audit,
};

/// How long sagas may take to end once the last answer was given: several deadlines.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Plays the whole script.
///
/// # Errors
/// When the system does not run, when it was interrupted, or when anything disagrees in the end.
pub async fn run(demo: Demo, global: &Global, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut screen = Screen::new(demo.plain);
    screen.say("Banyan's demo: a monolith is strangled while people play on it.")?;
    let mut system = System::attach_or_start(
        &global.data_dir,
        demo.port_offset,
        &global.actor(),
        &shutdown,
    )
    .await?;
    introduce(&mut screen, &system)?;
    let played = play(&demo, &mut system, screen, &shutdown).await;
    let stopped = system.stop().await;
    played.and(stopped)
}

fn introduce(screen: &mut Screen, system: &System) -> std::io::Result<()> {
    let whose = if system.is_attached {
        "The running system"
    } else {
        "A system of its own"
    };
    screen.say(&format!(
        "{whose} listens at {}; its data is in {}.\nIn another terminal the verbs find it with: \
         export BANYAN_DATA_DIR={}",
        system.endpoints.gateway,
        system.data_dir.display(),
        system.data_dir.display()
    ))
}

async fn play(
    demo: &Demo,
    system: &mut System,
    mut screen: Screen,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let observed = Arc::new(Observed::default());
    let site = Site::new(&system.endpoints.gateway, Arc::clone(&observed))?;
    if system.is_attached {
        // Somebody may have moved it already; the script begins on legacy.
        for act in steps::BEGINNING {
            operator::perform(*act, system, shutdown).await?;
        }
    }
    let players = register(&site, demo, &mut screen, shutdown).await?;
    // What registering took is not the load's.
    observed.take_step();
    let baseline = sampler::sample(&system.operator()?).await?;

    let sampling = shutdown.child();
    let latest = Latest::default();
    tokio::spawn(latest.clone().keep(system.operator()?, sampling.clone()));
    let game = Arc::new(Game::new(site, Arc::clone(&observed)));
    let load = Load::start(Arc::clone(&game), &players, demo.rate);
    let mut stage = Stage::new(screen, Arc::clone(&observed), latest, baseline.clone());
    let step = Duration::from_secs(demo.step);
    let played = stage.perform(SCRIPT, step, system, shutdown).await;
    stage.during(load.finish(shutdown)).await?;
    sampling.trigger();
    let mut screen = stage.close();
    if played.is_ok() && !shutdown.is_cancelled() {
        screen.say("The load has ended; open answers are asked for, sagas come to their ends.")?;
        game.settle(&players, shutdown).await;
    }
    let told = game.ledger.entries();
    let file = system.data_dir.join("demo-ledger.jsonl");
    ledger::write(&file, &told)?;
    played?;
    if shutdown.is_cancelled() {
        bail!(
            "interrupted; what clients were told until then is in {}",
            file.display()
        );
    }
    let after = settled(system, &baseline).await?;
    let mut total = observed.total();
    total.recount(&told);
    let summary = Summary {
        players: players.len(),
        apart: stage.apart(&total),
        missed: stage.missed(),
        steps: stage.into_reports(),
        total,
        sagas: (baseline, after),
    };
    let data_dir = system.data_dir.display();
    screen.say(&format!(
        "\n{summary}what every client was told: {}\n  to look again: {} and, beside it, banyan audit \
         --data-dir {data_dir} --demo-ledger {}",
        file.display(),
        system.command_line(),
        file.display()
    ))?;
    judge(system, &told, &mut screen, &summary).await
}

/// The audit, whose verdict is the last line.
async fn judge(
    system: &System,
    told: &[Told],
    screen: &mut Screen,
    summary: &Summary,
) -> anyhow::Result<()> {
    let report = audit::examine(&system.operator()?, None, Some(told)).await?;
    if system.is_attached && system.is_ours() {
        screen.say(&format!(
            "the system ends with the demo; start it with: {}",
            { system.command_line() }
        ))?;
    }
    screen.say(&report.to_string())?;
    match (report.disagreements.len(), summary.missed.len()) {
        (0, 0) => Ok(()),
        (0, _) => bail!("the demo did not show what it should have shown"),
        (count, _) => bail!("{count} disagreements"),
    }
}

/// Waits until no more sagas are open than before the demo, or the time is up: the audit tells
/// those that stay open.
async fn settled(system: &System, baseline: &Sample) -> anyhow::Result<Sample> {
    let client = system.operator()?;
    let begun = Instant::now();
    loop {
        let sample = sampler::sample(&client).await?;
        if sample.undecided() <= baseline.undecided() || begun.elapsed() > SETTLED_WITHIN {
            return Ok(sample);
        }
        sleep(LOOK).await;
    }
}

async fn register(
    site: &Site,
    demo: &Demo,
    screen: &mut Screen,
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<Arc<Player>>> {
    let count = usize::try_from(demo.players)?;
    let ready = AtomicUsize::new(0);
    let bar = if screen.is_live() {
        let style = ProgressStyle::with_template("  {msg} {bar:30} {pos}/{len}  {elapsed}")?;
        ProgressBar::new(u64::from(demo.players)).with_style(style)
    } else {
        ProgressBar::hidden()
    };
    bar.set_message("players register and log in");
    let registering = players::register(site, count, &ready, shutdown);
    tokio::pin!(registering);
    let begun = Instant::now();
    let mut ticks = interval(Duration::from_secs(1));
    let players = loop {
        tokio::select! {
            players = &mut registering => break players?,
            _ = ticks.tick() => {}
        }
        let done = ready.load(Ordering::Relaxed);
        bar.set_position(u64::try_from(done)?);
        if !screen.is_live() {
            screen.say(&format!("  players register and log in: {done}/{count}"))?;
        }
    };
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    screen.say(&format!(
        "{count} players registered and logged in within {seconds:.1} s."
    ))?;
    Ok(players)
}
