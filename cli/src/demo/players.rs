//! The players: registered and logged in through the gateway before the load begins.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::anyhow;
use chassis::Shutdown;
use contracts::QuizMode;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::session::{Credentials, Site};

/// Registrations under way at once: hashing a password is slow on purpose, and more than the cores
/// can hash only wait longer.
const AT_ONCE: usize = 8;
/// Tries of a registration or login.
const TRIES: u32 = 5;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(500);

/// One player.
#[derive(Debug)]
pub(crate) struct Player {
    /// The user's id.
    pub(crate) user_id: Uuid,
    /// How this player plays.
    pub(crate) quiz_mode: QuizMode,
    /// For logging in again.
    pub(crate) credentials: Credentials,
    /// The access token; held while the player plays, since a player does one thing at a time.
    pub(crate) token: Mutex<String>,
}

/// Registers `count` players and logs them in; `ready` counts those that are.
///
/// # Errors
/// When one of them is refused, or cannot get through.
pub(crate) async fn register(
    site: &Site,
    count: usize,
    ready: &AtomicUsize,
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<Arc<Player>>> {
    // So that the demo can be run again on the same data.
    let run = Uuid::new_v4().simple().to_string();
    let registrations = stream::iter(0..count).map(|number| {
        let run = &run[..8];
        async move {
            let player = join(site, number, run).await?;
            ready.fetch_add(1, Ordering::Relaxed);
            anyhow::Ok(Arc::new(player))
        }
    });
    tokio::select! {
        players = registrations.buffer_unordered(AT_ONCE).try_collect() => players,
        () = shutdown.cancelled() => Err(anyhow!("interrupted")),
    }
}

async fn join(site: &Site, number: usize, run: &str) -> anyhow::Result<Player> {
    let name = format!("Player {number}");
    let credentials = Credentials {
        email: format!("player-{number}-{run}@players.example"),
        password: format!("correct horse {run} {number}"),
    };
    let mut tries = 1;
    let session = loop {
        let session = match site.register(&credentials, &name).await {
            Ok(()) => site.login(&credentials).await,
            Err(fault) => Err(fault),
        };
        match session {
            Ok(session) => break session,
            Err(fault) if tries == TRIES => {
                return Err(anyhow!("{name} cannot register and log in: {fault}"));
            }
            Err(_) => tries += 1,
        }
        tokio::time::sleep(PAUSE).await;
    };
    Ok(Player {
        user_id: session.user.id,
        quiz_mode: QuizMode::ALL[number % QuizMode::ALL.len()],
        credentials,
        token: Mutex::new(session.access_token),
    })
}
