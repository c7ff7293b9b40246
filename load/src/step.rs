//! The kinds of request that journeys are made of.

use serde::Serialize;

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A random question.
    Question,
    /// An answer: what the bar is about.
    Answer,
    /// A page of questions.
    Page,
    /// One question.
    Show,
    /// The top of a leaderboard.
    Top,
    /// The own neighbourhood on it.
    Around,
    /// The own stats.
    Stats,
    /// The own badges.
    Badges,
    /// A guest comes.
    Guest,
    /// An account is opened.
    Register,
    /// Somebody logs in.
    Login,
    /// A player's token is renewed.
    Refresh,
    /// A curator's page.
    Curation,
    /// A curator's edit.
    Edit,
}

impl Step {
    /// The request, as people read it.
    pub fn request(self) -> &'static str {
        match self {
            Self::Question => "GET /api/questions/random",
            Self::Answer => "POST /api/answers",
            Self::Page => "GET /api/questions",
            Self::Show => "GET /api/questions/{id}",
            Self::Top => "GET /api/leaderboard",
            Self::Around => "GET /api/leaderboard/around",
            Self::Stats => "GET /api/stats/me",
            Self::Badges => "GET /api/achievements/me",
            Self::Guest => "POST /api/auth/guest",
            Self::Register => "POST /api/auth/register",
            Self::Login => "POST /api/auth/login",
            Self::Refresh => "POST /api/auth/refresh",
            Self::Curation => "GET /api/admin/questions",
            Self::Edit => "PUT /api/admin/questions/{id}",
        }
    }
}
