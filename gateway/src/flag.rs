//! Flags: who goes to the candidate.
//!
//! [`decide`] is a pure function of a flag's state, the subject and the request, so that every
//! replica, the admin API's `explain` and the CLI give the same answer. A flag's state lives in one
//! [`FlagCell`] that all routes under the flag share: they always move together.

mod change;
mod decide;
mod flags;
mod journal;
mod ledger;
mod log;
mod percent;
mod settings;
mod state;
mod state_file;

pub use change::{Change, Patch};
pub use decide::{Decision, Rule as DecidedBy, bucket, decide};
pub use flags::{Backing, ChangeError, Changed, FILE_ACTOR, Flags, Outcome};
pub use journal::{Cursor, Entry, Journal, JournalError, Page, RouteChange};
pub use ledger::{HISTORY_KEPT, Note};
pub use log::{EventLog, FOLLOWED};
pub use percent::{InvalidPercent, Percent};
pub use settings::{InvalidSetting, MAX_LISTED, MAX_RULES, Rule, Settings, Side, SubjectSource};
pub use state::{FlagCell, FlagState, Phase};
pub use state_file::{StateFile, StateFileError};

/// The longest name of somebody who changes a flag.
const MAX_ACTOR_LENGTH: usize = 64;

/// Whether the text can name who made a change: printable ASCII, 1 to 64 characters.
#[must_use]
pub fn is_actor(text: &str) -> bool {
    (1..=MAX_ACTOR_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}
