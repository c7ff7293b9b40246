//! Configuration: defaults, over them a file, over it environment variables; all faults at once.

use std::{fmt, path::Path};

use database::Database;
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml, Yaml},
    value::{Dict, Value},
};
use serde::{Serialize, de::DeserializeOwned};

/// More faults than this are not listed: whoever made them rereads the file anyway.
const MAX_FAULTS: usize = 100;

/// Everything that is wrong with a configuration. `main` prints it and exits 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(f, "{} configuration {plural}:", self.0.len())?;
        self.0
            .iter()
            .try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Faults {
    /// Good, where nothing was found.
    ///
    /// # Errors
    /// What was found.
    pub fn found(faults: Vec<String>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        Err(Self(faults))
    }
}

/// What is wrong with the URL of a database, by its key, if anything.
pub fn database_fault(key: &str, url: &str) -> Option<String> {
    let fault = Database::check(url).err()?;
    Some(format!("{key}: {fault}"))
}

/// Reads `defaults`, the file (TOML, or YAML by its ending) and `{prefix}…` variables (double
/// underscore between levels) into `T`, which should deny unknown fields.
///
/// # Errors
/// All faults of the file and the variables together, each with its key.
pub fn load<T: DeserializeOwned>(
    prefix: &str,
    file: Option<&Path>,
    defaults: impl Serialize,
) -> Result<T, Faults> {
    load_checked(prefix, file, defaults, |_| Vec::new())
}

/// As [`load`], for values that can be read and still be wrong: `check` finds those. They are told
/// together with what cannot be read, in whose place `check` sees the default.
///
/// # Errors
/// All faults of the file and the variables together, each with its key.
pub fn load_checked<T: DeserializeOwned>(
    prefix: &str,
    file: Option<&Path>,
    defaults: impl Serialize,
    check: impl Fn(&T) -> Vec<String>,
) -> Result<T, Faults> {
    let given = given(prefix, file)?;
    let (config, mut faults) = readable(given, defaults)?;
    faults.extend(check(&config));
    Faults::found(faults)?;
    Ok(config)
}

/// What the file says, and the variables over it.
fn given(prefix: &str, file: Option<&Path>) -> Result<Dict, Faults> {
    let mut given = Figment::new();
    if let Some(path) = file {
        if !path.is_file() {
            return Err(Faults(vec![format!(
                "{}: no such file (--config)",
                path.display()
            )]));
        }
        given = match path.extension().and_then(|ending| ending.to_str()) {
            Some("yaml" | "yml") => given.merge(Yaml::file_exact(path)),
            _ => given.merge(Toml::file_exact(path)),
        };
    }
    let given = given.merge(Env::prefixed(prefix).split("__"));
    given.extract().map_err(|error| Faults(describe(error)))
}

/// Reads what can be read, and tells what cannot.
fn readable<T: DeserializeOwned>(
    mut given: Dict,
    defaults: impl Serialize,
) -> Result<(T, Vec<String>), Faults> {
    // A faulty key is noted and taken away, so that its default stands in for it and the next
    // fault comes to light.
    let base = Figment::from(Serialized::defaults(defaults));
    let mut faults = Vec::new();
    loop {
        match base
            .clone()
            .merge(Serialized::defaults(&given))
            .extract::<T>()
        {
            Ok(config) => return Ok((config, faults)),
            Err(error) => {
                let mut taken = false;
                for error in error {
                    let mut path = error.path.clone();
                    if let figment::error::Kind::UnknownField(name, _) = &error.kind
                        && path.last() != Some(name)
                    {
                        path.push(name.clone());
                    }
                    faults.push(text(&path, &error));
                    taken |= remove(&mut given, &path);
                }
                if !taken || faults.len() >= MAX_FAULTS {
                    return Err(Faults(faults));
                }
            }
        }
    }
}

fn describe(error: figment::Error) -> Vec<String> {
    error
        .into_iter()
        .map(|error| text(&error.path, &error))
        .collect()
}

fn text(path: &[String], error: &figment::Error) -> String {
    if path.is_empty() {
        error.kind.to_string()
    } else {
        format!("{}: {}", path.join("."), error.kind)
    }
}

/// Takes the value at `path` out of `dict`; whether there was one.
fn remove(dict: &mut Dict, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => dict.remove(last).is_some(),
        [first, rest @ ..] => match dict.get_mut(first) {
            Some(Value::Dict(_, inner)) => remove(inner, rest),
            // A fault inside a list takes the list: its items cannot stand one by one.
            Some(_) => dict.remove(first).is_some(),
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        listen: std::net::SocketAddr,
        workers: u8,
    }

    fn defaults() -> Sample {
        Sample {
            listen: ([127, 0, 0, 1], 80).into(),
            workers: 1,
        }
    }

    fn file(text: &str) -> (tempdir::Folder, std::path::PathBuf) {
        let folder = tempdir::Folder::new();
        let path = folder.0.join("sample.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    /// A folder that goes when the test does.
    mod tempdir {
        pub(super) struct Folder(pub(super) std::path::PathBuf);
        impl Folder {
            pub(super) fn new() -> Self {
                let path = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
                std::fs::create_dir(&path).unwrap();
                Self(path)
            }
        }
        impl Drop for Folder {
            fn drop(&mut self) {
                std::fs::remove_dir_all(&self.0).ok();
            }
        }
    }

    #[test]
    fn every_fault_of_a_file_is_told_at_once() {
        let (_folder, path) = file("listen = \"nowhere\"\nworkers = 300\nwokers = 2\n");
        let faults = load::<Sample>("NO_SUCH_PREFIX_", Some(&path), defaults()).unwrap_err();
        assert_eq!(faults.0.len(), 3, "{faults}");
        for key in ["listen", "workers", "wokers"] {
            assert!(
                faults.0.iter().any(|fault| fault.starts_with(key)),
                "{key}: {faults}"
            );
        }
    }

    #[test]
    fn what_can_be_read_and_is_wrong_is_told_with_what_cannot() {
        let (_folder, path) = file("listen = \"nowhere\"\nworkers = 0\n");
        let at_least_one = |sample: &Sample| {
            let fault = (sample.workers == 0).then(|| "workers: must be 1 or more".to_owned());
            fault.into_iter().collect()
        };
        let load = |file| load_checked("NO_SUCH_PREFIX_", file, defaults(), at_least_one);
        let faults = load(Some(&path)).unwrap_err();
        assert_eq!(faults.0.len(), 2, "{faults}");
        assert!(faults.0[0].starts_with("listen: "), "{faults}");
        assert_eq!(faults.0[1], "workers: must be 1 or more");
        assert_eq!(load(None), Ok(defaults()));
    }

    #[test]
    fn the_shape_of_a_database_is_judged_without_reaching_it() {
        let fault = |url| database_fault("database", url);
        for good in [
            "postgres://nobody@nowhere/quiz",
            "sqlite:quiz.db",
            "sqlite:///var/quiz.db",
        ] {
            assert_eq!(fault(good), None);
        }
        for wrong in [
            "mysql://root:secret@db/quiz",
            "",
            "sqlite:",
            "postgres://a:secret@b:port/c",
        ] {
            let fault = fault(wrong).unwrap_or_else(|| panic!("{wrong} is no fault"));
            assert!(fault.starts_with("database: "), "{fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn a_file_wins_over_the_defaults() {
        let (_folder, path) = file("workers = 3\n");
        let sample: Sample = load("NO_SUCH_PREFIX_", Some(&path), defaults()).unwrap();
        assert_eq!(
            sample,
            Sample {
                workers: 3,
                ..defaults()
            }
        );
    }

    #[test]
    fn a_missing_file_is_a_fault() {
        let path = Path::new("/no/such/file.toml");
        assert!(load::<Sample>("NO_SUCH_PREFIX_", Some(path), defaults()).is_err());
    }
}
