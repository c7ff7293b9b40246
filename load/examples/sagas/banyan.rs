//! Banyan, its players registered and its questions known; answers go to the quiz service itself.

use std::path::Path;

use anyhow::Context;
use clap::Parser;
use contracts::http::{Question, QuestionPage};
use load::{
    Arguments,
    mix::Mix,
    players::{self, Player},
    site::{Site, send},
    system::System,
};
use reqwest::Method;
use serde_json::json;

use crate::caller::{self, Caller};

/// How many of the questions are asked in turn.
const QUESTIONS: u32 = 50;

pub(crate) async fn start(form: &str, banyan: Option<&Path>) -> anyhow::Result<System> {
    let mut words = vec!["load".to_owned(), "--form".to_owned(), form.to_owned()];
    if let Some(banyan) = banyan {
        words.extend(["--banyan".to_owned(), banyan.display().to_string()]);
    }
    let system = System::open(&Arguments::try_parse_from(words)?).await?;
    system.move_over(100.0).await?;
    Ok(system)
}

/// As many callers, each its own user.
pub(crate) async fn callers(system: &System, count: usize) -> anyhow::Result<Vec<Caller>> {
    let site = Site::new(&system.gateway)?;
    let mut mix = Mix::load(None)?;
    (mix.players, mix.guests) = (count, 0);
    let crowd = players::gather(&site, &mix).await?;
    let token = &crowd.players.first().context("nobody plays")?.pass.token;
    let path = format!("/api/questions?limit={QUESTIONS}");
    let reply = send(site.request(Method::GET, &path, Some(token))).await;
    let page: QuestionPage = reply.read().with_context(|| reply.describe())?;
    let quiz = system.service("quiz")?;
    let address = quiz.trim_start_matches("http://");
    let each = crowd.players.iter();
    Ok(each
        .map(|player| answering(address, player, page.items.clone()))
        .collect())
}

/// Answers one question after the other, one choice after the other.
fn answering(address: &str, player: &Player, questions: Vec<Question>) -> Caller {
    let host = address.to_owned();
    let quiz_mode = player.quiz_mode;
    let authorization = format!("Bearer {}", player.pass.token);
    let next = move |number: u64| {
        let question = &questions[number as usize % questions.len()];
        let choice = &question.choices[number as usize % question.choices.len()];
        let body = json!({
            "questionId": question.id,
            "choiceId": choice.id,
            "quizMode": quiz_mode,
        });
        let headers = [("authorization", authorization.as_str())];
        caller::post(&host, "/api/answers", &headers, &body.to_string())
    };
    Caller::new(address.to_owned(), "\"completed\"", next)
}
