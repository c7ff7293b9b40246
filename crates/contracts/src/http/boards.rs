//! Leaderboards.

use uuid::Uuid;

use crate::{Period, QuizMode};

bodies! {
    /// One line of a leaderboard.
    LeaderboardEntry {
        /// From 1.
        #[schema(minimum = 1)]
        position: i64,
        /// The player.
        user_id: Uuid,
        /// Personal.
        display_name: String,
        /// Points.
        #[schema(minimum = 0)]
        score: i64,
    }
    /// `GET /api/leaderboard?quizMode=&period=`
    Leaderboard {
        /// Which board.
        quiz_mode: QuizMode,
        /// Over which time.
        period: Period,
        /// The best six.
        #[schema(max_items = 6)]
        top: Vec<LeaderboardEntry>,
        /// The caller's own line, when it has a token and a score.
        me: Option<LeaderboardEntry>,
    }
    /// `GET /api/leaderboard/entries?quizMode=&period=&limit=&cursor=`
    LeaderboardPage {
        /// Which board.
        quiz_mode: QuizMode,
        /// Over which time.
        period: Period,
        /// The page.
        items: Vec<LeaderboardEntry>,
        /// Where the next page begins; null on the last.
        next_cursor: Option<String>,
    }
    /// `GET /api/leaderboard/around?quizMode=&period=`
    LeaderboardAround {
        /// Which board.
        quiz_mode: QuizMode,
        /// Over which time.
        period: Period,
        /// The caller's own line with up to five above and five below it; none while the caller has
        /// no score.
        #[schema(max_items = 11)]
        items: Vec<LeaderboardEntry>,
        /// The caller's own line, when it has a score.
        me: Option<LeaderboardEntry>,
    }
}
