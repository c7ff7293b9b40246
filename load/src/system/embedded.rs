//! `banyan up`: one process, SQLite files.

use std::path::PathBuf;

use anyhow::Context;
use testkit::Process;

use super::{ADMINISTRATOR, Held, System, ourselves, ready};
use crate::{process::Parts, site::Credentials};

pub(super) async fn start(banyan: PathBuf) -> anyhow::Result<System> {
    let folder = testkit::temp_dir();
    let data = folder.path().join("data");
    let offset = testkit::free_port_offset();
    let mut command = std::process::Command::new(&banyan);
    command.current_dir(folder.path()).arg("up");
    command.arg("--data-dir").arg(&data);
    command.args(["--port-offset", &offset.to_string()]);
    let mut process = Process::spawn_command(command)?;
    let admin = format!("http://127.0.0.1:{}/health/ready", 8081 + offset);
    ready(&mut process, "banyan up", &admin).await?;
    // Written right after it is ready.
    let operator = data.join("endpoints.toml");
    let url = format!("http://127.0.0.1:{}/health/ready", 9010 + offset);
    while !operator.is_file() {
        ready(&mut process, "banyan up", &url).await?;
        tokio::time::sleep(super::LOOK).await;
    }
    let password = std::fs::read_to_string(data.join("administrator.password"))
        .context("banyan up has made no administrator")?;
    Ok(System {
        description: "embedded: one process, SQLite, the in-process bus".to_owned(),
        gateway: format!("http://127.0.0.1:{}", 8080 + offset),
        administrator: Some(Credentials {
            email: ADMINISTRATOR.to_owned(),
            password: password.trim().to_owned(),
        }),
        parts: Parts(vec![ourselves(), (process.id(), "banyan up".to_owned())]),
        stores: vec![("SQLite files".to_owned(), data)],
        banyan,
        operator: Some(operator),
        is_ours: true,
        _held: Held {
            _processes: vec![process],
            _folder: Some(folder),
            ..Held::default()
        },
    })
}
