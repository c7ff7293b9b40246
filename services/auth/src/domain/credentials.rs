//! What people type: e-mail addresses, passwords, names.

use std::fmt;

use thiserror::Error;

/// Octets of an address at most: what SMTP's path leaves of 256 (RFC 5321, 4.5.3.1.3).
const EMAIL_MAX: usize = 254;
/// Fewer characters are guessed too soon.
const PASSWORD_MIN: usize = 8;
/// More would only make hashing a way to keep the service busy.
const PASSWORD_MAX: usize = 128;
/// What a line of a leaderboard has room for.
const DISPLAY_NAME_MAX: usize = 40;

/// A field of a request that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} {reason}")]
pub struct InvalidField {
    /// The field as the request calls it.
    pub field: &'static str,
    /// What is wrong with it, to read after its name.
    pub reason: &'static str,
}

/// An e-mail address: as typed, and the form that logins and uniqueness go by.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    typed: String,
    key: String,
}

/// A password as typed; it never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// The name that others see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl Email {
    /// # Errors
    /// When it is not an ASCII address whose parts are dot-atoms (RFC 5322, 3.2.3; RFC 1035, 2.3.1):
    /// what every mail server takes, and nothing that could mean more than one recipient. Whether
    /// it exists, only a mail could tell.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        let typed = text.trim();
        let wrong = |reason| {
            Err(InvalidField {
                field: "email",
                reason,
            })
        };
        if typed.len() > EMAIL_MAX {
            return wrong("has more than 254 bytes");
        }
        let well_formed = typed.rsplit_once('@').is_some_and(|(local, domain)| {
            local.split('.').all(is_atom) && domain.contains('.') && domain.split('.').all(is_label)
        });
        if !well_formed {
            return wrong("must look like name@example.org");
        }
        Ok(Self {
            typed: typed.to_owned(),
            key: Self::key_of(typed),
        })
    }

    /// The form that addresses are compared in; also for text that is no address, so that a login
    /// with nonsense is looked up, and fails, like any other.
    #[must_use]
    pub fn key_of(text: &str) -> String {
        text.trim().to_lowercase()
    }

    /// As typed, without the spaces around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// What logins and uniqueness go by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

impl Password {
    /// `field` is what the request calls it.
    ///
    /// # Errors
    /// When it is too short or too long, or has characters that nobody types.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, InvalidField> {
        if text.chars().any(char::is_control) {
            return Err(InvalidField {
                field,
                reason: "must not contain control characters",
            });
        }
        match text.chars().count() {
            ..PASSWORD_MIN => Err(InvalidField {
                field,
                reason: "has fewer than 8 characters",
            }),
            PASSWORD_MIN..=PASSWORD_MAX => Ok(Self(text.to_owned())),
            _ => Err(InvalidField {
                field,
                reason: "has more than 128 characters",
            }),
        }
    }

    /// A password given at a login. One of impossible length is cut short: it fits no hash
    /// anyway, and its length must not cost more than another's.
    #[must_use]
    pub fn attempted(text: &str) -> Self {
        Self(text.chars().take(PASSWORD_MAX + 1).collect())
    }

    /// Checks a field that nobody may need to look at, of an account without a password, so that
    /// what is accepted does not depend on the account.
    ///
    /// # Errors
    /// When it is longer than any password.
    pub fn check_length(field: &'static str, text: &str) -> Result<(), InvalidField> {
        if text.chars().count() > PASSWORD_MAX {
            return Err(InvalidField {
                field,
                reason: "has more than 128 characters",
            });
        }
        Ok(())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl DisplayName {
    /// # Errors
    /// When it is empty, too long or not printable.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        let field = "displayName";
        let length = text.chars().count();
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(InvalidField {
                field,
                reason: "must not contain control characters",
            });
        }
        if text.is_empty() {
            return Err(InvalidField {
                field,
                reason: "is empty",
            });
        }
        if length > DISPLAY_NAME_MAX {
            return Err(InvalidField {
                field,
                reason: "has more than 40 characters",
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An atom of RFC 5322, 3.2.3.
fn is_atom(text: &str) -> bool {
    let is_atext =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    !text.is_empty() && text.bytes().all(is_atext)
}

/// A label of a host name.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_case_and_kept_as_typed() {
        let email = Email::parse(" Ada@Example.ORG ").unwrap();
        assert_eq!(email.as_str(), "Ada@Example.ORG");
        assert_eq!(email.key(), "ada@example.org");
    }

    #[test]
    fn what_is_no_address_is_refused_naming_the_field() {
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@host",
            "a b@c.de",
            "a@b@c.de",
            "a@.de",
            "a..b@c.de",
            ".a@c.de",
            "a@-c.de",
            "a@c-.de",
            "ada@example.org\r\nBcc: eve@example.org",
            "ada@example.org, eve@example.org",
            "<ada@example.org>",
            "\"ada\"@example.org",
            "ada@exämple.org",
            "a\0@c.de",
        ] {
            assert_eq!(Email::parse(text).unwrap_err().field, "email", "{text}");
        }
        assert!(Email::parse(&format!("{}@example.org", "x".repeat(250))).is_err());
    }

    #[test]
    fn passwords_have_eight_to_a_hundred_and_twenty_eight_characters() {
        assert!(Password::parse("password", "1234567").is_err());
        assert!(Password::parse("password", "ääääääää").is_ok());
        assert!(Password::parse("password", &"x".repeat(128)).is_ok());
        assert!(Password::parse("password", "12345678\0").is_err());
        let error = Password::parse("newPassword", &"x".repeat(129)).unwrap_err();
        assert_eq!(error.field, "newPassword");
    }

    #[test]
    fn names_are_trimmed_and_have_one_to_forty_characters() {
        assert_eq!(DisplayName::parse("  Ada  ").unwrap().as_str(), "Ada");
        for text in ["", "   ", "a\u{7}b", &"x".repeat(41)] {
            assert_eq!(DisplayName::parse(text).unwrap_err().field, "displayName");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let shown = format!(
            "{:?} {:?}",
            Password::attempted("correct horse"),
            Email::parse("ada@example.org").unwrap()
        );
        assert!(!shown.contains("horse") && !shown.contains("ada"));
    }
}
