//! Who plays: registered, or there as guests, before anything is measured.

use std::time::Duration;

use anyhow::Context;
use contracts::{QuizMode, http::Session};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    mix::Mix,
    site::{Credentials, Site},
};

/// Registrations under way at once: hashing a password is slow on purpose, and more than the cores
/// can hash only wait longer.
const AT_ONCE: usize = 4;
/// A token is renewed this long before it ends.
const RENEWED_BEFORE: Duration = Duration::from_secs(60);

/// A session: what somebody shows with each request, and the next one before it ends.
#[derive(Clone, Debug)]
pub struct Pass {
    /// For requests.
    pub token: String,
    refresh_token: String,
    renews_at: Instant,
}

/// Somebody who plays, one thing at a time.
#[derive(Clone, Debug)]
pub struct Player {
    /// The user's id.
    pub user_id: Uuid,
    /// How this player plays.
    pub quiz_mode: QuizMode,
    /// In whose name.
    pub pass: Pass,
}

/// All of them.
#[derive(Debug)]
pub struct Crowd {
    /// Who plays.
    pub players: Vec<Player>,
    /// Accounts that people log in to.
    pub accounts: Vec<Credentials>,
}

impl Pass {
    /// A session that has just begun.
    pub fn new(session: Session) -> Self {
        let lasts = Duration::from_secs(u64::try_from(session.expires_in).unwrap_or_default());
        Self {
            renews_at: Instant::now() + lasts.saturating_sub(RENEWED_BEFORE),
            token: session.access_token,
            refresh_token: session.refresh_token,
        }
    }

    /// Whether the next session is due.
    pub fn is_due(&self) -> bool {
        self.renews_at <= Instant::now()
    }

    /// A request for the next session.
    pub fn renewal(&self, site: &Site) -> RequestBuilder {
        let body = json!({ "refreshToken": self.refresh_token });
        site.request(Method::POST, "/api/auth/refresh", None)
            .json(&body)
    }

    /// Takes the next session when it is due; outside the load.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn keep(&mut self, site: &Site) -> anyhow::Result<()> {
        if self.is_due() {
            *self = Self::new(Site::session(self.renewal(site)).await?);
        }
        Ok(())
    }
}

impl Player {
    fn new(number: usize, session: Session) -> Self {
        Self {
            user_id: session.user.id,
            quiz_mode: QuizMode::ALL[number % QuizMode::ALL.len()],
            pass: Pass::new(session),
        }
    }
}

/// Credentials that nobody has had before.
pub fn somebody(id: Uuid) -> Credentials {
    Credentials {
        email: format!("player-{}@players.example", id.simple()),
        password: format!("correct horse {}", id.simple()),
    }
}

/// Brings all of them in.
///
/// # Errors
/// When one of them is refused.
pub async fn gather(site: &Site, mix: &Mix) -> anyhow::Result<Crowd> {
    let guests = mix.players * usize::from(mix.guests) / 100;
    let coming = stream::iter(0..mix.players).map(|number| async move {
        let name = format!("Player {number}");
        let who = (number >= guests).then(|| somebody(Uuid::new_v4()));
        let request = match &who {
            Some(who) => site.register(who, &name),
            None => site.guest(),
        };
        let session = Site::session(request).await;
        let session = session.with_context(|| format!("{name} cannot come in"))?;
        anyhow::Ok((Player::new(number, session), who))
    });
    let came: Vec<_> = coming.buffer_unordered(AT_ONCE).try_collect().await?;
    let (players, accounts): (Vec<_>, Vec<_>) = came.into_iter().unzip();
    Ok(Crowd {
        players,
        accounts: accounts.into_iter().flatten().collect(),
    })
}
