//! Streaks, points, counts and badges, folded from the log again.

use std::collections::{BTreeMap, BTreeSet};

use contracts::{
    Difficulty, Payload, QuizMode,
    events::{AchievementUnlocked, AnswerSubmitted},
};
use uuid::Uuid;

use super::{
    Claim, Findings,
    story::{Fate, Story},
};
use crate::{
    facts::{Counted, Facts},
    history::{Asked, Call, Heard},
};

/// What a player's answers add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    answered: i64,
    correct: i64,
    streak: i64,
    best_streak: i64,
    score: i64,
}

pub(super) fn check(calls: &[Call], facts: &Facts, story: &Story, findings: &mut Findings) {
    let sums = fold(facts, story, findings);
    let quiz = ("the quiz service", facts.tallies.as_slice());
    for (name, rows) in [quiz, ("the badge rules", facts.players.as_slice())] {
        compare(name, rows, &sums, findings);
    }
    badges(facts, story, findings);
    reads(calls, findings);
}

/// The rule of points, written down a second time: 10, 20 or 30 by difficulty, 2 for each right answer
/// directly before (20 at most), times 1, 1.5 or 2 by mode.
fn points(answer: &AnswerSubmitted, streak: i64) -> i64 {
    if !answer.is_correct {
        return 0;
    }
    let base = match answer.difficulty {
        Difficulty::Easy => 10,
        Difficulty::Medium => 20,
        Difficulty::Hard => 30,
    };
    let halves = match answer.quiz_mode {
        QuizMode::Classic => 2,
        QuizMode::Timed => 3,
        QuizMode::Survival => 4,
    };
    (base + 2 * (streak - 1).min(10)) * halves / 2
}

/// Goes through the log, and says where an answer does not follow from those before it.
fn fold(facts: &Facts, story: &Story, findings: &mut Findings) -> BTreeMap<Uuid, Sum> {
    let rows: BTreeMap<Uuid, (i64, i64)> = facts
        .answers
        .iter()
        .map(|row| (row.id, (row.streak, row.points)))
        .collect();
    let mut sums = BTreeMap::<Uuid, Sum>::new();
    let mut undecided = BTreeMap::<Uuid, (Uuid, Option<i64>)>::new();
    for (id, account) in story
        .in_order
        .iter()
        .filter_map(|id| Some((id, story.answers.get(id)?)))
    {
        let Some(submitted) = &account.submitted else {
            continue;
        };
        let answer = &submitted.answer;
        let before = undecided.insert(answer.user_id, (*id, account.decided_at()));
        if let Some((other, decided)) = before {
            let in_order = decided.is_some_and(|decided| decided < submitted.position);
            findings.expect(in_order, Claim::Streams, || {
                format!("answer {id} was taken in before {other} of the same player was decided")
            });
        }
        let sum = sums.entry(answer.user_id).or_default();
        let streak = if answer.is_correct { sum.streak + 1 } else { 0 };
        let expected = (streak, points(answer, streak));
        let told = (answer.streak, answer.points);
        let kept = rows.get(id).copied().unwrap_or(expected);
        findings.expect(told == expected && kept == expected, Claim::Counts, || {
            format!("answer {id}: streak and points are {expected:?}, told {told:?}, kept {kept:?}")
        });
        if account.fate() == Fate::Completed {
            sum.answered += 1;
            sum.correct += i64::from(answer.is_correct);
            sum.streak = streak;
            sum.best_streak = sum.best_streak.max(streak);
            sum.score += expected.1;
        }
    }
    sums
}

fn compare(name: &str, rows: &[Counted], sums: &BTreeMap<Uuid, Sum>, findings: &mut Findings) {
    let mut left: BTreeMap<Uuid, Sum> = sums.clone();
    for row in rows {
        let sum = left.remove(&row.user_id).unwrap_or_default();
        let kept = Sum {
            answered: row.answered,
            correct: row.correct,
            streak: row.streak,
            best_streak: row.best_streak,
            score: row.score.unwrap_or(sum.score),
        };
        findings.expect(kept == sum, Claim::Counts, || {
            let user = row.user_id;
            format!("{name} counts {kept:?} for player {user}, the log {sum:?}")
        });
    }
    for (user, sum) in left {
        findings.expect(sum == Sum::default(), Claim::Counts, || {
            format!("{name} counts nothing for player {user}, the log {sum:?}")
        });
    }
}

/// Each badge is unlocked by an answer that counts, once, and the log says so.
fn badges(facts: &Facts, story: &Story, findings: &mut Findings) {
    let mut unlocked = BTreeMap::<(Uuid, String), u32>::new();
    for event in &facts.log {
        if event.event_type == AchievementUnlocked::TYPE
            && let Ok(told) = serde_json::from_value::<AchievementUnlocked>(event.payload.clone())
        {
            *unlocked.entry((told.user_id, told.badge.id)).or_default() += 1;
        }
    }
    for badge in &facts.badges {
        let (user, id) = (badge.user_id, &badge.badge_id);
        let times = unlocked.remove(&(user, id.clone())).unwrap_or(0);
        let fate = badge.answer_id.and_then(|answer| story.fate(answer));
        let is_good = badge.status == "unlocked" && times == 1 && fate == Some(Fate::Completed);
        findings.expect(is_good, Claim::Badges, || {
            let status = &badge.status;
            format!("{id} of player {user} is {status}, unlocked {times} times, by {fate:?}")
        });
        let by = badge
            .answer_id
            .and_then(|answer| story.answers.get(&answer));
        let earned = by.into_iter().flat_map(|account| &account.checked);
        let ids: BTreeSet<&str> = earned
            .flat_map(|told| &told.earned)
            .map(|badge| badge.id.as_str())
            .collect();
        findings.expect(ids.contains(id.as_str()), Claim::Badges, || {
            format!("{id} of player {user}: its answer earned {ids:?}")
        });
    }
    for (user, id) in unlocked.into_keys() {
        let text = format!("{id} of player {user} was unlocked and is not there");
        findings.add(Claim::Badges, text);
    }
}

/// Who was told that answers count finds them counted afterwards, and never more than were given.
fn reads(calls: &[Call], findings: &mut Findings) {
    let mut given = BTreeMap::<Uuid, BTreeMap<Uuid, u64>>::new();
    let mut counted = BTreeMap::<Uuid, BTreeMap<Uuid, u64>>::new();
    for call in calls {
        if let Asked::Answer { key, .. } = call.asked {
            let first = given.entry(call.user_id).or_default().entry(key);
            let first = first.or_insert(call.began);
            *first = call.began.min(*first);
        }
        if let Heard::Completed { answer_id, .. } = call.heard {
            let first = counted.entry(call.user_id).or_default().entry(answer_id);
            let first = first.or_insert(call.ended);
            *first = call.ended.min(*first);
        }
    }
    let before = |of: &BTreeMap<Uuid, BTreeMap<Uuid, u64>>, user: Uuid, moment: u64| {
        let times = of.get(&user).into_iter().flat_map(BTreeMap::values);
        times.filter(|time| **time < moment).count()
    };
    for call in calls {
        let Heard::Stats { answered, .. } = call.heard else {
            continue;
        };
        let least = before(&counted, call.user_id, call.began);
        let most = before(&given, call.user_id, call.ended);
        let range = i64::try_from(least).unwrap_or(0)..=i64::try_from(most).unwrap_or(0);
        findings.expect(range.contains(&answered), Claim::Reads, || {
            let user = call.user_id;
            format!("player {user} was told of {answered} answers, {range:?} expected")
        });
    }
}
