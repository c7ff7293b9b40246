//! Sign-ins that took too long, and accounts that go.

use database::params;
use serde_json::json;
use testkit::Backend;

use crate::{
    browser::{Browser, parameter},
    liar::Liar,
    site::{PROVIDER, Reply, Site, settings},
};

testkit::both_databases!(
    a_sign_in_that_took_too_long_is_over,
    a_code_that_was_kept_too_long_is_no_good,
    what_is_over_is_cleared_away_by_what_comes_after_it,
    whoever_was_deleted_and_signs_in_again_is_somebody_new,
    a_link_of_a_deleted_user_is_over,
);

async fn finish(browser: &Browser<'_>, query: &str) -> Reply {
    let callback = format!("/api/auth/oidc/{PROVIDER}/callback{query}");
    browser.get(&callback).await
}

/// Lets the time of everything in a table run out.
async fn age(site: &Site, table: &'static str) {
    let sql = match table {
        "oidc_codes" => "UPDATE oidc_codes SET expires_at = $1",
        _ => "UPDATE oidc_sign_ins SET expires_at = $1",
    };
    let long_ago = database::Timestamp::from_micros(1);
    let db = site.database().await;
    db.execute(sql, params![long_ago]).await.expect("aged");
}

async fn a_sign_in_that_took_too_long_is_over(backend: Backend) {
    let liar = Liar::start().await;
    let site = Site::start(backend, settings(&liar.issuer)).await;
    let browser = Browser::new(&site);
    let query = liar.approve(&browser.begin("").await);
    age(&site, "oidc_sign_ins").await;
    let refused = finish(&browser, &query).await;
    assert_eq!(refused.problem(), (403, "sign_in_expired"));
    let again = finish(&browser, &query).await;
    assert_eq!(again.problem(), (403, "invalid_state"));
}

async fn a_code_that_was_kept_too_long_is_no_good(backend: Backend) {
    let liar = Liar::start().await;
    let site = Site::start(backend, settings(&liar.issuer)).await;
    let browser = Browser::new(&site);
    let query = liar.approve(&browser.begin("?returnTo=/play").await);
    let back = finish(&browser, &query).await;
    age(&site, "oidc_codes").await;
    let code = parameter(&back.location, "code");
    assert_eq!(browser.redeem(&code).await.problem(), (401, "invalid_code"));
}

async fn what_is_over_is_cleared_away_by_what_comes_after_it(backend: Backend) {
    let liar = Liar::start().await;
    let site = Site::start(backend, settings(&liar.issuer)).await;
    let browser = Browser::new(&site);
    for _ in 0..5 {
        browser.begin("").await;
    }
    age(&site, "oidc_sign_ins").await;
    browser.begin("").await;
    let db = site.database().await;
    let (waiting,): (i64,) = db
        .fetch_one("SELECT COUNT(*) FROM oidc_sign_ins", params![])
        .await
        .expect("a number");
    assert_eq!(waiting, 1);
}

async fn whoever_was_deleted_and_signs_in_again_is_somebody_new(backend: Backend) {
    let liar = Liar::start().await;
    let site = Site::start(backend, settings(&liar.issuer)).await;
    let browser = Browser::new(&site);
    let query = liar.approve(&browser.begin("").await);
    let first = finish(&browser, &query).await;
    let token = first.text("/accessToken");
    let gone = site.delete("/api/auth/profile", &token).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    let query = liar.approve(&browser.begin("").await);
    let second = finish(&browser, &query).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_ne!(second.text("/user/id"), first.text("/user/id"));
}

async fn a_link_of_a_deleted_user_is_over(backend: Backend) {
    let liar = Liar::start().await;
    let site = Site::start(backend, settings(&liar.issuer)).await;
    let guest = site.guest().await;
    let token = guest.text("/accessToken");
    let browser = Browser::new(&site);
    let query = liar.approve(&browser.begin_link(&token, "").await);
    let gone = site.delete("/api/auth/profile", &token).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    let refused = finish(&browser, &query).await;
    assert_eq!(refused.problem(), (403, "invalid_state"));
    let path = format!("/api/auth/oidc/{PROVIDER}/link");
    let refused = site.post_as(&path, &token, json!({})).await;
    assert_eq!(refused.problem(), (401, "account_deleted"));
}
