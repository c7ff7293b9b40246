//! A real OpenID Connect provider: oidc-provider-mock, which serves discovery, a login form, the
//! token endpoint and its keys.

use serde_json::{Value, json};
use testkit::{Process, eventually};

use crate::site::PATIENCE;

pub(crate) struct Provider {
    port: u16,
    users: Vec<Value>,
    running: Option<Process>,
}

impl Provider {
    /// A provider that is not started yet, and knows Ada and Eve; anybody else is nobody but a
    /// subject.
    pub(crate) fn down() -> Self {
        let ada = json!({
            "sub": "ada", "name": "Ada Lovelace", "email": "ada@example.org", "email_verified": true,
        });
        let eve = json!({
            "sub": "eve", "name": "Eve\u{7}", "email": "ada@example.org", "email_verified": false,
        });
        Self {
            port: testkit::free_port(),
            users: vec![ada, eve],
            running: None,
        }
    }

    pub(crate) async fn up() -> Self {
        let mut provider = Self::down();
        provider.start().await;
        provider
    }

    pub(crate) async fn start(&mut self) {
        let program = testkit::python("oidc-provider-mock").expect("the program");
        let mut arguments = vec!["--port".to_owned(), self.port.to_string()];
        arguments.extend(["--require-nonce".to_owned(), "true".to_owned()]);
        for user in &self.users {
            arguments.extend(["--user-claims".to_owned(), user.to_string()]);
        }
        self.running = Some(Process::spawn(program, arguments).expect("the provider starts"));
        let discovery = format!("{}/.well-known/openid-configuration", self.issuer());
        eventually(PATIENCE, || async {
            let found = reqwest::get(&discovery).await?;
            Ok::<_, reqwest::Error>(found.status().is_success())
        })
        .await;
    }

    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
