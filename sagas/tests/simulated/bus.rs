//! A bus that delivers what and when chance wants: late, twice, in any order, or not at all. It breaks
//! more than a bus may, since nothing that it does may matter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bus::{Bus, BusError, BusStatus, Delivery, Memory, Subscription};
use contracts::Recorded;
use futures::{StreamExt, channel::mpsc};

use super::dice::Dice;

type Listener = mpsc::UnboundedSender<Delivery>;

#[derive(Clone, Default)]
pub(crate) struct WildBus(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Each with how far it was told the events in order.
    listeners: Vec<(Listener, usize)>,
}

impl WildBus {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells somebody who listens something of what the log has.
    pub(crate) fn tell(&self, dice: &mut Dice, events: &[Arc<Recorded>]) {
        let mut state = self.state();
        state
            .listeners
            .retain(|(listener, _)| !listener.is_closed());
        let count = state.listeners.len() as u64;
        if count == 0 || events.is_empty() {
            return;
        }
        let chosen = usize::try_from(dice.below(count)).unwrap_or_default();
        let (listener, told) = &mut state.listeners[chosen];
        let roll = dice.below(20);
        let deliveries = match roll {
            0 => vec![Delivery::Gap],
            // One that is lost.
            1 => {
                *told += 1;
                Vec::new()
            }
            2..=4 => {
                let any = dice.one_of(events).map(Arc::clone);
                any.map(Delivery::Event).into_iter().collect()
            }
            _ => {
                let next = events.iter().skip(*told).take(1 + (roll as usize % 3));
                let next: Vec<_> = next.cloned().map(Delivery::Event).collect();
                *told += next.len();
                next
            }
        };
        for delivery in deliveries {
            // Who listened may have died.
            let _ = listener.unbounded_send(delivery);
        }
    }
}

#[async_trait]
impl Bus for WildBus {
    async fn publish(&self, _: &[Recorded]) -> Result<(), BusError> {
        Ok(())
    }

    async fn subscribe(&self) -> Result<Subscription, BusError> {
        let (listener, deliveries) = mpsc::unbounded();
        self.state().listeners.push((listener, 0));
        Ok(Subscription::new(deliveries.boxed()))
    }

    fn status(&self) -> BusStatus {
        BusStatus {
            connected: true,
            ..BusStatus::default()
        }
    }

    fn memory(&self) -> Memory {
        Memory::None
    }

    fn name(&self) -> &'static str {
        "wild"
    }
}
