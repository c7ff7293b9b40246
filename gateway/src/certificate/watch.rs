//! Takes over a new certificate while the gateway runs.
//!
//! The same rule as for the configuration: the files are read, not watched, and a pair is judged
//! only when two reads, a moment apart, agree. A pair that is being written one file after the
//! other is judged in between at worst, refused, and judged again when it is whole.

use std::sync::Arc;
use std::time::Duration;

use chassis::{Shutdown, shutdown::Slept};

use super::{Certificate, CertificateError, Pair, Texts, since_epoch};
use crate::stats::Stats;

/// How often the files are looked at.
const POLL: Duration = Duration::from_millis(500);
/// Two reads must agree over this long.
const SETTLED: Duration = Duration::from_millis(200);

/// What is known of the files beside the pair that is in force.
#[derive(PartialEq)]
enum Seen {
    /// They are those in force.
    InForce,
    /// They were judged and refused.
    Refused(Texts),
    /// They cannot be read.
    Unreadable(CertificateError),
}

/// Follows the files until the shutdown.
pub(crate) async fn follow(certificate: Arc<Certificate>, stats: Arc<Stats>, shutdown: Shutdown) {
    let mut seen = Seen::InForce;
    tell(&certificate, &stats);
    while shutdown.sleep(POLL).await == Slept::Whole {
        let first = read(&certificate).await;
        if is_known(&certificate, &seen, &first) {
            continue;
        }
        if shutdown.sleep(SETTLED).await == Slept::ShutDown {
            return;
        }
        let second = read(&certificate).await;
        if first != second {
            continue;
        }
        seen = match second {
            Err(error) => {
                tracing::error!(%error, "the certificate cannot be read; the one before stays in force");
                stats.clients().certificate(false);
                Seen::Unreadable(error)
            }
            Ok(texts) if texts == certificate.in_force.load().texts => Seen::InForce,
            Ok(texts) => judge(&certificate, &stats, texts),
        };
    }
}

fn judge(certificate: &Certificate, stats: &Stats, texts: Texts) -> Seen {
    let copy = Texts {
        cert: texts.cert.clone(),
        key: texts.key.clone(),
    };
    match Pair::new(&certificate.settings, texts, since_epoch()) {
        Ok(pair) => {
            certificate.in_force.store(Arc::new(pair));
            stats.clients().certificate(true);
            tell(certificate, stats);
            Seen::InForce
        }
        Err(error) => {
            tracing::error!(%error, "the new certificate is refused; the one before stays in force");
            stats.clients().certificate(false);
            Seen::Refused(copy)
        }
    }
}

fn is_known(
    certificate: &Certificate,
    seen: &Seen,
    read: &Result<Texts, CertificateError>,
) -> bool {
    match (seen, read) {
        (Seen::InForce, Ok(texts)) => *texts == certificate.in_force.load().texts,
        (Seen::Refused(refused), Ok(texts)) => texts == refused,
        (Seen::Unreadable(before), Err(error)) => before == error,
        _ => false,
    }
}

fn tell(certificate: &Certificate, stats: &Stats) {
    stats.clients().certificate_expires(certificate.expires());
    let expires = time::OffsetDateTime::from_unix_timestamp(certificate.expires());
    let expires = expires.map_or_else(|_| "never".to_owned(), |at| at.to_string());
    let file = certificate.settings.cert.display();
    tracing::info!(%file, expires, "the certificate is in force");
}

/// The files may lie on a network: a read that hangs must hold up nothing else.
async fn read(certificate: &Certificate) -> Result<Texts, CertificateError> {
    let settings = certificate.settings.clone();
    let file = settings.cert.clone();
    let read = tokio::task::spawn_blocking(move || Texts::read(&settings)).await;
    read.unwrap_or_else(|error| {
        Err(CertificateError {
            setting: "cert",
            file,
            what: error.to_string(),
        })
    })
}
