//! Where a database is, and how it is opened there.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::Options;
use crate::{Error, Result};

/// A connection that was used more recently is taken to live: whoever meets a dead one gets
/// [`Error::Unavailable`] and repeats, as in the middle of a transaction.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Where a database is.
pub(super) enum Place<'a> {
    Postgres(Box<PgConnectOptions>),
    /// A file.
    Sqlite(&'a str),
}

impl<'a> Place<'a> {
    /// Reads a URL.
    pub(super) fn of(url: &'a str) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(Box::new(PgConnectOptions::from_str(url)?)));
        }
        // Not the URL itself: where it has no scheme, nobody knows what in it is a password.
        let Some(path) = url.strip_prefix("sqlite:") else {
            let unusable = "must start with postgres:// or sqlite:";
            return Err(Error::Configuration(unusable.to_owned()));
        };
        match path.strip_prefix("//").unwrap_or(path) {
            "" => Err(Error::Configuration("sqlite: names no file".to_owned())),
            path => Ok(Self::Sqlite(path)),
        }
    }
}

pub(super) async fn connect_postgres(
    url: &str,
    connect: PgConnectOptions,
    options: &Options,
) -> Result<PgPool> {
    let idle = options.idle_in_transaction_timeout.as_millis().to_string();
    let connect = connect.options([
        ("idle_in_transaction_session_timeout", idle.as_str()),
        // A scan by bitmap visits an index's entries of dead rows each time and never marks them as
        // dead, as a plain scan does: an outbox that sends as quickly as it fills would be read
        // slower and slower until the next vacuum.
        ("enable_bitmapscan", "off"),
        // Compiling a statement by key takes a hundred times as long as running it.
        ("jit", "off"),
        // Statements are by key, and the best way to a key is the same for every value: it is planned once
        // for a connection, and by an index, also while the table is so small that reading all of it would
        // be quicker. Left to choose, the server plans one over a short array anew each time, which takes
        // longer than running it.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
    ]);
    PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        // The default asks each connection whether it lives before each use: a round trip for every
        // statement that is not in a transaction.
        .test_before_acquire(false)
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                if metadata.idle_for >= TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(connect)
        .await
        .map_err(|error| match Error::from(error) {
            Error::Unavailable(source) => Error::Unavailable(source),
            other => Error::Configuration(format!("cannot open {}: {other}", redacted(url))),
        })
}

/// The URL without its password, fit for logs and errors.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.split_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_reaches_a_message() {
        assert_eq!(redacted("postgres://u:secret@h/db"), "postgres://u@h/db");
        assert_eq!(redacted("sqlite:file"), "sqlite:file");
    }
}
