//! What the parts and the machine used during a measurement.

use std::collections::BTreeMap;

use tokio::{task::JoinHandle, time::sleep_until};

use crate::{
    figures::Cost,
    measure::Window,
    process::{Machine, Parts, Usage},
};

pub(super) fn processors() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

/// What the parts used during a window.
pub(super) struct Accounts {
    before: BTreeMap<String, Usage>,
    after: BTreeMap<String, Usage>,
    pub(super) busy: f64,
}

impl Accounts {
    pub(super) fn costs(&self, window: Window, requests: f64, journeys: f64) -> Vec<Cost> {
        let cost = |(part, after): (&String, &Usage)| {
            let before = self.before.get(part).copied().unwrap_or_default();
            let cpu_seconds = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            Cost {
                part: part.clone(),
                cpu_seconds,
                cores: cpu_seconds / window.seconds(),
                ms_per_request: cpu_seconds * 1_000.0 / requests.max(1.0),
                ms_per_journey: cpu_seconds * 1_000.0 / journeys.max(1.0),
                memory_mib: after.memory as f64 / 1024.0 / 1024.0,
            }
        };
        let mut costs: Vec<Cost> = self.after.iter().map(cost).collect();
        costs.sort_by(|one, other| other.cpu_seconds.total_cmp(&one.cpu_seconds));
        costs
    }
}

/// Looks at the parts where a window begins and where it ends.
pub(super) fn account(parts: Parts, window: Window) -> JoinHandle<Accounts> {
    let begin = tokio::time::Instant::now();
    tokio::spawn(async move {
        let look = |parts: Parts| async move {
            // Reading every process is work; the generator must not wait for it.
            let looked = tokio::task::spawn_blocking(move || (parts.usage(), Machine::now()));
            looked.await.unwrap_or_default()
        };
        sleep_until(begin + window.from).await;
        let (before, then) = look(parts.clone()).await;
        sleep_until(begin + window.to).await;
        let (after, now) = look(parts).await;
        let busy = now.busy_since(&then);
        Accounts {
            before,
            after,
            busy,
        }
    })
}
