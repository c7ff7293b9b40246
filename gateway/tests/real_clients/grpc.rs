//! gRPC's own library on both sides: `calls.py` is its server, and its client.

use std::path::Path;
use std::process::Command;

use testkit::Process;

use crate::gateway::{Front, Gateway};
use crate::site::PATIENCE;

fn python(arguments: &[&str]) -> Command {
    let program = testkit::python("python").expect("what `cargo xtask test` installs");
    let mut command = Command::new(program);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_clients/calls.py");
    command.arg("-u").arg(script).args(arguments);
    command
}

/// Calls of all four kinds, their metadata, refusals, deadlines and cancellations.
#[tokio::test]
async fn every_kind_of_call_is_what_it_is_without_the_gateway() {
    let server = Process::spawn_command(python(&["serve"])).expect("the server starts");
    let line = server.line("listening on ", PATIENCE).await;
    let port = line.rsplit(' ').next().and_then(|port| port.parse().ok());
    let port: u16 = port.expect("a port");
    let itself = format!("127.0.0.1:{port}");
    call(&["call", &itself]).await;
    for front in [Front::Plain, Front::Tls] {
        let gateway = Gateway::before(port, "h2c", front).await;
        let address = format!("localhost:{}", gateway.address.port());
        let authority = gateway.authority();
        let authority = authority.to_str().expect("a path in UTF-8");
        match front {
            Front::Plain => call(&["call", &address]).await,
            Front::Tls => call(&["call", &address, authority]).await,
        }
    }
}

async fn call(arguments: &[&str]) {
    let mut client = Process::spawn_command(python(arguments)).expect("the client starts");
    let status = client.exit(PATIENCE).await;
    assert!(status.success(), "{arguments:?}: {:#?}", client.output());
}
