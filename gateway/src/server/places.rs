//! How many connections clients may have: in all, and each address.
//!
//! Invariant: whoever has no place costs nothing but the refusal. Our own proxies are exempt from
//! the address's limit, since they bring everybody's connections.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::config::Limits;
use crate::stats::{Clients, Connection, Ended};

/// The places of all workers.
#[derive(Debug)]
pub(super) struct Places {
    counts: Arc<Clients>,
    by_address: DashMap<IpAddr, u32>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _connection: Connection,
    address: Option<(Arc<Places>, IpAddr)>,
}

impl Places {
    pub(super) fn new(counts: Arc<Clients>) -> Arc<Self> {
        Arc::new(Self {
            counts,
            by_address: DashMap::new(),
        })
    }

    /// A place for a client, or why there is none.
    pub(super) fn take(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &Limits,
        is_trusted: bool,
    ) -> Result<Place, Ended> {
        let connection = self.counts.connection();
        if connection.number > limits.max_connections as usize {
            return Err(Ended::Full);
        }
        let limit = limits.max_connections_per_address.filter(|_| !is_trusted);
        let Some(limit) = limit else {
            return Ok(Place {
                _connection: connection,
                address: None,
            });
        };
        let address = counted(address);
        let mut count = self.by_address.entry(address).or_default();
        if *count >= limit {
            return Err(Ended::AddressFull);
        }
        *count += 1;
        drop(count);
        Ok(Place {
            _connection: connection,
            address: Some((Arc::clone(self), address)),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, address)) = self.address.take() else {
            return;
        };
        if let Entry::Occupied(mut count) = places.by_address.entry(address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Whoever has one address of IPv6 has its whole /64.
fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    fn limits(all: u32, each: Option<u32>) -> Limits {
        Limits {
            max_connections: all,
            max_connections_per_address: each,
            ..Limits::default()
        }
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let places = Places::new(Arc::default());
        let one = IpAddr::from([10, 0, 0, 1]);
        let limits = limits(3, Some(2));
        let first = places.take(one, &limits, false).unwrap();
        let _second = places.take(one, &limits, false).unwrap();
        assert_eq!(
            places.take(one, &limits, false).unwrap_err(),
            Ended::AddressFull
        );
        let _proxy = places.take(one, &limits, true).unwrap();
        let other = IpAddr::from([10, 0, 0, 2]);
        assert_eq!(places.take(other, &limits, false).unwrap_err(), Ended::Full);
        drop(first);
        let third = places.take(one, &limits, false).unwrap();
        drop(third);
        assert_eq!(places.counts.open(), 2);
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_are_gone() {
        let places = Places::new(Arc::default());
        let limits = limits(10, Some(1));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let place = places.take(address("2001:db8::1"), &limits, false).unwrap();
        let neighbour = places.take(address("2001:db8::2"), &limits, false);
        assert_eq!(
            neighbour.unwrap_err(),
            Ended::AddressFull,
            "it is the same /64"
        );
        assert!(
            places
                .take(address("2001:db8:0:1::1"), &limits, false)
                .is_ok()
        );
        drop(place);
        assert!(places.by_address.is_empty());
    }
}
