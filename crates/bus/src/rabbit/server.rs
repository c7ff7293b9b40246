//! The addresses of RabbitMQ, and who a server of `amqps://` must show to be.
//!
//! Nothing in a fault holds a password.

use std::net::Ipv6Addr;

use lapin::uri::{AMQPScheme, AMQPUri};
use tokio_rustls::rustls::{ClientConfig, pki_types::ServerName};

use crate::{BusError, trust::Files};

/// Silence of twice this and the connection counts as lost; the server's own default is a minute.
const HEARTBEAT_SECONDS: u16 = 5;
const SHAPE: &str =
    "an address is not amqp://user:password@host:port/vhost, or amqps:// with the same";
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
    files: Files,
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
        let files = Files::of(text, &CLIENTS)?;
        let trust = match uri.scheme {
            AMQPScheme::AMQPS => Some(Trust::of(&uri.authority.host, files)?),
            AMQPScheme::AMQP => {
                files.none("amqps://")?;
                None
            }
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

impl Trust {
    fn of(host: &str, files: Files) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| "no certificate can have the host of an address".to_owned())?;
        let trust = Self { name, files };
        // What would fail at every attempt is told at the start.
        trust.config()?;
        Ok(trust)
    }

    /// Reads the files anew: a connection that is made later knows later ones.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        self.files.config()
    }
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
    fn files_are_read_at_the_start_and_belong_to_tls() {
        assert!(
            refused("amqps://a:secret@b?cacertfile=/gone.pem").contains("gone.pem: No such file")
        );
        let plain = refused("amqp://a:secret@b?cacertfile=/gone.pem");
        assert!(plain.contains("are for an address of amqps://"), "{plain}");
    }

    #[test]
    fn what_nobody_would_look_at_is_refused() {
        for address in [
            "amqps://a:secret@b?verify=verify_none",
            "amqp://a:secret@b?heartbeat=3&password=secret",
            "amqp://a:secret@b?connection_timeout=3",
        ] {
            assert!(refused(address).contains("none of cacertfile"), "{address}");
        }
        assert!(servers("amqp://a?heartbeat=3&channel_max=9").is_ok());
        refused("amqps://a:secret@b:port");
        refused("amqps://a:secret@..");
    }
}
