use std::{
    env,
    path::{Path, PathBuf},
};

/// Where `cargo xtask test` installs the Python programs of the tests.
const INSTALLED: &str = "../../target/tools/python/bin";

/// A Python program that the tests need, such as `oidc-provider-mock` or `python`: in the folder
/// that `BANYAN_TEST_PYTHON` names, else where `cargo xtask test` installs them.
///
/// # Errors
/// When it is in neither.
pub fn python(program: &str) -> anyhow::Result<PathBuf> {
    let folder = env::var_os("BANYAN_TEST_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(INSTALLED),
        PathBuf::from,
    );
    let path = folder.join(program);
    anyhow::ensure!(
        path.exists(),
        "there is no {}: run `cargo xtask test` once, which installs it",
        path.display()
    );
    Ok(path)
}
