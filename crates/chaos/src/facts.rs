//! What the databases say once everything has come to rest, as plain rows: all that the checker
//! knows beside the history.

pub mod reading;

use contracts::QuizMode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// Declares rows.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $field_type:ty),* $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $field_type),* }
    )+};
}

rows! {
    /// Everything.
    Facts {
        /// The log, by position.
        log: Vec<Logged>,
        /// What every service has.
        services: Vec<Service>,
        /// The quiz service's answers.
        answers: Vec<Recorded>,
        /// Which answer each Idempotency-Key stands for.
        keys: Vec<Keyed>,
        /// The quiz service's counts.
        tallies: Vec<Counted>,
        /// Its sagas.
        sagas: Vec<Saga>,
        /// What the achievement service remembers of sagas.
        badge_ledger: Vec<Remembered>,
        /// What its rules know of players.
        players: Vec<Counted>,
        /// The badges.
        badges: Vec<Badge>,
        /// What the leaderboard service remembers of sagas.
        board_ledger: Vec<Remembered>,
        /// Lines of the boards of all time, in the order in which the service ranks them.
        lines: Vec<Line>,
        /// Nodes of the trees that places are counted with: board, level, members.
        nodes: Vec<(i64, i64, i64)>,
        /// What the API tells players of their places.
        places: Vec<Place>,
    }
    /// An event in the log.
    Logged {
        /// Its place.
        position: i64,
        /// Its id.
        id: Uuid,
        /// Its stream.
        stream: String,
        /// Its place in its stream.
        version: i64,
        /// Its type.
        event_type: String,
        /// Who sent it.
        service_id: String,
        /// When it happened.
        at: OffsetDateTime,
        /// What it says.
        payload: Value,
    }
    /// What every service has in its database.
    Service {
        /// Its name.
        name: String,
        /// Its outbox, in its order.
        outbox: Vec<Sent>,
        /// Events that its consumers set aside: consumer, event, error.
        parked: Vec<(String, Uuid, String)>,
        /// How far its consumers are.
        checkpoints: Vec<(String, i64)>,
    }
    /// A row of an outbox.
    Sent {
        /// The event.
        id: Uuid,
        /// Its stream.
        stream: String,
        /// Its place in its stream.
        version: i64,
        /// Where the log put it.
        position: Option<i64>,
        /// Why the log refused it.
        error: Option<String>,
    }
    /// An answer as the quiz service has it.
    Recorded {
        /// The answer.
        id: Uuid,
        /// Who answered.
        user_id: Uuid,
        /// What was asked.
        question_id: Uuid,
        /// What was chosen.
        choice_id: String,
        /// How it was played.
        quiz_mode: String,
        /// Whether it was right.
        is_correct: bool,
        /// What it is worth.
        points: i64,
        /// The streak with it.
        streak: i64,
        /// `pending`, `completed` or `compensated`.
        status: String,
    }
    /// An Idempotency-Key.
    Keyed {
        /// Whose.
        user_id: Uuid,
        /// The key.
        key: String,
        /// What it stands for.
        answer_id: Uuid,
    }
    /// Counts of a player.
    Counted {
        /// The player.
        user_id: Uuid,
        /// Answers that count.
        answered: i64,
        /// Right ones.
        correct: i64,
        /// Right ones in a row, now.
        streak: i64,
        /// The longest such row.
        best_streak: i64,
        /// Points; none where nobody counts them.
        score: Option<i64>,
    }
    /// A saga.
    Saga {
        /// Its id: its answer's.
        id: Uuid,
        /// Where it stands.
        state: String,
    }
    /// A participant's memory of a saga.
    Remembered {
        /// The saga.
        saga_id: Uuid,
        /// `done` or `refused`; none where it was never asked.
        outcome: Option<String>,
        /// `completed` or `revoked`; none where it does not know.
        ending: Option<String>,
    }
    /// A badge.
    Badge {
        /// Whose.
        user_id: Uuid,
        /// Which.
        badge_id: String,
        /// `earned` or `unlocked`.
        status: String,
        /// By which answer.
        answer_id: Option<Uuid>,
    }
    /// A player's line on a board of all time.
    Line {
        /// The player.
        user_id: Uuid,
        /// The board.
        quiz_mode: QuizMode,
        /// The points.
        score: i64,
        /// Since when.
        reached_at: OffsetDateTime,
    }
    /// A player's place, as the API tells it.
    Place {
        /// The player.
        user_id: Uuid,
        /// The board.
        quiz_mode: QuizMode,
        /// The place, from 1.
        position: i64,
        /// The points.
        score: i64,
    }
}
