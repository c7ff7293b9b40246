//! Takes over an upstream's new authorities, and the gateway's own new certificate, while it runs.

use std::sync::Arc;

use super::{Files, Held, TrustError, Trusting};
use crate::rotation::Rotated;

impl Rotated for Held {
    type Texts = Files;
    type Error = TrustError;

    fn read(&self) -> Result<Files, TrustError> {
        Files::read(&self.settings)
    }

    fn is_in_force(&self, files: &Files) -> bool {
        match &**self.trusting.load() {
            Ok(trusting) => trusting.files == *files,
            Err(_) => false,
        }
    }

    fn take(&self, files: Files) -> Result<(), TrustError> {
        let trusting = Trusting::new(&self.settings, files, self.offer)?;
        self.trusting.store(Arc::new(Ok(trusting)));
        Ok(())
    }

    fn tell(&self, outcome: Result<(), &TrustError>) {
        match outcome {
            Ok(()) => tracing::info!("an upstream's new certificates are in force"),
            Err(TrustError { key, reason }) => tracing::error!(
                key,
                %reason,
                "an upstream's new certificates are refused; those before stay in force"
            ),
        }
    }
}
