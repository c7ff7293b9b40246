//! The word `part`: starts, stops and restarts a part of the system, and shows its log. Runbooks use
//! it so that they are one text for every platform; here it acts on the drill's own processes.
//!
//! The script on PATH only sends its words to this server, which has the processes.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use axum::{Router, extract::State, http::StatusCode, routing::post};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};

use crate::distributed::System;

/// The drain of a part that is asked to end is bounded by less.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// The server behind the word; gone when dropped.
pub(super) struct Parts(JoinHandle<()>);

impl Parts {
    /// Writes the script into the folder `bin`.
    pub(super) async fn serve(bin: &Path, system: Arc<Mutex<System>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let script = format!(
            "#!/bin/sh\nexec curl --silent --show-error --fail-with-body \
             --data-binary \"$*\" http://{address}/\n"
        );
        let file = bin.join("part");
        std::fs::write(&file, script).expect("a writable folder");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, executable).expect("our own file");
        let router = Router::new().route("/", post(told)).with_state(system);
        Self(tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        }))
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn told(State(system): State<Arc<Mutex<System>>>, words: String) -> (StatusCode, String) {
    let mut system = system.lock().await;
    match act(&mut system, &words).await {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::CONFLICT, format!("part: {error:#}\n")),
    }
}

async fn act(system: &mut System, words: &str) -> anyhow::Result<String> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let (verb, name, release) = match words[..] {
        [verb, name] => (verb, name, None),
        ["rollback", name, release] => ("rollback", name, Some(release)),
        _ => bail!("start, stop, restart, releases, rollback or logs, and a part's name"),
    };
    match name {
        "nats" => return broker(system, 0, verb).await,
        "nats-backup" => return broker(system, 1, verb).await,
        "postgres" => return server(system, verb).await,
        _ => {}
    }
    let parts = system.replicas(name);
    ensure!(!parts.is_empty(), "there is no part {name:?}");
    let mut text = String::new();
    if verb == "rollback" {
        // A release is what its file said then.
        let release = release.context("to which of its releases?")?;
        for part in &parts {
            let file = system.file(part);
            std::fs::rename(file.with_extension(release), file)?;
        }
    }
    for part in parts {
        match verb {
            "logs" => {
                for line in system.process(&part).output() {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            "releases" => {
                let file = system.file(&part);
                if file.with_extension("previous").is_file() {
                    text = "previous\n".to_owned();
                }
            }
            "start" | "stop" | "restart" | "rollback" => {
                if verb != "start" && system.process(&part).is_running() {
                    system.stop(&part, ENDS_WITHIN).await;
                }
                if verb != "stop" && !system.process(&part).is_running() {
                    system.spawn(&part);
                }
            }
            _ => bail!("there is no {verb:?}"),
        }
    }
    Ok(text)
}

/// A server of NATS, by its place in the setting.
async fn broker(system: &mut System, place: usize, verb: &str) -> anyhow::Result<String> {
    let broker = system.brokers.get_mut(place).context("no such broker")?;
    match verb {
        "start" | "restart" => broker.restart().await?,
        "stop" => broker.stop().await?,
        "logs" => return broker.output(),
        _ => bail!("there is no {verb:?}"),
    }
    Ok(String::new())
}

/// PostgreSQL. Promoting a standby moves the address, too: it answers where the lost server did.
async fn server(system: &mut System, verb: &str) -> anyhow::Result<String> {
    let server = system.postgres.as_mut().context("no server of its own")?;
    match verb {
        "start" | "restart" => server.restart().await?,
        "stop" => server.crash().await?,
        "logs" => return server.output(),
        "promote" => {
            let mut standby = system.standby.take().context("no standby")?;
            standby.promote().await?;
            standby.take_over(server).await?;
            system.postgres = Some(standby);
        }
        _ => bail!("there is no {verb:?}"),
    }
    Ok(String::new())
}
