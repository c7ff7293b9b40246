//! Sagas that wait for an operator.

use reqwest::Method;

use super::{Finding, Runbook, Seen, items};
use crate::verbs::Context;

/// Sagas in one list at most; the owner gives no more.
const SHOWN: usize = 200;

/// A saga that began this long ago and is still being taken back: its deadline is 5 s, and a
/// participant that is there confirms at once.
const TAKEN_BACK_WITHIN: u32 = 15;

/// A state, how old a saga in it must be, what to say of it, and what to do.
type Kind = (&'static str, u32, &'static str, &'static str, Runbook);

const KINDS: [Kind; 3] = [
    (
        "compensating",
        TAKEN_BACK_WITHIN,
        "are being taken back for long: a participant does not confirm",
        "banyan sagas show ID: whose undo is not confirmed?",
        Runbook::SagaTimeouts,
    ),
    (
        "needs_intervention",
        0,
        "wait for an operator",
        "banyan sagas show ID, then retry, resolve --outcome undone, or abandon",
        Runbook::SagaTimeouts,
    ),
    (
        "parked",
        0,
        "are of a definition that is not here",
        "run the version of the service that knows it",
        Runbook::BadRelease,
    ),
];

pub(super) async fn check(context: &Context, seen: &mut Seen) {
    for (state, older_than, what, act, runbook) in KINDS {
        let path = format!("/ops/sagas?state={state}&olderThan={older_than}&limit={SHOWN}");
        let answer = context.client.ops("quiz", Method::GET, &path, None).await;
        let Some(answer) = seen.answered("quiz", answer) else {
            return;
        };
        let count = items(&answer).count();
        if count > 0 {
            let more = if count == SHOWN { " or more" } else { "" };
            seen.found.push(Finding {
                place: "quiz".to_owned(),
                what: format!("{count}{more} sagas {what}"),
                act: act.to_owned(),
                runbook,
            });
        }
    }
}
