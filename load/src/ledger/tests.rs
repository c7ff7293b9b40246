use contracts::{QuizMode, http::Session};

use super::*;
use crate::{
    players::Pass,
    site::fake::{self, Fake},
};

/// Long enough for any machine; nothing waits for it.
const WITHIN: Duration = Duration::from_secs(60);

fn player(user_id: Uuid, session: Session) -> Player {
    Player {
        user_id,
        quiz_mode: QuizMode::Classic,
        pass: Pass::new(session),
    }
}

/// Of which nothing was heard.
fn open(user_id: Uuid) -> Told {
    let (key, question) = (Uuid::new_v4(), Uuid::new_v4());
    Told::nothing(key, user_id, question, "a", QuizMode::Classic)
}

#[tokio::test]
async fn what_was_never_told_is_asked_for_in_the_players_current_session() {
    let fake = Fake::start().await;
    let (renewed, expired) = (Uuid::from_u128(1), Uuid::from_u128(2));
    // The one has renewed the session since; the other's ran out before the load ended.
    let mut players = [
        player(renewed, fake::next(renewed)),
        player(expired, fake::first(expired)),
    ];
    let ledger = Ledger::default();
    for user in [renewed, renewed, expired] {
        ledger.note(open(user));
    }
    let unknown = ledger.settle(&fake.site, &mut players, WITHIN).await;
    assert_eq!((unknown, ledger.accepted()), (0, 3), "{ledger:?}");
    assert_eq!(players[1].pass.token, "next");
}

#[tokio::test]
async fn an_answer_whose_player_is_not_there_stays_unknown() {
    let fake = Fake::start().await;
    let ledger = Ledger::default();
    ledger.note(open(Uuid::nil()));
    assert_eq!(ledger.settle(&fake.site, &mut [], WITHIN).await, 1);
    assert_eq!(ledger.accepted(), 0);
}
