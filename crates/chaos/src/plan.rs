//! What is going to be broken, when, and for how long: a pure function of the seed.
//!
//! Faults are dealt from a deck that holds every kind, shuffled again whenever it is empty, so that
//! half a minute has each of them and no run has one kind only. They may overlap.

use std::{fmt, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

/// What runs twice, and how often faults choose it.
pub const SERVICES: [(&str, u32); 7] = [
    ("quiz", 4),
    ("achievement", 3),
    ("leaderboard", 3),
    ("log", 3),
    ("gateway", 2),
    ("auth", 1),
    ("question", 1),
];

/// Servers of NATS.
pub const BROKERS: usize = 3;

/// Load without any fault, at the beginning.
const CALM: Duration = Duration::from_secs(1);

/// From one fault to the next, in milliseconds: a deck lasts less than 29 s.
const APART: std::ops::RangeInclusive<u64> = 1_000..=2_300;

/// Every kind of fault; what is rarer in life is rarer here.
const DECK: [Card; 12] = [
    Card::Kill,
    Card::Kill,
    Card::Freeze,
    Card::Freeze,
    Card::Cut(Link::Database),
    Card::Cut(Link::Log),
    Card::Cut(Link::Bus),
    Card::Cut(Link::Gateway),
    Card::Postgres,
    Card::Disk,
    Card::Broker,
    Card::Wipe,
];

#[derive(Clone, Copy)]
enum Card {
    Kill,
    Freeze,
    Cut(Link),
    Postgres,
    Disk,
    Broker,
    Wipe,
}

/// All faults of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it follows from.
    pub seed: u64,
    /// How long clients play at least.
    pub length: Duration,
    /// In the order in which they begin.
    pub blows: Vec<Blow>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blow {
    /// When it begins, from the first answer on.
    pub at: Duration,
    /// How long it lasts; then it is mended.
    pub lasts: Duration,
    /// What it is.
    pub fault: Fault,
}

/// A fault, and whom it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; mended by a new start.
    Kill(Whom),
    /// SIGSTOP; mended by SIGCONT.
    Freeze(Whom),
    /// What it stands on, or what stands on it, cannot be reached.
    Cut {
        /// Whose link.
        whom: Whom,
        /// To what.
        link: Link,
        /// In which way.
        how: How,
    },
    /// PostgreSQL stops without a checkpoint; mended by a new start on its data.
    CrashPostgres,
    /// No file of PostgreSQL may grow beyond what it is.
    FillDisk(Room),
    /// SIGKILL to a server of NATS; mended by a new start on its data.
    KillBroker(usize),
    /// SIGSTOP to a server of NATS.
    FreezeBroker(usize),
    /// A server of NATS loses its disk.
    WipeBroker(usize),
    /// All servers of NATS lose their disks at once.
    WipeBus,
}

/// One replica of a service, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whom {
    /// The service.
    pub service: &'static str,
    /// 1 or 2; none for both.
    pub replica: Option<u8>,
}

/// A replica's way to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Its own database; for the gateway and the log process the log's.
    Database,
    /// The log.
    Log,
    /// All servers of NATS.
    Bus,
    /// From the gateways to it; for the gateway from its clients.
    Gateway,
}

/// How a link fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing goes through and nothing is told; what was on its way arrives afterwards.
    Silent,
    /// Nobody listens, and open connections are reset.
    Refused,
    /// New connections are reset, too.
    Reset,
    /// Everything arrives so many milliseconds later.
    Slow(u64),
    /// Each connection is reset after so many bytes from the client,
    CutRequest(u64),
    /// or from the server.
    CutAnswer(u64),
}

/// Which room is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The log's table cannot grow; all that fits into files as they are goes on.
    Tables,
    /// Nothing can be written at all, the write-ahead log neither: PostgreSQL gives up.
    All,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64, length: Duration) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut blows, mut deck) = (Vec::new(), Vec::new());
        let mut at = CALM;
        while at < length {
            if deck.is_empty() {
                deck = DECK.to_vec();
                deck.shuffle(&mut random);
            }
            if let Some(card) = deck.pop() {
                blows.push(blow(card, at, &mut random));
            }
            at += Duration::from_millis(random.random_range(APART));
        }
        Self {
            seed,
            length,
            blows,
        }
    }
}

fn blow(card: Card, at: Duration, random: &mut StdRng) -> Blow {
    let (fault, lasts) = match card {
        Card::Kill => (Fault::Kill(whom(random)), 0..=3_000),
        // Longer than a lease, and at times longer than a saga has.
        Card::Freeze => (Fault::Freeze(whom(random)), 300..=7_000),
        Card::Cut(link) => {
            let (whom, how) = (whom(random), how(random));
            (Fault::Cut { whom, link, how }, 500..=6_000)
        }
        Card::Postgres => (Fault::CrashPostgres, 0..=2_000),
        Card::Disk => {
            let room = if random.random_ratio(1, 3) {
                Room::All
            } else {
                Room::Tables
            };
            (Fault::FillDisk(room), 2_000..=6_000)
        }
        Card::Broker => {
            let place = random.random_range(0..BROKERS);
            let fault = if random.random_bool(0.5) {
                Fault::KillBroker(place)
            } else {
                Fault::FreezeBroker(place)
            };
            (fault, 1_000..=6_000)
        }
        Card::Wipe => {
            let fault = if random.random_ratio(1, 3) {
                Fault::WipeBus
            } else {
                Fault::WipeBroker(random.random_range(0..BROKERS))
            };
            (fault, 0..=1_500)
        }
    };
    Blow {
        at,
        lasts: Duration::from_millis(random.random_range(lasts)),
        fault,
    }
}

fn whom(random: &mut StdRng) -> Whom {
    let all: u32 = SERVICES.iter().map(|(_, weight)| weight).sum();
    let mut ticket = random.random_range(0..all);
    let mut chosen = SERVICES[0].0;
    for (service, weight) in SERVICES {
        chosen = service;
        if ticket < weight {
            break;
        }
        ticket -= weight;
    }
    let replica = match random.random_range(0..5) {
        0 => None,
        1 | 2 => Some(1),
        _ => Some(2),
    };
    Whom {
        service: chosen,
        replica,
    }
}

fn how(random: &mut StdRng) -> How {
    match random.random_range(0..8) {
        0..3 => How::Silent,
        3 => How::Refused,
        4 => How::Reset,
        5 => How::Slow(random.random_range(20..=400)),
        6 => How::CutRequest(random.random_range(200..=20_000)),
        _ => How::CutAnswer(random.random_range(200..=20_000)),
    }
}

impl Fault {
    /// Its kind, for counts.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill(_) => "SIGKILL",
            Self::Freeze(_) => "SIGSTOP",
            Self::Cut { link, .. } => match link {
                Link::Database => "cut off from the database",
                Link::Log => "cut off from the log",
                Link::Bus => "cut off from the bus",
                Link::Gateway => "cut off from the gateway",
            },
            Self::CrashPostgres => "PostgreSQL restarted",
            Self::FillDisk(_) => "disk full",
            Self::KillBroker(_) | Self::FreezeBroker(_) => "NATS server away",
            Self::WipeBroker(_) | Self::WipeBus => "NATS wiped",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, length) = (self.seed, self.length.as_secs());
        writeln!(f, "seed {seed}, {length} s, {} faults:", self.blows.len())?;
        self.blows.iter().try_for_each(|blow| writeln!(f, "{blow}"))
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(f, "{at:8.1} s  {lasts:4.1} s  {}", self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(whom) => write!(f, "SIGKILL to {whom}"),
            Self::Freeze(whom) => write!(f, "SIGSTOP to {whom}"),
            Self::Cut { whom, link, how } => {
                let link = match link {
                    Link::Database => "its database",
                    Link::Log => "the log",
                    Link::Bus => "the bus",
                    Link::Gateway => "who asks it",
                };
                write!(f, "{whom} and {link}: {how}")
            }
            Self::CrashPostgres => f.write_str("PostgreSQL stops"),
            Self::FillDisk(Room::Tables) => {
                f.write_str("PostgreSQL's disk is full: no table grows")
            }
            Self::FillDisk(Room::All) => {
                f.write_str("PostgreSQL's disk is full: nothing can be written")
            }
            Self::KillBroker(place) => write!(f, "SIGKILL to NATS server {place}"),
            Self::FreezeBroker(place) => write!(f, "SIGSTOP to NATS server {place}"),
            Self::WipeBroker(place) => write!(f, "NATS server {place} loses its disk"),
            Self::WipeBus => f.write_str("all NATS servers lose their disks"),
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.replica {
            Some(replica) => write!(f, "{}-{replica}", self.service),
            None => write!(f, "{}-1 and {}-2", self.service, self.service),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("silence"),
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
            Self::Slow(millis) => write!(f, "{millis} ms late"),
            Self::CutRequest(bytes) => write!(f, "reset after {bytes} bytes there"),
            Self::CutAnswer(bytes) => write!(f, "reset after {bytes} bytes back"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const HALF_A_MINUTE: Duration = Duration::from_secs(30);

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_seed_another() {
        let plan = Plan::of(7, HALF_A_MINUTE);
        assert_eq!(plan, Plan::of(7, HALF_A_MINUTE));
        assert_eq!(plan.to_string(), Plan::of(7, HALF_A_MINUTE).to_string());
        assert_ne!(plan.blows, Plan::of(8, HALF_A_MINUTE).blows);
    }

    #[test]
    fn a_longer_run_of_a_seed_begins_like_a_shorter_one() {
        let (short, long) = (Plan::of(7, HALF_A_MINUTE), Plan::of(7, HALF_A_MINUTE * 10));
        assert_eq!(long.blows[..short.blows.len()], short.blows[..]);
        assert!(long.blows.len() > 8 * short.blows.len());
    }

    #[test]
    fn half_a_minute_has_every_kind_of_fault_whatever_the_seed() {
        let kinds = |plan: &Plan| -> BTreeSet<&str> {
            plan.blows.iter().map(|blow| blow.fault.kind()).collect()
        };
        for seed in 0..500 {
            let plan = Plan::of(seed, HALF_A_MINUTE);
            assert_eq!(kinds(&plan).len(), 10, "seed {seed}: {plan}");
        }
    }

    #[test]
    fn all_services_and_both_replicas_are_met_in_time() {
        let plan = Plan::of(1, HALF_A_MINUTE * 60);
        for (service, _) in SERVICES {
            for replica in [None, Some(1), Some(2)] {
                let whom = Whom { service, replica };
                let is_killed = |blow: &Blow| blow.fault == Fault::Kill(whom);
                assert!(plan.blows.iter().any(is_killed), "{whom}");
            }
        }
    }

    #[test]
    fn faults_begin_in_order_and_within_the_length() {
        let plan = Plan::of(3, HALF_A_MINUTE);
        assert!(plan.blows.is_sorted_by_key(|blow| blow.at));
        assert!(plan.blows.iter().all(|blow| blow.at < plan.length));
        assert!(plan.blows[0].at >= CALM);
    }
}
