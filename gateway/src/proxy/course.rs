//! Which side a request goes to, and what its client is to remember of it.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;

use super::Call;
use super::admission::Admitted;
use super::flip::Watch;
use crate::flag::{self, FlagState, Side, SubjectSource};
use crate::identity::Identity;
use crate::subject::{self, CookieSigner, Remembered, Subject};

/// The course of one request.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) side: Side,
    /// Whom the flag decided for.
    pub(super) subject: Option<String>,
    /// True when the client did not bring the subject: another request of the same client without
    /// our cookie would have another one.
    pub(super) is_minted: bool,
    /// What the client is to be given as its cookie.
    pub(super) cookie: Option<Remembered>,
    /// What this was decided by, on routes whose long answers end when the decision changes.
    pub(super) watch: Option<Box<Watch>>,
}

/// Decides. One state of the flag decides and is recorded.
pub(super) fn choose(
    signer: &CookieSigner,
    admitted: &Admitted<'_>,
    call: &Call,
    headers: &HeaderMap,
    identity: Option<&Identity>,
) -> Course {
    let Some(cell) = &admitted.route.flag else {
        return Course {
            side: Side::Legacy,
            subject: None,
            is_minted: false,
            cookie: None,
            watch: None,
        };
    };
    let state = cell.load();
    // Whoever names the subject: the stamp is in the cookie.
    let known = signer.read(headers);
    let found = subject::find(
        &state.settings,
        headers,
        identity,
        known.as_ref(),
        call.client,
    );
    let has_name = known
        .as_ref()
        .is_some_and(|known| !known.subject.is_empty());
    let mut minted = match &found {
        Subject::ToMint => Some(Remembered::new(rand::random())),
        // Known by nothing but its address: that is what it is remembered by.
        Subject::Found(subject) if !has_name && is_address(&state, call, subject) => {
            Some(Remembered::addressed(call.client))
        }
        _ => None,
    };
    if let (Some(minted), Some(nameless)) = (&mut minted, &known) {
        minted.stamps.clone_from(&nameless.stamps);
    }
    let subject = match (found, &minted) {
        (Subject::Found(subject), _) => Some(subject),
        (_, Some(minted)) => Some(minted.subject.clone()),
        _ => None,
    };
    let is_stamped = known
        .as_ref()
        .is_some_and(|known| known.is_stamped(state.id.as_str()));
    let decision = flag::decide(&state, subject.as_deref(), is_stamped, headers);
    let cookie = match &minted {
        Some(minted) => {
            restamp(Cow::Borrowed(minted), &state, decision.side).or_else(|| Some(minted.clone()))
        }
        None => {
            let known = known.unwrap_or_else(Remembered::nameless);
            restamp(Cow::Owned(known), &state, decision.side)
        }
    };
    let watch = admitted.route.config.close_on_flip.then(|| {
        Box::new(Watch {
            flag: Arc::clone(cell),
            subject: subject.clone(),
            headers: headers.clone(),
            is_stamped,
            side: decision.side,
        })
    });
    Course {
        watch,
        side: decision.side,
        subject,
        is_minted: minted.is_some(),
        cookie,
    }
}

/// True when only the address named the subject, where the cookie would have come first.
fn is_address(state: &FlagState, call: &Call, subject: &str) -> bool {
    let sources = &state.settings.subject;
    let before = sources
        .iter()
        .position(|source| *source == SubjectSource::Ip);
    let cookie_first = before.is_some_and(|before| sources[..before].iter().any(is_own_cookie));
    cookie_first && subject == call.client.to_string()
}

fn is_own_cookie(source: &SubjectSource) -> bool {
    matches!(source, SubjectSource::Cookie(name) if name == subject::COOKIE)
}

/// The cookie with the flag's stamp put on or taken off, if that changes it. While a flag drains
/// or is killed stamps stay as they are: they say where the client was before.
fn restamp(known: Cow<'_, Remembered>, state: &FlagState, side: Side) -> Option<Remembered> {
    let id = state.id.as_str();
    let is_frozen = state.killed || state.settings.drain;
    match (side, known.is_stamped(id)) {
        (Side::Candidate, false) => {
            let mut stamped = known.into_owned();
            stamped.stamp(id);
            Some(stamped)
        }
        (Side::Legacy, true) if !is_frozen => {
            let mut unstamped = known.into_owned();
            unstamped.unstamp(id);
            Some(unstamped)
        }
        _ => None,
    }
}
