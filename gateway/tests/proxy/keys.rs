//! Key pairs and certificates, made anew in each run: a key that lies in a repository is known to all.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm};

/// An RSA key pair in PEM, and its modulus as key sets have it.
pub(crate) struct Rsa {
    pub(crate) private: String,
    pub(crate) public: String,
    pub(crate) n: String,
}

/// A pair on an elliptic curve in PEM, and its point as key sets have it.
pub(crate) struct Curve {
    pub(crate) private: String,
    pub(crate) public: String,
    pub(crate) x: String,
    pub(crate) y: String,
}

/// An authority's certificate, and one for 127.0.0.1 that it signed, with its key; all in PEM.
pub(crate) struct Certified {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

pub(crate) static RSA: LazyLock<Rsa> = LazyLock::new(|| Rsa::of_bits(2048));
/// Too short to be believed.
pub(crate) static WEAK: LazyLock<Rsa> = LazyLock::new(|| Rsa::of_bits(1024));
pub(crate) static P256: LazyLock<Curve> =
    LazyLock::new(|| Curve::on(&rcgen::PKCS_ECDSA_P256_SHA256));
pub(crate) static P384: LazyLock<Curve> =
    LazyLock::new(|| Curve::on(&rcgen::PKCS_ECDSA_P384_SHA384));
pub(crate) static CERTIFIED: LazyLock<Certified> = LazyLock::new(Certified::new);

impl Rsa {
    fn of_bits(bits: u32) -> Self {
        let size = format!("rsa_keygen_bits:{bits}");
        let private = openssl(
            &["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", &size],
            "",
        );
        let modulus = openssl(&["rsa", "-noout", "-modulus"], &private);
        let digits = modulus.trim().strip_prefix("Modulus=").expect("a modulus");
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("a number"))
            .collect();
        Self {
            public: openssl(&["pkey", "-pubout"], &private),
            n: URL_SAFE_NO_PAD.encode(bytes),
            private,
        }
    }
}

impl Curve {
    fn on(algorithm: &'static SignatureAlgorithm) -> Self {
        let pair = KeyPair::generate_for(algorithm).expect("a key pair");
        // One byte that says that it is not compressed, and the two coordinates.
        let point = &pair.public_key_raw()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        Self {
            private: pair.serialize_pem(),
            public: pair.public_key_pem(),
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        }
    }
}

impl Certified {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key pair");
        let authority = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key pair");
        let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = names.signed_by(&key, &issuer).expect("a certificate");
        Self {
            authority,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// What OpenSSL says to these arguments and this input: it makes RSA keys, which rcgen cannot.
fn openssl(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("openssl is installed by `cargo xtask test`");
    let mut stdin = child.stdin.take().expect("an input");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).expect("a text")
}
