//! Password hashes: argon2id in the PHC string format, so that a stored hash says how it was made.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use thiserror::Error;

use super::Password;

/// Bytes of salt (RFC 9106, 3.1 recommends 16).
pub const SALT_LENGTH: usize = 16;

/// Memory per hash in KiB, passes and lanes: the OWASP recommendation with the least memory that
/// it lists for argon2id with two passes; about 20 ms of one core.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Made with the parameters above from a password that nobody knows. Verifying against it takes as
/// long as against a real one, which hides whether an e-mail address is known.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cy1zYWx0LTE2Yg$\
                       q2TUMP0JZ5pVfwUmgVZr9cdEbqhKWGcoPvKAuMbJdGw";

/// A stored hash, argon2id as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// The hash could not be computed or read: a fault of ours, not of the password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("password hash: {0}")]
pub struct UnusableHash(String);

impl PasswordHash {
    /// Hashes `password`; slow on purpose, so never on a thread that serves requests.
    ///
    /// # Errors
    /// When memory for it is not to be had.
    pub fn of(password: &Password, salt: &[u8; SALT_LENGTH]) -> Result<Self, UnusableHash> {
        let hash: phc::PasswordHash = argon2()?
            .hash_password_with_salt(password.as_bytes(), salt)
            .map_err(|error| UnusableHash(error.to_string()))?;
        Ok(Self(hash.to_string()))
    }

    /// A hash as it was stored.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// A hash that no password fits; see [`PasswordHash::fits`].
    #[must_use]
    pub fn nobodys() -> Self {
        Self(NOBODYS.to_owned())
    }

    /// Whether it was made from `password`; as slow as [`PasswordHash::of`].
    ///
    /// # Errors
    /// When the stored text is no hash, or memory is not to be had.
    pub fn fits(&self, password: &Password) -> Result<bool, UnusableHash> {
        let unusable = |error: &dyn std::fmt::Display| UnusableHash(error.to_string());
        let hash = phc::PasswordHash::new(&self.0).map_err(|error| unusable(&error))?;
        match argon2()?.verify_password(password.as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(unusable(&error)),
        }
    }

    /// The PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

fn argon2() -> Result<Argon2<'static>, UnusableHash> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| UnusableHash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_fits_its_password_and_no_other() {
        let hash = PasswordHash::of(&Password::attempted("correct horse"), &[7; 16]).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let stored = PasswordHash::stored(hash.as_str().to_owned());
        assert!(stored.fits(&Password::attempted("correct horse")).unwrap());
        assert!(!stored.fits(&Password::attempted("correct horsf")).unwrap());
    }

    #[test]
    fn the_same_password_with_another_salt_gives_another_hash() {
        let password = Password::attempted("correct horse");
        let one = PasswordHash::of(&password, &[1; 16]).unwrap();
        let other = PasswordHash::of(&password, &[2; 16]).unwrap();
        assert_ne!(one, other);
    }

    #[test]
    fn nobodys_hash_is_a_real_one_that_fits_nothing() {
        assert!(
            !PasswordHash::nobodys()
                .fits(&Password::attempted("password"))
                .unwrap()
        );
    }

    #[test]
    fn text_that_is_no_hash_is_a_fault_and_no_refusal() {
        assert!(
            PasswordHash::stored("md5".to_owned())
                .fits(&Password::attempted("x"))
                .is_err()
        );
    }
}
