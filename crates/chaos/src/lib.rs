//! Chaos: the distributed form is broken in every way that comes to mind while clients play, and
//! afterwards everything that they were told is held against what is there.
//!
//! [`run`] starts two replicas of each service on a PostgreSQL and three NATS servers of its own, lets
//! [`clients`] play, carries out a [`plan`] that follows from the seed alone, waits until all has come
//! to [`rest`], reads the [`facts`] and [`check`]s them against the [`history`].
//!
//! Nothing that is shipped knows this crate.

pub mod check;
pub mod clients;
pub mod disturb;
pub mod facts;
pub mod history;
pub mod plan;
pub mod report;
pub mod rest;
pub mod system;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use contracts::{QuizMode, http::LeaderboardPage};
use load::site::{Site, send};
use reqwest::Method;
use tokio::sync::watch;

use crate::{
    check::{Claim, Finding},
    clients::Clients,
    facts::{Facts, Place},
    history::History,
    plan::Plan,
    report::Report,
    system::{End, System},
};

/// The first answer comes through within this time, or nothing is there to be broken. It takes a
/// second; a machine that is busy with other things may need many tries.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// A page of a board is there within this time, now that all is mended.
const PAGE_WITHIN: Duration = Duration::from_secs(60);

/// Between two tries.
const LOOK: Duration = Duration::from_millis(100);

/// Facts are read between two moments at which nothing was left to do; a log that moves meanwhile
/// makes them read again, so often.
const READINGS: usize = 10;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the faults and the clients' choices follow from.
    pub seed: u64,
    /// How long clients play and things break.
    pub length: Duration,
    /// The program.
    pub banyan: PathBuf,
    /// Where the history and the parts' output are left when something is found.
    pub keep: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The figures.
    pub report: Report,
    /// What is not as it must be; none when all is well.
    pub findings: Vec<Finding>,
}

/// Runs chaos once. What was started has ended when this returns, and when it is dropped before; the
/// folder of the history and the outputs goes with it when nothing was found.
///
/// # Errors
/// When the system could not be started, broken, mended or read: then nothing is proven either way.
pub async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let plan = Plan::of(options.seed, options.length);
    println!("{plan}");
    let folder = options.keep.join(format!("seed-{}", options.seed));
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let ran = play(options, &plan, &folder).await;
    let is_good = ran
        .as_ref()
        .is_ok_and(|outcome| outcome.findings.is_empty());
    if is_good {
        std::fs::remove_dir_all(&folder)?;
    } else {
        println!(
            "the history and the parts' output are in {}",
            folder.display()
        );
    }
    ran
}

async fn play(options: &Options, plan: &Plan, folder: &Path) -> anyhow::Result<Outcome> {
    let system = Arc::new(System::start(&options.banyan, folder).await?);
    let played = against(&system, options, plan, folder).await;
    for part in system.parts() {
        part.tell()?;
    }
    if let Ok((facts, outcome)) = &played
        && !outcome.findings.is_empty()
    {
        let file = std::fs::File::create(folder.join("facts.json"))?;
        serde_json::to_writer(file, facts)?;
    }
    played.map(|(_, outcome)| outcome)
}

async fn against(
    system: &Arc<System>,
    options: &Options,
    plan: &Plan,
    folder: &Path,
) -> anyhow::Result<(Facts, Outcome)> {
    let sites = system.sites()?;
    let history = Arc::new(History::create(&folder.join("history.jsonl"))?);
    let all = Arc::new(Clients {
        questions: clients::questions(&sites[0], FIRST_ANSWER_WITHIN).await?,
        sites: sites.clone(),
        history: Arc::clone(&history),
    });
    let (stop, is_over) = watch::channel(false);
    let mut playing = clients::play(&all, options.seed, &is_over);
    clients::first_answer(&history, FIRST_ANSWER_WITHIN).await?;
    disturb::carry_out(system, plan).await?;
    println!("all is mended; clients stop");
    stop.send_replace(true);
    while let Some(ended) = playing.join_next().await {
        ended??;
    }
    system.ready().await?;
    println!("all parts are ready; waiting for what is left to do");
    let mut findings = Vec::new();
    if let Err(left) = rest::wait(&system.databases).await {
        let (claim, text) = (Claim::Rest, format!("{left:#}"));
        findings.push(Finding { claim, text });
    }
    let facts = facts(system, &sites[0]).await?;
    let calls = history.calls();
    findings.extend(check::check(&calls, &facts));
    let ends: Vec<End> = system.parts().flat_map(|part| part.ends()).collect();
    let crashes = ends.iter().filter(|end| end.is_crash);
    findings.extend(crashes.map(|end| Finding {
        claim: Claim::Ends,
        text: end.text.clone(),
    }));
    let ends = ends.into_iter().map(|end| end.text).collect();
    let report = Report::of(plan, &calls, &facts, ends);
    Ok((facts, Outcome { report, findings }))
}

async fn facts(system: &System, site: &Site) -> anyhow::Result<Facts> {
    for _ in 1..READINGS {
        let head = rest::head(&system.databases).await?;
        let facts = system.databases.facts(places(site).await?).await?;
        if rest::head(&system.databases).await? == head {
            return Ok(facts);
        }
        rest::wait(&system.databases).await?;
    }
    anyhow::bail!("the log does not come to rest")
}

/// What the API tells of places on the boards of all time.
async fn places(site: &Site) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    for quiz_mode in QuizMode::ALL {
        let mut cursor: Option<String> = None;
        loop {
            let page = page(site, *quiz_mode, cursor.as_deref()).await?;
            places.extend(page.items.into_iter().map(|entry| Place {
                user_id: entry.user_id,
                quiz_mode: *quiz_mode,
                position: entry.position,
                score: entry.score,
            }));
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
    }
    Ok(places)
}

/// A page, once there is somebody to give it.
async fn page(
    site: &Site,
    quiz_mode: QuizMode,
    cursor: Option<&str>,
) -> anyhow::Result<LeaderboardPage> {
    let path = format!("/api/leaderboard/entries?quizMode={quiz_mode}&limit=100");
    let begun = Instant::now();
    loop {
        let request = site.request(Method::GET, &path, None);
        let cursor = cursor.map(|cursor| [("cursor", cursor)]);
        let reply = send(request.query(&cursor)).await;
        match reply.read() {
            Some(page) if reply.outcome.is_good() => return Ok(page),
            _ if begun.elapsed() > PAGE_WITHIN => anyhow::bail!("{}", reply.describe()),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}
