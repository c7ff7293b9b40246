//! The stream's leader alone is killed: the cluster takes longer to choose another one than a saga
//! may take.

use std::time::{Duration, Instant};

use contracts::http::AnswerStatus;
use event_store::publisher::PublisherState;
use futures::future;
use testkit::{NatsCluster, eventually};
use tokio::sync::watch;

use crate::world::{Kind, PARTS, PATIENCE, Player, Setting, World};

/// What a participant has in production. For longer than this nothing is published.
const DEADLINE: Duration = Duration::from_secs(5);
const PLAYERS: usize = 4;

/// In the distributed form: the database that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_taken_back_while_the_stream_has_no_leader() {
    let mut cluster = NatsCluster::start().await.unwrap();
    let setting = Setting {
        answer_deadline: DEADLINE,
        ..Setting::on(Kind::Postgres)
    };
    let world = World::start_over(setting, Some(&cluster.url())).await;
    let players: Vec<_> = (0..PLAYERS)
        .map(|n| world.player(&format!("player {n}")))
        .collect();
    let (over, answered) = (watch::Sender::new(false), watch::Sender::new(0));
    let playing = players
        .iter()
        .map(|player| play(&world, player, &answered, &over));
    let interrupting = async {
        world.publisher_is(is_forwarding).await;
        world.hears_the_bus().await;
        more(&answered, 3 * PLAYERS).await;
        kill_leader(&mut cluster, &world, &answered).await;
        over.send_replace(true);
    };
    let (told, ()) = future::join(future::join_all(playing), interrupting).await;
    for part in PARTS {
        assert!(world.silences(part).await > 0.0, "{part:?} heard all of it");
    }
    let books = world.books().await;
    books.agree();
    let taken_back = books
        .answers
        .iter()
        .filter(|answer| answer.status != AnswerStatus::Completed);
    assert_eq!(taken_back.count(), 0, "{books:?}");
    assert_eq!(told.into_iter().sum::<usize>(), books.answers.len());
}

/// Kills it, and returns once the bus has what was appended in the meantime, and more was answered.
async fn kill_leader(cluster: &mut NatsCluster, world: &World, answered: &watch::Sender<usize>) {
    let leader = eventually(PATIENCE, || cluster.leader("BANYAN_EVENTS")).await;
    let killed = cluster.servers[leader].kill().await;
    killed.expect("it can be killed");
    let began = Instant::now();
    world
        .publisher_is(|state| matches!(state, PublisherState::Failing(_)))
        .await;
    let before = *answered.borrow();
    world.publisher_is(is_forwarding).await;
    let (after, interruption) = (*answered.borrow(), began.elapsed());
    let meanwhile = after - before;
    println!("nothing was published for {interruption:?}; {meanwhile} answers while it failed");
    more(answered, 3 * PLAYERS).await;
}

fn is_forwarding(state: &PublisherState) -> bool {
    matches!(state, PublisherState::Forwarding(_))
}

/// Waits until so many more were answered.
async fn more(answered: &watch::Sender<usize>, count: usize) {
    let mut answered = answered.subscribe();
    let wanted = *answered.borrow() + count;
    let there = answered.wait_for(|answered| *answered >= wanted);
    let there = tokio::time::timeout(PATIENCE, there).await;
    there.expect("answers go on").expect("players play");
}

/// Answers one question after the other until it is over; how many.
async fn play(
    world: &World,
    player: &Player,
    answered: &watch::Sender<usize>,
    over: &watch::Sender<bool>,
) -> usize {
    let mut count = 0;
    while !*over.borrow() {
        let question = u128::try_from(count % 10).expect("small");
        let answer = world.answer(player, question, "a").await;
        assert_eq!(answer.status, 200, "answer {count}: {}", answer.body);
        count += 1;
        answered.send_modify(|answered| *answered += 1);
    }
    count
}
