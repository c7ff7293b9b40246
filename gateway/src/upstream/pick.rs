//! Which endpoint takes an attempt: healthy ones whose circuits admit it, warm ones first, the less
//! loaded of two.

use std::sync::Arc;
use std::time::Instant;

use super::{Chosen, Endpoint, NoEndpoint, Upstream, WhenUnhealthy, balance};

impl Upstream {
    /// The endpoint for one attempt. `avoid` is the one that has just failed this request: it is
    /// taken again only where there is no other.
    pub(crate) fn choose(
        &self,
        now: Instant,
        when_unhealthy: WhenUnhealthy,
        avoid: Option<&Arc<Endpoint>>,
    ) -> Result<Chosen, NoEndpoint> {
        self.pick(now, when_unhealthy, avoid)
            .inspect_err(|why| self.refused.no_endpoint(*why))
    }

    fn pick(
        &self,
        now: Instant,
        when_unhealthy: WhenUnhealthy,
        avoid: Option<&Arc<Endpoint>>,
    ) -> Result<Chosen, NoEndpoint> {
        let endpoints = self.endpoints.load();
        let any_healthy = endpoints.iter().any(|endpoint| endpoint.is_healthy());
        if !any_healthy && when_unhealthy == WhenUnhealthy::Refuse {
            return Err(NoEndpoint::Unhealthy);
        }
        let is_usable = |endpoint: &Arc<Endpoint>| {
            (endpoint.is_healthy() || !any_healthy) && endpoint.would_admit(now)
        };
        let is_other =
            |endpoint: &Arc<Endpoint>| avoid.is_none_or(|avoid| !Arc::ptr_eq(avoid, endpoint));
        // One draw for all: who has half a share is passed over by every second request.
        let drawn = self
            .settings
            .slow_start
            .map(|over| (over, rand::random::<f64>()));
        let is_warm = |endpoint: &Arc<Endpoint>| {
            drawn.is_none_or(|(over, drawn)| endpoint.share(now, over) >= drawn)
        };
        let pick = |is_eligible: &dyn Fn(&Arc<Endpoint>) -> bool| {
            balance::choose(
                endpoints.len(),
                |index| is_eligible(&endpoints[index]),
                |index| endpoints[index].in_flight(),
                |below| rand::random_range(0..below),
            )
        };
        // Another request may take the one place of a half-open circuit between the look and the
        // admission; then the next usable endpoint is asked, each at most once.
        for _ in 0..endpoints.len() {
            let index = pick(&|it| is_usable(it) && is_other(it) && is_warm(it))
                .or_else(|| pick(&|it| is_usable(it) && is_other(it)))
                .or_else(|| pick(&is_usable))
                .ok_or(NoEndpoint::Open)?;
            let endpoint = &endpoints[index];
            if let Ok(permit) = endpoint.admit(now) {
                return Ok(Chosen {
                    in_flight: endpoint.enter(),
                    permit,
                });
            }
        }
        Err(NoEndpoint::Open)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::Handle;

    use super::super::Upstreams;
    use super::*;
    use crate::config::{Config, Language};

    /// How many of a thousand attempts the second of two endpoints gets, so long after its return.
    async fn share_after(returned: Option<Duration>) -> usize {
        let text = "upstreams.quiz = { endpoints = [\"http://10.0.0.1:1\", \"http://10.0.0.2:1\"], \
                    slow_start = \"100s\" }\n\
                    routes = [{ id = \"all\", prefix = \"/\", legacy = \"quiz\" }]";
        let config = Config::from_text(text, Language::Toml).unwrap();
        let upstreams = Upstreams::new(&config, 1, Handle::current());
        let upstream = upstreams.get(&"quiz".parse().unwrap()).unwrap();
        let (now, second) = (Instant::now(), Arc::clone(&upstream.endpoints.load()[1]));
        if let Some(returned) = returned {
            second.returned(now);
            return count(&upstream, &second, now + returned);
        }
        count(&upstream, &second, now)
    }

    fn count(upstream: &Upstream, wanted: &Arc<Endpoint>, now: Instant) -> usize {
        let chosen = || upstream.choose(now, WhenUnhealthy::Refuse, None).unwrap();
        (0..1000)
            .filter(|_| Arc::ptr_eq(chosen().in_flight.endpoint(), wanted))
            .count()
    }

    /// The bounds are more than ten deviations wide.
    #[tokio::test]
    async fn an_endpoint_that_is_back_gets_a_growing_share() {
        let share = share_after(Some(Duration::from_secs(1))).await;
        assert!((1..200).contains(&share), "{share}");
        let share = share_after(Some(Duration::from_secs(101))).await;
        assert!((330..670).contains(&share), "{share}");
        let share = share_after(None).await;
        assert!((330..670).contains(&share), "{share}");
    }
}
