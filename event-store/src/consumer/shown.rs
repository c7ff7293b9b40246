//! How far the consumers are, read at each scrape: a consumer that hangs in its handler reports
//! nothing by itself, and that is when its lag matters.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

use super::{Consumers, Progress, State};

impl Consumers {
    /// Shows how far each of them is.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Shown(self.clone())));
    }
}

struct Shown(Consumers);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.readers.iter().map(|reader| reader.name()))
            .finish()
    }
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let head = *self.0.log.appended().borrow();
        let all = self.0.all_progress();
        let position = |progress: &Progress| {
            // Its checkpoint was not read yet.
            Some(progress.position()).filter(|position| *position >= 0)
        };
        show(
            &mut encoder,
            "consumer_position",
            "Where it is in the log: all up to here is handled, parked or of a foreign type",
            all.iter().map(|progress| (progress, position(progress))),
        )?;
        let lag = |progress: &Progress| Some((head - position(progress)?).max(0));
        show(
            &mut encoder,
            "consumer_lag",
            "Positions behind the log's head",
            all.iter().map(|progress| (progress, lag(progress))),
        )?;
        let is = |state: fn(&State) -> bool| {
            all.iter()
                .map(move |progress| (progress, Some(i64::from(state(&progress.state())))))
        };
        show(
            &mut encoder,
            "consumer_refused",
            "1 when the consumer refuses the log: another epoch, or a checkpoint beyond the head",
            is(|state| matches!(state, State::Refused(_))),
        )?;
        show(
            &mut encoder,
            "consumer_standby",
            "1 while another replica handles what this one only reads along",
            is(|state| *state == State::Standby),
        )?;
        show(
            &mut encoder,
            "consumer_paused",
            "1 while an operator has paused the consumer",
            is(|state| *state == State::Paused),
        )
    }
}

fn show<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (&'a Progress, Option<i64>)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (progress, value) in values {
        if let Some(value) = value {
            let labels = [("consumer", progress.name())];
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
