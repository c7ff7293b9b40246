//! Takes over a new certificate while the gateway runs.

use std::sync::Arc;

use chassis::Shutdown;

use super::{Certificate, CertificateError, Pair, Texts, since_epoch};
use crate::rotation::{self, Rotated};
use crate::stats::Stats;

/// The certificate, and who is told of it.
struct Followed {
    certificate: Arc<Certificate>,
    stats: Arc<Stats>,
}

/// Follows the files until the shutdown.
pub(crate) async fn follow(certificate: Arc<Certificate>, stats: Arc<Stats>, shutdown: Shutdown) {
    let followed = Arc::new(Followed { certificate, stats });
    followed.tell_what_is_in_force();
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = rotation::follow(Arc::downgrade(&followed)) => {}
    }
}

impl Followed {
    fn tell_what_is_in_force(&self) {
        let expires = self.certificate.expires();
        self.stats.clients().certificate_expires(expires);
        let expires = time::OffsetDateTime::from_unix_timestamp(expires);
        let expires = expires.map_or_else(|_| "never".to_owned(), |at| at.to_string());
        let file = self.certificate.settings.cert.display();
        tracing::info!(%file, expires, "the certificate is in force");
    }
}

impl Rotated for Followed {
    type Texts = Texts;
    type Error = CertificateError;

    fn read(&self) -> Result<Texts, CertificateError> {
        Texts::read(&self.certificate.settings)
    }

    fn is_in_force(&self, texts: &Texts) -> bool {
        *texts == self.certificate.in_force.load().texts
    }

    fn take(&self, texts: Texts) -> Result<(), CertificateError> {
        let pair = Pair::new(&self.certificate.settings, texts, since_epoch())?;
        self.certificate.in_force.store(Arc::new(pair));
        Ok(())
    }

    fn tell(&self, outcome: Result<(), &CertificateError>) {
        self.stats.clients().certificate(outcome.is_ok());
        match outcome {
            Ok(()) => self.tell_what_is_in_force(),
            Err(error) => {
                tracing::error!(%error, "the new certificate is refused; the one before stays in force");
            }
        }
    }
}
