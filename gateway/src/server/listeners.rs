//! The sockets of the data port: one for each worker, on one port.
//!
//! Invariant: a port that somebody else listens on is never shared with them, although the sockets
//! share it among themselves: it is probed without SO_REUSEPORT first. Only sockets that were handed
//! over are shared with whoever else got them.
//!
//! What is set on a listening socket holds for the connections that it accepts, at no cost to them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use chassis::net::BindError;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// The bound sockets.
#[derive(Debug)]
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
}

/// How many connections may wait to be accepted, per worker; the kernel's usual limit is 4096.
pub(super) const BACKLOG: i32 = 4096;

/// What a connection may hold that the network has not taken yet, before its writer waits. The system
/// lets a writer go on only when a part of what it holds is gone: without this bound a third of up to 4
/// MiB, so that a client at 50 KB a second would look for half a minute as if it read nothing; with it
/// 100 KiB at the most. More than a fast network takes between two turns of a worker.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNSENT: u32 = 64 * 1024;

impl Listeners {
    /// Listens on `address` with a socket for each core. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken (also by another gateway) or the address is not this machine's.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self::bind_for(address, workers)
    }

    /// The same for a given number of workers.
    ///
    /// # Errors
    /// As [`Listeners::bind`].
    pub fn bind_for(address: SocketAddr, workers: usize) -> Result<Self, BindError> {
        let failed = |error| BindError::new(address, "listen", error);
        if address.port() != 0 {
            drop(TcpListener::bind(address).map_err(failed)?);
        }
        let first = listen(address).map_err(failed)?;
        let address = first.local_addr().map_err(failed)?;
        let mut sockets = vec![first];
        for _ in 1..workers {
            sockets.push(listen(address).map_err(failed)?);
        }
        Ok(Self { address, sockets })
    }

    /// Sockets that somebody else has bound, shared by as many workers as there are cores; each of
    /// the sockets, if there are more.
    ///
    /// # Errors
    /// None at all, or one that cannot be shared.
    pub fn handed(sockets: Vec<TcpListener>) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::handed_for(sockets, cores)
    }

    fn handed_for(mut sockets: Vec<TcpListener>, workers: usize) -> io::Result<Self> {
        let first = sockets.first().ok_or(io::ErrorKind::InvalidInput)?;
        let address = first.local_addr()?;
        let given = sockets.len();
        for number in given..workers {
            let shared = sockets[number % given].try_clone()?;
            sockets.push(shared);
        }
        Ok(Self { address, sockets })
    }

    /// The address, with the port that was taken for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_parts(self) -> (SocketAddr, Vec<TcpListener>) {
        self.sockets.iter().for_each(bound_unsent);
        (self.address, self.sockets)
    }
}

/// Where the system knows no such bound, slow clients are judged more coarsely.
fn bound_unsent(socket: &TcpListener) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = SockRef::from(socket).set_tcp_notsent_lowat(MAX_UNSENT) {
        tracing::warn!(%error, "TCP_NOTSENT_LOWAT was refused");
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_port_among_themselves_and_with_nobody_else() {
        let first = Listeners::bind_for(([127, 0, 0, 1], 0).into(), 3).unwrap();
        assert_eq!(first.sockets.len(), 3);
        let second = Listeners::bind_for(first.address(), 3)
            .unwrap_err()
            .to_string();
        assert!(
            second.contains("taken") && second.contains("`listen`"),
            "{second}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn accepted_connections_hold_little_that_is_not_sent() {
        let bound = Listeners::bind_for(([127, 0, 0, 1], 0).into(), 1).unwrap();
        let handed = TcpListener::bind("127.0.0.1:0").unwrap();
        let handed = Listeners::handed_for(vec![handed], 1).unwrap();
        for listeners in [bound, handed] {
            let (address, sockets) = listeners.into_parts();
            sockets[0].set_nonblocking(false).unwrap();
            let _client = std::net::TcpStream::connect(address).unwrap();
            let (accepted, _) = sockets[0].accept().unwrap();
            let held = SockRef::from(&accepted).tcp_notsent_lowat().unwrap();
            assert_eq!(held, MAX_UNSENT);
        }
    }

    #[test]
    fn a_socket_that_was_handed_over_serves_all_workers_and_outlives_them() {
        let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second) = (socket(), socket());
        let address = first.local_addr().unwrap();
        let kept = first.try_clone().unwrap();
        let shared = Listeners::handed_for(vec![first], 3).unwrap();
        assert_eq!((shared.address(), shared.sockets.len()), (address, 3));
        drop(shared);
        assert!(std::net::TcpStream::connect(address).is_ok());
        drop(kept);
        let many = Listeners::handed_for(vec![second, socket()], 1).unwrap();
        assert_eq!(many.sockets.len(), 2, "none is left unserved");
        assert!(Listeners::handed_for(Vec::new(), 1).is_err());
    }
}
