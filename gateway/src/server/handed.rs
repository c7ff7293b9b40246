//! Sockets that whoever started this process has opened for it: systemd's socket activation.
//!
//! They outlive this process. A second one that gets the same sockets serves beside it, and nothing
//! that waits in their queues is lost when either ends.
//!
//! Invariant: a socket is taken once; whoever asks again gets none.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};

use listenfd::ListenFd;
use socket2::SockRef;

/// Names the sockets, in their order and with colons between.
const NAMES: &str = "LISTEN_FDNAMES";

/// The name of the admin port's; every other one is the data port's.
const ADMIN: &str = "admin";

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// What was handed over.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) data: Vec<TcpListener>,
    pub(crate) admin: Option<TcpListener>,
}

impl Handed {
    /// The sockets of `LISTEN_FDS`, if they are meant for this process (`LISTEN_PID`).
    ///
    /// # Errors
    /// One that is no listening TCP socket.
    pub(crate) fn take() -> io::Result<Self> {
        if IS_TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(Self::default());
        }
        let mut sockets = ListenFd::from_env();
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = Self::default();
        for at in 0..sockets.len() {
            let wrong = |why: &str| {
                let message = format!("socket {at} of LISTEN_FDS {why}");
                io::Error::new(io::ErrorKind::InvalidInput, message)
            };
            let is_admin = names.next() == Some(ADMIN);
            let socket = sockets
                .take_tcp_listener(at)
                .map_err(|error| wrong(&format!("is no TCP socket: {error}")))?
                .ok_or_else(|| wrong("is not there"))?;
            if !SockRef::from(&socket).is_listener()? {
                return Err(wrong("does not listen"));
            }
            socket.set_nonblocking(true)?;
            match &handed.admin {
                Some(_) if is_admin => return Err(wrong("is a second one for the admin port")),
                None if is_admin => handed.admin = Some(socket),
                _ => handed.data.push(socket),
            }
        }
        Ok(handed)
    }
}
