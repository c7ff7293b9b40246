//! The gateway's configuration of the distributed form: what is deployed by compose, which has the
//! routes and flags of `banyan up`, over processes of this machine.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use toml::{Table, Value};

/// The flag that moves what players play with.
pub(super) const QUIZ: &str = "quiz-cutover";

/// The deployed file, in the sources.
const DEPLOYED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/gateway/gateway.toml"
);

/// The file's text. `ports` names every part, `gateway` for its data and `operators` for its admin
/// port; `log` is the log's URL; the flags' state file comes into `folder`.
///
/// # Errors
/// When the deployed file cannot be read, or names a part that `ports` does not.
pub fn text(ports: &BTreeMap<&str, u16>, log: &str, folder: &Path) -> anyhow::Result<String> {
    let local = |part: &str| {
        let port = ports.get(part);
        let port = port.with_context(|| format!("{DEPLOYED}: there is no {part:?} here"))?;
        anyhow::Ok(format!("127.0.0.1:{port}"))
    };
    let text =
        std::fs::read_to_string(DEPLOYED).with_context(|| format!("cannot read {DEPLOYED}"))?;
    let mut file: Table = text.parse().with_context(|| DEPLOYED)?;
    let own = [
        ("listen", local("gateway")?),
        ("admin_listen", local("operators")?),
        ("log", log.to_owned()),
        ("access_log", "off".to_owned()),
        (
            "state_file",
            folder.join("flags.json").display().to_string(),
        ),
        (
            "cookie_key",
            "a load's own key, good nowhere else".to_owned(),
        ),
    ];
    file.extend(own.map(|(key, value)| (key.to_owned(), Value::String(value))));
    let upstreams = file.get_mut("upstreams").and_then(Value::as_table_mut);
    for (part, upstream) in upstreams.with_context(|| format!("{DEPLOYED}: no upstreams"))? {
        let endpoint = format!("http://{}", local(part)?);
        if let Some(upstream) = upstream.as_table_mut() {
            upstream.insert("endpoints".to_owned(), vec![endpoint].into());
        }
    }
    let keys = format!("http://{}/.well-known/jwks.json", local("auth")?);
    let issuers = file
        .get_mut("auth")
        .and_then(|auth| auth.get_mut("issuers"));
    let issuers = issuers.and_then(Value::as_array_mut).into_iter().flatten();
    for issuer in issuers.filter_map(Value::as_table_mut) {
        issuer.insert("jwks_url".to_owned(), keys.clone().into());
    }
    Ok(toml::to_string(&file)?)
}
