//! What is wrong with a service's configuration: all of it is told at once, and nobody is reached.

use std::net::SocketAddr;

use chassis::{Shutdown, config::Faults};
use database::Migrations;
use serde::{Deserialize, Serialize};
use service::{Plan, Service, Settings, Shared};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    listen: SocketAddr,
    database: String,
    log: String,
    #[serde(alias = "nats", skip_serializing_if = "Option::is_none")]
    bus: Option<String>,
    legacy_database: Option<String>,
    ops_token: Option<String>,
    speed: u8,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 0).into(),
            database: "sqlite:sample.db".to_owned(),
            log: "postgres://banyan@nowhere/event_log".to_owned(),
            bus: None,
            legacy_database: None,
            ops_token: None,
            speed: 1,
        }
    }
}

impl Service for Sample {
    const NAME: &'static str = "sample";
    const ABOUT: &'static str = "A sample.";

    fn settings(&self) -> Settings<'_> {
        service::settings!(self)
    }

    fn faults(&self) -> Vec<String> {
        let fault = (self.speed > 9).then(|| "speed: must be 9 or less".to_owned());
        fault.into_iter().collect()
    }

    fn migrations() -> Vec<Migrations> {
        Vec::new()
    }

    async fn run(self, _: Shared, _: Shutdown) -> anyhow::Result<()> {
        Ok(())
    }
}

fn load(text: &str) -> Result<Sample, Faults> {
    let folder = testkit::temp_dir();
    let file = folder.path().join("sample.toml");
    std::fs::write(&file, text).expect("a writable folder");
    service::load(Some(&file))
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_no_password_with_it() {
    let text = "listen = \"0.0.0.0:9000\"\ndatabase = \"mysql://root:secret@db/sample\"\n\
                log = \"postgres://a:secret@b:port/log\"\nlegacy_database = \"sqlite:\"\n\
                nats = \"nats://a:secret@a:4222,nats://b:4222\"\nspeed = 10\nsped = 3\n";
    let faults = load(text).err().expect("faults");
    let keys = [
        "sped",
        "database",
        "log",
        "legacy_database",
        "bus",
        "ops_token",
        "speed",
    ];
    let told: Vec<&str> = faults
        .0
        .iter()
        .filter_map(|fault| fault.split_once(':'))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(told, keys, "{faults}");
    assert!(!faults.to_string().contains("secret"), "{faults}");
}

#[test]
fn a_bus_is_nats_or_rabbitmq_and_its_old_name_is_known() {
    for bus in [
        "nats://a:4222,nats://b:4222",
        "amqp://a:p%40ss@b/events,amqp://c",
        "amqps://a:p%40ss@b/events,amqps://c:5671",
    ] {
        for key in ["bus", "nats"] {
            let text = format!("{key} = {bus:?}\n");
            let sample = load(&text).unwrap_or_else(|faults| panic!("{faults}"));
            assert_eq!(sample.bus.as_deref(), Some(bus), "{key}");
        }
    }
    for wrong in [
        "bus = \"amqp://a:secret@b,nats://a:secret@c\"\n",
        "bus = \"amqps://a:secret@b?cacertfile=/nowhere\"\n",
        "bus = \"nats://a\"\nnats = \"nats://b\"\n",
    ] {
        let faults = load(wrong).err().expect(wrong);
        assert!(faults.to_string().contains("bus"), "{faults}");
        assert!(!faults.to_string().contains("secret"), "{faults}");
    }
}

#[test]
fn what_is_right_is_taken_whether_anybody_is_there_or_not() {
    let sample = load("speed = 9\n").unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(service::check(&sample), Ok(()));
    assert!(Plan::of(&sample).is_ok());
}

#[test]
fn a_service_in_somebodys_process_is_checked_as_well() {
    let sample = Sample {
        speed: 10,
        ..Sample::default()
    };
    let faults = Plan::of(&sample).err().expect("a fault");
    assert_eq!(faults.0, ["speed: must be 9 or less"]);
}
