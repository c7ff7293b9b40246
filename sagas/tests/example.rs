//! The example of the guide does what the guide says.

use database::params;
use sagas::{Phase, Progress, Undoing};

#[expect(dead_code, reason = "its `main` is for `cargo run --example order`")]
#[path = "../examples/order.rs"]
mod order;

#[tokio::test]
async fn an_order_that_cannot_be_served_gives_the_money_back() {
    let folder = testkit::temp_dir();
    let shop = order::open(folder.path()).await.expect("a shop");
    let sold = order::buy(&shop, "tea").await.expect("a saga");
    assert_eq!(sold.phase(), Phase::Completed);

    let refused = order::buy(&shop, "tea").await.expect("a saga");
    assert_eq!(refused.phase(), Phase::Compensated);
    let steps = ["pay", "stock"].map(|name| {
        let step = refused.step(name).expect("a step");
        (step.progress, step.undo)
    });
    assert_eq!(
        steps,
        [
            (Progress::Done, Undoing::Undone),
            (Progress::Refused, Undoing::Idle)
        ]
    );
    let left: Vec<(String, i64)> = shop
        .database
        .fetch_all("SELECT name, count FROM things ORDER BY name", params![])
        .await
        .expect("the things");
    let left: Vec<_> = left.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(
        left,
        [("money", 8), ("tea", 0)],
        "paid for one, and one is gone"
    );
    shop.stop().await.expect("an end without a panic");
}

#[test]
fn the_example_stays_short_enough_to_be_read_at_once() {
    let text = include_str!("../examples/order.rs");
    assert!(text.lines().count() < 150, "{} lines", text.lines().count());
}
