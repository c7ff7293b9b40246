//! What is built for release has no faults in it, with the feature or without.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A text that the code of the faults cannot do without.
const MARK: &str = "the process dies at";

/// Builds the library as the compiler is told to, and says whether the faults are in it.
fn is_armed(name: &str, flags: &[&str]) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let object: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.o"));
    let built = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition=2024",
            "--crate-type=lib",
            "--crate-name=faults",
            "--emit=obj",
        ])
        .args(flags)
        .arg("-o")
        .arg(&object)
        .arg(source)
        .status()
        .expect("the compiler that built this test");
    assert!(built.success());
    let object = std::fs::read(object).expect("an object file");
    object
        .windows(MARK.len())
        .any(|part| part == MARK.as_bytes())
}

const FEATURE: &str = "--cfg=feature=\"armed\"";

#[test]
fn a_release_build_has_none_even_with_the_feature() {
    assert!(!is_armed("release", &["-O", FEATURE]));
}

#[test]
fn a_debug_build_has_them_only_with_the_feature() {
    assert!(!is_armed("plain", &["-Cdebug-assertions=on"]));
    assert!(is_armed("armed", &["-Cdebug-assertions=on", FEATURE]));
}
