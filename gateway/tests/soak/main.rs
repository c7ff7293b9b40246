//! The gateway's binary under everything at once, for as long as one likes: requests of all kinds,
//! clients that give up, instances that die and come back, and a configuration that changes all the
//! while.
//!
//! It holds that no request fails but by an instance's death, that nobody gets another one's answer,
//! and that neither memory nor descriptors are lost. `BANYAN_SOAK_SECONDS` says for how long;
//! `cargo xtask soak` runs it for ten minutes.

mod backend;
mod clients;
mod edits;
mod gateway;
mod outages;
mod tally;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use testkit::eventually;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use backend::Backend;
use clients::{Client, Kind};
use edits::Editor;
use gateway::{Gateway, Reloads};
use outages::Outages;
use tally::Tally;

/// How long a test run takes; longer ones are for a release.
const SECONDS: u64 = 15;

/// How long what must happen may take. It never takes this long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of each kind of client.
const CLIENTS: usize = 3;

/// Between two deaths an instance is back, and its circuit closed (see [`edits`]).
const CALM: std::ops::Range<u64> = 1_500..3_000;
const OUTAGE: std::ops::Range<u64> = 200..800;

/// The memory of a gateway that has seen all kinds of requests may still grow by this much: what an
/// allocator keeps varies. A leak of one buffer per request would be a hundred times more.
const SLACK_KIB: u64 = 8 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_but_by_an_instances_death_and_nothing_is_lost() {
    let seconds = std::env::var("BANYAN_SOAK_SECONDS").map_or(Ok(SECONDS), |text| text.parse());
    let length = Duration::from_secs(seconds.expect("BANYAN_SOAK_SECONDS is a number"));
    let seed: u64 = rand::random();
    println!("{} s, seed {seed}", length.as_secs());
    let mut random = StdRng::seed_from_u64(seed);

    let mut backends = Vec::new();
    for side in ["legacy", "legacy", "candidate", "candidate"] {
        backends.push(Backend::start(side).await);
    }
    let folder = testkit::temp_dir();
    let mut editor = Editor::new(folder.path().join("gateway.toml"), &backends);
    editor.sound(&mut random);
    let gateway = Gateway::start(editor.file(), editor.admin()).await;
    let descriptors = gateway.descriptors();

    let (tally, outages) = (Arc::new(Tally::default()), Arc::new(Outages::default()));
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    for kind in Kind::ALL {
        for _ in 0..CLIENTS {
            let client = Client {
                kind,
                address: editor.listen(),
                tally: Arc::clone(&tally),
                outages: Arc::clone(&outages),
                random: StdRng::seed_from_u64(random.random()),
            };
            running.spawn(client.run(stop.clone()));
        }
    }
    let started = Instant::now();
    let edits = tokio::spawn(edit(editor, StdRng::seed_from_u64(random.random()), length));
    let mut memory = Vec::new();
    while started.elapsed() < length {
        pause(&mut random, CALM).await;
        let fate = random.random_range(0..backends.len());
        let outage = outages.begin();
        backends[fate].die().await;
        pause(&mut random, OUTAGE).await;
        backends[fate].revive().await;
        outages.end(outage);
        memory.push(gateway.memory());
    }
    let edited = edits.await.expect("the editor ends");
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended.expect("a client ends");
    }

    let reloads = settled(edited, &gateway, &mut random).await;
    println!("{tally}; {} deaths; {reloads:?}", outages.count());
    println!("memory in KiB: {memory:?}");
    tally.assert_sound();
    for backend in &mut backends {
        backend.die().await;
    }
    eventually(PATIENCE, || async {
        let left = gateway.descriptors();
        (left <= descriptors)
            .then_some(())
            .ok_or_else(|| format!("{left} descriptors are open, {descriptors} were before"))
    })
    .await;
    assert_flat(&memory);
    gateway.stop().await;
}

/// Changes the configuration until the time is over; every fifth edit is faulty.
async fn edit(mut editor: Editor, mut random: StdRng, length: Duration) -> Editor {
    let (started, mut edits) = (Instant::now(), 0_u32);
    while started.elapsed() < length {
        pause(&mut random, 300..900).await;
        edits += 1;
        match edits % 5 {
            0 => editor.faulty(&mut random),
            _ => editor.sound(&mut random),
        }
    }
    editor
}

/// What came of the edits: once the gateway has met a faulty one and then a sound one, at last.
async fn settled(mut editor: Editor, gateway: &Gateway, random: &mut StdRng) -> Reloads {
    let before = gateway.reloads().await;
    editor.faulty(random);
    eventually(PATIENCE, || async {
        gateway.reloads().await.refused > before.refused
    })
    .await;
    editor.sound(random);
    eventually(PATIENCE, || async {
        let now = gateway.reloads().await;
        (now.applied > before.applied).then_some(now)
    })
    .await
}

/// The pace of the soak: nothing waits for what happens meanwhile.
async fn pause(random: &mut StdRng, milliseconds: std::ops::Range<u64>) {
    let pause = Duration::from_millis(random.random_range(milliseconds));
    // Stands for the time that passes between two events of an ordinary day.
    tokio::time::sleep(pause).await;
}

/// The last quarter against the second: the first is for growing up.
fn assert_flat(memory: &[u64]) {
    let quarter = memory.len() / 4;
    if quarter == 0 {
        return;
    }
    let median = |part: &[u64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let early = median(&memory[quarter..2 * quarter]);
    let late = median(&memory[memory.len() - quarter..]);
    assert!(
        late <= early + early / 10 + SLACK_KIB,
        "{early} grew to {late}: {memory:?}"
    );
}
