//! The proxies that are measured side by side, and how each is started.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use super::configs::{self, Ports};
use super::programs::Programs;
use crate::bench::process::Process;

/// Who stands between the load and the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    Banyan,
    /// The gateway of another tree.
    Before,
    Nginx,
    Haproxy,
    Pingora,
    Traefik,
    Caddy,
    /// Nobody.
    Direct,
}

/// What a running proxy was started with.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) routes: usize,
    /// The key whose tokens every route demands; the gateway's only.
    pub(super) public_key: Option<String>,
}

/// A proxy that listens.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    /// None where nobody stands between.
    pub(super) process: Option<Process>,
}

/// The origins' ports: legacy's and the candidate's.
pub(super) const ORIGINS: [u16; 2] = [18_090, 18_091];

impl Peer {
    pub(super) const ALL: [Self; 8] = [
        Self::Banyan,
        Self::Before,
        Self::Nginx,
        Self::Haproxy,
        Self::Pingora,
        Self::Traefik,
        Self::Caddy,
        Self::Direct,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Banyan => "Banyan",
            Self::Before => "Banyan before",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Pingora => "Pingora",
            Self::Traefik => "Traefik",
            Self::Caddy => "Caddy",
            Self::Direct => "no proxy",
        }
    }

    /// Starts it with its files in `folder`. `number` keeps apart what runs at the same time.
    ///
    /// # Errors
    /// When it does not start or listen.
    pub(super) fn start(
        self,
        programs: &Programs,
        folder: &Path,
        number: u16,
        setting: &Setting,
    ) -> anyhow::Result<Running> {
        let listen = 18_100 + number * 2;
        let ports = Ports {
            listen,
            admin: listen + 1,
            legacy: ORIGINS[0],
            candidate: ORIGINS[1],
        };
        if self == Self::Direct {
            return Ok(Running {
                address: address(ORIGINS[0]),
                process: None,
            });
        }
        let folder = folder.join(format!("{}-{number}", self.name()));
        fs::create_dir_all(&folder)?;
        let mut command = self.command(programs, &folder, ports, setting)?;
        let mut process = Process::start(self.name(), &mut command, &folder)?;
        process.listens(address(listen))?;
        Ok(Running {
            address: address(listen),
            process: Some(process),
        })
    }

    fn command(
        self,
        programs: &Programs,
        folder: &Path,
        ports: Ports,
        setting: &Setting,
    ) -> anyhow::Result<Command> {
        let routes = setting.routes;
        let write = |name: &str, text: &str| -> anyhow::Result<PathBuf> {
            let file = folder.join(name);
            fs::write(&file, text)?;
            Ok(file)
        };
        let mut command = Command::new(programs.of(self)?);
        match self {
            Self::Banyan | Self::Before => {
                let text = configs::banyan(ports, routes, setting.public_key.as_deref());
                command.arg("--config").arg(write("gateway.toml", &text)?);
            }
            Self::Nginx => {
                let file = write("nginx.conf", &configs::nginx(ports, routes, folder))?;
                command.arg("-p").arg(folder).arg("-c").arg(file);
                command.args(["-g", "daemon off;"]);
            }
            Self::Haproxy => {
                let map = folder.join("routes.map");
                let (text, routes) = configs::haproxy(ports, routes, &map);
                write("routes.map", &routes)?;
                command.arg("-db").arg("-f");
                command.arg(write("haproxy.cfg", &text)?);
            }
            Self::Pingora => {
                let numbers = [ports.listen, ports.legacy, ports.candidate];
                command.args(numbers.map(|port| port.to_string()));
                command.arg(routes.to_string());
            }
            Self::Traefik => {
                let dynamic = folder.join("dynamic.yml");
                let (fixed, text) = configs::traefik(ports, routes, &dynamic);
                write("dynamic.yml", &text)?;
                let fixed = write("traefik.yml", &fixed)?;
                command.arg(format!("--configFile={}", fixed.display()));
            }
            Self::Caddy => {
                let file = write("Caddyfile", &configs::caddy(ports, routes))?;
                command
                    .args(["run", "--adapter", "caddyfile", "--config"])
                    .arg(file);
                // It keeps state in the user's folders otherwise.
                command
                    .env("XDG_DATA_HOME", folder)
                    .env("XDG_CONFIG_HOME", folder);
            }
            Self::Direct => {}
        }
        Ok(command)
    }
}

/// Starts the server behind all of them.
///
/// # Errors
/// When its ports are taken.
pub(super) fn origin(programs: &Programs, folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(&programs.origin);
    command.args(ORIGINS.map(|port| port.to_string()));
    let mut origin = Process::start("origin", &mut command, folder)?;
    for port in ORIGINS {
        origin.listens(address(port))?;
    }
    Ok(origin)
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
