//! The journeys: what players do, request by request, and where it is noted.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use contracts::{
    audit::Told,
    http::{CuratedQuestion, Question, QuestionPage, Session, WriteQuestion},
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use reqwest::{Method, RequestBuilder};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    engine::{Begin, Work},
    ledger::{self, Ledger},
    measure::{Measured, Request, Window},
    mix::Journey,
    outcome::Outcome,
    players::{Pass, Player, somebody},
    schedule::Arrival,
    site::{Credentials, Reply, Site, send},
    step::Step,
};

/// Questions on a page that players look at.
const PAGE: u32 = 10;

/// What curators edit, and in whose name: questions of the load's own, so that nobody's are changed.
#[derive(Debug)]
pub struct Curation {
    /// An administrator's; all of them curate in this one name.
    pub pass: tokio::sync::Mutex<Pass>,
    /// Made before the load.
    pub questions: Vec<CuratedQuestion>,
}

/// Where everybody plays.
#[derive(Debug)]
pub struct World {
    /// The system.
    pub site: Site,
    /// What clients were told.
    pub ledger: Ledger,
    accounts: Vec<Credentials>,
    curation: Option<Curation>,
    /// Percent.
    remembered: u8,
    /// Right choices that players have seen.
    known: Mutex<HashMap<Uuid, String>>,
    measured: Mutex<Measured>,
}

impl World {
    /// A world in which nothing was measured.
    pub fn new(
        site: Site,
        accounts: Vec<Credentials>,
        curation: Option<Curation>,
        remembered: u8,
    ) -> Self {
        let nothing = Window {
            from: Duration::ZERO,
            to: Duration::ZERO,
        };
        Self {
            site,
            ledger: Ledger::default(),
            accounts,
            curation,
            remembered,
            known: Mutex::default(),
            measured: Mutex::new(Measured::new(nothing)),
        }
    }

    /// Begins to measure anew; what was measured until now.
    pub fn measure(&self, window: Window) -> Measured {
        std::mem::replace(&mut *self.measured(), Measured::new(window))
    }

    fn measured(&self) -> std::sync::MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work for World {
    type Player = Player;

    fn due(&self, at: Duration) {
        self.measured().arrival(at);
    }

    async fn perform(
        self: Arc<Self>,
        arrival: Arrival,
        mut player: Player,
        begin: Begin,
    ) -> Player {
        let due = begin.due - begin.phase;
        let mut visit = Visit {
            world: &self,
            journey: arrival.journey,
            begin,
            random: StdRng::seed_from_u64(arrival.seed),
            last: Outcome::Done(200),
        };
        visit.go(&mut player).await;
        let (ended, last) = (begin.phase.elapsed(), visit.last);
        let mut measured = self.measured();
        measured.journey(arrival.journey, due, ended, begin.delay(), last);
        drop(measured);
        player
    }
}

/// One arrival under way.
struct Visit<'a> {
    world: &'a World,
    journey: Journey,
    begin: Begin,
    random: StdRng,
    last: Outcome,
}

impl Visit<'_> {
    async fn go(&mut self, player: &mut Player) {
        if player.pass.is_due() {
            self.renew(&mut player.pass).await;
        }
        // What goes wrong is measured; the visit ends with it.
        match self.journey {
            Journey::Answer => self.answer(player).await,
            Journey::Browse => self.browse(player).await,
            Journey::Board => self.board(player).await,
            Journey::Own => self.own(player).await,
            Journey::Guest => self.guest().await,
            Journey::Register => self.register().await,
            Journey::Login => self.login().await,
            Journey::Curate => self.curate().await,
        };
    }

    /// Sends one request and notes it; its reply, when it is the success that was asked for.
    async fn step(&mut self, step: Step, request: RequestBuilder) -> Option<Reply> {
        let reply = self.told(step, request).await;
        reply.outcome.is_good().then_some(reply)
    }

    async fn told(&mut self, step: Step, request: RequestBuilder) -> Reply {
        let sent = Instant::now();
        let reply = send(request).await;
        let service = sent.elapsed();
        let begin = self.begin;
        self.last = reply.outcome.clone();
        self.world.measured().request(Request {
            journey: self.journey,
            step,
            outcome: reply.outcome.clone(),
            due: begin.due - begin.phase,
            ended: begin.phase.elapsed(),
            // Whoever began late is late with everything.
            corrected: service + begin.delay(),
            service,
        });
        reply
    }

    async fn get(&mut self, step: Step, path: &str, token: &str) -> Option<Reply> {
        let request = self.world.site.request(Method::GET, path, Some(token));
        self.step(step, request).await
    }

    /// A success that does not hold what it should is none.
    fn unreadable(&mut self, step: Step, reply: &Reply) {
        let begin = self.begin;
        self.last = Outcome::Refused(200, "unreadable".to_owned());
        eprintln!("{} cannot be read: {}", step.request(), reply.describe());
        self.world
            .measured()
            .unreadable(self.journey, step, begin.due - begin.phase);
    }

    async fn renew(&mut self, pass: &mut Pass) -> Option<()> {
        let request = pass.renewal(&self.world.site);
        let reply = self.step(Step::Refresh, request).await?;
        match reply.read::<Session>() {
            Some(session) => *pass = Pass::new(session),
            None => self.unreadable(Step::Refresh, &reply),
        }
        Some(())
    }

    async fn answer(&mut self, player: &Player) -> Option<()> {
        let path = "/api/questions/random";
        let reply = self.get(Step::Question, path, &player.pass.token).await?;
        let Some(question) = reply.read::<Question>() else {
            self.unreadable(Step::Question, &reply);
            return None;
        };
        let choice = self.choose(&question);
        let (key, mode) = (Uuid::new_v4(), player.quiz_mode);
        let mut told = Told::nothing(key, player.user_id, question.id, &choice, mode);
        let request = ledger::submit(&told, &self.world.site, &player.pass.token);
        let reply = self.told(Step::Answer, request).await;
        let right = ledger::hear(&mut told, &reply);
        if right.is_none() && reply.outcome.is_good() {
            self.unreadable(Step::Answer, &reply);
        }
        if let Some(right) = right {
            self.world.known().insert(question.id, right);
        }
        self.world.ledger.note(told);
        Some(())
    }

    fn choose(&mut self, question: &Question) -> String {
        let right = self.world.known().get(&question.id).cloned();
        let remembers = self.random.random_range(0..100) < self.world.remembered;
        match right.filter(|_| remembers) {
            Some(right) => right,
            None => {
                let drawn = question.choices.choose(&mut self.random);
                drawn.map(|choice| choice.id.clone()).unwrap_or_default()
            }
        }
    }

    async fn browse(&mut self, player: &Player) -> Option<()> {
        let path = format!("/api/questions?limit={PAGE}");
        let reply = self.get(Step::Page, &path, &player.pass.token).await?;
        let page: Option<QuestionPage> = reply.read();
        let Some(page) = page.filter(|page| !page.items.is_empty()) else {
            self.unreadable(Step::Page, &reply);
            return None;
        };
        let one = page.items.choose(&mut self.random)?;
        let path = format!("/api/questions/{}", one.id);
        self.get(Step::Show, &path, &player.pass.token).await?;
        Some(())
    }

    async fn board(&mut self, player: &Player) -> Option<()> {
        let mode = player.quiz_mode;
        let path = format!("/api/leaderboard?quizMode={mode}");
        self.get(Step::Top, &path, &player.pass.token).await?;
        let path = format!("/api/leaderboard/around?quizMode={mode}");
        self.get(Step::Around, &path, &player.pass.token).await?;
        Some(())
    }

    async fn own(&mut self, player: &Player) -> Option<()> {
        self.get(Step::Stats, "/api/stats/me", &player.pass.token)
            .await?;
        let path = "/api/achievements/me";
        self.get(Step::Badges, path, &player.pass.token).await?;
        Some(())
    }

    async fn guest(&mut self) -> Option<()> {
        let request = self.world.site.guest();
        let reply = self.step(Step::Guest, request).await?;
        let Some(session) = reply.read::<Session>() else {
            self.unreadable(Step::Guest, &reply);
            return None;
        };
        let path = "/api/questions/random";
        self.get(Step::Question, path, &session.access_token)
            .await?;
        Some(())
    }

    async fn register(&mut self) -> Option<()> {
        let who = somebody(Uuid::new_v4());
        let request = self.world.site.register(&who, "Somebody new");
        self.step(Step::Register, request).await?;
        Some(())
    }

    async fn login(&mut self) -> Option<()> {
        let who = self.world.accounts.choose(&mut self.random)?;
        let request = self.world.site.login(who);
        self.step(Step::Login, request).await?;
        Some(())
    }

    async fn curate(&mut self) -> Option<()> {
        let curation = self.world.curation.as_ref()?;
        // Whoever comes while it is renewed waits: a refresh token is good once.
        let mut pass = curation.pass.lock().await;
        if pass.is_due() {
            self.renew(&mut pass).await;
        }
        let token = pass.token.clone();
        drop(pass);
        let path = format!("/api/admin/questions?limit={PAGE}");
        self.get(Step::Curation, &path, &token).await?;
        let question = curation.questions.choose(&mut self.random)?;
        let edit = WriteQuestion {
            text: format!("Which edit of a load is this: {}?", Uuid::new_v4()),
            category: question.category.clone(),
            difficulty: question.difficulty,
            choices: question.choices.clone(),
            correct_choice_id: question.correct_choice_id.clone(),
            tags: Vec::new(),
            // The last edit wins: curators of a load know nothing of each other.
            version: None,
        };
        let path = format!("/api/admin/questions/{}", question.id);
        let site = &self.world.site;
        let request = site.request(Method::PUT, &path, Some(&token)).json(&edit);
        self.step(Step::Edit, request).await?;
        Some(())
    }
}
