//! What is wrong with a configuration.

use std::{fmt, path::Path};

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// `routes.answers.candidate`; empty for the file as a whole.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// All faults of a configuration, at least one, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}

impl Faults {
    pub(super) fn of_file(path: &Path, message: &str) -> Self {
        let message = format!("{}: {message}", path.display());
        Self(vec![Fault {
            key: String::new(),
            message,
        }])
    }
}

/// One line for each fault.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// For `main`, which reports the faults of every process in the same way and exits 64.
impl From<Faults> for chassis::config::Faults {
    fn from(faults: Faults) -> Self {
        Self(faults.0.iter().map(ToString::to_string).collect())
    }
}
