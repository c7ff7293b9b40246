//! Ports that nobody else takes between the choice and the use.
//!
//! Binding port 0 and closing it again leaves a gap in which any outgoing connection of the
//! machine may get the same port. These ports lie below the kernel's ephemeral range, and a lock
//! file that this process holds until its end keeps other test processes away.

use std::{
    collections::HashSet,
    fs::{DirBuilder, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// Single ports; below 32768, where Linux starts its ephemeral ports.
const SINGLE: std::ops::Range<u16> = 25_000..32_000;
/// What `--port-offset` may be: 8080 and 9000 plus the offset stay below [`SINGLE`].
const OFFSETS: std::ops::Range<u16> = 10_000..15_900;
/// The development defaults of all parts, which `--port-offset` shifts.
const DEFAULTS: [u16; 12] = [
    8080, 8081, 9000, 9001, 9002, 9003, 9004, 9005, 9006, 9007, 9010, 9103,
];

static HELD: Mutex<Option<Held>> = Mutex::new(None);

#[derive(Default)]
struct Held {
    ports: HashSet<u16>,
    locks: Vec<File>,
}

/// A TCP port on 127.0.0.1 that is free and stays reserved for this process until it ends.
///
/// # Panics
/// When thousands of ports are taken.
pub fn free_port() -> u16 {
    let start = seed();
    (0..SINGLE.len())
        .map(|step| SINGLE.start + ((start + step * 7) % SINGLE.len()) as u16)
        .find(|port| reserve(&[*port]))
        .expect("a free port below the ephemeral range")
}

/// An offset for `--port-offset`: all default ports plus it are free and stay reserved for this
/// process until it ends.
///
/// # Panics
/// When no block of ports is free.
pub fn free_port_offset() -> u16 {
    let start = seed();
    (0..OFFSETS.len() / 20)
        .map(|step| OFFSETS.start + ((start + step * 20) % OFFSETS.len()) as u16)
        .find(|offset| reserve(&DEFAULTS.map(|port| port + offset)))
        .expect("a free block of ports")
}

/// Where to start looking; spreads processes over the range, order does not matter.
fn seed() -> usize {
    std::process::id() as usize * 101 + uuid::Uuid::new_v4().as_bytes()[0] as usize * 13
}

fn reserve(ports: &[u16]) -> bool {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let held = held.get_or_insert_default();
    let locks: Option<Vec<File>> = ports.iter().map(|port| lock(held, *port)).collect();
    let Some(locks) = locks else { return false };
    held.locks.extend(locks);
    held.ports.extend(ports);
    true
}

fn lock(held: &Held, port: u16) -> Option<File> {
    if held.ports.contains(&port) {
        return None;
    }
    let file = File::create(lock_folder().join(port.to_string())).expect("a lock file is writable");
    file.try_lock().ok()?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some(file)
}

/// Empty files, one for each port ever used; they may stay, the locks end with the process.
fn lock_folder() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("banyan-test-ports-{user}"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .expect("the lock folder exists");
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once() {
        let ports: HashSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
    }

    #[test]
    fn an_offset_leaves_all_default_ports_free() {
        let offset = free_port_offset();
        for port in DEFAULTS {
            assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port + offset)).is_ok());
        }
    }

    #[test]
    fn the_offset_ranges_stay_below_the_single_ports() {
        assert!(
            DEFAULTS
                .iter()
                .all(|port| port + OFFSETS.end <= SINGLE.start + 3)
        );
    }
}
