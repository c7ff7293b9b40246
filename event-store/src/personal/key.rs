//! One person's key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use uuid::Uuid;

use super::PersonalError;

/// Bytes of a key.
pub(super) const LENGTH: usize = 32;

/// A fresh key.
pub(super) fn random() -> Result<[u8; LENGTH], PersonalError> {
    let mut bytes = [0; LENGTH];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| PersonalError::Randomness)?;
    Ok(bytes)
}

/// The cipher with this key: of any 32 bytes.
pub(super) fn cipher(bytes: &[u8; LENGTH]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, bytes);
    LessSafeKey::new(key.expect("the algorithm's keys are 32 bytes long"))
}

/// Seals under a nonce that nobody uses for anything else.
pub(super) fn seal(
    cipher: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    place: &[u8],
    plain: &[u8],
) -> String {
    let mut text = plain.to_vec();
    let nonce_used = Nonce::assume_unique_for_key(nonce);
    let sealed = cipher.seal_in_place_append_tag(nonce_used, Aad::from(place), &mut text);
    sealed.expect("a field is far below the algorithm's 256 GiB");
    URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat())
}

/// What was sealed at this place; none where it is something else.
pub(super) fn open(cipher: &LessSafeKey, place: &[u8], sealed: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let plain = cipher.open_in_place(nonce, Aad::from(place), &mut text);
    Some(plain.ok()?.to_vec())
}

/// One person's key.
pub(crate) struct SubjectKey {
    pub(super) id: Uuid,
    cipher: LessSafeKey,
    /// Makes nonces of what is sealed.
    nonces: hmac::Key,
}

impl SubjectKey {
    pub(super) fn new(id: Uuid, bytes: &[u8; LENGTH]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let derived = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let mut sealing = [0; LENGTH];
        sealing.copy_from_slice(derived("banyan personal field").as_ref());
        Self {
            id,
            cipher: cipher(&sealing),
            nonces: hmac::Key::new(hmac::HMAC_SHA256, derived("banyan personal nonce").as_ref()),
        }
    }

    /// Seals for a place: the same value at the same place gives the same text.
    pub(super) fn seal(&self, place: &[u8], plain: &[u8]) -> String {
        let mut making = hmac::Context::with_key(&self.nonces);
        making.update(&(place.len() as u64).to_be_bytes());
        making.update(place);
        making.update(plain);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&making.sign().as_ref()[..NONCE_LEN]);
        seal(&self.cipher, nonce, place, plain)
    }

    pub(super) fn open(&self, place: &[u8], sealed: &str) -> Option<Vec<u8>> {
        open(&self.cipher, place, sealed)
    }
}

/// The place of a field: which event's, whose, and where in the payload.
pub(super) fn place(event: Uuid, subject: &str, field: &str) -> Vec<u8> {
    // A subject with a NUL could not be told from the next part; PostgreSQL stores none.
    [event.as_bytes(), subject.as_bytes(), &[0], field.as_bytes()].concat()
}
