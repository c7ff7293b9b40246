//! `--probe`: asks the process that a configuration is for whether it is ready, and ends with 0 or 1.
//!
//! It is what a container's health check runs. The image holds one binary and neither shell nor
//! curl, so the binary asks itself; it reads the same configuration as the process, so there is no
//! second place that names the port.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context;

/// A readiness report takes a second at most; whoever does not answer by then is not ready.
const WITHIN: Duration = Duration::from_secs(3);

/// Asks `/health/ready` of the process that listens on `listen`; everywhere is asked on loopback.
///
/// # Errors
/// When it does not answer in time, or says that it is not ready; the text holds what it said.
pub async fn ready(listen: SocketAddr) -> anyhow::Result<()> {
    let address = reached_at(listen);
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(WITHIN)
        .build()?;
    let url = format!("http://{address}/health/ready");
    let response = client
        .get(&url)
        .send()
        .await
        .with_context(|| format!("{url} does not answer"))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let report = response.text().await.unwrap_or_default();
    anyhow::bail!("{url}: {status}: {report}")
}

fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Health, Shutdown, net};

    async fn serve(shutdown: &Shutdown) -> SocketAddr {
        let listener = net::bind(([127, 0, 0, 1], 0).into(), "listen")
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let router = Health::new(shutdown.clone()).router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn a_ready_process_passes_and_a_draining_one_fails_with_its_report() {
        let shutdown = Shutdown::new();
        let address = serve(&shutdown).await;
        ready(address).await.unwrap();
        ready((Ipv4Addr::UNSPECIFIED, address.port()).into())
            .await
            .unwrap();
        shutdown.trigger();
        let error = ready(address).await.unwrap_err().to_string();
        assert!(
            error.contains("503") && error.contains("draining"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn nobody_on_the_port_and_somebody_who_is_silent_fail_in_bounded_time() {
        let silent = net::bind(([127, 0, 0, 1], 0).into(), "listen")
            .await
            .unwrap();
        let address = silent.local_addr().unwrap();
        let began = std::time::Instant::now();
        let error = ready(address).await.unwrap_err().to_string();
        assert!(error.contains("does not answer"), "{error}");
        assert!(began.elapsed() < WITHIN * 2);
        drop(silent);
        ready(address).await.unwrap_err();
    }
}
