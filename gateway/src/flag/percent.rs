//! A flag's percent, kept as hundredths.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A share of the subjects in hundredths of a percent: 0 to 10 000. Finer input is refused, since
/// it would be rounded to something that nobody asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u16);

/// Why a number is no percent.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidPercent {
    /// Below 0 or above 100, or no number.
    #[error("{0} is not within 0 and 100")]
    OutOfRange(f64),
    /// More than two decimals.
    #[error("{0} has more than two decimals")]
    TooFine(f64),
}

impl Percent {
    /// Nobody.
    pub const ZERO: Self = Self(0);
    /// Everybody.
    pub const FULL: Self = Self(10_000);

    /// From hundredths of a percent.
    ///
    /// # Errors
    /// Above 10 000.
    pub fn from_hundredths(hundredths: u16) -> Result<Self, InvalidPercent> {
        if hundredths > Self::FULL.0 {
            return Err(InvalidPercent::OutOfRange(f64::from(hundredths) / 100.0));
        }
        Ok(Self(hundredths))
    }

    /// From a percent with at most two decimals, as it is written in files and bodies.
    ///
    /// # Errors
    /// Out of range, not a number, or finer than two decimals.
    pub fn from_number(percent: f64) -> Result<Self, InvalidPercent> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(InvalidPercent::OutOfRange(percent));
        }
        let hundredths = (percent * 100.0).round();
        // Two decimals are exact to about 1e-12 here; a third decimal is off by 0.1 at least.
        if (percent * 100.0 - hundredths).abs() > 1e-6 {
            return Err(InvalidPercent::TooFine(percent));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 10 000 by the check above"
        )]
        Ok(Self(hundredths as u16))
    }

    /// Hundredths of a percent, 0 to 10 000: a subject is over when its bucket is below this.
    #[must_use]
    pub fn hundredths(self) -> u16 {
        self.0
    }

    /// As a number, `12.5` for 1250 hundredths.
    #[must_use]
    pub fn as_number(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.as_number())
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_number())
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_number(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hundredth_survives_being_written_and_read() {
        for hundredths in 0..=10_000 {
            let percent = Percent::from_hundredths(hundredths).unwrap();
            assert_eq!(Percent::from_number(percent.as_number()), Ok(percent));
        }
    }

    #[test]
    fn finer_or_impossible_percents_are_refused() {
        for wrong in [12.345, 0.001, 99.999] {
            assert_eq!(
                Percent::from_number(wrong),
                Err(InvalidPercent::TooFine(wrong))
            );
        }
        for wrong in [-0.01, 100.01, f64::INFINITY] {
            assert_eq!(
                Percent::from_number(wrong),
                Err(InvalidPercent::OutOfRange(wrong))
            );
        }
        assert!(Percent::from_number(f64::NAN).is_err());
        assert!(Percent::from_hundredths(10_001).is_err());
    }
}
