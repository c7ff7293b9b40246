//! Until when a request's head of an answer must be there, and whose fault it is when it is not.
//!
//! Invariant: an upstream is blamed for a route's deadline only where an attempt had half of it at
//! least: what queues and other attempts left over says nothing about who got the rest.

use std::time::{Duration, Instant};

use super::Cause;
use super::body::BodySource;

/// One request's deadlines, for all attempts on both sides together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadline {
    /// When the client stops waiting, where it says so.
    client: Option<Instant>,
    route: Option<Route>,
}

#[derive(Debug, Clone, Copy)]
struct Route {
    at: Instant,
    /// Who began by then had a fair share of the time.
    half: Instant,
}

/// One attempt's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    began: Instant,
    deadline: Deadline,
    /// When the wait for the head began, and what the route's deadline left for it, where there is one.
    asked: Option<(Instant, Duration)>,
}

/// How long to wait for an upstream, and what it means when that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) within: Duration,
    pub(super) cause: Cause,
}

impl Time {
    /// An attempt begins.
    pub(super) fn begin(deadline: Deadline) -> Self {
        Self {
            began: Instant::now(),
            deadline,
            asked: None,
        }
    }

    /// When the client stops waiting, where it says so.
    pub(super) fn client(&self) -> Option<Instant> {
        self.deadline.client
    }

    /// For a connection, which the upstream's settings give so long.
    pub(super) fn connect(&self, most: Duration) -> Patience {
        self.patience(most, self.deadline.left())
    }

    /// For the answer's head. It is the route's deadline that is meant: time in which the client is
    /// still sending does not count, as with `most`, and its own deadline does not wait for that.
    pub(super) fn head(&mut self, most: Duration) -> Patience {
        let Some(route) = self.deadline.route else {
            return Patience {
                within: most,
                cause: Cause::Timeout,
            };
        };
        let now = Instant::now();
        let left = route.at.saturating_duration_since(now);
        self.asked = Some((now, left));
        let cause = match left < most {
            true => route.cause(self.began),
            false => Cause::Timeout,
        };
        Patience {
            within: most.min(left),
            cause,
        }
    }

    /// For what is to be read of the answer's body: what the head has left.
    pub(super) fn rest(&self, most: Duration, body: &BodySource) -> Patience {
        let now = Instant::now();
        let of_route = self.asked.map_or(Duration::MAX, |(asked, left)| {
            let since = body.progress().map_or(asked, |(_, since)| since.into_std());
            left.saturating_sub(now.saturating_duration_since(since))
        });
        let of_client = self.deadline.client.map_or(Duration::MAX, |client| {
            client.saturating_duration_since(now)
        });
        self.patience(most, of_route.min(of_client))
    }

    fn patience(&self, most: Duration, left: Duration) -> Patience {
        let cause = match left < most {
            true => self.deadline.cause(self.began),
            false => Cause::Timeout,
        };
        Patience {
            within: most.min(left),
            cause,
        }
    }
}

impl Route {
    /// Why an attempt that began at this moment failed when the time was over.
    fn cause(&self, began: Instant) -> Cause {
        match began <= self.half {
            true => Cause::Timeout,
            false => Cause::Deadline,
        }
    }
}

impl Deadline {
    /// For a request that came at `started`: the client's own, and how long the route gives.
    pub(crate) fn new(started: Instant, client: Option<Instant>, route: Option<Duration>) -> Self {
        Self {
            client,
            route: route.map(|within| Route {
                at: started + within,
                half: started + within / 2,
            }),
        }
    }

    /// Whichever comes first.
    pub(super) fn at(&self) -> Option<Instant> {
        let route = self.route.map(|route| route.at);
        self.client.into_iter().chain(route).min()
    }

    /// What is left, where there is a bound.
    pub(super) fn left(&self) -> Duration {
        self.at().map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    /// True when nobody waits any more for what another attempt would bring.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Why an attempt that began at this moment, and was cut short by a deadline, failed.
    fn cause(&self, began: Instant) -> Cause {
        let is_clients = self.client.is_some() && self.at() == self.client;
        match self.route {
            Some(route) if !is_clients => route.cause(began),
            _ => Cause::Deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_earlier_deadline_counts() {
        let now = Instant::now();
        let at = |client: Option<u32>, route: Option<u32>| {
            let client = client.map(|seconds| now + SECOND * seconds);
            let route = route.map(|seconds| SECOND * seconds);
            Deadline::new(now, client, route).at()
        };
        assert_eq!(at(None, None), None);
        assert_eq!(at(Some(2), Some(3)), Some(now + SECOND * 2));
        assert_eq!(at(Some(3), Some(2)), Some(now + SECOND * 2));
        assert_eq!(at(None, Some(2)), Some(now + SECOND * 2));
        assert_eq!(Deadline::default().left(), Duration::MAX);
        assert!(Deadline::new(now, Some(now), None).is_over());
    }

    #[test]
    fn who_had_half_of_the_routes_time_is_blamed_and_nobody_for_the_clients() {
        let now = Instant::now();
        let cause = |client: Option<u32>, route: Option<u32>, began: u32| {
            let client = client.map(|seconds| now + SECOND * seconds);
            let route = route.map(|seconds| SECOND * seconds);
            Deadline::new(now, client, route).cause(now + SECOND * began)
        };
        assert_eq!(cause(None, Some(10), 0), Cause::Timeout);
        assert_eq!(cause(None, Some(10), 5), Cause::Timeout);
        assert_eq!(cause(None, Some(10), 6), Cause::Deadline);
        assert_eq!(cause(Some(20), Some(10), 0), Cause::Timeout);
        assert_eq!(cause(Some(5), Some(10), 0), Cause::Deadline);
        assert_eq!(cause(Some(5), None, 0), Cause::Deadline);
    }
}
