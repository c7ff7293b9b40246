//! Accounts that are renamed or deleted.

use contracts::events::{UserDeleted, UserUpdated};
use serde_json::json;

use crate::{
    on_both_databases,
    world::{Kind, Part, Setting, World},
};

on_both_databases!(a_renamed_player_is_shown_so_and_a_deleted_one_is_forgotten_everywhere);

async fn a_renamed_player_is_shown_so_and_a_deleted_one_is_forgotten_everywhere(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let (ada, grace) = (world.player("Ada"), world.player("Grace"));
    for player in [&ada, &grace] {
        assert_eq!(world.answer(player, 0, "a").await.status, 200);
    }
    let roles = vec!["user".to_owned()];
    let renamed = UserUpdated {
        user_id: ada.id,
        display_name: "Countess".into(),
        roles,
    };
    world.publish(&renamed, &format!("users-{}", ada.id)).await;
    world
        .publish(
            &UserDeleted { user_id: grace.id },
            &format!("users-{}", grace.id),
        )
        .await;

    world.settled().await;
    // Her token still has the old name; the account's own event outranks it.
    assert_eq!(world.answer(&ada, 1, "a").await.status, 200);
    let books = world.books().await;
    assert!(
        books.answers.iter().all(|answer| answer.user_id == ada.id),
        "{books:?}"
    );
    assert!(
        books.players.iter().all(|player| player.user_id == ada.id),
        "{books:?}"
    );
    let board = world
        .get(
            Part::Leaderboard,
            &grace,
            "/api/leaderboard?quizMode=classic",
        )
        .await;
    let line = json!({ "position": 1, "userId": ada.id, "displayName": "Countess", "score": 22 });
    assert_eq!(
        board.body,
        json!({ "quizMode": "classic", "period": "all", "top": [line], "me": null })
    );
    let stats = world.get(Part::Quiz, &grace, "/api/stats/me").await.body;
    assert_eq!(stats["answered"], 0);
    let badges = world
        .get(Part::Achievement, &grace, "/api/achievements/me")
        .await
        .body;
    assert_eq!(badges, json!({ "items": [] }));
}
