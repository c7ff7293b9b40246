//! What services still hold of players whose accounts were deleted: nothing of it may be there.

use uuid::Uuid;

use crate::verbs::audit::{
    finding::{Disagreement, Kind, Place},
    view::{CandidateView, LogView},
};

/// Every row that names a player who was deleted at or below the position.
pub(super) fn of_deleted_players(
    log: &LogView,
    services: &CandidateView,
    found: &mut Vec<Disagreement>,
) {
    let is_deleted = |user_id: &Uuid| log.deleted_players.contains(user_id);
    let mut tell = |one: Disagreement, what: &str| {
        found.push(one.say("nothing of a player who was deleted", what));
    };
    let answer = |place, id| Disagreement::answer(place, Kind::Kept, id);
    let player = |place, id| Disagreement::player(place, Kind::Kept, id);

    let quiz = services.quiz.answers.iter();
    for row in quiz.filter(|row| is_deleted(&row.user_id)) {
        tell(answer(Place::Quiz, row.answer_id), "the answer");
    }
    let stats = services.quiz.stats.iter();
    for row in stats.filter(|row| is_deleted(&row.user_id)) {
        let one = player(Place::Quiz, row.user_id).mode(row.quiz_mode);
        tell(one, "stats");
    }
    let checked = services.achievement.answers.iter();
    for row in checked.filter(|row| is_deleted(&row.user_id)) {
        let one = answer(Place::Achievement, row.answer_id);
        tell(one, "the player in what the answer did");
    }
    let players = services.achievement.players.iter();
    for row in players.filter(|row| is_deleted(&row.user_id)) {
        tell(player(Place::Achievement, row.user_id), "the player");
    }
    let scored = services.leaderboard.answers.iter();
    for row in scored.filter(|row| is_deleted(&row.user_id)) {
        let one = answer(Place::Leaderboard, row.answer_id);
        tell(one, "the player in what the answer did");
    }
    let entries = services.leaderboard.entries.iter();
    for row in entries.filter(|row| is_deleted(&row.user_id)) {
        let one = player(Place::Leaderboard, row.user_id).mode(row.quiz_mode);
        tell(one, "a line on a board");
    }
}
