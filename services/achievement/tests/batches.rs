//! Events that come in one transaction: they do what they do one by one, and cost as many statements
//! however many they are.

use achievement::{SERVICE, answers::Badges, store};
use contracts::{
    Difficulty, Event, Payload, QuizMode, Recorded,
    events::{
        AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmitted, UserDeleted, UserStatsReset,
    },
};
use database::{Database, Json, Options, Timestamp, Tx, params};
use event_store::{Handler, Outbox, consumer::Wake, outbox};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sagas::{participant, participating::Participating};
use serde_json::Value;
use service::departed;
use testkit::{Backend, Statements};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

testkit::both_databases!(
    a_batch_does_what_its_events_do_one_by_one,
    a_player_who_leaves_between_two_answers_of_a_batch_is_refused_the_second,
    an_answer_that_is_revoked_in_the_batch_that_asked_it_leaves_nothing,
    what_is_taken_back_to_a_savepoint_is_not_written,
    an_answer_that_comes_after_its_completion_unlocks_at_once,
);

struct Bench {
    database: Database,
    badges: Participating<Badges>,
    _home: Backend,
}

impl Bench {
    async fn new(home: Backend) -> Self {
        let database = home.open(Options::default()).await;
        for migrations in [
            outbox::migrations(),
            participant::migrations(),
            departed::migrations(),
            store::migrations(),
        ] {
            database.migrate(migrations).await.expect("tables");
        }
        Self {
            database,
            badges: Participating::new(Badges, Outbox::new(SERVICE)),
            _home: home,
        }
    }

    async fn begin(&self) -> Tx {
        self.database.begin().await.expect("a transaction")
    }

    async fn takes(&self, tx: &mut Tx, events: &[Recorded]) {
        let events: Vec<&Recorded> = events.iter().collect();
        let handled = self.badges.handle_batch(tx, &events).await;
        handled.expect("handled");
    }

    async fn hears_at_once(&self, events: &[Recorded]) {
        let mut tx = self.begin().await;
        self.takes(&mut tx, events).await;
        tx.commit().await.expect("committed");
    }

    async fn hears_each(&self, events: &[Recorded]) {
        for event in events {
            let mut tx = self.begin().await;
            self.badges.handle(&mut tx, event).await.expect("handled");
            tx.commit().await.expect("committed");
        }
    }

    /// All that the tables say, but for when it was written.
    async fn written(&self) -> Written {
        let all = |sql| self.database.fetch_all(sql, params![]);
        Written {
            players: all("SELECT user_id, state, base_at, answers FROM players ORDER BY user_id")
                .await
                .expect("players"),
            badges: self
                .database
                .fetch_all(
                    "SELECT user_id, badge_id, status, answer_id, earned_at, unlocked_at
                     FROM badges ORDER BY user_id, badge_id",
                    params![],
                )
                .await
                .expect("badges"),
            ledger: self
                .database
                .fetch_all(
                    "SELECT saga_id, outcome, effect, ending FROM saga_ledger ORDER BY saga_id",
                    params![],
                )
                .await
                .expect("a ledger"),
            told: self.told().await,
        }
    }

    async fn told(&self) -> Vec<Told> {
        let sql = "SELECT event FROM outbox ORDER BY stream, version";
        let rows: Vec<(Json<Event>,)> = self
            .database
            .fetch_all(sql, params![])
            .await
            .expect("events");
        let told = |(Json(event),): (Json<Event>,)| {
            (event.id, event.event_type, event.version, event.payload)
        };
        rows.into_iter().map(told).collect()
    }
}

type Told = (Uuid, String, i64, Value);
type Badge = (
    Uuid,
    String,
    String,
    Option<Uuid>,
    Timestamp,
    Option<Timestamp>,
);
type Line = (Uuid, Option<String>, Option<Json<Value>>, Option<String>);

#[derive(Debug, PartialEq)]
struct Written {
    players: Vec<(Uuid, Json<Value>, Option<Timestamp>, i64)>,
    badges: Vec<Badge>,
    ledger: Vec<Line>,
    told: Vec<Told>,
}

fn recorded<P: Payload>(saga_id: Option<Uuid>, payload: &P, hours: i64) -> Recorded {
    let id = Uuid::now_v7();
    let event = Event {
        id,
        event_type: P::TYPE.to_owned(),
        stream: "elsewhere".to_owned(),
        aggregate_id: String::new(),
        version: 1,
        schema_version: P::SCHEMA_VERSION,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: OffsetDateTime::UNIX_EPOCH + Duration::hours(hours),
        correlation_id: id,
        causation_id: None,
        saga_id,
        step: None,
        service_id: "elsewhere".to_owned(),
        traceparent: None,
    };
    Recorded {
        epoch: Uuid::nil(),
        position: 1,
        recorded_at: None,
        event,
    }
}

fn asked(answer_id: Uuid, user_id: Uuid, is_correct: bool, hours: i64) -> Recorded {
    let ask = AnswerSubmitted {
        answer_id,
        user_id,
        display_name: "Ada".into(),
        question_id: Uuid::from_u128(42),
        choice_id: "b".to_owned(),
        quiz_mode: QuizMode::Classic,
        category: "rust".to_owned(),
        difficulty: Difficulty::Easy,
        is_correct,
        points: 10,
        streak: 1,
    };
    recorded(Some(answer_id), &ask, hours)
}

fn completed(answer_id: Uuid, user_id: Uuid, hours: i64) -> Recorded {
    let completed = AnswerSubmissionCompleted { answer_id, user_id };
    recorded(Some(answer_id), &completed, hours)
}

fn revoked(answer_id: Uuid, user_id: Uuid, hours: i64) -> Recorded {
    let revoked = AnswerRevoked {
        answer_id,
        user_id,
        quiz_mode: QuizMode::Classic,
        reason: "a test".to_owned(),
    };
    recorded(Some(answer_id), &revoked, hours)
}

fn left(user_id: Uuid) -> Recorded {
    recorded(None, &UserDeleted { user_id }, 0)
}

fn reset(user_id: Uuid, hours: i64) -> Recorded {
    let reason = "asked for".to_owned();
    recorded(None, &UserStatsReset { user_id, reason }, hours)
}

/// Answers of a few players with their ends, some before their asks, some events twice, mixed; players
/// begin anew and leave meanwhile.
fn any_history(random: &mut StdRng) -> Vec<Recorded> {
    let users: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
    let mut lives: Vec<Vec<Recorded>> = Vec::new();
    for hours in 0..40 {
        let user_id = users[random.random_range(0..users.len())];
        let answer_id = Uuid::now_v7();
        let mut life = vec![asked(answer_id, user_id, random.random_bool(0.8), hours)];
        match random.random_range(0..10) {
            0 => {}
            1..4 => life.push(revoked(answer_id, user_id, hours)),
            _ => life.push(completed(answer_id, user_id, hours)),
        }
        if random.random_bool(0.1) {
            life.reverse();
        }
        if random.random_bool(0.3) {
            let again = life[random.random_range(0..life.len())].clone();
            life.push(again);
        }
        lives.push(life);
        match random.random_range(0..40) {
            0 => lives.push(vec![left(user_id)]),
            1..3 => lives.push(vec![reset(user_id, hours)]),
            _ => {}
        }
    }
    // A few lives at a time, so that the events of one are near each other.
    let mut history = Vec::new();
    let mut open: Vec<Vec<Recorded>> = Vec::new();
    lives.reverse();
    while !lives.is_empty() || !open.is_empty() {
        if open.len() < 4 && !lives.is_empty() {
            open.extend(lives.pop());
            continue;
        }
        let place = random.random_range(0..open.len());
        history.push(open[place].remove(0));
        open.retain(|life| !life.is_empty());
    }
    history
}

async fn a_batch_does_what_its_events_do_one_by_one(home: Backend) {
    let other = match home.name {
        "sqlite" => Backend::sqlite(),
        _ => Backend::postgres().await,
    };
    let (batched, single) = (Bench::new(home).await, Bench::new(other).await);
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..6 {
        let history = any_history(&mut random);
        single.hears_each(&history).await;
        let mut rest = &history[..];
        while !rest.is_empty() {
            let length = random.random_range(1..=rest.len().min(16));
            let (batch, later) = rest.split_at(length);
            match random.random_range(0..6) {
                // It is refused, and comes again one by one.
                0 => {
                    let mut tx = batched.begin().await;
                    batched.takes(&mut tx, batch).await;
                    tx.rollback().await.expect("rolled back");
                    batched.hears_each(batch).await;
                }
                // A part of it is taken back, and done again.
                1 => {
                    let (first, second) = batch.split_at(length / 2);
                    let mut tx = batched.begin().await;
                    batched.takes(&mut tx, first).await;
                    tx.savepoint();
                    batched.takes(&mut tx, second).await;
                    tx.take_back().await.expect("taken back");
                    batched.takes(&mut tx, second).await;
                    tx.commit().await.expect("committed");
                }
                _ => batched.hears_at_once(batch).await,
            }
            rest = later;
        }
        assert_eq!(batched.written().await, single.written().await);
    }
}

async fn a_player_who_leaves_between_two_answers_of_a_batch_is_refused_the_second(home: Backend) {
    let bench = Bench::new(home).await;
    let (ada, bob) = (Uuid::now_v7(), Uuid::now_v7());
    let [first, second, of_bob] = [(); 3].map(|()| Uuid::now_v7());
    let events = [
        asked(first, ada, true, 1),
        asked(of_bob, bob, true, 1),
        left(ada),
        asked(second, ada, true, 2),
    ];
    bench.hears_at_once(&events).await;
    let written = bench.written().await;
    let players: Vec<Uuid> = written.players.iter().map(|row| row.0).collect();
    assert_eq!(players, [bob]);
    assert!(written.badges.iter().all(|row| row.0 == bob));
    let failed = |told: &&Told| told.1 == "achievement.check_failed";
    let failed: Vec<&Value> = written
        .told
        .iter()
        .filter(failed)
        .map(|told| &told.3)
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["answerId"], second.to_string());
}

async fn an_answer_that_is_revoked_in_the_batch_that_asked_it_leaves_nothing(home: Backend) {
    let bench = Bench::new(home).await;
    let (ada, bob) = (Uuid::now_v7(), Uuid::now_v7());
    let before = Uuid::now_v7();
    bench.hears_each(&[asked(before, bob, false, 1)]).await;
    let known = bench.written().await;
    let [of_ada, of_bob] = [Uuid::now_v7(), Uuid::now_v7()];
    let events = [
        asked(of_ada, ada, true, 2),
        asked(of_bob, bob, true, 2),
        revoked(of_ada, ada, 3),
        revoked(of_bob, bob, 3),
    ];
    bench.hears_at_once(&events).await;
    let now = bench.written().await;
    assert_eq!((now.players, now.badges), (known.players, known.badges));
}

async fn what_is_taken_back_to_a_savepoint_is_not_written(home: Backend) {
    let bench = Bench::new(home).await;
    let user = Uuid::now_v7();
    let asks = [1, 2, 3].map(|hours| asked(Uuid::now_v7(), user, true, hours));
    let mut tx = bench.begin().await;
    bench.takes(&mut tx, &asks[..1]).await;
    tx.savepoint();
    bench.takes(&mut tx, &asks[1..2]).await;
    tx.take_back().await.expect("taken back");
    bench.takes(&mut tx, &asks[2..]).await;
    tx.commit().await.expect("committed");
    let written = bench.written().await;
    assert_eq!(written.players[0].1["answered"], 2);
    assert_eq!(written.players[0].3, 2);
    assert_eq!(written.ledger.len(), 2);
}

async fn an_answer_that_comes_after_its_completion_unlocks_at_once(home: Backend) {
    let bench = Bench::new(home).await;
    let (answer, user) = (Uuid::now_v7(), Uuid::now_v7());
    let events = [completed(answer, user, 1), asked(answer, user, true, 2)];
    bench.hears_at_once(&events).await;
    let written = bench.written().await;
    assert!(!written.badges.is_empty());
    assert!(written.badges.iter().all(|row| row.2 == "unlocked"));
    let unlocked = written.told.iter();
    let unlocked = unlocked.filter(|told| told.1 == "achievement.unlocked");
    assert_eq!(unlocked.count(), written.badges.len());
}

/// What a batch of so many asks sends, of players who all have answered before, and then its ends.
async fn sent(bench: &Bench, statements: &Statements, count: i64) -> [Vec<String>; 3] {
    let answers: Vec<(Uuid, Uuid)> = (0..count)
        .map(|_| (Uuid::now_v7(), Uuid::now_v7()))
        .collect();
    let each = |event: fn(&(Uuid, Uuid)) -> Recorded| answers.iter().map(event).collect();
    let earlier: Vec<Recorded> = each(|(_, user)| asked(Uuid::now_v7(), *user, true, 0));
    let asks = each(|(answer, user)| asked(*answer, *user, true, 1));
    let ends = each(|(answer, user)| completed(*answer, *user, 2));
    let mut told = Vec::new();
    for batch in [earlier, asks, ends] {
        let _ = statements.take();
        bench.hears_at_once(&batch).await;
        told.push(statements.take());
    }
    told.try_into().expect("three")
}

#[tokio::test]
async fn a_batch_costs_as_many_statements_however_many_asks_it_has() {
    let bench = Bench::new(Backend::postgres().await).await;
    let statements = Statements::listen();
    let few = sent(&bench, &statements, 2).await;
    let many = sent(&bench, &statements, 16).await;
    assert_eq!(few, many);
    let [new, known, ends] = many.map(|sent| sent.len());
    assert!(
        new > 0 && known <= new && ends <= known,
        "{new}, {known}, {ends}"
    );
}

#[test]
fn nobody_waits_for_a_completion_and_it_is_woken_for_all_else() {
    let consumer = Participating::new(Badges, Outbox::new(SERVICE));
    let Wake::For(awaited) = consumer.wake() else {
        panic!("it is woken for some of its events");
    };
    let (awaited, left): (Vec<&str>, Vec<&str>) = consumer
        .types()
        .iter()
        .partition(|kind| awaited.contains(kind));
    assert_eq!(left, [AnswerSubmissionCompleted::TYPE]);
    assert!(awaited.contains(&AnswerSubmitted::TYPE) && awaited.contains(&AnswerRevoked::TYPE));
}
