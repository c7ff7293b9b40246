//! The addresses of RabbitMQ, and whose certificate a server of `amqps://` is believed by.
//!
//! Nothing in a fault holds a password.

use std::{
    fs,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use lapin::uri::{AMQPScheme, AMQPUri};
use percent_encoding::percent_decode_str;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::BusError;

/// Silence of twice this and the connection counts as lost; the server's own default is a minute.
const HEARTBEAT_SECONDS: u16 = 5;
const SHAPE: &str =
    "an address is not amqp://user:password@host:port/vhost, or amqps:// with the same";
/// The file of the authorities that may have signed the server's certificate, named as in RabbitMQ's
/// own addresses.
const AUTHORITY: &str = "cacertfile";
/// What the client takes from an address.
const CLIENTS: [&str; 4] = ["auth_mechanism", "channel_max", "frame_max", "heartbeat"];

/// A server, as its address says.
pub(super) struct Server {
    pub(super) uri: AMQPUri,
    /// Of a server that is spoken to over TLS.
    pub(super) trust: Option<Trust>,
}

/// Who a server must show to be, and who vouches for it.
#[derive(Clone)]
pub(super) struct Trust {
    pub(super) name: ServerName<'static>,
    /// Without one, the authorities that this machine knows.
    authority: Option<PathBuf>,
}

/// Reads a list of addresses, and the files that they name.
pub(super) fn servers(list: &str) -> Result<Vec<Server>, BusError> {
    let unusable =
        |reason: String| BusError::Configuration(format!("cannot use RabbitMQ: {reason}"));
    let addresses = list.split(',').map(str::trim);
    addresses
        .map(|address| Server::read(address).map_err(unusable))
        .collect()
}

impl Server {
    fn read(text: &str) -> Result<Self, String> {
        if !text.starts_with("amqp://") && !text.starts_with("amqps://") {
            return Err(SHAPE.to_owned());
        }
        // The error itself may repeat the address, and the password with it.
        let mut uri: AMQPUri = text.parse().map_err(|_| SHAPE)?;
        if let Some(address) = ipv6(text) {
            uri.authority.host = address.to_string();
        }
        // Without a path the client means the virtual host without a name, and with a bare slash too.
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let authority = authority_in(text)?;
        let trust = match uri.scheme {
            AMQPScheme::AMQPS => Some(Trust::of(&uri.authority.host, authority)?),
            AMQPScheme::AMQP if authority.is_some() => {
                return Err(format!("{AUTHORITY} is for an address of amqps://"));
            }
            AMQPScheme::AMQP => None,
        };
        Ok(Self { uri, trust })
    }

    /// Which one it is, in messages.
    pub(super) fn name(&self) -> String {
        let authority = &self.uri.authority;
        format!("{}:{}", authority.host, authority.port)
    }
}

/// Such an address is none to the client, which would mean this machine by it.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (address, _) = host.strip_prefix('[')?.split_once(']')?;
    address.parse().ok()
}

/// The value of [`AUTHORITY`]. What nobody would look at is refused.
fn authority_in(text: &str) -> Result<Option<PathBuf>, String> {
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let mut authority = None;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if key == AUTHORITY {
            let file = percent_decode_str(value).decode_utf8();
            let file = file.map_err(|_| format!("{AUTHORITY} is not UTF-8"))?;
            authority = Some(PathBuf::from(file.as_ref()));
        } else if !CLIENTS.contains(&key) {
            return Err(format!(
                "an address has a parameter that is none of {AUTHORITY}, {}",
                CLIENTS.join(", ")
            ));
        }
    }
    Ok(authority)
}

impl Trust {
    fn of(host: &str, authority: Option<PathBuf>) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| "no certificate can have the host of an address".to_owned())?;
        let trust = Self { name, authority };
        // What would fail at every attempt is told at the start.
        trust.config()?;
        Ok(trust)
    }

    /// Reads the file anew: a connection that is made later knows a later one.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        let roots = match &self.authority {
            Some(file) => Arc::new(authorities(file)?),
            None => system_authorities(),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let unusable = |reason: String| format!("{AUTHORITY} {}: {reason}", file.display());
    let text = fs::read(file).map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("holds no certificate in PEM".to_owned()));
    }
    Ok(roots)
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

    fn refused(address: &str) -> String {
        let error = servers(address).err().expect(address).to_string();
        assert!(!error.contains("secret"), "{error}");
        error
    }

    #[test]
    fn an_address_says_where_over_what_and_whom_to_believe() {
        let read = servers("amqp://a:p%40ss@one/events, amqps://two, amqps://[::1]:7/").unwrap();
        let where_to = read.iter().map(|server| {
            let authority = &server.uri.authority;
            (
                authority.host.as_str(),
                authority.port,
                server.trust.is_some(),
            )
        });
        assert_eq!(
            where_to.collect::<Vec<_>>(),
            [("one", 5672, false), ("two", 5671, true), ("::1", 7, true)]
        );
        assert_eq!(read[0].uri.vhost, "events");
        assert_eq!(read[2].uri.vhost, "/");
        assert_eq!(read[0].uri.authority.userinfo.password, "p@ss");
    }

    #[test]
    fn a_file_of_authorities_is_read_at_the_start_and_its_fault_told() {
        let folder = testkit::temp_dir();
        let file = folder.path().join("ca.pem");
        let address = format!("amqps://a:secret@b?{AUTHORITY}={}", file.display());
        assert!(refused(&address).contains("ca.pem: No such file"));
        fs::write(&file, "nothing of the kind").unwrap();
        assert!(refused(&address).contains("ca.pem: holds no certificate in PEM"));
        let made = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap();
        fs::write(&file, made.cert.pem()).unwrap();
        assert!(servers(&address).is_ok());
        let plain = address.replace("amqps://", "amqp://");
        assert!(refused(&plain).contains("is for an address of amqps://"));
    }

    #[test]
    fn what_nobody_would_look_at_is_refused() {
        for address in [
            "amqps://a:secret@b?verify=verify_none",
            "amqp://a:secret@b?heartbeat=3&certfile=secret",
            "amqp://a:secret@b?connection_timeout=3",
        ] {
            assert!(refused(address).contains("none of cacertfile"), "{address}");
        }
        assert!(servers("amqp://a?heartbeat=3&channel_max=9").is_ok());
        refused("amqps://a:secret@b:port");
        refused("amqps://a:secret@..");
    }
}
