//! Flags that were rolled back and still are.

use reqwest::Method;

use super::{Finding, Runbook, Seen, items};
use crate::verbs::Context;

pub(super) async fn check(context: &Context, seen: &mut Seen) {
    let client = &context.client;
    let answer = client.admin(Method::GET, "/admin/flags", None).await;
    let Some(answer) = seen.answered("gateway", answer) else {
        return;
    };
    for flag in items(&answer).filter(|flag| flag["killed"] == true) {
        let id = flag["id"].as_str().unwrap_or_default();
        seen.found.push(Finding {
            place: id.to_owned(),
            what: "is rolled back: everybody is on legacy".to_owned(),
            act: format!("when mended: banyan flags set {id} --killed false --reason …"),
            runbook: Runbook::BadRelease,
        });
    }
}
