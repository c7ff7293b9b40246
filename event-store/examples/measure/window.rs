//! Callers that do one thing after the other, and how often and how quickly they did it.
//!
//! Invariant: what ended within the measured time counts, whenever it began: what takes long would
//! else be counted less often.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::{Value, json};

const WARMING: u8 = 0;
const MEASURED: u8 = 1;
const OVER: u8 = 2;

/// When things count.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// Somebody who does one thing after the other.
pub(crate) trait Caller: Send + 'static {
    /// Does the next one.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Lets all of them work; what a call brings is `each` events.
pub(crate) async fn measure<C: Caller>(
    callers: Vec<C>,
    window: Window,
    each: usize,
) -> anyhow::Result<Value> {
    let phase = Arc::new(AtomicU8::new(WARMING));
    let mut tasks = Vec::new();
    for mut caller in callers {
        let phase = Arc::clone(&phase);
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            loop {
                if phase.load(Ordering::Relaxed) == OVER {
                    return anyhow::Ok(times);
                }
                let began = Instant::now();
                caller.call().await?;
                if phase.load(Ordering::Relaxed) == MEASURED {
                    times.push(began.elapsed());
                }
            }
        }));
    }
    tokio::time::sleep(window.warm_up).await;
    phase.store(MEASURED, Ordering::Relaxed);
    let began = Instant::now();
    tokio::time::sleep(window.measured).await;
    phase.store(OVER, Ordering::Relaxed);
    let took = began.elapsed();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    ensure!(!times.is_empty(), "nothing was done in {took:?}");
    let rate = (times.len() * each) as f64 / took.as_secs_f64();
    let mut measured = quantiles(times);
    measured["rate"] = json!(rate);
    Ok(measured)
}

/// The median and the worst of a hundred, in ms.
pub(crate) fn quantiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    json!({ "p50": at(0.5), "p99": at(0.99) })
}
