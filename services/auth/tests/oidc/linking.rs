//! Who has an account already and adds an identity to it.

use serde_json::json;
use testkit::Backend;

use crate::{
    browser::{Browser, parameter},
    provider::Provider,
    site::{PROVIDER, Site, settings},
};

testkit::both_databases!(
    a_guest_who_links_an_identity_becomes_a_user_and_stays_the_same,
    a_user_who_links_an_identity_signs_in_with_it_afterwards,
    an_identity_of_somebody_else_is_not_linked,
    linking_again_changes_nothing,
    only_the_browser_that_began_to_link_finishes_it,
    a_link_needs_a_token,
    a_link_that_a_thief_began_ends_with_the_logins,
);

async fn a_guest_who_links_an_identity_becomes_a_user_and_stays_the_same(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let guest = site.guest().await;
    let browser = Browser::new(&site);
    let way = browser.begin_link(&guest.text("/accessToken"), "").await;
    let linked = browser.sign_in(&way, "ada").await;
    assert_eq!(linked.status, 200, "{linked:?}");
    let id = guest.text("/user/id");
    assert_eq!(linked.text("/user/id"), id);
    assert_eq!(linked.body["user"]["roles"], json!(["user"]));
    assert_eq!(linked.text("/user/displayName"), "Ada Lovelace");

    let again = Browser::new(&site);
    let signed_in = again.sign_in(&again.begin("").await, "ada").await;
    assert_eq!(signed_in.text("/user/id"), id);
    let events = site.events(&id, 5).await;
    let (kind, payload) = &events[2];
    assert_eq!(kind, "user.updated", "{events:?}");
    assert_eq!(payload["roles"], json!(["user"]));
    let old = json!({ "refreshToken": guest.text("/refreshToken") });
    let refreshed = site.post("/api/auth/refresh", old).await;
    assert_eq!(refreshed.body["user"]["roles"], json!(["user"]));
}

async fn a_user_who_links_an_identity_signs_in_with_it_afterwards(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let ada = site.register("ada@example.org").await;
    let browser = Browser::new(&site);
    let token = ada.text("/accessToken");
    let way = browser.begin_link(&token, "?returnTo=/profile").await;
    let reply = browser.sign_in(&way, "somebody").await;
    let session = browser.redeem(&parameter(&reply.location, "code")).await;
    assert_eq!(session.text("/user/id"), ada.text("/user/id"));
    assert_eq!(session.text("/user/displayName"), "Ada", "her name stays");

    let again = Browser::new(&site);
    let signed_in = again.sign_in(&again.begin("").await, "somebody").await;
    assert_eq!(signed_in.text("/user/id"), ada.text("/user/id"));
    let login = json!({ "email": "ada@example.org", "password": "correct horse" });
    assert_eq!(site.post("/api/auth/login", login).await.status, 200);
}

async fn an_identity_of_somebody_else_is_not_linked(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    browser.sign_in(&browser.begin("").await, "ada").await;
    let guest = site.guest().await;
    let token = guest.text("/accessToken");
    let refused = browser
        .sign_in(&browser.begin_link(&token, "").await, "ada")
        .await;
    assert_eq!(refused.problem(), (409, "identity_taken"));
    let profile = site.get("/api/auth/profile", Some(&token)).await;
    assert_eq!(profile.body["roles"], json!(["guest"]));
}

async fn linking_again_changes_nothing(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let browser = Browser::new(&site);
    let ada = browser.sign_in(&browser.begin("").await, "ada").await;
    let way = browser.begin_link(&ada.text("/accessToken"), "").await;
    let again = browser.sign_in(&way, "ada").await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.text("/user/id"), ada.text("/user/id"));
}

async fn only_the_browser_that_began_to_link_finishes_it(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let attacker = site.guest().await;
    let (own, victims) = (Browser::new(&site), Browser::new(&site));
    let way = own.begin_link(&attacker.text("/accessToken"), "").await;
    // The victim, who is Ada at the provider, is lured to the address that the attacker got.
    let refused = victims.sign_in(&way, "ada").await;
    assert_eq!(refused.problem(), (403, "other_browser"));
    let ada = victims.sign_in(&victims.begin("").await, "ada").await;
    assert_ne!(ada.text("/user/id"), attacker.text("/user/id"));
}

async fn a_link_needs_a_token(backend: Backend) {
    let provider = Provider::down();
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let path = format!("/api/auth/oidc/{PROVIDER}/link");
    let refused = site.post(&path, json!({})).await;
    assert_eq!(refused.problem(), (401, "unauthenticated"));
}

async fn a_link_that_a_thief_began_ends_with_the_logins(backend: Backend) {
    let provider = Provider::up().await;
    let site = Site::start(backend, settings(&provider.issuer())).await;
    let token = site.register("ada@example.org").await.text("/accessToken");
    let thief = Browser::new(&site);
    let (first, second) = (
        thief.begin_link(&token, "").await,
        thief.begin_link(&token, "?returnTo=/").await,
    );
    let back = thief.sign_in(&second, "thief").await;
    let code = parameter(&back.location, "code");
    let change = json!({ "currentPassword": "correct horse", "newPassword": "battery staple" });
    let changed = site.post_as("/api/auth/password", &token, change).await;
    assert_eq!(changed.status, 204, "{changed:?}");
    let refused = thief.redeem(&code).await;
    assert_eq!(refused.problem(), (401, "invalid_code"));
    let refused = thief.sign_in(&first, "thief's other").await;
    assert_eq!(refused.problem(), (403, "invalid_state"));
}
