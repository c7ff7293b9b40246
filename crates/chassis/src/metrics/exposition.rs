//! The two text formats: OpenMetrics for whoever asks for it, as Prometheus does, and the older
//! Prometheus text for everything else, `promtool check metrics` and `curl` among it.

use http::{HeaderMap, header};

/// How metrics are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format, version 0.0.4.
    Prometheus,
}

impl Format {
    /// The one that a scraper's `Accept` asks for; quality values are not weighed, since whoever
    /// knows OpenMetrics prefers it.
    pub(super) fn accepted_by(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(header::ACCEPT).iter();
        let knows = accepted.any(|value| {
            value
                .to_str()
                .is_ok_and(|value| value.contains("application/openmetrics-text"))
        });
        if knows {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The same metrics in the older format: a counter's family has its samples' name, and there are
/// neither units nor an end mark.
pub(super) fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let lines: Vec<&str> = open_metrics.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let words = |line: &str| {
            let mut words = line.splitn(4, ' ').skip(1).map(ToOwned::to_owned);
            [words.next(), words.next(), words.next()].map(Option::unwrap_or_default)
        };
        let [keyword, name, rest] = words(line);
        let is_comment = line.starts_with('#');
        let is_counter = |line: &str| {
            let [keyword, _, kind] = words(line);
            keyword == "TYPE" && kind == "counter"
        };
        match keyword.as_str() {
            // The type stands on the line below the help.
            "HELP" if is_comment && lines.get(index + 1).is_some_and(|next| is_counter(next)) => {
                text.extend(["# HELP ", &name, "_total ", &rest]);
            }
            "TYPE" if is_comment && rest == "counter" => {
                text.extend(["# TYPE ", &name, "_total counter"]);
            }
            "UNIT" | "EOF" if is_comment => continue,
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::text::encode,
        metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
        registry::Registry,
    };

    use super::*;

    #[test]
    fn the_older_format_names_a_counters_family_as_its_samples() {
        let mut registry = Registry::default();
        registry.register("requests", "Requests", Counter::<u64>::default());
        registry.register("waiting", "TYPE and EOF", Gauge::<i64>::default());
        registry.register("seconds", "Time", Histogram::new([1.0]));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert_eq!(
            to_prometheus(&text),
            "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total 0\n\
             # HELP waiting TYPE and EOF.\n# TYPE waiting gauge\nwaiting 0\n\
             # HELP seconds Time.\n# TYPE seconds histogram\nseconds_sum 0.0\nseconds_count 0\n\
             seconds_bucket{le=\"1.0\"} 0\nseconds_bucket{le=\"+Inf\"} 0\n"
        );
    }

    #[test]
    fn open_metrics_is_for_whoever_asks() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Format::accepted_by(&headers)
        };
        assert_eq!(Format::accepted_by(&HeaderMap::new()), Format::Prometheus);
        assert_eq!(of("*/*"), Format::Prometheus);
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        assert_eq!(of(prometheus), Format::OpenMetrics);
    }
}
