//! What does not become a sign-in, and what a provider that is down does to it.

use serde_json::json;
use testkit::Backend;

use crate::{
    browser::{Browser, parameter},
    provider::Provider,
    site::{PATIENCE, PROVIDER, Site, settings},
};

testkit::both_databases!(
    a_callback_is_good_once_and_in_its_own_browser,
    what_was_never_begun_is_refused,
    a_user_who_says_no_is_told_so_and_may_begin_again,
    a_code_that_the_provider_does_not_know_is_refused,
    a_browser_returns_to_no_other_site,
    a_provider_that_is_down_is_a_503_and_heals_by_itself,
);

async fn a_callback_is_good_once_and_in_its_own_browser(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    let back = browser.approve(&browser.begin("").await, "ada").await;
    assert_eq!(browser.follow(&back).await.status, 200);
    let replayed = browser.follow(&back).await;
    assert_eq!(replayed.problem(), (403, "invalid_state"));

    // Login forgery: the attacker's own way back, opened in the victim's browser.
    let back = browser.approve(&browser.begin("").await, "ada").await;
    let victim = Browser::new(&site);
    assert_eq!(victim.follow(&back).await.problem(), (403, "other_browser"));
    victim.begin("").await;
    let back = browser.approve(&browser.begin("").await, "ada").await;
    assert_eq!(victim.follow(&back).await.problem(), (403, "other_browser"));
    // The attempt has used it up.
    let used = browser.follow(&back).await;
    assert_eq!(used.problem(), (403, "invalid_state"));
}

async fn what_was_never_begun_is_refused(backend: Backend) {
    let provider = Provider::down();
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    let callback = format!("/api/auth/oidc/{PROVIDER}/callback");
    for query in [
        "",
        "?code=x",
        "?state=x&code=x",
        "?state=%00&code=%00",
        &format!("?state={}&code=x", "A".repeat(43)),
        &format!("?state={}&error=access_denied", "A".repeat(43)),
    ] {
        let reply = browser.get(&format!("{callback}{query}")).await;
        assert_eq!(reply.problem(), (403, "invalid_state"), "{query}");
    }
    for path in ["/api/auth/oidc/nobody", "/api/auth/oidc/nobody/callback"] {
        let reply = browser.get(path).await;
        assert_eq!(reply.problem(), (404, "unknown_provider"), "{path}");
    }
    for code in ["x", "", &"A".repeat(43), "<script>"] {
        let reply = browser.redeem(code).await;
        assert_eq!(reply.problem(), (401, "invalid_code"), "{code}");
    }
    let unknown = json!({ "code": "x", "more": 1 });
    let reply = site.post("/api/auth/oidc/session", unknown).await;
    assert_eq!(reply.problem(), (422, "invalid_field"));
}

async fn a_user_who_says_no_is_told_so_and_may_begin_again(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    let way = browser.begin("").await;
    let state = parameter(&way, "state");
    // The mock forgets the state when somebody says no; a provider must not (RFC 6749, 4.1.2.1).
    let back = browser.deny(&way).await;
    let denied = browser.follow(&format!("{back}&state={state}")).await;
    assert_eq!(denied.problem(), (403, "access_denied"), "{denied:?}");
    assert_eq!(
        browser
            .sign_in(&browser.begin("").await, "ada")
            .await
            .status,
        200
    );
}

async fn a_code_that_the_provider_does_not_know_is_refused(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    let state = parameter(&browser.begin("").await, "state");
    let callback = format!("/api/auth/oidc/{PROVIDER}/callback?state={state}");
    let refused = browser.get(&format!("{callback}&code=made-up")).await;
    assert_eq!(refused.problem(), (400, "invalid_code"), "{refused:?}");
}

async fn a_browser_returns_to_no_other_site(backend: Backend) {
    let provider = Provider::down();
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    for path in [
        "//evil.example",
        "/%5Cevil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "play",
        "/%0d%0aLocation:%20//evil.example",
        "",
    ] {
        let reply = browser
            .get(&format!("/api/auth/oidc/{PROVIDER}?returnTo={path}"))
            .await;
        assert_eq!(reply.problem(), (400, "invalid_query"), "{path}");
        assert_eq!(reply.text("/field"), "returnTo");
    }
}

async fn a_provider_that_is_down_is_a_503_and_heals_by_itself(backend: Backend) {
    let mut provider = Provider::down();
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    let begin = format!("/api/auth/oidc/{PROVIDER}");
    let down = browser.get(&begin).await;
    assert_eq!(down.problem(), (503, "oidc_provider_unavailable"));
    assert_eq!(down.retry_after.as_deref(), Some("5"));

    provider.start().await;
    let way = testkit::eventually(PATIENCE, || async {
        let reply = browser.get(&begin).await;
        (reply.status == 303).then_some(reply.location)
    })
    .await;
    let back = browser.approve(&way, "ada").await;
    provider.stop();
    let down = browser.follow(&back).await;
    assert_eq!(down.problem(), (503, "oidc_provider_unavailable"));
    provider.start().await;
    // It has come up with another key.
    testkit::eventually(PATIENCE, || async {
        let healed = browser.sign_in(&browser.begin("").await, "ada").await;
        healed.status == 200
    })
    .await;
}
