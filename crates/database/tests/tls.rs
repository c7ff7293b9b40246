//! PostgreSQL over TLS: whose certificate is believed, and whose is not.

use std::{path::Path, process::Command};

use database::{Database, Options, params};
use testkit::{Postgres, TempDir};

/// A certificate authority with a certificate for this machine's own address.
struct Authority {
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let authority = Self {
            folder: testkit::temp_dir(),
        };
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 1 \
             -subj /CN=authority -keyout ca.key -out ca.pem",
        );
        authority.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc \
             -subj /CN=server -keyout server.key -out server.csr",
        );
        let names = authority.path("names");
        std::fs::write(names, "subjectAltName=IP:127.0.0.1").expect("writable");
        authority.openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 \
             -extfile names -out server.crt",
        );
        authority
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .expect("openssl comes with PostgreSQL");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {said}");
    }

    /// Has the server speak TLS with this authority's certificate, and refuse whoever does not.
    async fn secure(&self, postgres: &mut Postgres) {
        let data = postgres.data();
        for name in ["server.crt", "server.key"] {
            let place = data.join(name);
            std::fs::copy(self.path(name), &place).expect("writable");
            postgres.hand_over(&place).expect("it may");
        }
        append(&data.join("postgresql.auto.conf"), "ssl = on\n");
        let rule = "hostssl all all 127.0.0.1/32 trust\n";
        std::fs::write(data.join("pg_hba.conf"), rule).expect("writable");
        postgres.restart().await.expect("it starts with TLS");
    }
}

fn append(file: &Path, line: &str) {
    let before = std::fs::read_to_string(file).expect("readable");
    std::fs::write(file, before + line).expect("writable");
}

/// Whether the connection of a URL with these parameters is encrypted, as the server sees it.
async fn is_encrypted(postgres: &Postgres, parameters: &str) -> Result<bool, database::Error> {
    let url = format!("{}?{parameters}", postgres.url());
    let database = Database::connect(&url, Options::default()).await?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let (ssl,): (bool,) = database.fetch_one(sql, params![]).await?;
    database.close().await;
    Ok(ssl)
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority_and_name_and_no_other_one_is() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mut postgres = Postgres::start().await.expect("PostgreSQL starts");
    authority.secure(&mut postgres).await;
    let root = |of: &Authority| format!("sslrootcert={}", of.path("ca.pem").display());

    let verified = format!("sslmode=verify-full&{}", root(&authority));
    assert!(is_encrypted(&postgres, &verified).await.expect("believed"));

    // What the system knows does not include this one.
    for parameters in [
        format!("sslmode=verify-full&{}", root(&stranger)),
        "sslmode=verify-full".to_owned(),
    ] {
        let error = is_encrypted(&postgres, &parameters).await;
        let error = error.expect_err("another authority's server").to_string();
        assert!(error.contains("certificate"), "{parameters}: {error}");
    }
    // Without TLS the server lets nobody in, so the above were not refused for another reason.
    let plain = is_encrypted(&postgres, "sslmode=disable").await;
    assert!(plain.is_err(), "{plain:?}");
}
