//! The durable writes on an event's way, and the points around them.

use std::fmt;

/// Declares the writes with their names and a hit that comes later than the first.
macro_rules! writes {
    ($($(#[$doc:meta])* $write:ident = $name:literal, later $later:literal;)+) => {
        /// A durable write, or a statement of one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Write { $($(#[$doc])* $write),+ }

        impl Write {
            /// All of them, in the order of an event's way.
            pub const ALL: &[Self] = &[$(Self::$write),+];

            /// The name of its points.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$write => $name),+ }
            }

            /// A hit other than the first that a small load is sure to come to.
            #[must_use]
            pub const fn later(self) -> u64 {
                match self { $(Self::$write => $later),+ }
            }
        }
    };
}

writes! {
    /// A service's row, its saga and its outbox rows: the commit that a client is told about.
    ServiceCommit = "service.commit", later 3;
    /// Rows into the outbox, within their transaction.
    OutboxRows = "outbox.rows", later 4;
    /// An operator lets a stream that stands still be tried again.
    OutboxClear = "outbox.clear", later 2;
    /// The relay's lease.
    RelayLease = "relay.lease", later 2;
    /// The relay's lease, held on.
    RelayRenew = "relay.renew", later 2;
    /// What the relay prunes and sends again.
    RelayHouse = "relay.house", later 2;
    /// The relay's call of the log.
    RelayAppend = "relay.append", later 4;
    /// The note of where the log put the rows.
    RelayMark = "relay.mark", later 4;
    /// The note that the log refused a row.
    RelayRefuse = "relay.refuse", later 2;
    /// The log's own commit of a group.
    LogAppend = "log.append", later 4;
    /// A segment of the archive gets its name.
    ArchiveSegment = "archive.segment", later 2;
    /// The archive's manifest gets its name.
    ArchiveManifest = "archive.manifest", later 2;
    /// An archived range's note and its events' keys.
    LogArchiveNote = "log.archive_note", later 2;
    /// The removal of an archived range's rows.
    LogArchiveRemove = "log.archive_remove", later 2;
    /// Partitions of the log's events that are made ahead: on PostgreSQL.
    PartitionsMake = "partitions.make", later 2;
    /// The drop of one whose events all lie in files: on PostgreSQL.
    PartitionDrop = "partition.drop", later 2;
    /// A person's key is erased.
    PersonalErase = "personal.erase", later 2;
    /// The note that the log tells of the erasure.
    PersonalAnnounced = "personal.announced", later 2;
    /// A batch handed to the bus.
    BusPublish = "bus.publish", later 3;
    /// How far the publisher is.
    PublisherCursor = "publisher.cursor", later 2;
    /// The leases of a replica's consumers, taken and held on: on PostgreSQL, where there are some.
    ConsumerLease = "consumer.lease", later 3;
    /// The first row of a consumer's checkpoint.
    ConsumerBegin = "consumer.begin", later 2;
    /// A handler's effects with the checkpoint.
    ConsumerHandle = "consumer.handle", later 7;
    /// The checkpoint over events of foreign types.
    ConsumerPass = "consumer.pass", later 2;
    /// An event set aside, with the checkpoint.
    ConsumerPark = "consumer.park", later 2;
    /// A parked event handled after all.
    ConsumerRetry = "consumer.retry", later 2;
    /// A parked event given up by an operator.
    ConsumerDiscard = "consumer.discard", later 2;
    /// A consumer that an operator stops or lets go on.
    ConsumerPause = "consumer.pause", later 2;
    /// A projection that an operator takes back to read again.
    ConsumerReplay = "consumer.replay", later 2;
    /// A second copy of a projection is begun beside the one in use.
    ConsumerRebuild = "consumer.rebuild", later 2;
    /// The second copy takes the place of the one in use.
    ConsumerSwap = "consumer.swap", later 2;
    /// A second copy that an operator gives up.
    ConsumerAbandon = "consumer.abandon", later 2;
    /// A saga's row and its timeline, within their transaction.
    SagaRow = "saga.row", later 5;
    /// A saga's timers, within their transaction.
    SagaTimers = "saga.timers", later 5;
    /// Sagas set aside while their definition is missing.
    SagaPark = "saga.park", later 2;
    /// Sagas that go on since it is there again.
    SagaResume = "saga.resume", later 2;
    /// An operator's act on a saga.
    SagaVerb = "saga.verb", later 2;
    /// A timer's transition.
    DeadlineFire = "deadline.fire", later 2;
    /// A timer put off because its transition failed.
    DeadlinePutOff = "deadline.put_off", later 2;
    /// A timer taken off the table that its saga does not have.
    DeadlineClear = "deadline.clear", later 2;
}

/// On which side of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has not happened.
    Before,
    /// It is durable, and nobody has been told.
    After,
}

/// A place at which a process can die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Around which write.
    pub write: Write,
    /// On which side of it.
    pub moment: Moment,
}

impl Point {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let moments = [Moment::Before, Moment::After];
        let around = move |write: &Write| {
            moments.map(|moment| Self {
                write: *write,
                moment,
            })
        };
        Write::ALL.iter().flat_map(around)
    }

    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|point| point.to_string() == name)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        write!(f, "{}.{moment}", self.write.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own_and_is_found_by_it() {
        let names: HashSet<String> = Point::all().map(|point| point.to_string()).collect();
        assert_eq!(names.len(), Write::ALL.len() * 2);
        for point in Point::all() {
            assert_eq!(Point::parse(&point.to_string()), Some(point));
        }
        assert_eq!(Point::parse("relay.mark"), None);
    }
}
