//! What clients were told against what is there, key by key.

use std::collections::{BTreeMap, BTreeSet};

use contracts::QuizMode;
use uuid::Uuid;

use super::{
    Claim, Findings,
    story::{Fate, Story},
};
use crate::{
    facts::{Facts, Recorded, Remembered},
    history::{Asked, Call, Heard},
};

/// All that was asked and heard of one answer.
struct Request<'a> {
    user_id: Uuid,
    question_id: Uuid,
    choice_id: &'a str,
    quiz_mode: QuizMode,
    /// With the key, and by the answer's id.
    heard: Vec<&'a Heard>,
}

/// What follows from all that a client heard of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Counts,
    TakenBack,
    /// It is there, and may be either.
    Recorded,
    /// It may be there, and then be either.
    Open,
    Absent,
    Both,
}

/// What is there, by answer.
struct There<'a> {
    recorded: BTreeMap<Uuid, Vec<&'a Recorded>>,
    participants: [(&'static str, BTreeMap<Uuid, Vec<&'a Remembered>>); 2],
    story: &'a Story,
}

pub(super) fn check(calls: &[Call], facts: &Facts, story: &Story, findings: &mut Findings) {
    let there = There::of(facts, story);
    let mut asked = BTreeSet::new();
    let keys: BTreeMap<(Uuid, &str), Uuid> = facts
        .keys
        .iter()
        .map(|keyed| ((keyed.user_id, keyed.key.as_str()), keyed.answer_id))
        .collect();
    for (key, request) in requests(calls) {
        let text = key.to_string();
        let answer = keys.get(&(request.user_id, text.as_str())).copied();
        asked.extend(answer);
        judge(key, &request, answer, &there, findings);
    }
    let strangers = there.all().filter(|id| !asked.contains(id));
    for id in strangers.collect::<BTreeSet<_>>() {
        findings.add(Claim::Unasked, format!("nobody asked for answer {id}"));
    }
}

fn requests(calls: &[Call]) -> BTreeMap<Uuid, Request<'_>> {
    let mut requests = BTreeMap::new();
    // Whoever looks for an answer hears of the key's.
    let mut looked = BTreeMap::<Uuid, Vec<&Heard>>::new();
    for call in calls {
        match &call.asked {
            Asked::Answer {
                key,
                question_id,
                choice_id,
                quiz_mode,
            } => {
                let request = requests.entry(*key).or_insert_with(|| Request {
                    user_id: call.user_id,
                    question_id: *question_id,
                    choice_id,
                    quiz_mode: *quiz_mode,
                    heard: Vec::new(),
                });
                request.heard.push(&call.heard);
            }
            Asked::Look { answer_id } => looked.entry(*answer_id).or_default().push(&call.heard),
            Asked::Stats | Asked::Board { .. } => {}
        }
    }
    for request in requests.values_mut() {
        let ids: BTreeSet<Uuid> = request
            .heard
            .iter()
            .filter_map(|heard| id_of(heard))
            .collect();
        for id in ids {
            request.heard.extend(looked.remove(&id).unwrap_or_default());
        }
    }
    requests
}

fn id_of(heard: &Heard) -> Option<Uuid> {
    match heard {
        Heard::Completed { answer_id, .. }
        | Heard::Compensated { answer_id }
        | Heard::Pending { answer_id } => Some(*answer_id),
        _ => None,
    }
}

impl Request<'_> {
    fn verdict(&self) -> Verdict {
        let any = |is_it: fn(&Heard) -> bool| self.heard.iter().any(|heard| is_it(heard));
        let counts = any(|heard| matches!(heard, Heard::Completed { .. }));
        let is_taken_back = any(|heard| matches!(heard, Heard::Compensated { .. }));
        let is_recorded = any(|heard| matches!(heard, Heard::Pending { .. }));
        let is_refused = |heard: &&Heard| matches!(heard, Heard::Refused { .. });
        match (counts, is_taken_back) {
            (true, true) => Verdict::Both,
            (true, false) => Verdict::Counts,
            (false, true) => Verdict::TakenBack,
            _ if is_recorded => Verdict::Recorded,
            _ if self.heard.iter().all(is_refused) => Verdict::Absent,
            _ => Verdict::Open,
        }
    }
}

fn judge(
    key: Uuid,
    request: &Request<'_>,
    answer: Option<Uuid>,
    there: &There<'_>,
    findings: &mut Findings,
) {
    let told: BTreeSet<Uuid> = request
        .heard
        .iter()
        .filter_map(|heard| id_of(heard))
        .collect();
    let is_one = told.is_empty() || answer.is_some_and(|id| told.iter().eq([&id]));
    findings.expect(is_one, Claim::Constant, || {
        format!("key {key} stands for {answer:?}, and clients were told of {told:?}")
    });
    let (verdict, id) = (request.verdict(), answer.or(told.first().copied()));
    let claim = match verdict {
        Verdict::Counts => Claim::Acknowledged,
        Verdict::TakenBack => Claim::Compensated,
        Verdict::Recorded | Verdict::Open => Claim::Unknown,
        Verdict::Absent => {
            findings.expect(answer.is_none(), Claim::Refused, || {
                format!("key {key} was refused, and stands for {answer:?}")
            });
            return;
        }
        Verdict::Both => {
            let text = format!("key {key}: a client was told that it counts and that it does not");
            findings.add(Claim::Constant, text);
            return;
        }
    };
    let Some(id) = id else { return };
    match (verdict, there.story.fate(id)) {
        (Verdict::Counts, _) => there.is_once(id, request, claim, findings),
        (Verdict::TakenBack, _) => there.is_nowhere(id, request, claim, findings),
        (_, Some(Fate::Completed)) => there.is_once(id, request, claim, findings),
        (_, Some(Fate::Compensated)) => there.is_nowhere(id, request, claim, findings),
        (_, fate) => findings.add(
            claim,
            format!("answer {id} is neither: the log says {fate:?}"),
        ),
    }
    for heard in &request.heard {
        there.agrees(id, heard, findings);
    }
}

impl<'a> There<'a> {
    fn of(facts: &'a Facts, story: &'a Story) -> Self {
        let ledger = |rows: &'a [Remembered]| grouped(rows, |row| row.saga_id);
        Self {
            recorded: grouped(&facts.answers, |row| row.id),
            participants: [
                ("achievement", ledger(&facts.badge_ledger)),
                ("leaderboard", ledger(&facts.board_ledger)),
            ],
            story,
        }
    }

    /// Every answer that anybody knows of.
    fn all(&self) -> impl Iterator<Item = Uuid> {
        let ledgers = self.participants.iter().flat_map(|(_, rows)| rows.keys());
        let known = self.recorded.keys().chain(ledgers);
        known.chain(self.story.answers.keys()).copied()
    }

    /// One row of the quiz service's, with this status, as it was asked for.
    fn is_recorded(
        &self,
        id: Uuid,
        request: &Request<'_>,
        (status, claim): (&str, Claim),
        findings: &mut Findings,
    ) {
        let rows = self
            .recorded
            .get(&id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let [row] = rows else {
            let text = format!(
                "answer {id} is recorded {} times, once expected",
                rows.len()
            );
            findings.add(claim, text);
            return;
        };
        findings.expect(row.status == status, claim, || {
            format!("answer {id} is {}, {status} expected", row.status)
        });
        let is_same = (row.user_id, row.question_id, row.choice_id.as_str())
            == (request.user_id, request.question_id, request.choice_id)
            && row.quiz_mode == request.quiz_mode.as_str();
        findings.expect(is_same, claim, || {
            format!("answer {id} is not the one that was given")
        });
    }

    fn is_once(&self, id: Uuid, request: &Request<'_>, claim: Claim, findings: &mut Findings) {
        self.is_recorded(id, request, ("completed", claim), findings);
        let fate = self.story.fate(id);
        findings.expect(fate == Some(Fate::Completed), claim, || {
            format!("answer {id} counts, and the log says {fate:?}")
        });
        if let Some(account) = self.story.answers.get(&id) {
            let replies = (account.checked.len(), account.placed.len());
            findings.expect(replies == (1, 1), claim, || {
                format!("answer {id}: badges and boards replied {replies:?} times")
            });
        }
        for (name, rows) in &self.participants {
            let rows = rows.get(&id).map(Vec::as_slice).unwrap_or_default();
            let is_final = |row: &&Remembered| {
                let state = (row.outcome.as_deref(), row.ending.as_deref());
                state == (Some("done"), Some("completed"))
            };
            let is_once = rows.len() == 1 && rows.iter().all(is_final);
            findings.expect(is_once, claim, || {
                format!("answer {id} must be done once and final in {name}: {rows:?}")
            });
        }
    }

    fn is_nowhere(&self, id: Uuid, request: &Request<'_>, claim: Claim, findings: &mut Findings) {
        self.is_recorded(id, request, ("compensated", claim), findings);
        let fate = self.story.fate(id);
        findings.expect(fate == Some(Fate::Compensated), claim, || {
            format!("answer {id} was taken back, and the log says {fate:?}")
        });
        for (name, rows) in &self.participants {
            let rows = rows.get(&id).map(Vec::as_slice).unwrap_or_default();
            let is_revoked = |row: &&Remembered| row.ending.as_deref() == Some("revoked");
            findings.expect(rows.iter().all(is_revoked), claim, || {
                format!("answer {id} was taken back, and {name} knows it as {rows:?}")
            });
        }
    }

    /// What was told of an answer is what is recorded of it.
    fn agrees(&self, id: Uuid, heard: &Heard, findings: &mut Findings) {
        if let Heard::Refused { status: 404, code } = heard {
            findings.add(
                Claim::Constant,
                format!("answer {id} was not found: {code}"),
            );
        }
        let rows = self.recorded.get(&id).into_iter().flatten();
        let Heard::Completed {
            is_correct,
            streak,
            points,
            ..
        } = heard
        else {
            return;
        };
        for row in rows {
            let told = (*is_correct, *streak, *points);
            let kept = (row.is_correct, row.streak, row.points);
            findings.expect(told == kept, Claim::Constant, || {
                format!("answer {id} was told as {told:?} and is kept as {kept:?}")
            });
        }
    }
}

fn grouped<T>(rows: &[T], id: impl Fn(&T) -> Uuid) -> BTreeMap<Uuid, Vec<&T>> {
    let mut grouped = BTreeMap::<Uuid, Vec<&T>>::new();
    for row in rows {
        grouped.entry(id(row)).or_default().push(row);
    }
    grouped
}
