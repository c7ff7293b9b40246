//! Carries out a plan, and mends everything that it broke.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use futures::future::try_join_all;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    plan::{Blow, Fault, Plan, Room},
    system::System,
};

/// Lets every fault of the plan begin in its time; returns when the last is mended.
///
/// # Errors
/// When something could not be broken or mended.
pub async fn carry_out(system: &Arc<System>, plan: &Plan) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    for blow in plan.blows.clone() {
        sleep_until(begun + blow.at).await;
        println!("{:8.1} s  {}", begun.elapsed().as_secs_f64(), blow.fault);
        under_way.spawn(strike(Arc::clone(system), blow));
        while let Some(done) = under_way.try_join_next() {
            done??;
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    sleep_until(begun + plan.length).await;
    Ok(())
}

async fn strike(system: Arc<System>, blow: Blow) -> anyhow::Result<()> {
    let Blow { lasts, fault, .. } = blow;
    let what = fault.to_string();
    let struck = match fault {
        Fault::Kill(_) | Fault::Freeze(_) | Fault::Cut { .. } => {
            parts(&system, &fault, lasts).await
        }
        Fault::CrashPostgres | Fault::FillDisk(_) => postgres(&system, &fault, lasts).await,
        Fault::KillBroker(place) | Fault::FreezeBroker(place) | Fault::WipeBroker(place) => {
            broker(&system, &fault, place, lasts).await
        }
        Fault::WipeBus => wipe_bus(&system, lasts).await,
    };
    struck.with_context(|| what)
}

async fn parts(system: &System, fault: &Fault, lasts: Duration) -> anyhow::Result<()> {
    let (Fault::Kill(whom) | Fault::Freeze(whom) | Fault::Cut { whom, .. }) = fault else {
        return Ok(());
    };
    let parts = system.of(*whom)?;
    for part in &parts {
        match fault {
            Fault::Kill(_) => part.kill()?,
            Fault::Cut { link, how, .. } => part.cut(*link, *how).await,
            _ => part.freeze()?,
        }
    }
    sleep(lasts).await;
    for part in &parts {
        match fault {
            Fault::Kill(_) => part.revive()?,
            Fault::Cut { link, .. } => part.mend(*link).await,
            _ => part.thaw()?,
        }
    }
    Ok(())
}

/// One fault of PostgreSQL at a time.
async fn postgres(system: &System, fault: &Fault, lasts: Duration) -> anyhow::Result<()> {
    let mut server = system.postgres.lock().await;
    match fault {
        Fault::FillDisk(Room::Tables) => {
            tokio::task::block_in_place(|| server.fill_disk(system.log_database()))?;
            sleep(lasts).await;
            tokio::task::block_in_place(|| server.make_room())
        }
        Fault::FillDisk(Room::All) => {
            tokio::task::block_in_place(|| server.fill_disk_wholly())?;
            sleep(lasts).await;
            // It has given up, or is about to: whoever has made room starts it again.
            server.restart().await
        }
        _ => {
            server.crash().await?;
            sleep(lasts).await;
            server.restart().await
        }
    }
}

async fn broker(
    system: &System,
    fault: &Fault,
    place: usize,
    lasts: Duration,
) -> anyhow::Result<()> {
    let mut server = system.brokers[place].lock().await;
    match fault {
        Fault::FreezeBroker(_) => {
            server.freeze()?;
            sleep(lasts).await;
            server.thaw()
        }
        Fault::WipeBroker(_) => {
            server.wipe().await?;
            sleep(lasts).await;
            server.restart().await
        }
        _ => {
            server.kill().await?;
            sleep(lasts).await;
            server.restart().await
        }
    }
}

/// All of them, before the first comes back.
async fn wipe_bus(system: &System, lasts: Duration) -> anyhow::Result<()> {
    let mut servers = Vec::new();
    for server in &system.brokers {
        servers.push(server.lock().await);
    }
    for server in &mut servers {
        server.wipe().await?;
    }
    sleep(lasts).await;
    try_join_all(servers.iter_mut().map(|server| server.restart())).await?;
    Ok(())
}
