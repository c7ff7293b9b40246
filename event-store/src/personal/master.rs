//! The master keys: what people's keys are sealed under where they are stored.

use std::{fmt, path::Path, sync::Arc};

use ring::aead::{LessSafeKey, NONCE_LEN};
use thiserror::Error;
use uuid::Uuid;

use super::{
    PersonalError,
    key::{self, LENGTH},
};

/// What is wrong with the setting; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct MasterFault(String);

/// The master keys of a process, the one that new keys are sealed under first. Clones share them.
#[derive(Clone)]
pub struct MasterKeys {
    keys: Arc<[Master]>,
}

struct Master {
    id: String,
    cipher: LessSafeKey,
}

/// Names and no keys.
impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.id))
            .finish()
    }
}

impl MasterKeys {
    /// Reads `NAME:DIGITS,NAME:DIGITS…`, each with 64 hexadecimal digits, or `file:PATH` of a file that
    /// has the same, also line by line. The first seals; the others open what they have sealed.
    ///
    /// # Errors
    /// What is wrong, without the setting's name or anything of a key.
    pub fn parse(setting: &str) -> Result<Self, MasterFault> {
        let setting = setting.trim();
        let text = match setting.strip_prefix("file:") {
            Some(path) => std::fs::read_to_string(Path::new(path))
                .map_err(|error| MasterFault(format!("cannot read {path}: {error}")))?,
            None => setting.to_owned(),
        };
        let given = text
            .split([',', '\n'])
            .map(str::trim)
            .filter(|key| !key.is_empty());
        let keys: Vec<Master> = given.map(master).collect::<Result<_, _>>()?;
        let fault = |text: &str| Err(MasterFault(text.to_owned()));
        if keys.is_empty() {
            return fault("has no key: `banyan personal new-key` makes one");
        }
        let is_twice =
            |(at, key): (usize, &Master)| keys[..at].iter().any(|other| other.id == key.id);
        if keys.iter().enumerate().any(is_twice) {
            return fault("has two keys of one name");
        }
        Ok(Self { keys: keys.into() })
    }

    /// A fresh key of that name, as the setting takes it.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub fn generate(name: &str) -> Result<String, PersonalError> {
        let digits: String = key::random()?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(format!("{name}:{digits}"))
    }

    /// Which key seals.
    pub fn current(&self) -> &str {
        &self.keys[0].id
    }

    /// A person's key as it is stored.
    pub(super) fn wrap(
        &self,
        subject: &str,
        id: Uuid,
        bytes: &[u8; LENGTH],
    ) -> Result<String, PersonalError> {
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&key::random()?[..NONCE_LEN]);
        let master = &self.keys[0];
        let sealed = key::seal(&master.cipher, nonce, &key::place(id, subject, ""), bytes);
        Ok(format!("{}.{sealed}", master.id))
    }

    /// The key that was stored for this person under this id.
    pub(super) fn unwrap(
        &self,
        subject: &str,
        id: Uuid,
        stored: &str,
    ) -> Result<[u8; LENGTH], PersonalError> {
        let fault = |why: String| PersonalError::Master {
            subject: subject.to_owned(),
            why,
        };
        let (name, sealed) = stored.split_once('.').unwrap_or_default();
        let Some(master) = self.keys.iter().find(|key| key.id == name) else {
            return Err(fault(format!("there is no master key {name:?} in it")));
        };
        let bytes = key::open(&master.cipher, &key::place(id, subject, ""), sealed);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| fault(format!("the master key {name:?} is another one")))
    }
}

fn master(text: &str) -> Result<Master, MasterFault> {
    let fault = |text: String| Err(MasterFault(text));
    let Some((id, digits)) = text.split_once(':') else {
        return fault("a key is NAME:DIGITS; `banyan personal new-key` makes one".to_owned());
    };
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=32).contains(&id.len()) || !id.chars().all(is_name) {
        return fault("a key's name has 1 to 32 small letters, digits and hyphens".to_owned());
    }
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.len() != 2 * LENGTH || !is_hexadecimal {
        return fault(format!(
            "key {id} must have {} hexadecimal digits",
            2 * LENGTH
        ));
    }
    let mut bytes = [0; LENGTH];
    for (byte, at) in bytes.iter_mut().zip((0..digits.len()).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_default();
    }
    Ok(Master {
        id: id.to_owned(),
        cipher: key::cipher(&bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faulty_setting_says_what_is_wrong_and_tells_no_key() {
        let good = MasterKeys::generate("a").unwrap();
        let digits = good.strip_prefix("a:").unwrap();
        for (setting, why) in [
            (String::new(), "banyan personal new-key"),
            (digits.to_owned(), "NAME:DIGITS"),
            (format!("A:{digits}"), "small letters"),
            (format!(":{digits}"), "small letters"),
            (format!("a:{}", &digits[2..]), "64 hexadecimal digits"),
            (format!("a:{}zz", &digits[2..]), "64 hexadecimal digits"),
            (format!("{good},{good}"), "two keys of one name"),
            ("file:/no/such/file".to_owned(), "cannot read /no/such/file"),
        ] {
            let fault = MasterKeys::parse(&setting).unwrap_err().to_string();
            assert!(fault.contains(why), "{fault}");
            assert!(!fault.contains(&digits[2..10]), "{fault}");
        }
    }

    #[test]
    fn a_key_opens_under_the_master_that_sealed_it_for_its_person_and_id_and_no_other() {
        let old = MasterKeys::generate("old").unwrap();
        let new = MasterKeys::generate("new").unwrap();
        let (before, after) = (MasterKeys::parse(&old).unwrap(), format!("{new}\n{old}\n"));
        let (id, bytes) = (Uuid::now_v7(), key::random().unwrap());
        let stored = before.wrap("ada", id, &bytes).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), after).unwrap();
        let both = MasterKeys::parse(&format!("file:{}", file.path().display())).unwrap();
        assert_eq!(both.current(), "new");
        assert_eq!(both.unwrap("ada", id, &stored).unwrap(), bytes);
        let again = MasterKeys::parse(&MasterKeys::generate("old").unwrap()).unwrap();
        let only_new = MasterKeys::parse(&new).unwrap();
        for (masters, subject, id, why) in [
            (&only_new, "ada", id, "no master key \"old\""),
            (&again, "ada", id, "\"old\" is another one"),
            (&both, "bob", id, "is another one"),
            (&both, "ada", Uuid::now_v7(), "is another one"),
        ] {
            let error = masters.unwrap(subject, id, &stored).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
