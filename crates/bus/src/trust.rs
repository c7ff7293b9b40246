//! By whom a broker that is spoken to over TLS is believed, and by what it believes us: files that its address
//! names.
//!
//! No fault holds more of an address than the files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use percent_encoding::percent_decode_str;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// The authorities that may have signed the server's certificate; the three are named as in RabbitMQ's own
/// addresses.
const AUTHORITY: &str = "cacertfile";
/// What the server is shown,
const CERTIFICATE: &str = "certfile";
/// and its key.
const KEY: &str = "keyfile";

/// The files of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// Without one, the authorities that this machine knows.
    authority: Option<PathBuf>,
    identity: Option<Identity>,
}

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Those in an address. A parameter that is none of them, and none that somebody `else` takes, is
    /// refused: nobody would look at it.
    pub(crate) fn of(address: &str, others: &[&str]) -> Result<Self, String> {
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let [mut authority, mut certificate, mut key] = [None, None, None];
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let file = match name {
                AUTHORITY => &mut authority,
                CERTIFICATE => &mut certificate,
                KEY => &mut key,
                other if others.contains(&other) => continue,
                _ => {
                    let known = [&[AUTHORITY, CERTIFICATE, KEY], others].concat().join(", ");
                    return Err(format!(
                        "an address has a parameter that is none of {known}"
                    ));
                }
            };
            let decoded = percent_decode_str(value).decode_utf8();
            let decoded = decoded.map_err(|_| format!("{name} is not UTF-8"))?;
            *file = Some(PathBuf::from(decoded.as_ref()));
        }
        let identity = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            _ => return Err(format!("{CERTIFICATE} and {KEY} need each other")),
        };
        Ok(Self {
            authority,
            identity,
        })
    }

    /// These, of an address that is not spoken to over TLS, as `secure` ones are: there are none.
    pub(crate) fn none(&self, secure: &str) -> Result<(), String> {
        if *self == Self::default() {
            return Ok(());
        }
        Err(format!(
            "{AUTHORITY}, {CERTIFICATE} and {KEY} are for an address of {secure}"
        ))
    }

    /// Reads them.
    pub(crate) fn config(&self) -> Result<ClientConfig, String> {
        let roots = match &self.authority {
            Some(file) => Arc::new(authorities(file)?),
            None => system_authorities(),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let Some(Identity { certificate, key }) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(CERTIFICATE, certificate)?;
        let unusable = |reason: String| format!("{KEY} {}: {reason}", key.display());
        let text = fs::read(key).map_err(|error| unusable(error.to_string()))?;
        let read = PrivateKeyDer::from_pem_slice(&text);
        let read = read.map_err(|error| unusable(error.to_string()))?;
        let config = builder.with_client_auth_cert(chain, read);
        config.map_err(|error| unusable(error.to_string()))
    }
}

fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(AUTHORITY, file)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("{AUTHORITY} {}: {error}", file.display()))?;
    }
    Ok(roots)
}

/// The certificates in a file that a parameter names: one at least.
fn certificates(parameter: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |reason: String| format!("{parameter} {}: {reason}", file.display());
    let text = fs::read(file).map_err(|error| unusable(error.to_string()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let read = read.map_err(|error| unusable(error.to_string()))?;
    if read.is_empty() {
        return Err(unusable("holds no certificate in PEM".to_owned()));
    }
    Ok(read)
}

/// What the machine trusts, read once: hundreds of files on some.
fn system_authorities() -> Arc<RootCertStore> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(SYSTEM.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "a certificate of the system");
        }
        let mut roots = RootCertStore::empty();
        // What one library of the system takes and this one does not is no fault of the operator.
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        let address = format!("amqps://a:secret@b?{query}");
        let read = Files::of(&address, &["heartbeat"]).and_then(|files| files.config());
        let reason = read.map(|_| ()).expect_err(query);
        assert!(!reason.contains("secret"), "{reason}");
        reason
    }

    #[test]
    fn each_file_is_read_and_its_fault_told() {
        let folder = testkit::temp_dir();
        let place = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap();
        fs::write(place("crt.pem"), made.cert.pem()).unwrap();
        fs::write(place("key.pem"), made.signing_key.serialize_pem()).unwrap();
        fs::write(place("other.pem"), "nothing of the kind").unwrap();
        let other = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap();
        fs::write(place("foreign.pem"), other.signing_key.serialize_pem()).unwrap();
        let query = |authority: &str, certificate: &str, key: &str| {
            let [authority, certificate, key] =
                [authority, certificate, key].map(|name| place(name).display().to_string());
            format!("{AUTHORITY}={authority}&heartbeat=3&{CERTIFICATE}={certificate}&{KEY}={key}")
        };
        let address = format!("amqps://b?{}", query("crt.pem", "crt.pem", "key.pem"));
        let files = Files::of(&address, &["heartbeat"]).unwrap();
        assert!(files.config().is_ok());
        assert!(files.none("amqps://").unwrap_err().contains("of amqps://"));
        for ([authority, certificate, key], fault) in [
            (["gone", "crt.pem", "key.pem"], "gone: No such file"),
            (
                ["other.pem", "crt.pem", "key.pem"],
                "other.pem: holds no certificate",
            ),
            (["crt.pem", "other.pem", "key.pem"], "certfile"),
            (["crt.pem", "crt.pem", "other.pem"], "keyfile"),
            (["crt.pem", "crt.pem", "foreign.pem"], "keyfile"),
        ] {
            let reason = refused(&query(authority, certificate, key));
            assert!(reason.contains(fault), "{reason}");
        }
    }

    #[test]
    fn what_nobody_would_look_at_is_refused() {
        assert!(
            refused("verify=secret").contains("none of cacertfile, certfile, keyfile, heartbeat")
        );
        assert!(refused("certfile=a").contains("need each other"));
        assert!(refused("keyfile=a").contains("need each other"));
        assert!(refused("cacertfile=%ff").contains("not UTF-8"));
        let none = Files::of("amqp://b?heartbeat=3", &["heartbeat"]).unwrap();
        assert!(none.none("amqps://").is_ok() && none.config().is_ok());
    }
}
