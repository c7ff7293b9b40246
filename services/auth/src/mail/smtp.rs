//! One letter handed to one server (RFC 5321), step by step, so that it is known what an error
//! means: before the last byte of the letter nobody has it.

use std::{future::Future, time::Duration};

use lettre::{
    Address, Message,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};
use thiserror::Error as ThisError;
use url::Url;

use super::{Letter, Settings};

/// To connect and to be let in; a server that checks who asks may take some seconds for it.
const GREETING: Duration = Duration::from_secs(15);
/// From the letter's sender to leave for its text.
const ENVELOPE: Duration = Duration::from_secs(15);
/// From the first byte of the text to the server's word for it; filters may read it first.
const TEXT: Duration = Duration::from_secs(30);

/// To say goodbye; nobody waits for the answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server took it.
    Taken,
    /// The server will not take it, today or later.
    Refused(String),
    /// Nobody has it: it can be tried again.
    NotNow(String),
    /// The server may have it: it must not be tried again.
    Unknown(String),
}

/// Why the settings of a server cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{0}")]
pub(super) struct ServerFault(pub(super) String);

/// A mail server.
#[derive(Clone)]
pub struct Server {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    hello: ClientId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    None,
    StartTls,
    Tls,
}

impl Server {
    pub(super) fn new(settings: &Settings, own_domain: &str) -> Result<Self, ServerFault> {
        let fault = |why: &str| ServerFault(format!("mail.smtp: {why}"));
        let url =
            Url::parse(&settings.smtp).map_err(|_| fault("is no URL such as smtp://host:25"))?;
        let (security, port) = match (url.scheme(), url.query()) {
            ("smtp", None) => (Security::None, 25),
            ("smtp", Some("tls=required")) => (Security::StartTls, 587),
            ("smtps", None) => (Security::Tls, 465),
            _ => {
                return Err(fault(
                    "must be smtp://host, smtp://host?tls=required or smtps://host",
                ));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault(
                "must not hold credentials: use `username` and `password`",
            ));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let credentials = match (&settings.username, &settings.password) {
            (None, None) => None,
            (Some(name), Some(password)) => Some(Credentials::new(name.clone(), password.clone())),
            _ => {
                return Err(ServerFault(
                    "mail.username and mail.password go together".to_owned(),
                ));
            }
        };
        if credentials.is_some() && security == Security::None {
            return Err(fault("must use TLS where a password is sent"));
        }
        Ok(Self {
            host: host.ok_or_else(|| fault("names no host"))?.to_owned(),
            port: url.port().unwrap_or(port),
            security,
            credentials,
            hello: ClientId::Domain(own_domain.to_owned()),
        })
    }

    pub(super) async fn deliver(&self, from: &Mailbox, letter: &Letter) -> Delivery {
        let Ok(recipient) = letter.recipient.parse::<Address>() else {
            return Delivery::Refused("the recipient is no address that mail can go to".to_owned());
        };
        let message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, recipient.clone()))
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body.clone());
        let message = match message {
            Ok(message) => message.formatted(),
            Err(error) => return Delivery::Refused(error.to_string()),
        };
        let mut connection = match within(GREETING, self.connect()).await {
            Ok(connection) => connection,
            // Whoever does not let us in says nothing about this letter.
            Err(failure) => return Delivery::NotNow(failure.text()),
        };
        let envelope = envelope(&mut connection, from.email.clone(), recipient);
        let delivery = match within(ENVELOPE, envelope).await {
            Err(failure) => failure.before_the_text(),
            Ok(()) => match within(TEXT, connection.message(&message)).await {
                Ok(_) => Delivery::Taken,
                Err(failure) => failure.after_the_text(),
            },
        };
        // Only politeness: what became of the letter is known.
        let _said = tokio::time::timeout(FAREWELL, connection.abort()).await;
        delivery
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let tls = || TlsParameters::new(self.host.clone());
        let wrapped = match self.security {
            Security::Tls => Some(tls()?),
            Security::None | Security::StartTls => None,
        };
        let address = (self.host.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            address,
            Some(GREETING),
            &self.hello,
            wrapped,
            None,
        )
        .await?;
        if self.security == Security::StartTls {
            connection.starttls(tls()?, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

async fn envelope(
    connection: &mut AsyncSmtpConnection,
    from: Address,
    to: Address,
) -> Result<(), Error> {
    connection.command(Mail::new(Some(from), vec![])).await?;
    connection.command(Rcpt::new(to, vec![])).await?;
    connection.command(Data).await?;
    Ok(())
}

enum Failure {
    Late,
    Told(Error),
}

impl Failure {
    fn text(&self) -> String {
        match self {
            Self::Late => "the server did not answer in time".to_owned(),
            Self::Told(error) => error.to_string(),
        }
    }

    fn before_the_text(self) -> Delivery {
        match &self {
            Self::Told(error) if error.is_permanent() => Delivery::Refused(self.text()),
            _ => Delivery::NotNow(self.text()),
        }
    }

    fn after_the_text(self) -> Delivery {
        match &self {
            Self::Told(error) if error.is_permanent() => Delivery::Refused(self.text()),
            Self::Told(error) if error.is_transient() => Delivery::NotNow(self.text()),
            _ => Delivery::Unknown(self.text()),
        }
    }
}

async fn within<T>(
    time: Duration,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(time, step).await {
        Ok(done) => done.map_err(Failure::Told),
        Err(_) => Err(Failure::Late),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(smtp: &str, username: Option<&str>) -> Result<Server, ServerFault> {
        let settings = Settings {
            smtp: smtp.to_owned(),
            from: "accounts@example.org".to_owned(),
            username: username.map(str::to_owned),
            password: username.map(|_| "secret".to_owned()),
            reset_link: None,
            retry_seconds: 1,
        };
        Server::new(&settings, "example.org")
    }

    #[test]
    fn each_kind_of_server_has_its_port_and_its_security() {
        for (url, port, security) in [
            ("smtp://mail.example.org", 25, Security::None),
            ("smtp://127.0.0.1:2525", 2525, Security::None),
            (
                "smtp://mail.example.org?tls=required",
                587,
                Security::StartTls,
            ),
            ("smtps://mail.example.org", 465, Security::Tls),
        ] {
            let server = server(url, None).unwrap();
            assert_eq!((server.port, server.security), (port, security), "{url}");
        }
    }

    #[test]
    fn what_names_no_server_is_told_by_its_setting() {
        for url in [
            "mail.example.org",
            "http://host",
            "smtp://",
            "smtp://a:b@host",
            "smtp://host?tls=maybe",
        ] {
            let fault = server(url, None).map(|_| ()).unwrap_err();
            assert!(fault.0.contains("mail.smtp"), "{url}: {fault}");
        }
    }

    #[test]
    fn a_password_is_never_sent_in_the_clear() {
        assert!(server("smtp://host", Some("ada")).is_err());
        assert!(server("smtps://host", Some("ada")).is_ok());
    }
}
