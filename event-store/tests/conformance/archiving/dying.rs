//! A death at any commit of the removal loses nothing, and the next pass goes on.

use std::time::Duration;

use event_store::ReadQuery;
use testkit::{Backend, eventually};

use super::{Kept, retention};
use crate::fixture::{PATIENCE, append_to, run_of};

testkit::both_databases!(a_death_at_any_commit_loses_nothing);

async fn a_death_at_any_commit_loses_nothing(backend: Backend) {
    let kept = Kept::with(backend).await;
    let batch = run_of("a", 12);
    kept.log.append(batch.clone()).await.unwrap();
    kept.archive().await;
    let all = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    let (fragile, faults) = kept.fragile().await;
    let mut deaths = 0;
    // The lease, then a note and a removal for each of three files, then the lease given back.
    for n in 1..=8 {
        for after in [false, true] {
            if after {
                faults.die_after(n);
            } else {
                faults.die_before(n);
            }
            let retention = retention(&fragile, kept.folder.path(), Duration::ZERO);
            let _died_or_not = retention.pass().await;
            deaths += u32::from(faults.is_dead());
            faults.revive();
            // As if the dead process's term were over.
            let sql = "DELETE FROM leases WHERE name = 'retention'";
            kept.log.database().execute(sql, vec![]).await.unwrap();
            assert_eq!(kept.log.read(&ReadQuery::after(0)).await.unwrap(), all);
            let to = kept.log.archived_to().await.unwrap();
            assert_eq!(kept.rows().await, (to + 1..=12).collect::<Vec<_>>());
            let again = kept.log.append(batch.clone()).await.unwrap();
            assert!(again.iter().all(|place| place.duplicate), "{again:?}");
        }
    }
    assert!(deaths >= 6, "{deaths} deaths");
    let last = retention(&fragile, kept.folder.path(), Duration::ZERO);
    eventually(PATIENCE, || async {
        last.pass().await.unwrap();
        kept.log.archived_to().await.unwrap() == 12
    })
    .await;
    assert_eq!(kept.log.read(&ReadQuery::after(0)).await.unwrap(), all);
    assert_eq!(append_to(&kept.log, &["a"]).await, 13);
}
