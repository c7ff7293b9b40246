//! Mails: what they say, who carries them, and the courier that sees to it that each is sent.
//!
//! Invariants: a mail is sent by the courier alone, never in a request and never by a handler of
//! events; a row is handed to a server at most once, as far as SMTP allows (what happens between
//! the last byte and the server's answer nobody knows; then the row ends as `unknown` and is not
//! repeated); nothing that another user has chosen is in a mail, so nobody can have us send their
//! text to strangers.

mod courier;
mod smtp;

use std::time::Duration;

use axum::{Router, extract::State, routing::get};
use chassis::{Problem, config::Faults, http::Json};
use database::Database;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

pub use courier::{Courier, Pauses};
pub use smtp::{Delivery, Server};

use crate::store::mails::{self, Count, Unsent};

/// Unsent mails that operators see; the rest is counted.
const SHOWN: i64 = 50;

/// Where a link's token goes.
const TOKEN: &str = "{token}";

/// How mails are sent; without it they wait.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `smtp://host[:25]`, `smtps://host[:465]`, or `smtp://host[:587]?tls=required` (STARTTLS).
    pub smtp: String,
    /// Whom the mails are from: `Node-Learn <accounts@example.org>`.
    pub from: String,
    /// For a server that wants to know who we are.
    #[serde(default)]
    pub username: Option<String>,
    /// With it.
    #[serde(default)]
    pub password: Option<String>,
    /// The page that takes a new password, with `{token}` in it; without one the mail has the
    /// token alone.
    #[serde(default)]
    pub reset_link: Option<String>,
    /// The pause after the first failed attempt; it doubles.
    #[serde(default = "first_pause")]
    pub retry_seconds: u64,
}

/// A mail, ready to be sent.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Where it goes, unchecked.
    pub recipient: String,
    /// One line.
    pub subject: &'static str,
    /// Plain text.
    pub body: String,
}

/// Writes letters, and knows the server that takes them.
#[derive(Clone)]
pub struct Post {
    from: Mailbox,
    link: Option<String>,
    server: Server,
    pub(crate) pauses: Pauses,
}

/// Everything that is wrong with the settings.
#[must_use]
pub fn faults(settings: &Settings) -> Vec<String> {
    let post = Post::new(settings);
    post.err().map(|faults| faults.0).unwrap_or_default()
}

impl Post {
    /// Checks the settings.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(settings: &Settings) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let from = settings.from.parse::<Mailbox>();
        if from.is_err() {
            let fault = "mail.from: is no address such as Node-Learn <a@example.org>";
            faults.push(fault.to_owned());
        }
        let link = settings.reset_link.clone();
        if link.as_ref().is_some_and(|link| !link.contains(TOKEN)) {
            faults.push("mail.reset_link: has no {token} in it".to_owned());
        }
        let own_domain = from
            .as_ref()
            .map_or("localhost", |from| from.email.domain());
        match (Server::new(settings, own_domain), from) {
            (Ok(server), Ok(from)) if faults.is_empty() => Ok(Self {
                from,
                link,
                server,
                pauses: Pauses {
                    first: Duration::from_secs(settings.retry_seconds),
                },
            }),
            (server, _) => {
                faults.extend(server.err().map(|fault| fault.0));
                Err(Faults(faults))
            }
        }
    }

    /// The mail for whoever forgot a password.
    pub fn reset(&self, recipient: String, token: &str) -> Letter {
        let way = match &self.link {
            Some(link) => format!(
                "Open this page to choose a new one:\r\n\r\n{}",
                link.replace(TOKEN, token)
            ),
            None => format!("To choose a new one, use this code:\r\n\r\n{token}"),
        };
        let body = format!(
            "Somebody, probably you, forgot the password of your account.\r\n\r\n{way}\r\n\r\n\
             It is good once and for 30 minutes; a newer mail makes it void.\r\n\
             If it was not you, there is nothing to do: your password stays as it is.\r\n"
        );
        Letter {
            recipient,
            subject: "Your new password",
            body,
        }
    }

    /// Hands a letter to the server.
    pub async fn deliver(&self, letter: &Letter) -> Delivery {
        self.server.deliver(&self.from, letter).await
    }
}

/// `GET /ops/mails`: whether mails are sent, how many are in which state, and those that were not
/// sent.
pub fn verbs(db: Database, is_configured: bool) -> Router {
    Router::new()
        .route("/mails", get(show))
        .with_state((db, is_configured))
}

#[derive(Serialize)]
struct Shown {
    configured: bool,
    counts: Vec<Count>,
    items: Vec<Unsent>,
}

async fn show(State((db, configured)): State<(Database, bool)>) -> Result<Json<Shown>, Problem> {
    Ok(Json(Shown {
        configured,
        counts: mails::counts(&db).await?,
        items: mails::unsent(&db, SHOWN).await?,
    }))
}

const fn first_pause() -> u64 {
    5
}
