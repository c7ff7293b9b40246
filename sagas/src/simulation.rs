//! A definition, run against scripted replies on a virtual clock: what would happen, without a
//! database, a log or a participant.
//!
//! Invariant: a saga moves here by [`transition()`](crate::transition()) alone, as it does in the
//! engine; what this module decides is only the order of what the script brings. At one instant
//! replies come first, then operators' acts, then timers: a reply that lies in the log wins over a
//! deadline.

mod report;
mod run;
mod script;

pub use self::{
    report::{Entry, Report, What},
    script::{Act, Local, Reply, Says, Script, ScriptFault},
};
use crate::definition::Definition;

impl Script {
    /// Runs `definition` as this script says, until the saga has ended and nothing of the script is
    /// left, or until nothing more will happen.
    ///
    /// # Errors
    /// [`ScriptFault`]: all that is wrong with the script, before anything has run.
    pub fn run(&self, definition: &Definition) -> Result<Report, Vec<ScriptFault>> {
        self.check(definition)?;
        Ok(run::run(self, definition))
    }
}
