//! Carries out the script's acts, through the same interfaces as the operator's verbs, and says
//! for each the command that a person would type.

use std::time::Duration;

use anyhow::Context;
use chassis::Shutdown;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{steps::Act, system::System};
use crate::{client::Client, verbs::sync};

/// Why, in the flags' history and the services' logs.
const REASON: &str = "banyan demo";
/// How long a service that is just coming up may refuse an act.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);

/// What a person would type for `act`.
pub(crate) async fn announce(act: Act, system: &System) -> anyhow::Result<Vec<String>> {
    let reason = format!("--reason '{REASON}'");
    Ok(match act {
        Act::Import => vec!["banyan sync backfill".to_owned()],
        Act::Percent(flag, percent) => {
            vec![format!(
                "banyan flags set {flag} --percent {percent} {reason}"
            )]
        }
        Act::Rollback(flag) => vec![format!("banyan flags rollback {flag} {reason}")],
        Act::Return(flag, percent) => {
            vec![format!(
                "banyan flags set {flag} --killed false --percent {percent} {reason}"
            )]
        }
        Act::Pause(service) => each(system, service, "pause", &reason).await?,
        Act::Resume(service) => each(system, service, "resume", &reason).await?,
        Act::KillAndRestart => match system.pid() {
            Some(pid) => vec![format!("kill -9 {pid}"), system.command_line()],
            None => vec!["# left out: the running system's process is not known".to_owned()],
        },
    })
}

async fn each(
    system: &System,
    service: &str,
    verb: &str,
    reason: &str,
) -> anyhow::Result<Vec<String>> {
    let names = consumers(&system.operator()?, service).await?;
    let line = |name| format!("banyan consumers {verb} {service} {name} {reason}");
    Ok(names.into_iter().map(line).collect())
}

/// Carries `act` out.
///
/// # Errors
/// When the system refuses it for longer than it takes to come up.
pub(crate) async fn perform(
    act: Act,
    system: &mut System,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    if act == Act::KillAndRestart {
        if system.pid().is_some() {
            system.kill().await?;
            system.start(shutdown).await?;
        }
        return Ok(());
    }
    let client = system.operator()?;
    let begun = Instant::now();
    loop {
        match tell(act, &client).await {
            Ok(()) => return Ok(()),
            Err(error) if begun.elapsed() > PATIENCE || shutdown.is_cancelled() => {
                return Err(error).with_context(|| format!("{act:?}"));
            }
            Err(error) => tracing::info!("{act:?}: {error:#}; trying again"),
        }
        sleep(PAUSE).await;
    }
}

async fn tell(act: Act, client: &Client) -> anyhow::Result<()> {
    match act {
        Act::Import => {
            sync::backfill(client).await?;
        }
        Act::Percent(flag, percent) => {
            patch(
                client,
                flag,
                json!({ "percent": percent, "reason": REASON }),
            )
            .await?;
        }
        Act::Return(flag, percent) => {
            let change = json!({ "percent": percent, "killed": false, "reason": REASON });
            patch(client, flag, change).await?;
        }
        Act::Rollback(flag) => {
            let path = format!("/admin/flags/{flag}/rollback");
            client
                .admin(Method::POST, &path, Some(&json!({ "reason": REASON })))
                .await?;
        }
        Act::Pause(service) => every(client, service, "pause").await?,
        Act::Resume(service) => every(client, service, "resume").await?,
        // Nothing that the system is told.
        Act::KillAndRestart => {}
    }
    Ok(())
}

async fn patch(client: &Client, flag: &str, change: Value) -> anyhow::Result<()> {
    client
        .admin(
            Method::PATCH,
            &format!("/admin/flags/{flag}"),
            Some(&change),
        )
        .await
        .map(|_| ())
}

async fn every(client: &Client, service: &str, verb: &str) -> anyhow::Result<()> {
    for name in consumers(client, service).await? {
        let path = format!("/ops/consumers/{name}/{verb}");
        client
            .ops(
                service,
                Method::POST,
                &path,
                Some(&json!({ "reason": REASON })),
            )
            .await?;
    }
    Ok(())
}

async fn consumers(client: &Client, service: &str) -> anyhow::Result<Vec<String>> {
    let answer = client
        .ops(service, Method::GET, "/ops/consumers", None)
        .await?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    Ok(items
        .iter()
        .filter_map(|item| item["name"].as_str().map(ToOwned::to_owned))
        .collect())
}
