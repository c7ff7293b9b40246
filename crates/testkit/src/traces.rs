use std::{collections::HashMap, ops::ControlFlow, time::Duration};

use anyhow::Context;
use serde_json::Value;

use crate::{Process, eventually, python};

/// The program, run by the tests' own Python.
const PROGRAM: &str = include_str!("traces/receiver.py");

/// How long Python may take to start on a loaded machine.
const START: Duration = Duration::from_secs(60);

/// A receiver of traces by OTLP over HTTP. What it prints was read by OpenTelemetry's own protobuf
/// types.
pub struct TraceReceiver {
    process: Process,
    port: String,
}

/// A span as it was received: its fields as JSON, ids as hexadecimal digits.
#[derive(Clone, Debug)]
pub struct ReceivedSpan(Value);

impl TraceReceiver {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When Python is not installed (see [`python`]).
    pub async fn start() -> anyhow::Result<Self> {
        let process = Process::spawn(python("python")?, ["-c", PROGRAM])?;
        let line = process.line("listening on", START).await;
        let port = line.split(' ').next_back().context("a port")?.to_owned();
        Ok(Self { process, port })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All spans so far.
    ///
    /// # Panics
    /// When something came that was no trace.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.spans_with("")
    }

    fn spans_with(&self, text: &str) -> Vec<ReceivedSpan> {
        let output = self.process.output();
        let read = |line: &String| {
            let span: Value = serde_json::from_str(line).expect("the receiver prints JSON");
            assert!(span.get("fault").is_none(), "{line}");
            ReceivedSpan(span)
        };
        let lines = output.iter().filter(|line| line.starts_with('{'));
        lines.filter(|line| line.contains(text)).map(read).collect()
    }

    /// All spans of one trace, once `is_there` holds of them.
    ///
    /// # Panics
    /// When it does not `within` the time; the message holds the trace.
    pub async fn trace(
        &self,
        trace: &str,
        within: Duration,
        is_there: impl Fn(&[ReceivedSpan]) -> bool,
    ) -> Vec<ReceivedSpan> {
        eventually(within, || {
            let mut spans = self.spans_with(trace);
            spans.retain(|span| span.trace() == trace);
            let looked = if is_there(&spans) {
                ControlFlow::Break(spans)
            } else {
                let lines: Vec<String> = spans.iter().map(ReceivedSpan::line).collect();
                ControlFlow::Continue(format!("trace {trace} so far:\n{}", lines.join("\n")))
            };
            std::future::ready(looked)
        })
        .await
    }
}

impl ReceivedSpan {
    fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    /// `service.name` of its resource.
    pub fn service(&self) -> &str {
        self.text("service")
    }

    /// Its trace's id.
    pub fn trace(&self) -> &str {
        self.text("trace")
    }

    /// Its own id.
    pub fn id(&self) -> &str {
        self.text("span")
    }

    /// Its parent's id; empty for a root.
    pub fn parent(&self) -> &str {
        self.text("parent")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER` or `INTERNAL`.
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// `UNSET`, `OK` or `ERROR`.
    pub fn status(&self) -> &str {
        self.text("status")
    }

    /// An attribute; null when it has none of that name.
    pub fn attribute(&self, name: &str) -> &Value {
        &self.0["attributes"][name]
    }

    /// An attribute of its resource.
    pub fn resource(&self, name: &str) -> &Value {
        &self.0["resource"][name]
    }

    /// The ids of the spans that it links to.
    pub fn links(&self) -> Vec<&str> {
        let links = self.0["links"].as_array().map(Vec::as_slice);
        let links = links.unwrap_or_default().iter();
        links.filter_map(|link| link["span"].as_str()).collect()
    }

    /// Itself, its parent, and so on up to the trace's root, as far as they are in `spans`.
    pub fn chain<'a>(&'a self, spans: &'a [Self]) -> Vec<&'a Self> {
        let by_id: HashMap<&str, &Self> = spans.iter().map(|span| (span.id(), span)).collect();
        let mut chain = vec![self];
        while let Some(parent) = chain.last().and_then(|last| by_id.get(last.parent())) {
            chain.push(parent);
        }
        chain
    }

    /// What tells it apart, for people.
    pub fn line(&self) -> String {
        let attributes = &self.0["attributes"];
        format!(
            "{} < {} {} {} {:?} links {:?} {} {attributes}",
            self.id(),
            self.parent(),
            self.service(),
            self.kind(),
            self.name(),
            self.links(),
            self.status(),
        )
    }
}
