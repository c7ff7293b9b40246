//! Sends spans to a receiver by OTLP over HTTP, as the standard `OTEL_…` variables say: an SDK
//! provider for each part of the process, so that each has a resource of its own.
//!
//! Off unless an endpoint is set. What is set wrongly is said, and never keeps a service from
//! running.

use std::{
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};
use uuid::Uuid;

#[cfg(test)]
mod tests;

use super::{
    Tracer,
    queue::{Bounded, Counted, Counts, Queue},
    sampling::{Head, Ids},
};

/// How long the end of a process waits for its last spans to be sent: within what a deployment
/// grants after the drain.
pub(crate) const FLUSH: Duration = Duration::from_secs(2);

/// The SDK's own default of `OTEL_BSP_MAX_QUEUE_SIZE`.
const QUEUE: usize = 2_048;

/// Where spans go, how many, and how they wait.
#[derive(Debug)]
pub(super) struct Settings {
    /// The whole URL; none leaves it to the exporter to read the variables.
    pub(super) endpoint: Option<String>,
    pub(super) head: Head,
    pub(super) queue: usize,
    /// Between two sendings; none leaves it to the SDK to read `OTEL_BSP_SCHEDULE_DELAY`.
    pub(super) delay: Option<Duration>,
    /// `OTEL_SERVICE_NAME`, for a process of one part.
    pub(super) name: Option<String>,
}

/// One part of the process, as traces show it.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) tracer: SdkTracer,
    pub(super) counts: Counts,
    provider: SdkTracerProvider,
}

/// The export of a process. Its parts live as long as the process.
pub(super) struct Export {
    parts: Vec<&'static Part>,
}

static EXPORT: OnceLock<Export> = OnceLock::new();

/// The export of this process, where there is one.
pub(super) fn global() -> Option<&'static Export> {
    EXPORT.get()
}

/// Begins the export of these parts, when the variables ask for one. A second call in one process
/// changes nothing.
pub(crate) fn start(parts: &[&'static str]) {
    if parts.is_empty() || EXPORT.get().is_some() {
        return;
    }
    let Some(settings) = Settings::from(|name| std::env::var(name).ok()) else {
        return;
    };
    match Export::start(&settings, parts) {
        // Only a second `start` can fail, and then spans already go somewhere.
        Ok(export) => drop(EXPORT.set(export)),
        Err(error) => tracing::error!(%error, "traces are not exported"),
    }
}

/// Sends what waits and ends the export, within a bound.
pub(crate) fn finish() {
    if let Some(export) = EXPORT.get() {
        export.finish(FLUSH);
    }
}

impl Settings {
    /// As the variables say; none when nothing is to be exported.
    pub(super) fn from(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let text = |name| variable(name).filter(|value| !value.trim().is_empty());
        let endpoint = text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| text("OTEL_EXPORTER_OTLP_ENDPOINT"))?;
        let is_disabled =
            text("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let exporter = text("OTEL_TRACES_EXPORTER").unwrap_or_else(|| "otlp".to_owned());
        if is_disabled || exporter == "none" {
            return None;
        }
        if exporter != "otlp" {
            tracing::error!(
                exporter,
                "OTEL_TRACES_EXPORTER: only otlp and none are known"
            );
            return None;
        }
        if endpoint.starts_with("https:") {
            tracing::error!(
                endpoint,
                "the trace export speaks plain HTTP: name a collector on this machine or network"
            );
            return None;
        }
        let protocol = text("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| text("OTEL_EXPORTER_OTLP_PROTOCOL"));
        if let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf") {
            tracing::warn!(
                protocol,
                "the trace export speaks http/protobuf all the same"
            );
        }
        Some(Self {
            endpoint: None,
            head: head(
                text("OTEL_TRACES_SAMPLER").as_deref(),
                text("OTEL_TRACES_SAMPLER_ARG").as_deref(),
            )?,
            queue: text("OTEL_BSP_MAX_QUEUE_SIZE")
                .and_then(|size| size.parse().ok())
                .filter(|size| *size > 0)
                .unwrap_or(QUEUE),
            delay: None,
            name: text("OTEL_SERVICE_NAME"),
        })
    }
}

/// The decision at the head. A trace that comes with a decision keeps it under each of these names.
fn head(sampler: Option<&str>, argument: Option<&str>) -> Option<Head> {
    let share = || {
        let share = argument.and_then(|share| share.parse::<f64>().ok());
        share
            .filter(|share| (0.0..=1.0).contains(share))
            .unwrap_or_else(|| {
                tracing::warn!(
                    argument,
                    "OTEL_TRACES_SAMPLER_ARG: not from 0 to 1; all are taken"
                );
                1.0
            })
    };
    match sampler {
        None | Some("always_on" | "parentbased_always_on") => Some(Head::share(1.0)),
        Some("parentbased_always_off") => Some(Head::share(0.0)),
        Some("traceidratio" | "parentbased_traceidratio") => Some(Head::share(share())),
        // Nothing of any trace: no reason to run an export.
        Some("always_off") => None,
        Some(other) => {
            tracing::warn!(
                sampler = other,
                "OTEL_TRACES_SAMPLER: unknown; all are taken"
            );
            Some(Head::share(1.0))
        }
    }
}

impl Export {
    pub(super) fn start(settings: &Settings, parts: &[&'static str]) -> anyhow::Result<Self> {
        let instance = Uuid::new_v4().to_string();
        let is_alone = parts.len() == 1;
        let mut started = Vec::new();
        for part in parts {
            // One name for all would hide which part did what.
            let name = settings
                .name
                .as_deref()
                .filter(|_| is_alone)
                .unwrap_or(part);
            started.push(&*Box::leak(Box::new(Part::start(
                settings, part, name, &instance,
            )?)));
        }
        Ok(Self { parts: started })
    }

    /// The tracer of a part; the first part's for one that this process does not run.
    pub(super) fn tracer(&self, name: &str) -> Tracer {
        let own = self.parts.iter().find(|part| part.name == name);
        own.or(self.parts.first())
            .map_or(Tracer::OFF, |part| Tracer::new(part))
    }

    /// Sends what waits, all parts at once. What is not sent within `bound` is lost.
    pub(super) fn finish(&self, bound: Duration) {
        let until = Instant::now() + bound;
        let (done, all_done) = mpsc::channel();
        for part in &self.parts {
            let (part, done) = (*part, done.clone());
            let end = move || {
                // Whether or not it worked: the process ends.
                drop(part.provider.shutdown_with_timeout(bound));
                done.send(()).ok();
            };
            if thread::Builder::new().spawn(end).is_err() {
                break;
            }
        }
        drop(done);
        let left = || until.saturating_duration_since(Instant::now());
        while all_done.recv_timeout(left()).is_ok() {}
    }
}

impl Part {
    fn start(
        settings: &Settings,
        part: &'static str,
        name: &str,
        instance: &str,
    ) -> anyhow::Result<Self> {
        let counts = Counts::default();
        let queue = Queue::new(part, settings.queue, counts.clone());
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary);
        if let Some(endpoint) = &settings.endpoint {
            exporter = exporter.with_endpoint(endpoint);
        }
        let exporter = Counted {
            exporter: exporter.build()?,
            queue: queue.clone(),
        };
        // The builder reads the other `OTEL_BSP_…` variables.
        let mut batches = BatchConfigBuilder::default().with_max_queue_size(settings.queue);
        if let Some(delay) = settings.delay {
            batches = batches.with_scheduled_delay(delay);
        }
        let batches = BatchSpanProcessor::new(exporter, batches.build());
        // `OTEL_RESOURCE_ATTRIBUTES` are read by the builder.
        let resource = Resource::builder()
            .with_service_name(name.to_owned())
            .with_attributes([
                KeyValue::new("service.namespace", "banyan"),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", instance.to_owned()),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded { batches, queue })
            .with_sampler(settings.head)
            .with_id_generator(Ids::default())
            .with_resource(resource)
            .build();
        Ok(Self {
            name: part,
            tracer: provider.tracer("banyan"),
            counts,
            provider,
        })
    }
}
