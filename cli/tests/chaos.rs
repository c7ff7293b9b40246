//! `cargo xtask chaos` in small: half a minute of faults by a fixed seed, and half a minute by one that
//! is drawn. Each has every kind of fault; what is found is told with the command that repeats it.

use std::{path::Path, time::Duration};

const FIXED_SEED: u64 = 1;

const LENGTH: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_there_twice_after_faults_that_are_always_the_same() {
    survives(FIXED_SEED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_there_twice_after_faults_that_are_drawn() {
    survives(rand::random()).await;
}

async fn survives(seed: u64) {
    let options = chaos::Options {
        seed,
        length: LENGTH,
        banyan: env!("CARGO_BIN_EXE_banyan").into(),
        keep: Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos"),
    };
    let again = format!("cargo xtask chaos --minutes 0.5 --seed {seed}");
    println!("{again}");
    let outcome = chaos::run(&options).await;
    let outcome = outcome.unwrap_or_else(|error| panic!("{again}: {error:#}"));
    println!("{}", outcome.report);
    assert!(
        outcome.report.acknowledged > 0,
        "{again}: nobody was served"
    );
    assert_eq!(outcome.findings, [], "{again}");
}
