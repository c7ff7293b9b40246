//! The bugs that the proofs are held against.

/// Declares the bugs with their names.
macro_rules! mutations {
    ($($(#[$doc:meta])* $mutation:ident = $name:literal;)+) => {
        /// A bug that somebody could write, and that a test must find.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation { $($(#[$doc])* $mutation),+ }

        impl Mutation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mutation),+];

            /// The name that switches it on.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$mutation => $name),+ }
            }
        }
    };
}

mutations! {
    /// A consumer commits its effects first and its checkpoint afterwards.
    CheckpointAfterCommit = "checkpoint_after_commit";
    /// The log gives out positions without the lock on its head.
    AppendWithoutLock = "append_without_lock";
    /// An undo that nobody confirms is asked for once and never again.
    CompensationNotRepeated = "compensation_not_repeated";
    /// A participant does what it is asked although the saga has taken it back already.
    BarrierSkipped = "barrier_skipped";
    /// The log takes an event that it has for a new one.
    DedupOff = "dedup_off";
    /// A deadline is judged by the clock of the replica and not by the database's.
    DeadlineByLocalClock = "deadline_by_local_clock";
    /// A reply that comes after the decision counts.
    LateReplyAccepted = "late_reply_accepted";
}

impl Mutation {
    /// Finds the bug of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|mutation| mutation.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_by_its_name() {
        for mutation in Mutation::ALL {
            assert_eq!(Mutation::parse(mutation.name()), Some(*mutation));
        }
        assert_eq!(Mutation::parse("none"), None);
    }
}
