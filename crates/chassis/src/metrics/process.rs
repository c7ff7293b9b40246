//! What the operating system and the runtime say of the process, read at each scrape. In the
//! embedded form all parts are one process and show the same.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// Which build it is, for telling a bad release from a bad day: set when the image is built.
const REVISION: &str = match option_env!("BANYAN_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Names as all Prometheus clients have them, so that everybody's dashboards fit.
#[derive(Debug, Default)]
pub(super) struct Process {}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut build = encoder.encode_descriptor(
            "banyan_build_info",
            "1; the labels name the build",
            None,
            MetricType::Gauge,
        )?;
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("revision", REVISION),
        ];
        ConstGauge::new(1_i64).encode(build.encode_family(&labels)?)?;
        #[cfg(target_os = "linux")]
        if let Ok(usage) = linux::Usage::now() {
            usage.encode(&mut encoder)?;
        }
        runtime(&mut encoder)
    }
}

/// The runtime that the scrape is answered on; the gateway's workers have their own.
fn runtime(encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return Ok(());
    };
    let metrics = runtime.metrics();
    let workers = metrics.num_workers();
    let busy: f64 = (0..workers)
        .map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64())
        .sum();
    gauge(encoder, "tokio_workers", "Worker threads", workers as f64)?;
    gauge(
        encoder,
        "tokio_alive_tasks",
        "Tasks that have not ended",
        metrics.num_alive_tasks() as f64,
    )?;
    gauge(
        encoder,
        "tokio_global_queue_tasks",
        "Tasks that wait for a worker in the shared queue",
        metrics.global_queue_depth() as f64,
    )?;
    counter(
        encoder,
        "tokio_workers_busy_seconds",
        "Time that workers spent on tasks; near 1 per second and worker the runtime is saturated",
        busy,
    )
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: f64,
) -> Result<(), fmt::Error> {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(encoder)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: f64,
) -> Result<(), fmt::Error> {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(encoder)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{fmt, sync::OnceLock};

    use procfs::{ProcResult, WithCurrentSystemInfo, process::Process};
    use prometheus_client::encoding::DescriptorEncoder;

    use super::{counter, gauge};

    /// What the kernel says.
    pub(super) struct Usage {
        cpu_seconds: f64,
        started: f64,
        resident: u64,
        threads: i64,
        open_files: usize,
        most_files: Option<u64>,
    }

    impl Usage {
        pub(super) fn now() -> ProcResult<Self> {
            let process = Process::myself()?;
            let stat = process.stat()?;
            let ticks = procfs::ticks_per_second() as f64;
            let most_files = match process.limits()?.max_open_files.soft_limit {
                procfs::process::LimitValue::Value(most) => Some(most),
                procfs::process::LimitValue::Unlimited => None,
            };
            Ok(Self {
                cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
                started: Self::started(stat.starttime as f64 / ticks)?,
                resident: stat.rss_bytes().get(),
                threads: stat.num_threads,
                open_files: process.fd_count()?,
                most_files,
            })
        }

        /// Asked once: the kernel works the boot's time out anew, and after a correction of the clock
        /// it would look like a restart.
        fn started(after_boot: f64) -> ProcResult<f64> {
            static BOOT: OnceLock<f64> = OnceLock::new();
            if let Some(boot) = BOOT.get() {
                return Ok(boot + after_boot);
            }
            let boot = procfs::boot_time_secs()? as f64;
            Ok(BOOT.get_or_init(|| boot) + after_boot)
        }

        pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
            counter(
                encoder,
                "process_cpu_seconds",
                "User and system time",
                self.cpu_seconds,
            )?;
            let gauges = [
                (
                    "process_start_time_seconds",
                    "When the process began, in seconds since 1970",
                    self.started,
                ),
                (
                    "process_resident_memory_bytes",
                    "Memory that is in RAM",
                    self.resident as f64,
                ),
                ("process_threads", "Threads", self.threads as f64),
                (
                    "process_open_fds",
                    "Open file descriptors",
                    self.open_files as f64,
                ),
            ];
            for (name, help, value) in gauges {
                gauge(encoder, name, help, value)?;
            }
            if let Some(most) = self.most_files {
                gauge(
                    encoder,
                    "process_max_fds",
                    "File descriptors that may be open",
                    most as f64,
                )?;
            }
            Ok(())
        }
    }
}
