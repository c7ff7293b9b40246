//! Who vouches for certificates, of servers and of their clients.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use testkit::TempDir;

/// An authority, with the file that says so.
pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = named("authority", Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = testkit::temp_dir();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("writable");
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> String {
        fs::read_to_string(self.folder.path().join("ca.pem")).expect("it is there")
    }

    /// A certificate for one name, and its key.
    pub(crate) fn vouch_for(&self, name: &str) -> (String, String) {
        let params = named(name, vec![name.to_owned()]);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// The address of a server that is believed when this one vouches for it.
    pub(crate) fn believed(&self, url: &str) -> String {
        let file: &Path = &self.folder.path().join("ca.pem");
        format!("{url}?cacertfile={}", file.display())
    }

    /// An address that was [`Authority::believed`] of one, with a certificate of ours for which this one vouches.
    pub(crate) fn shows(&self, name: &str, believed: &str) -> String {
        let (certificate, key) = self.vouch_for(name);
        let [shown, of_shown] =
            ["client.pem", "client.key"].map(|file| self.folder.path().join(file));
        fs::write(&shown, certificate).expect("writable");
        fs::write(&of_shown, key).expect("writable");
        let (shown, of_shown) = (shown.display(), of_shown.display());
        format!("{believed}&certfile={shown}&keyfile={of_shown}")
    }
}

/// What has its authority's name counts as vouched for by itself.
fn named(subject: &str, names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("names");
    params
        .distinguished_name
        .push(DnType::CommonName, subject.to_owned());
    params
}
