//! The data port's socket outlives the process: an upgrade that nobody notices.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway with the sockets that it is handed, as systemd does it.
struct Gateway(Child);

impl Gateway {
    fn start(config: &PathBuf, data: &TcpListener, admin: &TcpListener) -> Self {
        let handed = |socket: &TcpListener| {
            Stdio::from(OwnedFd::from(socket.try_clone().expect("a second handle")))
        };
        let script = "exec 3<&0 4>&1 </dev/null >&2; \
                      export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=data:admin; \
                      exec \"$0\" --config \"$1\"";
        let child = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_banyan-gateway")])
            .arg(config)
            .stdin(handed(data))
            .stdout(handed(admin))
            .spawn()
            .expect("a shell");
        Self(child)
    }

    /// Asks it to end, and waits until it has.
    async fn end(mut self) -> Option<i32> {
        let id = i32::try_from(self.0.id()).expect("an id");
        let id = Pid::from_raw(id).expect("an id");
        kill_process(id, Signal::TERM).expect("it runs");
        testkit::eventually(PATIENCE, || {
            let status = self.0.try_wait().expect("a child");
            async move { status }
        })
        .await
        .code()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the clients together have got.
#[derive(Default)]
struct Storm {
    is_over: AtomicBool,
    answers: AtomicUsize,
    by_second: AtomicUsize,
}

/// One request on a connection of its own; whatever fails, fails the test.
async fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.expect("not refused");
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("not reset");
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    let read = tokio::time::timeout(PATIENCE, reading).await;
    read.expect("in time").expect("not reset");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert!(answer.ends_with("hello"), "{answer:?}");
    answer
}

async fn upstream() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
    let listener = listener.await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                while matches!(stream.read(&mut request).await, Ok(read) if read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn an_upgrade_under_a_storm_of_clients_refuses_and_resets_none() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = upstream().await;
    let config = |route: &str| {
        let path = folder.path().join(format!("{route}.toml"));
        let text = format!(
            "access_log = \"off\"\nupstreams.legacy.endpoints = [\"http://{upstream}\"]\n\
             routes = [{{ id = \"{route}\", prefix = \"/\", legacy = \"legacy\" }}]\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    };
    let data = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = data.local_addr().unwrap();
    let first = Gateway::start(&config("first"), &data, &admin);
    let storm = Arc::new(Storm::default());
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let storm = Arc::clone(&storm);
            tokio::spawn(async move {
                while !storm.is_over.load(Ordering::Relaxed) {
                    let answer = ask(address).await;
                    if answer.contains("x-banyan-route: second") {
                        storm.by_second.fetch_add(1, Ordering::Relaxed);
                    }
                    storm.answers.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let reached = |count: fn(&Storm) -> &AtomicUsize, least: usize| {
        let storm = Arc::clone(&storm);
        testkit::eventually(PATIENCE, move || {
            let so_far = count(&storm).load(Ordering::Relaxed);
            async move { so_far >= least }
        })
    };
    reached(|storm| &storm.answers, 50).await;
    let second = Gateway::start(&config("second"), &data, &admin);
    // Both serve for a while.
    reached(|storm| &storm.by_second, 20).await;
    assert_eq!(first.end().await, Some(0));
    let at_the_end = storm.by_second.load(Ordering::Relaxed);
    reached(|storm| &storm.by_second, at_the_end.max(20) + 1).await;
    let now = storm.answers.load(Ordering::Relaxed);
    let storm_goes_on = Arc::clone(&storm);
    testkit::eventually(PATIENCE, move || {
        let answers = storm_goes_on.answers.load(Ordering::Relaxed);
        async move { answers >= now + 100 }
    })
    .await;
    storm.is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no client was refused or reset");
    }
    // The admin port came with it.
    let mut ready = TcpStream::connect(admin.local_addr().unwrap())
        .await
        .unwrap();
    let request = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    ready.write_all(request).await.unwrap();
    let mut answer = String::new();
    ready.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert_eq!(second.end().await, Some(0));
}

#[test]
fn a_socket_that_is_none_to_listen_on_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let text = "upstreams.legacy.endpoints = [\"http://127.0.0.1:9000\"]\n\
                routes = [{ id = \"all\", prefix = \"/\", legacy = \"legacy\" }]\n";
    std::fs::write(&path, text).unwrap();
    let script = "exec 3</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" --config \"$1\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_banyan-gateway")])
        .arg(&path)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("LISTEN_FDS"), "{told}");
}
