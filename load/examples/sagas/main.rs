//! What `cargo xtask bench sagas` puts load on sagas with: callers that each wait for the end of one
//! saga before they begin the next (a closed model), over HTTP, against a Banyan that is started here
//! or whatever listens elsewhere.
//!
//! Prints one line of JSON for each number of callers: sagas a second, milliseconds, and the CPU that
//! each part used for a saga. This program's own CPU is in none of them.

mod banyan;
mod caller;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use load::process::{Machine, Parts};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use self::caller::{Caller, Times};

#[derive(Parser)]
struct Arguments {
    /// Starts Banyan in this form: `embedded` or `distributed`.
    #[arg(long, conflicts_with_all = ["at", "path", "part"], required_unless_present = "at")]
    form: Option<String>,
    /// The program that is started.
    #[arg(long, requires = "form")]
    banyan: Option<std::path::PathBuf>,
    /// Where somebody else listens: ADDRESS:PORT.
    #[arg(long, requires = "path")]
    at: Option<String>,
    /// What is posted to there; `{user}` is replaced by the caller's.
    #[arg(long)]
    path: Option<String>,
    /// Whose CPU is counted there: NAME=PID.
    #[arg(long, value_parser = part)]
    part: Vec<(u32, String)>,
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    callers: Vec<usize>,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// What comes before that and does not count.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Print the process ids and wait for a line of input before the load, for whoever looks closer.
    #[arg(long)]
    hold: bool,
}

fn part(text: &str) -> Result<(u32, String), String> {
    let (name, id) = text.split_once('=').ok_or("NAME=PID")?;
    let id = id.parse().map_err(|_| "NAME=PID".to_owned())?;
    Ok((id, name.to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let most = arguments.callers.iter().copied().max();
    let most = most.context("--callers names nobody")?;
    let (callers, parts, _system) = match (&arguments.form, &arguments.at) {
        (Some(form), _) => {
            let system = banyan::start(form, arguments.banyan.as_deref()).await?;
            let callers = banyan::callers(&system, most).await?;
            let others = system.parts.0.iter();
            let others = others.filter(|(id, _)| *id != std::process::id());
            (callers, Parts(others.cloned().collect()), Some(system))
        }
        (None, Some(address)) => {
            let path = arguments.path.as_deref().context("--path")?;
            let callers = (0..most).map(|_| anybody(address, path)).collect();
            (callers, Parts(arguments.part.clone()), None)
        }
        (None, None) => bail!("--form or --at"),
    };
    if arguments.hold {
        println!("{:?}", parts.0);
        std::io::stdin().read_line(&mut String::new())?;
    }
    measure(&arguments, callers, &parts).await
}

/// Somebody with a saga that is the same but for its ids.
fn anybody(address: &str, path: &str) -> Caller {
    let (host, user) = (address.to_owned(), Uuid::new_v4());
    let path = path.replace("{user}", &user.to_string());
    let next = move |number: u64| {
        let body = json!({
            "userId": user,
            "questionId": Uuid::new_v4(),
            "quizMode": "classic",
            "choiceId": if number.is_multiple_of(2) { "a" } else { "b" },
        });
        caller::post(&host, &path, &[], &body.to_string())
    };
    Caller::new(address.to_owned(), "completed", next)
}

async fn measure(
    arguments: &Arguments,
    mut callers: Vec<Caller>,
    parts: &Parts,
) -> anyhow::Result<()> {
    for count in &arguments.callers {
        let begin = Instant::now() + Duration::from_secs(arguments.warm_up);
        let end = begin + Duration::from_secs(arguments.seconds);
        let rest = callers.split_off(*count);
        let tasks: Vec<_> = callers
            .drain(..)
            .map(|caller| tokio::spawn(caller.work(begin, end)))
            .collect();
        tokio::time::sleep_until(begin).await;
        let (cpu, machine) = (parts.usage(), Machine::now());
        tokio::time::sleep_until(end).await;
        let (after, busy) = (parts.usage(), Machine::now().busy_since(&machine));
        let mut times = Times::default();
        for task in tasks {
            let (caller, its) = task.await??;
            callers.push(caller);
            times.add(its);
        }
        callers.extend(rest);
        let sagas = times.done.len() as f64;
        ensure!(sagas > 0.0, "no saga ended: {:?}", times.complaint);
        ensure!(
            (times.failed as f64) < sagas / 100.0,
            "{} of {sagas} failed: {:?}",
            times.failed,
            times.complaint
        );
        let cost = |(name, usage): (&String, &load::process::Usage)| {
            let before = cpu.get(name).map_or(Duration::ZERO, |usage| usage.cpu);
            let used = usage.cpu.saturating_sub(before).as_secs_f64();
            (name.clone(), used * 1e3 / sagas)
        };
        let costs: BTreeMap<String, f64> = after.iter().map(cost).collect();
        let measured = json!({
            "callers": count,
            "rate": sagas / arguments.seconds as f64,
            "p50": times.at(0.5),
            "p99": times.at(0.99),
            "cpu": costs.values().sum::<f64>(),
            "parts": costs,
            "failed": times.failed,
            "busy": busy,
        });
        println!("{measured}");
    }
    Ok(())
}
