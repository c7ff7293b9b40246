//! A small world in which all is as it must be, to be broken in one place each.

use contracts::{
    Difficulty, Payload, QuizMode,
    events::{
        AchievementChecked, AchievementRevoked, AchievementUnlocked, AnswerRevoked,
        AnswerSubmissionCompleted, AnswerSubmissionFailed, AnswerSubmitted, BadgeRef,
        LeaderboardEntryReverted, LeaderboardEntryUpdated,
    },
};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    facts::{
        Badge, Counted, Facts, Keyed, Line, Logged, Place, Recorded, Remembered, Saga, Sent,
        Service,
    },
    history::{Asked, Call, Heard},
};

pub(super) const ADA: Uuid = Uuid::from_u128(0xada);
pub(super) const BOB: Uuid = Uuid::from_u128(0xb0b);

pub(super) fn answer(number: u128) -> Uuid {
    Uuid::from_u128(0xa_0000 + number)
}

pub(super) fn key(number: u128) -> Uuid {
    Uuid::from_u128(0xc_0000 + number)
}

pub(super) fn at(position: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(position)
}

/// A small world: Ada's first answer counts and earns a badge, her second is taken back, her third
/// counts without her having heard of it; Bob's counts; one call of his never reached anybody, and one
/// was refused.
pub(super) struct World {
    pub(super) calls: Vec<Call>,
    pub(super) facts: Facts,
}

impl World {
    pub(super) fn new() -> Self {
        let service = |name: &str| Service {
            name: name.to_owned(),
            outbox: Vec::new(),
            parked: Vec::new(),
            checkpoints: Vec::new(),
        };
        let mut world = Self {
            calls: Vec::new(),
            facts: Facts {
                log: Vec::new(),
                services: ["quiz", "achievement", "leaderboard"].map(service).into(),
                answers: Vec::new(),
                keys: Vec::new(),
                tallies: Vec::new(),
                sagas: Vec::new(),
                badge_ledger: Vec::new(),
                players: Vec::new(),
                badges: Vec::new(),
                board_ledger: Vec::new(),
                lines: Vec::new(),
                nodes: Vec::new(),
                places: Vec::new(),
            },
        };
        world.play();
        world.rest();
        world
    }

    fn play(&mut self) {
        self.submits(1, ADA, (1, 10));
        self.replies(1, ADA, (10, 1), &["first"]);
        self.completes(1, ADA);
        let payload = AchievementUnlocked {
            answer_id: answer(1),
            user_id: ADA,
            badge: badge("first"),
        };
        self.log("achievement", format!("achievements-{ADA}"), &payload);
        self.hears(1, ADA, told(1, 1, 10));

        self.submits(2, ADA, (2, 12));
        self.replies(2, ADA, (22, 1), &[]);
        self.takes_back(2, ADA);
        let compensated = Heard::Compensated {
            answer_id: answer(2),
        };
        self.hears(2, ADA, compensated);

        self.submits(4, BOB, (1, 10));
        self.replies(4, BOB, (10, 2), &[]);
        self.submits(3, ADA, (2, 12));
        self.completes(4, BOB);
        self.replies(3, ADA, (22, 1), &[]);
        self.completes(3, ADA);
        self.hears(3, ADA, unknown());
        self.hears(4, BOB, told(4, 1, 10));
        self.hears(5, BOB, unknown());
        let (status, code) = (409, "answer_in_progress".to_owned());
        self.hears(6, BOB, Heard::Refused { status, code });
        self.reads(ADA, 2, Some(22));
        self.reads(BOB, 1, Some(10));
    }

    fn rest(&mut self) {
        let head = self.facts.log.len() as i64;
        for service in &mut self.facts.services {
            service.checkpoints.push(("everything".to_owned(), head));
        }
        let count = |user_id, answered, streak, score| Counted {
            user_id,
            answered,
            correct: answered,
            streak,
            best_streak: streak,
            score,
        };
        self.facts.tallies = vec![count(ADA, 2, 2, Some(22)), count(BOB, 1, 1, Some(10))];
        self.facts.players = vec![count(ADA, 2, 2, None), count(BOB, 1, 1, None)];
        self.facts.badges.push(Badge {
            user_id: ADA,
            badge_id: "first".to_owned(),
            status: "unlocked".to_owned(),
            answer_id: Some(answer(1)),
        });
        let of = |id: Uuid| {
            let is_it = |event: &&Logged| event.payload["answerId"] == json!(id);
            self.facts.log.iter().find(is_it).unwrap().at
        };
        let lines = [(ADA, 22, of(answer(3))), (BOB, 10, of(answer(4)))];
        self.facts.lines = lines
            .map(|(user_id, score, reached_at)| Line {
                user_id,
                quiz_mode: QuizMode::Classic,
                score,
                reached_at,
            })
            .into();
        self.facts.nodes = vec![(0, 0, 1), (0, 0, 1), (0, 1, 2)];
        self.facts.places = [(ADA, 1, 22), (BOB, 2, 10)]
            .map(|(user_id, position, score)| Place {
                user_id,
                quiz_mode: QuizMode::Classic,
                position,
                score,
            })
            .into();
    }

    fn log<P: Payload>(&mut self, service: &str, stream: String, payload: &P) {
        let position = self.facts.log.len() as i64 + 1;
        let of_stream = self.facts.log.iter().filter(|event| event.stream == stream);
        let version = of_stream.count() as i64 + 1;
        let id = Uuid::from_u128(0xe_0000 + position as u128);
        let owner = self
            .facts
            .services
            .iter_mut()
            .find(|one| one.name == service);
        owner.unwrap().outbox.push(Sent {
            id,
            stream: stream.clone(),
            version,
            position: Some(position),
            error: None,
        });
        self.facts.log.push(Logged {
            position,
            id,
            stream,
            version,
            event_type: P::TYPE.to_owned(),
            service_id: service.to_owned(),
            at: at(position),
            payload: serde_json::to_value(payload).unwrap(),
        });
    }

    fn submits(&mut self, number: u128, user_id: Uuid, (streak, points): (i64, i64)) {
        let (answer_id, question_id) = (answer(number), Uuid::from_u128(number));
        let payload = AnswerSubmitted {
            answer_id,
            user_id,
            display_name: "somebody".to_owned().into(),
            question_id,
            choice_id: "a".to_owned(),
            quiz_mode: QuizMode::Classic,
            category: "rust".to_owned(),
            difficulty: Difficulty::Easy,
            is_correct: true,
            points,
            streak,
        };
        self.log("quiz", format!("answers-{user_id}"), &payload);
        self.facts.answers.push(Recorded {
            id: answer_id,
            user_id,
            question_id,
            choice_id: "a".to_owned(),
            quiz_mode: "classic".to_owned(),
            is_correct: true,
            points,
            streak,
            status: "pending".to_owned(),
        });
        self.facts.keys.push(Keyed {
            user_id,
            key: key(number).to_string(),
            answer_id,
        });
        self.facts.sagas.push(Saga {
            id: answer_id,
            state: "running".to_owned(),
        });
    }

    fn replies(
        &mut self,
        number: u128,
        user_id: Uuid,
        (score, position): (i64, i64),
        won: &[&str],
    ) {
        let answer_id = answer(number);
        let checked = AchievementChecked {
            answer_id,
            user_id,
            earned: won.iter().map(|id| badge(id)).collect(),
        };
        self.log("achievement", format!("achievements-{user_id}"), &checked);
        let placed = LeaderboardEntryUpdated {
            answer_id,
            user_id,
            quiz_mode: QuizMode::Classic,
            score,
            position,
        };
        self.log("leaderboard", format!("leaderboard-{user_id}"), &placed);
    }

    fn completes(&mut self, number: u128, user_id: Uuid) {
        let answer_id = answer(number);
        let payload = AnswerSubmissionCompleted { answer_id, user_id };
        self.log("quiz", format!("answers-{user_id}"), &payload);
        self.ends(number, "completed", "completed");
    }

    fn takes_back(&mut self, number: u128, user_id: Uuid) {
        let (answer_id, reason) = (answer(number), "late".to_owned());
        let revoked = AnswerRevoked {
            answer_id,
            user_id,
            quiz_mode: QuizMode::Classic,
            reason: reason.clone(),
        };
        // An ask for the undo that nobody confirmed in time is repeated.
        self.log("quiz", format!("answers-{user_id}"), &revoked);
        self.log("quiz", format!("answers-{user_id}"), &revoked);
        let badges = AchievementRevoked {
            answer_id,
            user_id,
            badges: vec![],
        };
        self.log("achievement", format!("achievements-{user_id}"), &badges);
        let reverted = LeaderboardEntryReverted {
            answer_id,
            user_id,
            quiz_mode: QuizMode::Classic,
            score: 10,
        };
        self.log("leaderboard", format!("leaderboard-{user_id}"), &reverted);
        let failed = AnswerSubmissionFailed {
            answer_id,
            user_id,
            reason,
        };
        self.log("quiz", format!("answers-{user_id}"), &failed);
        self.ends(number, "compensated", "revoked");
    }

    fn ends(&mut self, number: u128, state: &str, ending: &str) {
        let id = answer(number);
        let facts = &mut self.facts;
        let row = facts.answers.iter_mut().find(|row| row.id == id).unwrap();
        state.clone_into(&mut row.status);
        let saga = facts.sagas.iter_mut().find(|saga| saga.id == id).unwrap();
        state.clone_into(&mut saga.state);
        for ledger in [&mut facts.badge_ledger, &mut facts.board_ledger] {
            ledger.push(Remembered {
                saga_id: id,
                outcome: Some("done".to_owned()),
                ending: Some(ending.to_owned()),
            });
        }
    }

    pub(super) fn hears(&mut self, number: u128, user_id: Uuid, heard: Heard) {
        let asked = Asked::Answer {
            key: key(number),
            question_id: Uuid::from_u128(number),
            choice_id: "a".to_owned(),
            quiz_mode: QuizMode::Classic,
        };
        self.call(user_id, asked, heard);
    }

    pub(super) fn reads(&mut self, user_id: Uuid, answered: i64, score: Option<i64>) {
        let correct = answered;
        self.call(user_id, Asked::Stats, Heard::Stats { answered, correct });
        let quiz_mode = QuizMode::Classic;
        self.call(user_id, Asked::Board { quiz_mode }, Heard::Board { score });
    }

    pub(super) fn call(&mut self, user_id: Uuid, asked: Asked, heard: Heard) {
        let began = 10 * self.calls.len() as u64;
        self.calls.push(Call {
            client: 0,
            user_id,
            began,
            ended: began + 5,
            asked,
            heard,
        });
    }
}

fn badge(id: &str) -> BadgeRef {
    BadgeRef {
        id: id.to_owned(),
        name: id.to_owned(),
    }
}

pub(super) fn told(number: u128, streak: i64, points: i64) -> Heard {
    Heard::Completed {
        answer_id: answer(number),
        is_correct: true,
        streak,
        points,
        score: Some(10),
    }
}

fn unknown() -> Heard {
    let how = "timeout".to_owned();
    Heard::Unknown { how }
}
