use contracts::{Difficulty, QuizMode};

use super::*;
use crate::site::fake::{self, Fake};

fn question() -> CuratedQuestion {
    CuratedQuestion {
        id: Uuid::new_v4(),
        text: "Which?".to_owned(),
        category: "load".to_owned(),
        difficulty: Difficulty::Easy,
        choices: Vec::new(),
        correct_choice_id: "a".to_owned(),
        tags: Vec::new(),
        version: 1,
    }
}

#[tokio::test]
async fn curators_renew_the_session_that_they_share_once() {
    let fake = Fake::start().await;
    let curation = Curation {
        pass: Pass::new(fake::first(Uuid::nil())).into(),
        questions: vec![question()],
    };
    let world = World::new(fake.site.clone(), Vec::new(), Some(curation), 0);
    let world = Arc::new(world);
    let window = Window {
        from: Duration::ZERO,
        to: Duration::from_secs(60),
    };
    world.measure(window);
    let now = Instant::now();
    let begin = Begin {
        phase: now,
        due: now,
        begun: now,
    };
    let visit = |seed| {
        let player = Player {
            user_id: Uuid::nil(),
            quiz_mode: QuizMode::Classic,
            pass: Pass::new(fake::next(Uuid::nil())),
        };
        let arrival = Arrival {
            at: Duration::ZERO,
            journey: Journey::Curate,
            seed,
        };
        Arc::clone(&world).perform(arrival, player, begin)
    };
    tokio::join!(visit(1), visit(2));

    let measured = world.measure(window);
    let outcomes = |step| &measured.series[&(Journey::Curate, step)].outcomes;
    for (step, times) in [(Step::Refresh, 1), (Step::Curation, 2), (Step::Edit, 2)] {
        assert_eq!(*outcomes(step), [(Outcome::Done(200), times)].into());
    }
}
