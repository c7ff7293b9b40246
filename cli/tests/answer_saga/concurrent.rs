//! Many players at once.

use std::collections::BTreeSet;

use contracts::http::AnswerStatus;
use futures::{StreamExt, stream};

use crate::{
    on_both_databases,
    world::{Kind, Setting, World},
};

on_both_databases!(answers_of_many_players_all_count_once);

const PLAYERS: usize = 100;
const ANSWERS: u128 = 10;

async fn answers_of_many_players_all_count_once(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;
    let play = async |n: usize| {
        let player = world.player(&format!("player {n}"));
        let mut told = Vec::new();
        for question in 0..ANSWERS {
            let choice = if (n as u128 + question).is_multiple_of(3) {
                "b"
            } else {
                "a"
            };
            let answer = world.answer(&player, question, choice).await;
            // On a busy machine one may still be undecided when the wait ends.
            assert!([200, 202].contains(&answer.status), "{}", answer.body);
            told.push(answer.body["id"].as_str().expect("an id").to_owned());
        }
        told
    };
    let told: Vec<_> = stream::iter(0..PLAYERS)
        .map(play)
        .buffer_unordered(PLAYERS)
        .collect()
        .await;
    let told: BTreeSet<_> = told.into_iter().flatten().collect();

    let books = world.books().await;
    books.agree();
    let completed = books
        .answers
        .iter()
        .filter(|a| a.status == AnswerStatus::Completed);
    let completed: BTreeSet<_> = completed
        .map(|answer| answer.answer_id.to_string())
        .collect();
    assert_eq!(completed, told, "what clients were told is what counts");
    assert_eq!(completed.len(), PLAYERS * ANSWERS as usize);
}
