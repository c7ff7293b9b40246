//! When the system is ready, and what it says then.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::endpoints::{Endpoints, SERVICES};

/// A start takes well under a second on an empty folder; recovering a long log takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until each of these, given by its base URL, says that it is ready.
pub(super) async fn wait(bases: impl IntoIterator<Item = &str>) -> anyhow::Result<()> {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .build()?;
    let begun = Instant::now();
    for base in bases {
        let url = format!("{base}/health/ready");
        loop {
            let state = match http.get(&url).send().await {
                Ok(response) if response.status().is_success() => break,
                Ok(response) => response.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > PATIENCE {
                bail!("{base} did not become ready within {PATIENCE:?}: {state}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// Where everything is, a first request, and how to move traffic.
pub(super) fn banner(endpoints: &Endpoints, folder: &Path, took: Duration) -> String {
    let data = shown(folder);
    let services: Vec<_> = SERVICES
        .iter()
        .filter_map(|(name, _)| {
            let port = endpoints.services.get(*name)?.first().rsplit(':').next()?;
            Some(format!("{name} {port}"))
        })
        .collect();
    let default = data == Path::new(".banyan");
    let option = if default {
        String::new()
    } else {
        format!(" --data-dir {}", data.display())
    };
    let banyan = command();
    format!(
        "Banyan is up ({took:.1} s). Data in {data}; Ctrl-C stops it, the next `up` goes on where it \
         was.

  players    {gateway}
  operators  {admin} (console), {admin}/admin/routes
  curator    {curator}, password in {password}
  services   {services}

Try     curl -s '{gateway}/api/questions?limit=1'
Move    {banyan} flags set quiz-cutover --percent 10 --reason 'first ten percent'{option}
Back    {banyan} flags rollback quiz-cutover --reason 'looks bad'{option}
Look    {banyan} routes list{option}; {banyan} doctor{option}
Watch   {banyan} demo{option}",
        took = took.as_secs_f64(),
        data = data.display(),
        gateway = endpoints.gateway,
        admin = endpoints.admin,
        curator = super::ADMINISTRATOR,
        password = data.join("administrator.password").display(),
        services = services.join(", "),
        banyan = banyan.display(),
    )
}

/// How a person starts this very program from here.
fn command() -> PathBuf {
    let Ok(program) = std::env::current_exe() else {
        return "banyan".into();
    };
    let below = std::env::current_dir()
        .ok()
        .and_then(|here| program.strip_prefix(here).map(Path::to_owned).ok());
    below.map_or(program, |path| Path::new(".").join(path))
}

/// The folder as seen from here.
fn shown(folder: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    match here.as_deref().map(|here| folder.strip_prefix(here)) {
        Some(Ok(below)) if below.as_os_str().is_empty() => PathBuf::from("."),
        Some(Ok(below)) => below.to_owned(),
        _ => folder.to_owned(),
    }
}
