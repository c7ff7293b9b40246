//! Flags that were rolled back and still are.

use reqwest::Method;

use super::{Finding, Runbook, items};
use crate::verbs::Context;

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let client = &context.client;
    let Ok(answer) = client.admin(Method::GET, "/admin/flags", None).await else {
        return Vec::new();
    };
    items(&answer)
        .filter(|flag| flag["killed"] == true)
        .map(|flag| {
            let id = flag["id"].as_str().unwrap_or_default();
            Finding {
                place: id.to_owned(),
                what: "is rolled back: everybody is on legacy".to_owned(),
                act: format!("when mended: banyan flags set {id} --killed false --reason …"),
                runbook: Runbook::BadRelease,
            }
        })
        .collect()
}
