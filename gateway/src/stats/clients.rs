//! What was counted of clients' connections: how many are open, and why some were not served.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Connections of clients.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    open: Arc<AtomicUsize>,
    by_end: [AtomicU64; Ended::ALL.len()],
    certificates: [AtomicU64; 2],
    certificate_expires: AtomicI64,
}

/// A client's connection, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    open: Arc<AtomicUsize>,
    /// How many there were with this one.
    pub(crate) number: usize,
}

/// Why the gateway ended a connection, where it did not have to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// `max_connections` are open.
    Full,
    /// `max_connections_per_address` of this address are open.
    AddressFull,
    /// The handshake of TLS failed or took too long.
    Handshake,
    /// Plain HTTP on a port that speaks TLS.
    Plain,
    /// A flood of frames.
    Flood,
    /// It took too long for a head or between two requests.
    Late,
    /// It did not read what it had asked for.
    Slow,
}

impl Ended {
    const ALL: [Self; 7] = [
        Self::Full,
        Self::AddressFull,
        Self::Handshake,
        Self::Plain,
        Self::Flood,
        Self::Late,
        Self::Slow,
    ];

    /// The label.
    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::Handshake => "handshake",
            Self::Plain => "plain",
            Self::Flood => "flood",
            Self::Late => "late",
            Self::Slow => "slow",
        }
    }
}

impl Clients {
    /// A client has connected.
    pub(crate) fn connection(&self) -> Connection {
        Connection {
            number: self.open.fetch_add(1, Ordering::Relaxed) + 1,
            open: Arc::clone(&self.open),
        }
    }

    /// How many clients are connected.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The gateway ended a connection.
    pub(crate) fn ended(&self, why: Ended) {
        self.by_end[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// New files of the certificate were put in force, or refused.
    pub(crate) fn certificate(&self, is_in_force: bool) {
        self.certificates[usize::from(is_in_force)].fetch_add(1, Ordering::Relaxed);
    }

    /// When the certificate that is in force ends, in seconds since 1970.
    pub(crate) fn certificate_expires(&self, at: i64) {
        self.certificate_expires.store(at, Ordering::Relaxed);
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let connections = encoder.encode_descriptor(
            "banyan_gateway_client_connections",
            "Clients' connections that are open",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.open() as f64).encode(connections)?;
        let mut family = encoder.encode_descriptor(
            "banyan_gateway_client_connections_ended",
            "Clients' connections that the gateway ended, by why",
            None,
            MetricType::Counter,
        )?;
        for why in Ended::ALL {
            let count = self.by_end[why as usize].load(Ordering::Relaxed);
            let labels = [("reason", why.as_str())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        self.encode_certificate(encoder)
    }

    fn encode_certificate(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let expires = self.certificate_expires.load(Ordering::Relaxed);
        let gauge = encoder.encode_descriptor(
            "banyan_gateway_tls_certificate_expires_timestamp_seconds",
            "When the certificate that is in force ends, in seconds since 1970; 0 without TLS",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(expires).encode(gauge)?;
        let mut family = encoder.encode_descriptor(
            "banyan_gateway_tls_certificate_reloads",
            "Changes of the certificate's files, by what became of them",
            None,
            MetricType::Counter,
        )?;
        for (result, at) in [("refused", 0), ("applied", 1)] {
            let count = self.certificates[at].load(Ordering::Relaxed);
            ConstCounter::new(count).encode(family.encode_family(&[("result", result)])?)?;
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
