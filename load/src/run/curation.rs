//! What curators need before they can curate.

use anyhow::{Context, bail};
use contracts::{
    Difficulty,
    http::{Choice, CuratedQuestion, WriteQuestion},
};
use reqwest::Method;
use uuid::Uuid;

use crate::{
    players::Pass,
    site::{Site, send},
    system::System,
    world::Curation,
};

/// Questions that curators edit.
const CURATED: usize = 10;

/// Questions for curators to edit, and a token to do it with.
pub(super) async fn curation(site: &Site, system: &System) -> anyhow::Result<Curation> {
    let who = system.administrator.as_ref().context("no administrator")?;
    let session = Site::session(site.login(who)).await?;
    let token = session.access_token.clone();
    let mut questions = Vec::new();
    for _ in 0..CURATED {
        let request = site.request(Method::POST, "/api/admin/questions", Some(&token));
        let reply = send(request.json(&question())).await;
        // 202 is a question, too, which players do not see yet.
        match reply.read::<CuratedQuestion>() {
            Some(question) => questions.push(question),
            None => bail!("a curator cannot add a question: {}", reply.describe()),
        }
    }
    Ok(Curation {
        pass: Pass::new(session).into(),
        questions,
    })
}

fn question() -> WriteQuestion {
    let choices = ["a", "b", "c", "d"];
    WriteQuestion {
        text: format!("Which of these was made by a load: {}?", Uuid::new_v4()),
        category: "load".to_owned(),
        difficulty: Difficulty::Easy,
        choices: choices
            .map(|id| Choice {
                id: id.to_owned(),
                text: format!("Choice {id}"),
            })
            .to_vec(),
        correct_choice_id: "a".to_owned(),
        tags: Vec::new(),
        version: None,
    }
}
