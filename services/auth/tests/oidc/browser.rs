//! A browser: it keeps the site's cookie and goes where it is sent, one step at a time.

use std::sync::Mutex;

use reqwest::RequestBuilder;
use serde_json::json;

use crate::site::{PROVIDER, Reply, Site, read};

pub(crate) struct Browser<'a> {
    site: &'a Site,
    cookie: Mutex<Option<String>>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        Self {
            site,
            cookie: Mutex::default(),
        }
    }

    /// Begins to sign in; where the site sends it.
    pub(crate) async fn begin(&self, query: &str) -> String {
        let reply = self.get(&format!("/api/auth/oidc/{PROVIDER}{query}")).await;
        assert_eq!(reply.status, 303, "{reply:?}");
        reply.location
    }

    /// Begins to link an identity to the user of `token`; where the page sends it.
    pub(crate) async fn begin_link(&self, token: &str, query: &str) -> String {
        let path = format!("/api/auth/oidc/{PROVIDER}/link{query}");
        let request = self.site.client.post(format!("{}{path}", self.site.base));
        let reply = self.send(request.bearer_auth(token)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text("/authorizationUrl")
    }

    /// The whole way of somebody who is `subject` at the provider, from where it was sent to what
    /// the callback answers.
    pub(crate) async fn sign_in(&self, authorization: &str, subject: &str) -> Reply {
        let back = self.approve(authorization, subject).await;
        self.follow(&back).await
    }

    /// Fills the provider's form; where it sends the browser.
    pub(crate) async fn approve(&self, authorization: &str, subject: &str) -> String {
        self.answer(authorization, &format!("sub={subject}")).await
    }

    /// Says no at the provider; where it sends the browser.
    pub(crate) async fn deny(&self, authorization: &str) -> String {
        self.answer(authorization, "action=deny").await
    }

    /// Follows a link to the site.
    pub(crate) async fn follow(&self, url: &str) -> Reply {
        let path = url.strip_prefix(&self.site.base);
        self.get(path.unwrap_or_else(|| panic!("{url} leads elsewhere")))
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        let request = self.site.client.get(format!("{}{path}", self.site.base));
        self.send(request).await
    }

    /// As a page that wants the session itself.
    pub(crate) async fn fetch(&self, url: &str) -> Reply {
        let request = self.site.client.get(url);
        self.send(request.header("accept", "application/json"))
            .await
    }

    /// Exchanges the code that the browser was sent back with.
    pub(crate) async fn redeem(&self, code: &str) -> Reply {
        let url = format!("{}/api/auth/oidc/session", self.site.base);
        let request = self.site.client.post(url).json(&json!({ "code": code }));
        self.send(request).await
    }

    async fn answer(&self, authorization: &str, form: &str) -> String {
        let request = self.site.client.post(authorization).body(form.to_owned());
        let kind = "application/x-www-form-urlencoded";
        let reply = read(request.header("content-type", kind)).await;
        assert_eq!(reply.status, 302, "{reply:?}");
        reply.location
    }

    async fn send(&self, request: RequestBuilder) -> Reply {
        let cookie = self.cookie.lock().expect("unspoiled").clone();
        let request = match cookie {
            Some(cookie) => request.header("cookie", format!("other=1; {cookie}")),
            None => request,
        };
        let response = request.send().await.expect("an answer");
        if let Some(set) = response.headers().get("set-cookie") {
            let set = set.to_str().expect("a text");
            assert!(
                set.contains("HttpOnly") && set.contains("SameSite=Lax"),
                "{set}"
            );
            let pair = set.split(';').next().expect("a pair").to_owned();
            *self.cookie.lock().expect("unspoiled") = Some(pair);
        }
        Reply::of(response).await
    }
}

/// The value of a parameter in the query of an address.
pub(crate) fn parameter(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').expect("a query");
    let query = query.split('#').next().unwrap_or_default();
    let found = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then(|| value.to_owned()));
    found.unwrap_or_else(|| panic!("no {name} in {url}"))
}
