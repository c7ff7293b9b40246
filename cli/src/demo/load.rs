//! The load: answers at a steady rate, whatever the system does (an open loop). A player has one
//! answer in flight at a time, so that the number of players bounds what is under way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chassis::Shutdown;
use contracts::http::Question;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use uuid::Uuid;

use super::{
    ledger::{Ledger, Outcome},
    observed::Observed,
    players::Player,
    session::{Attempt, Site},
};

/// Every so many turns a player looks at stats, badges and the board.
const LOOK_EVERY: u64 = 5;
/// Every so many turns a player logs in anew.
const LOGIN_EVERY: u64 = 10;
/// Of a hundred questions whose answer was seen before, how many a player remembers.
const REMEMBERED: u8 = 70;
/// How long the last answers may take once the load has ended, before clients stop asking.
const LAST_ANSWERS: Duration = Duration::from_secs(45);

/// Who plays where, and where it is noted.
#[derive(Debug)]
pub(crate) struct Game {
    /// The system.
    pub(crate) site: Site,
    /// What clients measured.
    pub(crate) observed: Arc<Observed>,
    /// What clients were told.
    pub(crate) ledger: Ledger,
    /// Right choices that players have seen.
    known: Mutex<HashMap<Uuid, String>>,
    /// Triggered when clients must not wait any longer.
    hurry: Shutdown,
}

/// The running load.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Shutdown,
    hurry: Shutdown,
    ticking: JoinHandle<()>,
}

impl Game {
    /// A game without moves.
    pub(crate) fn new(site: Site, observed: Arc<Observed>) -> Self {
        Self {
            site,
            observed,
            ledger: Ledger::default(),
            known: Mutex::default(),
            hurry: Shutdown::new(),
        }
    }

    /// One turn of one player: fetch a question, answer it, sometimes look around.
    async fn turn(&self, player: &Player, number: u64) {
        let mut token = player.token.lock().await;
        if number.is_multiple_of(LOGIN_EVERY)
            && let Ok(session) = self.site.login(&player.credentials).await
        {
            *token = session.access_token;
        }
        // Whoever gets no question answers none; the site has counted the request.
        let Ok(question) = self.site.question(&token).await else {
            return;
        };
        let attempt = Attempt {
            key: Uuid::new_v4(),
            user_id: player.user_id,
            question_id: question.id,
            choice_id: self.choose(&question),
            quiz_mode: player.quiz_mode,
        };
        self.submit(&attempt, player, &mut token).await;
        if number.is_multiple_of(LOOK_EVERY) {
            let board = format!("/api/leaderboard?quizMode={}", player.quiz_mode);
            for path in ["/api/stats/me", "/api/achievements/me", &board] {
                // Counted by the site; nothing hangs on it.
                self.site.get(path, &token).await.ok();
            }
        }
    }

    async fn submit(&self, attempt: &Attempt, player: &Player, token: &mut String) {
        let told = self
            .site
            .answer(attempt, &player.credentials, token, &self.hurry)
            .await;
        if told.is_correct == Some(true) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(attempt.question_id, attempt.choice_id.clone());
        }
        self.ledger.note(told);
    }

    fn choose(&self, question: &Question) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(choice) = known.get(&question.id)
            && rand::random_range(0..100) < REMEMBERED
        {
            return choice.clone();
        }
        let choices = &question.choices;
        let drawn = choices.get(rand::random_range(0..choices.len().max(1)));
        drawn.map(|choice| choice.id.clone()).unwrap_or_default()
    }

    /// Asks again, with their keys, for what clients were never told.
    pub(crate) async fn settle(&self, players: &[Arc<Player>], shutdown: &Shutdown) {
        let by_id: HashMap<_, _> = players
            .iter()
            .map(|player| (player.user_id, player))
            .collect();
        let mut asking = JoinSet::new();
        for told in self.ledger.take_unknown() {
            let Some(player) = by_id.get(&told.user_id).map(|player| Arc::clone(player)) else {
                self.ledger.note(told);
                continue;
            };
            let (site, hurry) = (self.site.clone(), shutdown.child());
            asking.spawn(async move {
                let mut token = player.token.lock().await;
                let attempt = Attempt::from(&told);
                let mut last = site
                    .answer(&attempt, &player.credentials, &mut token, &hurry)
                    .await;
                last.attempts += told.attempts;
                if last.outcome == Outcome::Unknown {
                    last.answer_id = last.answer_id.or(told.answer_id);
                }
                last
            });
        }
        for told in asking.join_all().await {
            self.ledger.note(told);
        }
    }
}

impl Load {
    /// Begins: `rate` answers a second.
    pub(crate) fn start(game: Arc<Game>, players: &[Arc<Player>], rate: u32) -> Self {
        let (stop, hurry) = (Shutdown::new(), game.hurry.clone());
        let (back, idle) = mpsc::channel(players.len().max(1));
        for player in players {
            // There is room for all of them.
            back.try_send(Arc::clone(player)).ok();
        }
        let ticking = tokio::spawn(tick(game, idle, back, rate, stop.clone()));
        Self {
            stop,
            hurry,
            ticking,
        }
    }

    /// Begins no more turns and waits for those under way; those that take too long, or all of
    /// them when `shutdown` begins, end without an outcome.
    pub(crate) async fn finish(self, shutdown: &Shutdown) {
        self.stop.trigger();
        let mut ticking = self.ticking;
        let deadline = Instant::now() + LAST_ANSWERS;
        let finished = tokio::select! {
            finished = timeout_at(deadline, &mut ticking) => finished.is_ok(),
            () = shutdown.cancelled() => false,
        };
        if !finished {
            self.hurry.trigger();
            // A client in a hurry ends with the request that it is in, which has a timeout.
            ticking.await.ok();
        }
    }
}

async fn tick(
    game: Arc<Game>,
    mut idle: mpsc::Receiver<Arc<Player>>,
    back: mpsc::Sender<Arc<Player>>,
    rate: u32,
    stop: Shutdown,
) {
    let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
    // An open loop keeps its rate: what was late is sent at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut turns = JoinSet::new();
    for number in 1_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => break,
        }
        while turns.try_join_next().is_some() {}
        let Ok(player) = idle.try_recv() else {
            game.observed.all_busy();
            continue;
        };
        let (game, back) = (Arc::clone(&game), back.clone());
        turns.spawn(async move {
            game.turn(&player, number).await;
            // There is room for all of them.
            back.try_send(player).ok();
        });
    }
    while turns.join_next().await.is_some() {}
}
