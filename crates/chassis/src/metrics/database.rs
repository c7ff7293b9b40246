//! How much of a database's connections is in use.

use std::fmt;

use ::database::{Database, PoolState};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

/// Reads one value of a pool.
type Value = fn(&PoolState) -> u32;

/// Databases by the name that their metrics have.
pub(super) struct Connections(Vec<(&'static str, Database)>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Connections {
    pub(super) fn of(databases: &[(&'static str, &Database)]) -> Self {
        let own = |(name, database): &(&'static str, &Database)| (*name, (*database).clone());
        Self(databases.iter().map(own).collect())
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let families: [(&str, &str, Value); 3] = [
            (
                "database_connections",
                "Open connections, by database and pool",
                |pool| pool.open,
            ),
            (
                "database_connections_idle",
                "Open connections that nobody uses at the moment",
                |pool| pool.idle,
            ),
            (
                "database_connections_max",
                "Connections that the pool may open; whoever finds all in use waits",
                |pool| pool.max,
            ),
        ];
        for (name, help, value) in families {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (name, database) in &self.0 {
                for pool in database.pools() {
                    let labels = [("database", *name), ("pool", pool.name)];
                    ConstGauge::new(i64::from(value(&pool)))
                        .encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
