//! What is measured of each proxy.

use super::peers::Peer;

/// All samples.
pub(super) type Figures = crate::bench::figures::Figures<What, Peer>;

/// A thing that is measured. Numbers are connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// CPU-seconds per million small answers.
    Cpu(usize),
    /// Answers a second.
    Rate(usize),
    /// Milliseconds.
    P50(usize),
    P99(usize),
    /// MiB at 256 connections.
    Memory,
    /// µs at the fixed rate.
    SteadyP50,
    AddedP50,
    /// CPU-seconds per million.
    Post,
    Large,
    Unchecked,
    Checked,
    FewRoutes,
    ManyRoutes,
    /// MiB.
    Empty,
    Idle,
    Stalled,
    /// CPU-seconds per GiB, and MiB at most meanwhile.
    Download,
    DownloadMemory,
    Upload,
    UploadMemory,
}
