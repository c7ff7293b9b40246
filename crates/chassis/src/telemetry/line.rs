//! One log line as a flat JSON object: what was said, and for whom.
//!
//! Everything that tells lines apart lies at the top: `jq 'select(.trace_id == "…")'` finds all
//! lines of one request in the logs of all processes.

use std::{collections::HashSet, fmt};

use serde::ser::{SerializeMap, Serializer as _};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::LookupSpan,
};

use super::service;
use crate::trace::{TraceContext, Tracer};

/// Writes events as JSON lines. Fields of the event win over those of the spans around it, inner
/// spans over outer ones.
pub(super) struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Fields::default();
        event.record(&mut said);
        let mut around = Map::new();
        let spans = context.event_scope().into_iter();
        for span in spans.flat_map(tracing_subscriber::registry::Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            if let Some(Ok(Value::Object(fields))) =
                fields.map(|fields| serde_json::from_str(&fields.fields))
            {
                around.extend(fields);
            }
        }
        let text = said.line(&around, event).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

/// What an event says, in its order.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn line(
        &self,
        around: &Map<String, Value>,
        event: &Event<'_>,
    ) -> Result<String, serde_json::Error> {
        let mut buffer = Vec::with_capacity(256);
        let mut serializer = serde_json::Serializer::new(&mut buffer);
        let mut line = serializer.serialize_map(None)?;
        let mut written = HashSet::new();
        let mut add = |key: &str, value: &Value| {
            if written.insert(key.to_owned()) {
                line.serialize_entry(key, value)
            } else {
                Ok(())
            }
        };
        let metadata = event.metadata();
        let now = OffsetDateTime::now_utc().format(&Rfc3339);
        add("timestamp", &json!(now.unwrap_or_default()))?;
        add("level", &json!(metadata.level().as_str()))?;
        for (key, value) in &self.0 {
            add(key, value)?;
        }
        for (key, value) in around {
            add(key, value)?;
        }
        if let Some(context) = TraceContext::current() {
            add("trace_id", &json!(context.trace_id()))?;
            add("correlation_id", &json!(context.correlation_id()))?;
            // Only a span that is sent somewhere can be looked up.
            if context.is_sampled() && Tracer::here().is_on() {
                add("span_id", &json!(context.span_id()))?;
            }
        }
        add("service", &json!(service()))?;
        add("target", &json!(metadata.target()))?;
        line.end()?;
        // What serde_json writes is UTF-8.
        Ok(String::from_utf8(buffer).unwrap_or_default())
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), json!(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), json!(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), json!(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), json!(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), json!(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), json!(format!("{value:?}"))));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use tracing::instrument::WithSubscriber;
    use tracing_subscriber::{fmt, layer::SubscriberExt};

    use super::*;
    use crate::telemetry::part;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn lines(work: impl Future<Output = ()>) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let layer = fmt::layer()
            .fmt_fields(fmt::format::JsonFields::new())
            .event_format(Line)
            .with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        work.with_subscriber(subscriber).await;
        let all = written.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8(all.clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }

    #[tokio::test]
    async fn a_line_says_for_whom_it_was_written() {
        let context = TraceContext::generate();
        let work = async {
            let outer = part("quiz").entered();
            let inner = tracing::error_span!("event", consumer = "boards", event_id = 7).entered();
            tracing::warn!(attempts = 2, kind = "inner wins", "will try \"again\"");
            drop((inner, outer));
        };
        let lines = lines(context.scope(work)).await;
        let [line] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        assert_eq!(line["message"], "will try \"again\"");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["service"], "quiz");
        assert_eq!(line["consumer"], "boards");
        assert_eq!(line["event_id"], 7);
        assert_eq!(line["attempts"], 2);
        assert_eq!(line["trace_id"], context.trace_id());
        assert_eq!(line["correlation_id"], context.correlation_id().to_string());
        assert_eq!(line.get("span_id"), None, "nothing is exported");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[tokio::test]
    async fn what_is_nearest_wins_and_no_key_is_there_twice() {
        let work = async {
            let _span = tracing::error_span!("part", service = "outer", level = "none").entered();
            tracing::info!(service = "inner", "said");
        };
        let lines = lines(work).await;
        assert_eq!(lines[0]["service"], "inner");
        assert_eq!(lines[0]["level"], "INFO");
    }
}
