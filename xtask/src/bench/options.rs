//! What the arguments of the measurements of the log and of sagas ask for.

use std::time::Duration;

use anyhow::{Context, bail};

use super::place::named;

/// A run: which parts `T`, beside which peers `P`, how often and how long.
#[derive(Debug)]
pub(in crate::bench) struct Options<T, P> {
    pub(in crate::bench) parts: Vec<T>,
    /// Ours among them, asked for or not.
    pub(in crate::bench) peers: Vec<P>,
    pub(in crate::bench) repetitions: usize,
    pub(in crate::bench) time: Duration,
    is_everything: bool,
}

/// A closed set of things with names.
pub(in crate::bench) trait Named: Copy + PartialEq + 'static {
    const ALL: &'static [Self];
    /// As the page and the options have it.
    fn name(self) -> &'static str;
    /// Whether it takes part in any case.
    fn is_ours(self) -> bool {
        false
    }
}

impl<T: Named, P: Named> Options<T, P> {
    /// # Errors
    /// When they are not understood, or nothing would be measured.
    pub(in crate::bench) fn read(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            parts: T::ALL.to_vec(),
            peers: P::ALL.to_vec(),
            repetitions: 5,
            time: Duration::from_secs(5),
            is_everything: true,
        };
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let value = words.next();
            let value = value.with_context(|| format!("{word} needs a value"))?;
            match word {
                "--only" => options.parts = named(value, T::ALL, T::name)?,
                "--peers" => {
                    let wanted = match value {
                        "none" => Vec::new(),
                        names => named(names, P::ALL, P::name)?,
                    };
                    options
                        .peers
                        .retain(|peer| peer.is_ours() || wanted.contains(peer));
                }
                "--repetitions" => options.repetitions = value.parse().context(word.to_owned())?,
                "--seconds" => options.time = Duration::from_secs(value.parse()?),
                _ => bail!("there is no {word}: --only, --peers, --repetitions, --seconds"),
            }
            options.is_everything &= !matches!(word, "--only" | "--peers");
        }
        if options.repetitions == 0 || options.time.is_zero() {
            bail!("nothing would be measured");
        }
        Ok(options)
    }

    /// Whether the page in `docs` is renewed by it.
    pub(in crate::bench) fn is_everything(&self) -> bool {
        self.is_everything
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Thing {
        Ours,
        Other,
        Third,
    }

    impl Named for Thing {
        const ALL: &'static [Self] = &[Self::Ours, Self::Other, Self::Third];
        fn name(self) -> &'static str {
            match self {
                Self::Ours => "ours",
                Self::Other => "other",
                Self::Third => "third",
            }
        }
        fn is_ours(self) -> bool {
            self == Self::Ours
        }
    }

    fn read(line: &str) -> anyhow::Result<Options<Thing, Thing>> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::read(&words)
    }

    #[test]
    fn ours_is_always_measured_and_only_everything_renews_the_page() {
        assert!(read("--repetitions 3 --seconds 2").unwrap().is_everything());
        let few = read("--peers third").unwrap();
        assert_eq!(few.peers, [Thing::Ours, Thing::Third]);
        assert_eq!(read("--peers none").unwrap().peers, [Thing::Ours]);
        let part = read("--only other").unwrap();
        assert_eq!(part.parts, [Thing::Other]);
        assert!(!few.is_everything() && !part.is_everything());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "--only soup",
            "--peers me",
            "--fast yes",
            "--seconds",
            "--seconds 0",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
