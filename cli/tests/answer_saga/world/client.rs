//! What players do, over HTTP.

use contracts::Claims;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Part, World, question};

/// Somebody who answers.
#[derive(Clone, Debug)]
pub(crate) struct Player {
    pub(crate) id: Uuid,
    token: String,
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl World {
    /// A player with a token.
    pub(crate) fn player(&self, name: &str) -> Player {
        let id = Uuid::now_v7();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let claims = Claims {
            iss: Claims::ISSUER.to_owned(),
            aud: Claims::AUDIENCE.to_owned(),
            sub: id,
            name: name.to_owned(),
            roles: vec!["user".to_owned()],
            iat: now,
            exp: now + 3600,
            jti: Uuid::now_v7(),
        };
        let token = self.signer.sign(&claims).expect("a signed token");
        Player { id, token }
    }

    /// Answers question `n`; `a` is right, and the other choices are not.
    pub(crate) async fn answer(&self, player: &Player, n: u128, choice: &str) -> Answer {
        self.post(player, &body(n, choice), &[]).await
    }

    /// Posts an answer with headers.
    pub(crate) async fn post(
        &self,
        player: &Player,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self
            .client
            .post(self.url(Part::Quiz, "/api/answers"))
            .bearer_auth(&player.token)
            .json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send().await.expect("an answer")).await
    }

    /// Reads a path as the player.
    pub(crate) async fn get(&self, part: Part, player: &Player, path: &str) -> Answer {
        let request = self
            .client
            .get(self.url(part, path))
            .bearer_auth(&player.token);
        read(request.send().await.expect("an answer")).await
    }
}

/// The body that answers question `n` with `choice` in classic mode.
pub(crate) fn body(n: u128, choice: &str) -> Value {
    json!({ "questionId": question(n), "choiceId": choice, "quizMode": "classic" })
}

pub(super) async fn read(answer: reqwest::Response) -> Answer {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer {
        status,
        headers,
        body,
    }
}
