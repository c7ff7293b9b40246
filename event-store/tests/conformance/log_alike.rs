//! The two implementations of append, one in Rust and one in PL/pgSQL, decide alike.

use event_store::{Append, Expected};
use serde_json::json;
use testkit::Backend;
use uuid::Uuid;

use crate::fixture::{event, open_log};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Few ids, streams and versions, so that repeats, conflicts and gaps are frequent.
fn append(dice: &mut Dice) -> Append {
    let stream = ["a", "b", "c"][usize::try_from(dice.roll(3)).unwrap()];
    let mut event = event(stream, 1 + i64::try_from(dice.roll(6)).unwrap());
    event.id = Uuid::from_u128(u128::from(1 + dice.roll(60)));
    event.payload = json!({ "n": dice.roll(2), "x": 1.5 });
    event.correlation_id = Uuid::nil();
    event.causation_id = None;
    let expected = if dice.roll(4) == 0 {
        Expected::Any
    } else {
        Expected::Exact
    };
    Append { event, expected }
}

fn group(dice: &mut Dice) -> Vec<Vec<Append>> {
    (0..1 + dice.roll(4))
        .map(|_| (0..1 + dice.roll(3)).map(|_| append(dice)).collect())
        .collect()
}

#[tokio::test]
async fn both_databases_give_every_group_of_batches_the_same_answers() {
    let seed = std::process::id().into();
    eprintln!("seed {seed}");
    let mut dice = Dice(seed);
    let (sqlite, postgres) = (Backend::sqlite(), Backend::postgres().await);
    let (sqlite, postgres) = (open_log(&sqlite).await, open_log(&postgres).await);
    let mut refused = 0;
    for round in 0..150 {
        let batches = group(&mut dice);
        let one = sqlite.append_each(batches.clone()).await;
        let other = postgres.append_each(batches.clone()).await;
        assert_eq!(
            format!("{one:?}"),
            format!("{other:?}"),
            "round {round}: {batches:#?}"
        );
        refused += one.iter().filter(|answer| answer.is_err()).count();
    }
    let heads = [sqlite.head().await.unwrap(), postgres.head().await.unwrap()];
    assert_eq!(heads[0].position, heads[1].position);
    assert!(
        heads[0].position > 10 && refused > 10,
        "the dice made a dull test"
    );
}
