//! A whole gateway under traffic: edits, changes and a SIGKILL, and what clients notice of them.

use std::{
    path::Path,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use chassis::Shutdown;
use gateway::{Config, Ports, config::Language, run};
use reqwest::Client;
use serde_json::{Value, json};

/// An upstream that says its name to every request.
async fn upstream(name: &'static str, shutdown: &Shutdown) -> anyhow::Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let router = Router::new().fallback(move || async move { name });
    tokio::spawn(chassis::http::serve(listener, router, shutdown.clone()));
    Ok(port)
}

fn text(legacy: u16, candidate: u16, name: &str, prefix: &str) -> String {
    format!(
        r#"
        listen = "127.0.0.1:0"
        admin_listen = "127.0.0.1:0"
        access_log = "off"
        [upstreams.legacy]
        endpoints = ["http://127.0.0.1:{legacy}"]
        [upstreams.{name}]
        endpoints = ["http://127.0.0.1:{candidate}"]
        [flags.f]
        subject = ["header:x-user-id"]
        [[routes]]
        id = "answers"
        prefix = "{prefix}"
        legacy = "legacy"
        candidate = "{name}"
        flag = "f"
        [[routes]]
        id = "all"
        prefix = "/"
        legacy = "legacy"
        "#
    )
}

/// Asks without pause until told to stop; counts what it got.
async fn traffic(url: String, stop: Arc<AtomicBool>, failed: Arc<AtomicUsize>) -> [usize; 2] {
    let client = Client::new();
    let mut served = [0, 0];
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let request = client
            .get(&url)
            .header("x-user-id", format!("user-{number}"));
        let answer = async { request.send().await?.error_for_status()?.text().await };
        match answer.await.as_deref() {
            Ok("legacy") => served[0] += 1,
            Ok("candidate") => served[1] += 1,
            _ => {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    served
}

async fn wait_for(
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    for _ in 0..400 {
        if condition().await? {
            return Ok(());
        }
        // Between two looks at a condition that has a bound.
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    anyhow::bail!("not within 10 s: {what}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_the_file_and_the_flag_change() -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    let legacy = upstream("legacy", &shutdown).await?;
    let candidate = upstream("candidate", &shutdown).await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, text(legacy, candidate, "quiz", "/api"))?;
    let config = Config::from_text(&std::fs::read_to_string(&path)?, Language::Toml)?;
    let ports = Ports::bind(&config).await?;
    let gateway = run(config, Some(path.clone()), None, ports, &shutdown).await?;
    let admin = format!("http://{}/admin", gateway.admin_address());
    let url = format!("http://{}/api/x", gateway.data_address());
    let (stop, failed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..4)
        .map(|_| tokio::spawn(traffic(url.clone(), Arc::clone(&stop), Arc::clone(&failed))))
        .collect();

    let client = Client::new();
    for (step, percent) in [10, 50, 100, 0, 75].into_iter().enumerate() {
        let body = json!({ "percent": percent, "reason": "a step" });
        let flag = format!("{admin}/flags/f");
        client
            .patch(&flag)
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
        // The candidate gets another name, and the prefix another length, each time.
        let name = format!("quiz-{step}");
        let prefix = if step % 2 == 0 { "/api/x" } else { "/api" };
        std::fs::write(&path, text(legacy, candidate, &name, prefix))?;
        wait_for("the edit", async || {
            let route: Value = client
                .get(format!("{admin}/routes/answers"))
                .send()
                .await?
                .json()
                .await?;
            Ok(route["candidate"] == name)
        })
        .await?;
    }
    stop.store(true, Ordering::Relaxed);
    let mut served = [0, 0];
    for client in clients {
        let [by_legacy, by_candidate] = client.await?;
        served[0] += by_legacy;
        served[1] += by_candidate;
    }
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {served:?}");
    assert!(served[0] > 50 && served[1] > 50, "{served:?}");
    shutdown.trigger();
    gateway.ended().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_says_what_the_gateway_then_does() -> anyhow::Result<()> {
    let shutdown = Shutdown::new();
    let legacy = upstream("legacy", &shutdown).await?;
    let candidate = upstream("candidate", &shutdown).await?;
    let text = text(legacy, candidate, "quiz", "/api");
    let config = Config::from_text(&text, Language::Toml)?;
    let ports = Ports::bind(&config).await?;
    let gateway = run(config, None, None, ports, &shutdown).await?;
    let admin = format!("http://{}/admin", gateway.admin_address());
    let client = Client::new();
    let body = json!({
        "percent": 37.5, "allow": ["user-1"], "deny": ["user-2"], "reason": "a mixture",
        "rules": [{ "header": "x-tenant", "equals": "acme", "side": "legacy" }],
    });
    client
        .patch(format!("{admin}/flags/f"))
        .json(&body)
        .send()
        .await?
        .error_for_status()?;
    let mut served = [0, 0];
    for number in 0..60 {
        let path = ["/api/x", "/api//./y?a=b", "/apis", "/%61pi/z"][number % 4];
        let tenant = ["acme", "other"][usize::from(number % 5 != 0)];
        let subject = format!("user-{number}");
        let question = json!({
            "method": "GET", "path": path, "headers": { "X-User-Id": subject, "X-Tenant": tenant },
        });
        let explain = client.post(format!("{admin}/explain")).json(&question);
        let told: Value = explain.send().await?.error_for_status()?.json().await?;
        let response = client
            .get(format!("http://{}{path}", gateway.data_address()))
            .header("x-user-id", &subject)
            .header("x-tenant", tenant)
            .send()
            .await?
            .error_for_status()?;
        assert_eq!(
            told["route"],
            response.headers()["x-banyan-route"].to_str()?,
            "{told}"
        );
        assert_eq!(
            told["upstream"],
            response.headers()["x-banyan-upstream"].to_str()?,
            "{told}"
        );
        let by = response.text().await?;
        assert_eq!(told["side"], by, "{told}");
        served[usize::from(by == "candidate")] += 1;
    }
    assert!(served[0] > 5 && served[1] > 5, "{served:?}");
    shutdown.trigger();
    gateway.ended().await
}

/// The binary, killed when dropped.
struct Process {
    child: Child,
    admin: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts the binary and reads where it listens from its log.
    async fn start(config: &Path) -> anyhow::Result<Self> {
        let log = config.with_extension("out");
        let output = std::fs::File::create(&log)?;
        let child = Command::new(env!("CARGO_BIN_EXE_banyan-gateway"))
            .arg("--config")
            .arg(config)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut process = Self {
            child,
            admin: String::new(),
        };
        let admin = || -> anyhow::Result<Option<String>> {
            let lines = std::fs::read_to_string(&log)?;
            let lines = lines
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            Ok(lines
                .into_iter()
                .find_map(|line| line["admin"].as_str().map(str::to_owned)))
        };
        wait_for("the ports", async || Ok(admin()?.is_some())).await?;
        process.admin = format!("http://{}/admin", admin()?.unwrap_or_default());
        Ok(process)
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_sigkill() -> anyhow::Result<()> {
    let client = Client::new();
    for setting in [
        "state_file = \"FOLDER/flags.json\"",
        "log = \"sqlite:FOLDER/log.db\"",
    ] {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("gateway.toml");
        let setting = setting.replace("FOLDER", &folder.path().display().to_string());
        std::fs::write(&path, format!("{setting}\n{}", text(9, 9, "quiz", "/api")))?;
        for round in 0..3_u64 {
            let process = Process::start(&path).await?;
            let flag = format!("{}/flags/f", process.admin);
            let found: Value = client.get(&flag).send().await?.json().await?;
            assert_eq!(found["version"], 1 + 2 * round, "{setting}: {found}");
            let body = json!({ "percent": 10 + round, "reason": "before the end" });
            client
                .patch(&flag)
                .json(&body)
                .send()
                .await?
                .error_for_status()?;
            let body = json!({ "killed": round % 2 == 0, "reason": "before the end" });
            let last = client
                .patch(&flag)
                .json(&body)
                .send()
                .await?
                .error_for_status()?;
            let last: Value = last.json().await?;
            drop(process);
            let process = Process::start(&path).await?;
            let flag = format!("{}/flags/f", process.admin);
            let found: Value = client.get(&flag).send().await?.json().await?;
            assert_eq!(found, last, "{setting}");
        }
    }
    Ok(())
}
