//! Events that come in one transaction: they do what they do one by one, and cost as many statements
//! however many they are.

mod bench;

use contracts::{
    Difficulty, Event, Payload, QuizMode, Recorded,
    events::{
        AchievementUnlocked, AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmitted, BadgeRef,
        PersonalErased, UserDeleted, UserStatsReset, UserUpdated,
    },
};
use event_store::{Handler, Outbox, consumer::Wake};
use leaderboard::{SERVICE, answers::Boards};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sagas::participating::Participating;
use serde_json::Value;
use testkit::{Backend, Statements};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use self::bench::{Bench, Told};

testkit::both_databases!(
    a_batch_does_what_its_events_do_one_by_one,
    places_count_what_the_batch_did_before,
    a_player_who_leaves_between_two_answers_of_a_batch_is_refused_the_second,
    an_answer_that_is_revoked_in_the_batch_that_asked_it_leaves_nothing,
    what_is_taken_back_to_a_savepoint_is_not_written,
    a_bonus_and_the_answers_of_one_batch_are_kept_apart,
);

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

/// An answer, by whom, named how, worth what.
#[derive(Clone, Copy)]
struct Given {
    answer_id: Uuid,
    user_id: Uuid,
    name: &'static str,
    points: i64,
    hours: i64,
}

impl Given {
    fn new(user_id: Uuid, points: i64, hours: i64) -> Self {
        Self {
            answer_id: Uuid::now_v7(),
            user_id,
            name: "Ada",
            points,
            hours,
        }
    }

    fn asked(&self) -> Recorded {
        let ask = AnswerSubmitted {
            answer_id: self.answer_id,
            user_id: self.user_id,
            display_name: self.name.into(),
            question_id: Uuid::from_u128(42),
            choice_id: "b".to_owned(),
            quiz_mode: QuizMode::Classic,
            category: "rust".to_owned(),
            difficulty: Difficulty::Easy,
            is_correct: self.points > 0,
            points: self.points,
            streak: 1,
        };
        recorded(Some(self.answer_id), &ask, self.hours)
    }

    fn completed(&self) -> Recorded {
        let (answer_id, user_id) = (self.answer_id, self.user_id);
        let completed = AnswerSubmissionCompleted { answer_id, user_id };
        recorded(Some(answer_id), &completed, self.hours)
    }

    fn revoked(&self) -> Recorded {
        let revoked = AnswerRevoked {
            answer_id: self.answer_id,
            user_id: self.user_id,
            quiz_mode: QuizMode::Classic,
            reason: "a test".to_owned(),
        };
        recorded(Some(self.answer_id), &revoked, self.hours)
    }

    fn rewarded(&self) -> Recorded {
        let unlocked = AchievementUnlocked {
            answer_id: self.answer_id,
            user_id: self.user_id,
            badge: BadgeRef {
                id: "first-answer".to_owned(),
                name: "First answer".to_owned(),
            },
        };
        recorded(None, &unlocked, self.hours)
    }
}

fn left(user_id: Uuid) -> Recorded {
    recorded(None, &UserDeleted { user_id }, 0)
}

fn reset(user_id: Uuid, hours: i64) -> Recorded {
    let reason = "asked for".to_owned();
    recorded(None, &UserStatsReset { user_id, reason }, hours)
}

fn renamed(user_id: Uuid) -> Recorded {
    let updated = UserUpdated {
        user_id,
        display_name: "Countess".into(),
        roles: Vec::new(),
    };
    recorded(None, &updated, 0)
}

fn erased(user_id: Uuid) -> Recorded {
    let erased = PersonalErased {
        subject: user_id.to_string(),
        actor: "a test".to_owned(),
        reason: "asked for".to_owned(),
    };
    recorded(None, &erased, 0)
}

/// Answers of a few players with their ends, some before their asks, some events twice, mixed; players
/// are rewarded, begin anew, get new names, lose them, and leave meanwhile.
fn any_history(random: &mut StdRng) -> Vec<Recorded> {
    let users: Vec<Uuid> = (0..4).map(|_| Uuid::now_v7()).collect();
    let mut lives: Vec<Vec<Recorded>> = Vec::new();
    for hours in 0..40 {
        let user_id = users[random.random_range(0..users.len())];
        let given = Given {
            name: ["Ada", "Bob"][random.random_range(0..2)],
            ..Given::new(user_id, 10 * random.random_range(0..4), hours)
        };
        let mut life = vec![given.asked()];
        match random.random_range(0..10) {
            0 => {}
            1..5 => life.push(given.revoked()),
            _ => life.push(given.completed()),
        }
        if random.random_bool(0.1) {
            life.reverse();
        }
        if random.random_bool(0.3) {
            life.insert(random.random_range(1..=life.len()), given.rewarded());
        }
        if random.random_bool(0.3) {
            let again = life[random.random_range(0..life.len())].clone();
            life.push(again);
        }
        lives.push(life);
        match random.random_range(0..40) {
            0 => lives.push(vec![left(user_id)]),
            1 => lives.push(vec![reset(user_id, hours)]),
            2 => lives.push(vec![renamed(user_id)]),
            3 => lives.push(vec![erased(user_id)]),
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

async fn places_count_what_the_batch_did_before(home: Backend) {
    let bench = Bench::new(home).await;
    let [ada, bob, eve] = [(); 3].map(|()| Uuid::now_v7());
    bench.hears_each(&[Given::new(eve, 25, 0).asked()]).await;
    // Ada overtakes Bob, is overtaken by him, and he is taken back.
    let answers = [
        Given::new(bob, 20, 1),
        Given::new(ada, 30, 2),
        Given::new(bob, 20, 3),
        Given::new(eve, 0, 4),
        Given::new(ada, 0, 5),
    ];
    let mut events: Vec<Recorded> = answers.iter().map(Given::asked).collect();
    events.insert(4, answers[2].revoked());
    bench.hears_at_once(&events).await;
    let places = bench.places().await;
    let told = answers.map(|given| places[&given.answer_id.to_string()]);
    assert_eq!(told, [2, 1, 1, 3, 1]);
}

async fn a_player_who_leaves_between_two_answers_of_a_batch_is_refused_the_second(home: Backend) {
    let bench = Bench::new(home).await;
    let [ada, bob] = [(); 2].map(|()| Uuid::now_v7());
    let [first, second, of_bob] = [(ada, 30, 1), (ada, 30, 2), (bob, 10, 3)]
        .map(|(user, points, hours)| Given::new(user, points, hours));
    let events = [first.asked(), left(ada), second.asked(), of_bob.asked()];
    bench.hears_at_once(&events).await;
    let written = bench.written().await;
    assert!(written.lines.iter().all(|line| line.0 == bob));
    assert_eq!(written.lines.len(), 3);
    assert!(written.players.iter().all(|player| player.0 == bob));
    let failed = |told: &&Told| told.1 == "leaderboard.update_failed";
    let failed: Vec<&Value> = written
        .told
        .iter()
        .filter(failed)
        .map(|told| &told.3)
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["answerId"], second.answer_id.to_string());
    let places = bench.places().await;
    assert_eq!(places[&of_bob.answer_id.to_string()], 1);
}

async fn an_answer_that_is_revoked_in_the_batch_that_asked_it_leaves_nothing(home: Backend) {
    let bench = Bench::new(home).await;
    let [ada, bob] = [(); 2].map(|()| Uuid::now_v7());
    bench.hears_each(&[Given::new(bob, 10, 1).asked()]).await;
    let known = bench.written().await;
    let answers = [Given::new(ada, 20, 2), Given::new(bob, 20, 3)];
    let [asks, ends] = [
        answers.map(|one| one.asked()),
        answers.map(|one| one.revoked()),
    ];
    bench.hears_at_once(&[asks, ends].concat()).await;
    let now = bench.written().await;
    assert_eq!((now.lines, now.players), (known.lines, known.players));
}

async fn what_is_taken_back_to_a_savepoint_is_not_written(home: Backend) {
    let bench = Bench::new(home).await;
    let user = Uuid::now_v7();
    let asks = [1, 2, 4].map(|points| Given::new(user, points, points).asked());
    let mut tx = bench.begin().await;
    bench.takes(&mut tx, &asks[..1]).await;
    tx.savepoint();
    bench.takes(&mut tx, &asks[1..2]).await;
    tx.take_back().await.expect("taken back");
    bench.takes(&mut tx, &asks[2..]).await;
    tx.commit().await.expect("committed");
    let written = bench.written().await;
    let scores: Vec<i64> = written.lines.iter().map(|line| line.5).collect();
    assert_eq!(scores, [5, 5, 5]);
    assert_eq!(written.ledger.len(), 2);
}

async fn a_bonus_and_the_answers_of_one_batch_are_kept_apart(home: Backend) {
    let bench = Bench::new(home).await;
    let user = Uuid::now_v7();
    let answers = [1, 2, 3].map(|hours| Given::new(user, 10, hours));
    bench.hears_each(&[answers[0].asked()]).await;
    let events = [
        answers[1].asked(),
        answers[0].rewarded(),
        answers[2].asked(),
        answers[2].revoked(),
    ];
    bench.hears_at_once(&events).await;
    let written = bench.written().await;
    let sums: Vec<[i64; 3]> = written
        .lines
        .iter()
        .map(|line| [line.3, line.4, line.5])
        .collect();
    assert_eq!(sums, [[20, 50, 70]; 3]);
    let named = (user, "Ada".to_owned(), "answer".to_owned(), 0);
    assert_eq!(written.players, [named]);
}

/// What a batch of so many asks sends of new players, another of the same players, its completions, and
/// the revocations of a third.
async fn sent(bench: &Bench, statements: &Statements, count: i64) -> [Vec<String>; 4] {
    let users: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let given = |hours| users.iter().map(move |user| Given::new(*user, 10, hours));
    let [first, second, third] = [1, 2, 3].map(|hours| given(hours).collect::<Vec<_>>());
    let each = |event: fn(&Given) -> Recorded, of: &[Given]| of.iter().map(event).collect();
    let unheard: Vec<Recorded> = each(Given::asked, &third);
    let batches: [Vec<Recorded>; 4] = [
        each(Given::asked, &first),
        each(Given::asked, &second),
        each(Given::completed, &second),
        each(Given::revoked, &third),
    ];
    let mut told = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        if number == 3 {
            bench.hears_at_once(&unheard).await;
        }
        let _ = statements.take();
        bench.hears_at_once(batch).await;
        told.push(statements.take());
    }
    told.try_into().expect("four")
}

#[tokio::test]
async fn a_batch_costs_as_many_statements_however_many_events_it_has() {
    let bench = Bench::new(Backend::postgres().await).await;
    let statements = Statements::listen();
    // A board's first line begins its tree.
    bench
        .hears_at_once(&[Given::new(Uuid::now_v7(), 10, 1).asked()])
        .await;
    let few = sent(&bench, &statements, 2).await;
    let many = sent(&bench, &statements, 16).await;
    assert_eq!(few, many);
    assert!(many.iter().all(|sent| !sent.is_empty()));
}

#[test]
fn nobody_waits_for_a_completion_or_a_bonus_and_it_is_woken_for_all_else() {
    let consumer = Participating::new(Boards::default(), Outbox::new(SERVICE));
    let Wake::For(awaited) = consumer.wake() else {
        panic!("it is woken for some of its events");
    };
    let (awaited, left): (Vec<&str>, Vec<&str>) = consumer
        .types()
        .iter()
        .partition(|kind| awaited.contains(kind));
    assert_eq!(
        left,
        [AnswerSubmissionCompleted::TYPE, AchievementUnlocked::TYPE]
    );
    assert!(awaited.contains(&AnswerSubmitted::TYPE) && awaited.contains(&AnswerRevoked::TYPE));
}
