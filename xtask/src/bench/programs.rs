//! The programs that measurements of the log and of sagas run: ours built, others' installed from
//! their registries below `target/peers`, in the versions that `load/peers` pins.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{step::succeed, tools, workspace::Workspace};

/// What ours are built with: as they are shipped.
const PROFILE: &str = "dist";

/// Builds a program of this workspace; where it is. `what` is `--bin` or `--example`.
///
/// # Errors
/// When it does not build.
pub(in crate::bench) fn ours(
    workspace: &Workspace,
    package: &str,
    what: &str,
    name: &str,
) -> anyhow::Result<PathBuf> {
    println!("    building {name}");
    let mut build = Command::new("cargo");
    build.args(["build", "--profile", PROFILE, "--locked", "--quiet"]);
    build.args(["--package", package, what, name]);
    succeed(build.current_dir(&workspace.root))?;
    let target: &Path = workspace.metadata.target_directory.as_ref();
    let folder = target.join(PROFILE);
    Ok(match what {
        "--example" => folder.join("examples").join(name),
        _ => folder.join(name),
    })
}

/// Builds what a folder of `load/peers` holds, a workspace of its own; where its programs are.
///
/// # Errors
/// When it does not build.
pub(in crate::bench) fn beside(workspace: &Workspace, name: &str) -> anyhow::Result<PathBuf> {
    println!("    building {name}");
    let target: &Path = workspace.metadata.target_directory.as_ref();
    let target = target.join("peers");
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "--quiet"]);
    build.arg("--target-dir").arg(&target);
    succeed(build.current_dir(folder(workspace, name)))?;
    Ok(target.join("release"))
}

/// Installs a peer of npm; the folder with its programs and modules.
///
/// # Errors
/// When there is no Node or no registry.
pub(in crate::bench) fn from_npm(workspace: &Workspace, name: &str) -> anyhow::Result<PathBuf> {
    tools::install(&[("node", "nodejs"), ("npm", "npm")])?;
    let from = folder(workspace, name);
    let to = installed(workspace, name)?;
    for entry in fs::read_dir(&from)? {
        let entry = entry?;
        if entry.file_name() != "package-lock.json" {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    once(&to, &from.join("package-lock.json"), || {
        println!("    installing {name} from npm");
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ]);
        succeed(npm.stdin(Stdio::null()).current_dir(&to))
    })?;
    Ok(to)
}

/// Installs a peer of PyPI; its Python.
///
/// # Errors
/// When there is no Python or no registry.
pub(in crate::bench) fn from_pypi(workspace: &Workspace, name: &str) -> anyhow::Result<PathBuf> {
    let to = installed(workspace, name)?;
    let wanted = folder(workspace, name).join("requirements.txt");
    let python = to.join("bin/python");
    once(&to, &wanted, || {
        println!("    installing {name} from PyPI");
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&to))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"]);
        pip.args(["--disable-pip-version-check", "--requirement"]);
        succeed(pip.arg(&wanted).stdin(Stdio::null()))
    })?;
    Ok(python)
}

/// The folder of a peer's own files.
pub(in crate::bench) fn folder(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.root.join("load/peers").join(name)
}

fn installed(workspace: &Workspace, name: &str) -> anyhow::Result<PathBuf> {
    let target: &Path = workspace.metadata.target_directory.as_ref();
    let to = target.join("peers").join(name);
    fs::create_dir_all(&to)?;
    Ok(to)
}

/// Does it unless it was done for a list like this one.
fn once(
    folder: &Path,
    list: &Path,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = list.file_name().context("a list has a name")?;
    let (wanted, done) = (fs::read(list)?, folder.join(name));
    let stamp = folder.join("installed");
    if fs::read(&stamp).is_ok_and(|was| was == wanted) {
        return Ok(());
    }
    fs::write(done, &wanted)?;
    work()?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Runs a program to its end and reads what it printed, a JSON object in each line.
///
/// # Errors
/// When it fails or prints something else; with what it complained of.
pub(in crate::bench) fn answers(command: &mut Command) -> anyhow::Result<Vec<Value>> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{command:?}: {}\n{complaint}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let values: Vec<Value> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    if values.is_empty() {
        bail!("{command:?} measured nothing: {text}{complaint}");
    }
    Ok(values)
}

/// A PostgreSQL with fsync on and a NATS, ended with the value.
pub(in crate::bench) struct Servers {
    child: Child,
    /// A superuser's URL.
    pub(in crate::bench) postgres: String,
    pub(in crate::bench) postgres_id: u64,
}

impl Servers {
    /// By the program `measure`.
    ///
    /// # Errors
    /// When they do not start.
    pub(in crate::bench) fn start(measure: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(measure);
        command.arg("servers");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("its output is ours")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let places: Value = serde_json::from_str(&line).context("no servers were started")?;
        let text = |name: &str| {
            let url = places[name].as_str().map(ToOwned::to_owned);
            url.with_context(|| format!("no {name} was started"))
        };
        Ok(Self {
            postgres: text("postgres")?,
            postgres_id: places["postgresId"].as_u64().unwrap_or_default(),
            child,
        })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // They end with their input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_measured_is_read_and_what_it_complains_of_is_told() {
        let run = |script: &str| answers(Command::new("sh").args(["-c", script]));
        let read = run("echo hello; echo '{\"rate\": 2.5}'").unwrap();
        assert_eq!(read[0]["rate"], 2.5);
        let failed = run("echo sorry >&2; exit 3").unwrap_err().to_string();
        assert!(failed.contains("sorry"), "{failed}");
        assert!(run("echo nothing").is_err());
    }

    #[test]
    fn what_was_installed_is_installed_again_only_for_another_list() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("list.txt");
        let to = folder.path().join("to");
        fs::create_dir(&to).unwrap();
        let mut count = 0;
        for text in ["one", "one", "two"] {
            fs::write(&list, text).unwrap();
            once(&to, &list, || {
                count += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(count, 2);
        fs::write(&list, "three").unwrap();
        assert!(once(&to, &list, || bail!("no network")).is_err());
        let again = once(&to, &list, || bail!("still none"));
        assert!(again.is_err(), "what failed was not installed");
    }
}
