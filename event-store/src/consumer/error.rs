use std::fmt;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a handler did not take an event, by what should happen next.
#[derive(Debug)]
pub struct HandlerError {
    fault: Fault,
    cause: Cause,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The surroundings': tried again for ever, with growing pauses; nothing is skipped.
    Transient,
    /// Unclear: tried again some times, then parked.
    Unclear,
    /// The event's: parked at once.
    Poison,
}

impl Fault {
    /// The name in traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Unclear => "unclear",
            Self::Poison => "poison",
        }
    }
}

impl HandlerError {
    /// A repeat will succeed once the surroundings are well again.
    pub fn transient(cause: impl Into<Cause>) -> Self {
        Self {
            fault: Fault::Transient,
            cause: cause.into(),
        }
    }

    /// A repeat may or may not help.
    pub fn unclear(cause: impl Into<Cause>) -> Self {
        Self {
            fault: Fault::Unclear,
            cause: cause.into(),
        }
    }

    /// A repeat cannot help.
    pub fn poison(cause: impl Into<Cause>) -> Self {
        Self {
            fault: Fault::Poison,
            cause: cause.into(),
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for HandlerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

impl From<database::Error> for HandlerError {
    /// A lost connection or a deadlock is transient; a constraint or a missing row may come from a
    /// race, so it is unclear.
    fn from(error: database::Error) -> Self {
        if error.is_transient() {
            Self::transient(error)
        } else {
            Self::unclear(error)
        }
    }
}

impl From<crate::AppendError> for HandlerError {
    fn from(error: crate::AppendError) -> Self {
        if error.is_transient() {
            Self::transient(error)
        } else {
            Self::unclear(error)
        }
    }
}

impl From<serde_json::Error> for HandlerError {
    /// A payload that cannot be read stays unreadable.
    fn from(error: serde_json::Error) -> Self {
        Self::poison(error)
    }
}
