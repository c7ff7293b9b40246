//! The small system dies before and after each durable write, at the first hit and at a later one,
//! and is started again: what it acknowledged is there once, everywhere, and nothing else is.

mod audit;
mod mutations;
mod world;

use faults::{Moment, Mutation, Point, Write};
use testkit::{Backend, both_databases};

use self::world::World;

both_databases!(
    it_dies_around_the_writes_of_outbox_and_relay,
    it_dies_around_the_writes_of_log_and_publisher,
    it_dies_around_the_writes_of_the_archive,
    it_dies_around_the_writes_of_consumers,
    it_dies_around_the_writes_of_sagas_and_deadlines,
    it_dies_around_what_operators_do,
    it_dies_around_second_copies_and_erasures,
    it_dies_around_what_a_missing_definition_leads_to,
);

const OUTBOX_AND_RELAY: [Write; 6] = [
    Write::ServiceCommit,
    Write::OutboxRows,
    Write::RelayLease,
    Write::RelayHouse,
    Write::RelayMark,
    Write::RelayRefuse,
];

const LOG_AND_PUBLISHER: [Write; 4] = [
    Write::RelayAppend,
    Write::LogAppend,
    Write::BusPublish,
    Write::PublisherCursor,
];

const ARCHIVE: [Write; 4] = [
    Write::ArchiveSegment,
    Write::ArchiveManifest,
    Write::LogArchiveNote,
    Write::LogArchiveRemove,
];

const CONSUMERS: [Write; 5] = [
    Write::ConsumerBegin,
    Write::ConsumerHandle,
    Write::ConsumerPass,
    Write::ConsumerPark,
    Write::ConsumerRetry,
];

const SAGAS_AND_DEADLINES: [Write; 5] = [
    Write::SagaRow,
    Write::SagaTimers,
    Write::SagaVerb,
    Write::DeadlineFire,
    Write::DeadlinePutOff,
];

const OPERATORS: [Write; 4] = [
    Write::OutboxClear,
    Write::ConsumerDiscard,
    Write::ConsumerPause,
    Write::ConsumerReplay,
];

const COPIES_AND_ERASURES: [Write; 5] = [
    Write::ConsumerRebuild,
    Write::ConsumerSwap,
    Write::ConsumerAbandon,
    Write::PersonalErase,
    Write::PersonalAnnounced,
];

const MISSING: [Write; 3] = [Write::SagaPark, Write::SagaResume, Write::DeadlineClear];

/// On PostgreSQL: an SQLite file is one process's, which holds its lease on four times a minute, and
/// dies there in the simulation, where a minute is short.
const LEASES: [Write; 2] = [Write::RelayRenew, Write::ConsumerLease];

/// On PostgreSQL, which has them.
const PARTITIONS: [Write; 2] = [Write::PartitionsMake, Write::PartitionDrop];

#[test]
fn it_dies_around_every_write_there_is() {
    let tried: [&[Write]; 10] = [
        &OUTBOX_AND_RELAY,
        &LOG_AND_PUBLISHER,
        &ARCHIVE,
        &CONSUMERS,
        &SAGAS_AND_DEADLINES,
        &OPERATORS,
        &COPIES_AND_ERASURES,
        &MISSING,
        &LEASES,
        &PARTITIONS,
    ];
    let tried = tried.concat();
    for write in Write::ALL {
        assert!(tried.contains(write), "nothing dies around {write:?}");
    }
}

#[test]
fn the_table_of_proofs_names_every_point_and_every_mutation() {
    let table = include_str!("../../../../docs/proof.md");
    let writes = Write::ALL.iter().map(|write| write.name());
    for name in writes.chain(Mutation::ALL.iter().map(|mutation| mutation.name())) {
        assert!(table.contains(&format!("`{name}`")), "no word about {name}");
    }
}

/// Each death is followed by a start that dies at the next point; after the four of a write the
/// system comes to its end, and is audited.
async fn dies_around(backend: Backend, writes: &[Write]) {
    die_around(World::new(backend).await, writes).await;
}

async fn die_around(mut world: World, writes: &[Write]) {
    for write in writes {
        for moment in [Moment::Before, Moment::After] {
            let point = Point {
                write: *write,
                moment,
            };
            for hit in [1, write.later()] {
                world.dies_at(point, hit).await;
            }
        }
        world.finishes().await;
        let faults = world.audit().await;
        assert!(faults.is_empty(), "after {}: {faults:#?}", write.name());
    }
}

async fn it_dies_around_the_writes_of_outbox_and_relay(backend: Backend) {
    dies_around(backend, &OUTBOX_AND_RELAY).await;
}

async fn it_dies_around_the_writes_of_log_and_publisher(backend: Backend) {
    dies_around(backend, &LOG_AND_PUBLISHER).await;
}

/// Events leave the log's database while all this goes on, and everybody reads them from files.
async fn it_dies_around_the_writes_of_the_archive(backend: Backend) {
    let world = World::new(backend).await.archiving();
    die_around(world, &ARCHIVE).await;
}

async fn it_dies_around_the_writes_of_consumers(backend: Backend) {
    dies_around(backend, &CONSUMERS).await;
}

async fn it_dies_around_the_writes_of_sagas_and_deadlines(backend: Backend) {
    dies_around(backend, &SAGAS_AND_DEADLINES).await;
}

async fn it_dies_around_what_operators_do(backend: Backend) {
    dies_around(backend, &OPERATORS).await;
}

async fn it_dies_around_second_copies_and_erasures(backend: Backend) {
    dies_around(backend, &COPIES_AND_ERASURES).await;
}

async fn it_dies_around_what_a_missing_definition_leads_to(backend: Backend) {
    dies_around(backend, &MISSING).await;
}

/// Borders of partitions are passed all the time.
#[tokio::test]
async fn it_dies_around_the_writes_of_partitions() {
    let world = World::new(Backend::postgres().await).await.archiving();
    world.divides_the_log().await;
    die_around(world, &PARTITIONS).await;
}

#[tokio::test]
async fn it_dies_around_the_writes_of_leases() {
    dies_around(Backend::postgres().await, &LEASES).await;
}
