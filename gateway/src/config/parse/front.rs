//! `tls` and `[limits]`.

use super::super::{
    Limits, Tls,
    reader::{Node, Section},
};
use super::scalar::duration;

pub(super) fn tls(node: Node<'_>) -> Option<Tls> {
    let mut section = node.section()?;
    let cert = section.required("cert", Node::text);
    let key = section.required("key", Node::text);
    section.finish();
    Some(Tls {
        cert: cert?.into(),
        key: key?.into(),
    })
}

pub(super) fn limits(mut section: Section<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        max_connections: section
            .read("max_connections", Node::count)
            .unwrap_or(default.max_connections),
        max_connections_per_address: section.read("max_connections_per_address", Node::count),
        header_timeout: section
            .read("header_timeout", duration)
            .unwrap_or(default.header_timeout),
        idle_timeout: section
            .read("idle_timeout", duration)
            .unwrap_or(default.idle_timeout),
        min_rate: section
            .read("min_rate", Node::count)
            .unwrap_or(default.min_rate),
        min_rate_grace: section
            .read("min_rate_grace", duration)
            .unwrap_or(default.min_rate_grace),
    };
    section.finish();
    limits
}
