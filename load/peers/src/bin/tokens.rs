//! `tokens COUNT` prints an Ed25519 public key in PEM and as many tokens signed with it, one a line.
//!
//! The key is the same each time: it protects nothing but a measurement.

use std::io::{self, Write};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{
    Signer, SigningKey,
    pkcs8::{EncodePublicKey, spki::der::pem::LineEnding},
};

/// In the year 2100: no measurement outlives its tokens.
const EXPIRES: u64 = 4_102_444_800;

fn main() -> io::Result<()> {
    let count = std::env::args().nth(1).unwrap_or_default();
    let count: usize = count.parse().map_err(io::Error::other)?;
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_public_key_pem(LineEnding::LF);
    let mut out = io::stdout().lock();
    write!(out, "{}", public.map_err(io::Error::other)?)?;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"JWT"}"#);
    for number in 0..count {
        let claims = format!(
            r#"{{"iss":"measurement","sub":"user-{number}","roles":["user"],"exp":{EXPIRES}}}"#
        );
        let text = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).to_bytes());
        writeln!(out, "{text}.{signature}")?;
    }
    Ok(())
}
