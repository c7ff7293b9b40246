//! The addresses of NATS, and how its servers are connected to.

use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use tokio_rustls::rustls::ClientConfig;

use crate::{BusError, trust::Files};

/// The longest pause between two attempts to reach the server.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// The servers of a URL, as [`NatsBus::connect`] takes it, and how they are connected to: in the
/// background, with their login, and again for ever. For what NATS does beside the bus.
///
/// # Errors
/// [`BusError::Configuration`] when the URL is unusable; its text holds no password.
pub fn reach(url: &str) -> Result<(Vec<ServerAddr>, ConnectOptions), BusError> {
    let Servers {
        addresses,
        login,
        trust,
    } = Servers::read(url)?;
    let mut options = match login {
        Some((user, password)) => ConnectOptions::with_user_and_password(user, password),
        None => ConnectOptions::new(),
    };
    if let Some(trust) = trust {
        options = options.tls_client_config(trust);
    }
    let options = options
        .retry_on_initial_connect()
        .max_reconnects(None)
        .retain_servers_order()
        .reconnect_delay_callback(|attempts| {
            let millis = 20_u64.saturating_mul(1 << attempts.min(10));
            Duration::from_millis(millis).min(MAX_RECONNECT_DELAY)
        });
    Ok((addresses, options))
}

/// Finds what [`reach`] would refuse.
pub(super) fn check(url: &str) -> Result<(), BusError> {
    Servers::read(url).map(|_| ())
}

/// User and password.
type Login = (String, String);

/// What a list of addresses with commas says.
struct Servers {
    addresses: Vec<ServerAddr>,
    /// The client itself sends none that stands in an address.
    login: Option<Login>,
    /// Where one of them is spoken to over TLS.
    trust: Option<ClientConfig>,
}

impl Servers {
    fn read(list: &str) -> Result<Self, BusError> {
        let unusable =
            |reason: String| BusError::Configuration(format!("cannot use NATS: {reason}"));
        let mut addresses = Vec::new();
        let mut shared = Vec::new();
        for text in list.split(',').map(str::trim) {
            let (bare, _) = text.split_once('?').unwrap_or((text, ""));
            let address: ServerAddr = bare.parse().map_err(|error| {
                // Not the address itself, which may hold a password.
                unusable(format!("an address is not nats://host:port: {error}"))
            })?;
            let files = Files::of(text, &[]).map_err(unusable)?;
            if !address.tls_required() {
                files.none("tls://").map_err(unusable)?;
            }
            shared.push((login(&address), address.tls_required().then_some(files)));
            addresses.push(address);
        }
        shared.dedup();
        let (login, files) = shared.pop().unwrap_or_default();
        if !shared.is_empty() {
            let reason = "all servers must have the same user, and the same files for TLS";
            return Err(unusable(reason.to_owned()));
        }
        let trust = files.map(|files| files.config().map_err(unusable));
        Ok(Self {
            addresses,
            login,
            trust: trust.transpose()?,
        })
    }
}

fn login(address: &ServerAddr) -> Option<Login> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = address.username()?;
    let password = address.password().unwrap_or_default();
    Some((decoded(user), decoded(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_taken_from_the_address() {
        let list = "nats://banyan:p%40ss@a:4222, nats://banyan:p%40ss@b:4222";
        let read = Servers::read(list).expect("usable");
        assert_eq!(read.addresses.len(), 2);
        assert_eq!(read.login, Some(("banyan".to_owned(), "p@ss".to_owned())));
        let read = Servers::read("nats://a:4222").expect("usable");
        assert!(read.login.is_none() && read.trust.is_none());
        assert!(Servers::read("tls://a").expect("usable").trust.is_some());
    }

    #[test]
    fn servers_that_differ_are_refused_and_no_password_is_told() {
        for (list, why) in [
            ("nats://a:secret@a:4222,nats://b:4222", "the same user"),
            ("tls://a:secret@a,nats://a:secret@b", "the same files"),
            ("nats://a:secret@a?cacertfile=/ca.pem", "of tls://"),
            ("tls://a:secret@a?cacertfile=/gone.pem", "No such file"),
            ("tls://a:secret@a?verify=no", "none of cacertfile"),
        ] {
            let error = check(list).expect_err("refused").to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
    }
}
