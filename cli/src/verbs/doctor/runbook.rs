/// The runbook that an operator opens for a finding: one for each kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runbook {
    BadRelease,
    /// What `banyan` needs before its first command.
    BeforeTheFirst,
    BrokerDown,
    ConsumerLag,
    DataInconsistent,
    DiskFull,
    GatewayOverloaded,
    LogLost,
    PoisonEvent,
    PostgresDown,
    RestoreFromBackup,
    SagaTimeouts,
    ServiceCrashed,
}

impl Runbook {
    /// Its file, from the repository's root.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::BadRelease => "runbooks/bad-release.md",
            Self::BeforeTheFirst => "runbooks/README.md",
            Self::BrokerDown => "runbooks/broker-down.md",
            Self::ConsumerLag => "runbooks/consumer-lag.md",
            Self::DataInconsistent => "runbooks/data-inconsistent.md",
            Self::DiskFull => "runbooks/disk-full.md",
            Self::GatewayOverloaded => "runbooks/gateway-overloaded.md",
            Self::LogLost => "runbooks/log-lost.md",
            Self::PoisonEvent => "runbooks/poison-event.md",
            Self::PostgresDown => "runbooks/postgres-down.md",
            Self::RestoreFromBackup => "runbooks/restore-from-backup.md",
            Self::SagaTimeouts => "runbooks/saga-timeouts.md",
            Self::ServiceCrashed => "runbooks/service-crashed.md",
        }
    }
}
