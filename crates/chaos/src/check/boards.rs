//! Scores and places, played again from the log.
//!
//! The boards read the log in its order and nothing else, so each reply's score and place follow from
//! the submissions and revocations before it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use contracts::{
    Payload, QuizMode,
    events::{AnswerRevoked, AnswerSubmitted},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Claim, Findings, story::Story};
use crate::{
    facts::{Facts, Line},
    history::{Asked, Call, Heard},
};

/// The order of a board: the higher score, then who had it earlier, then the smaller id.
type Rank = (Reverse<i64>, OffsetDateTime, Uuid);

/// A board of all time.
#[derive(Default)]
struct Board {
    lines: BTreeMap<Uuid, (i64, OffsetDateTime)>,
    ranks: BTreeSet<Rank>,
}

impl Board {
    fn put(&mut self, user: Uuid, line: Option<(i64, OffsetDateTime)>) {
        let rank = |(score, at)| (Reverse(score), at, user);
        let before = match line {
            Some(line) => self.lines.insert(user, line),
            None => self.lines.remove(&user),
        };
        if let Some(before) = before {
            self.ranks.remove(&rank(before));
        }
        self.ranks.extend(line.map(rank));
    }

    /// From 1.
    fn place(&self, user: Uuid) -> Option<i64> {
        let (score, at) = *self.lines.get(&user)?;
        let above = self.ranks.range(..(Reverse(score), at, user)).count();
        i64::try_from(above + 1).ok()
    }
}

type Boards = BTreeMap<QuizMode, Board>;

pub(super) fn check(calls: &[Call], facts: &Facts, story: &Story, findings: &mut Findings) {
    let boards = replay(facts, story, findings);
    lines(facts, &boards, findings);
    trees(facts, &boards, findings);
    for place in &facts.places {
        let board = boards.get(&place.quiz_mode);
        let line = board.and_then(|board| board.lines.get(&place.user_id));
        let expected = (
            board.and_then(|board| board.place(place.user_id)),
            line.map(|line| line.0),
        );
        let told = (Some(place.position), Some(place.score));
        findings.expect(told == expected, Claim::Ranks, || {
            let (user, mode) = (place.user_id, place.quiz_mode);
            format!("player {user} is told {told:?} on {mode}, and has {expected:?}")
        });
    }
    reads(calls, findings);
}

fn replay(facts: &Facts, story: &Story, findings: &mut Findings) -> Boards {
    let mut boards = Boards::new();
    // What the line was before an answer that can still be taken back.
    let mut before = BTreeMap::new();
    for event in &facts.log {
        match event.event_type.as_str() {
            AnswerSubmitted::TYPE => {
                let Ok(answer) = serde_json::from_value::<AnswerSubmitted>(event.payload.clone())
                else {
                    continue;
                };
                let board = boards.entry(answer.quiz_mode).or_default();
                let was = board.lines.get(&answer.user_id).copied();
                let line = match was {
                    Some(line) if answer.points == 0 => line,
                    Some((score, _)) => (score + answer.points, event.at),
                    None => (answer.points, event.at),
                };
                board.put(answer.user_id, Some(line));
                let (id, user) = (answer.answer_id, answer.user_id);
                before.insert(id, (answer.quiz_mode, user, was));
                let expected = (line.0, board.place(user).unwrap_or(0));
                let account = story.answers.get(&id);
                for reply in account.into_iter().flat_map(|account| &account.placed) {
                    let told = (reply.score, reply.position);
                    findings.expect(told == expected, Claim::Ranks, || {
                        format!("answer {id} made score and place {expected:?}, told {told:?}")
                    });
                }
            }
            AnswerRevoked::TYPE => {
                let revoked = serde_json::from_value::<AnswerRevoked>(event.payload.clone());
                let taken = revoked.ok().and_then(|one| before.remove(&one.answer_id));
                if let Some((mode, user, was)) = taken {
                    boards.entry(mode).or_default().put(user, was);
                }
            }
            _ => {}
        }
    }
    boards
}

/// The lines are those that were played, in the order in which they rank.
fn lines(facts: &Facts, boards: &Boards, findings: &mut Findings) {
    for mode in QuizMode::ALL {
        let kept = facts.lines.iter().filter(|line| line.quiz_mode == *mode);
        let kept: Vec<Rank> = kept
            .map(|line: &Line| (Reverse(line.score), line.reached_at, line.user_id))
            .collect();
        let played = boards.get(mode).map(|board| &board.ranks);
        let played: Vec<Rank> = played.into_iter().flatten().copied().collect();
        if kept == played {
            continue;
        }
        let (have, want): (BTreeSet<_>, BTreeSet<_>) =
            (kept.iter().collect(), played.iter().collect());
        for (Reverse(score), at, user) in have.difference(&want) {
            let text = format!("{mode} has {score} of {at} for player {user}, the log has not");
            findings.add(Claim::Ranks, text);
        }
        for (Reverse(score), at, user) in want.difference(&have) {
            let text = format!("{mode} has not {score} of {at} for player {user}, the log has");
            findings.add(Claim::Ranks, text);
        }
        if have == want {
            findings.add(
                Claim::Ranks,
                format!("{mode} ranks its lines in another order"),
            );
        }
    }
}

/// Each level of a board's tree counts all of its lines.
fn trees(facts: &Facts, boards: &Boards, findings: &mut Findings) {
    for (number, mode) in (0..).zip(QuizMode::ALL) {
        let lines = boards.get(mode).map_or(0, |board| board.ranks.len());
        let mut members = BTreeMap::<i64, i64>::new();
        for (_, level, count) in facts.nodes.iter().filter(|(board, ..)| *board == number) {
            *members.entry(*level).or_default() += count;
        }
        for (level, count) in members {
            findings.expect(i64::try_from(lines) == Ok(count), Claim::Ranks, || {
                format!("level {level} of {mode}'s tree counts {count} of {lines} lines")
            });
        }
    }
}

/// Who was told that answers count finds their points on the board afterwards.
fn reads(calls: &[Call], findings: &mut Findings) {
    for call in calls {
        let (Asked::Board { quiz_mode }, Heard::Board { score }) = (&call.asked, &call.heard)
        else {
            continue;
        };
        let earlier = calls
            .iter()
            .filter(|other| other.user_id == call.user_id && other.ended < call.began);
        let scores = earlier.filter_map(|other| match (&other.asked, &other.heard) {
            (
                Asked::Answer {
                    quiz_mode: mode, ..
                },
                Heard::Completed { score, .. },
            ) if mode == quiz_mode => *score,
            _ => None,
        });
        let least = scores.max();
        findings.expect(least <= *score, Claim::Reads, || {
            let user = call.user_id;
            format!("player {user} read {score:?} on {quiz_mode} after being told {least:?}")
        });
    }
}
