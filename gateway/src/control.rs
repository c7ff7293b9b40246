//! What the data plane reads on each request: the configuration, the table and the flags. And the
//! one way in which a new configuration takes their place.

mod reloads;

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use event_store::Log;
use time::OffsetDateTime;

pub use self::reloads::ReloadSnapshot;
use self::reloads::Reloads;
use crate::{
    config::{self, Config},
    flag::{
        Backing, EventLog, FILE_ACTOR, Flags, Note, Patch, Settings, StateFile, StateFileError,
    },
    id::FlagId,
    table::Table,
};

/// The running configuration, and what was made of it.
#[derive(Debug)]
pub struct Control {
    config: ArcSwap<Config>,
    table: ArcSwap<Table>,
    flags: Flags,
    /// The flags' settings as the file had them when they were last applied: an edit is the
    /// difference from these.
    file_settings: ArcSwap<BTreeMap<FlagId, Settings>>,
    /// What is wrong with the file as it is now, if it was edited into a faulty one.
    fault: ArcSwapOption<config::Faults>,
    reloads: Reloads,
}

impl Control {
    /// Makes the table and loads the flags. `log` is a log that this process has open already;
    /// without one the configuration's own is opened, if it names one.
    ///
    /// # Errors
    /// A state file that cannot be used.
    pub async fn open(config: Config, log: Option<Log>) -> Result<Self, StateFileError> {
        let file = config.state_file.clone().map(StateFile::new);
        let backing = match (log, &config.log, file) {
            (Some(log), _, file) => Backing::Log(Arc::new(EventLog::of(log)), file),
            (None, Some(url), file) => {
                Backing::Log(Arc::new(EventLog::connect(url.clone()).await), file)
            }
            (None, None, Some(file)) => Backing::File(file),
            (None, None, None) => Backing::Memory,
        };
        let flags = Flags::open(&config.flags, backing, &declared_note()).await?;
        flags.declare_routes(config.declared_routes()).await;
        Ok(Self {
            table: ArcSwap::from_pointee(Table::build(&config, &flags.cells())),
            file_settings: ArcSwap::from_pointee(config.flags.clone()),
            fault: ArcSwapOption::empty(),
            reloads: Reloads::new(now()),
            config: ArcSwap::from_pointee(config),
            flags,
        })
    }

    /// The running configuration.
    pub fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// The table. A request takes it once and keeps it to its end.
    pub fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// The flags.
    #[must_use]
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// What is wrong with the file as it is now; the configuration from before runs on.
    #[must_use]
    pub fn fault(&self) -> Option<Arc<config::Faults>> {
        self.fault.load_full()
    }

    /// What became of the file's edits since the start.
    #[must_use]
    pub fn reloads(&self) -> ReloadSnapshot {
        self.reloads.snapshot()
    }

    pub(crate) fn set_fault(&self, fault: Option<config::Faults>) {
        if fault.is_some() {
            self.reloads.refused();
        }
        self.fault.store(fault.map(Arc::new));
    }

    /// Puts a valid configuration in the place of the running one. Requests that are under way keep
    /// the table they began with. Edits of flags are applied afterwards, by
    /// [`Control::apply_flag_edits`].
    pub async fn apply(&self, mut new: Config) {
        let old = self.config.load_full();
        keep_until_restart(&mut new, &old);
        self.file_settings.rcu(|known| {
            let kept = |(id, settings): (&FlagId, &Settings)| {
                (id.clone(), known.get(id).unwrap_or(settings).clone())
            };
            new.flags.iter().map(kept).collect::<BTreeMap<_, _>>()
        });
        if let Err(error) = self.flags.declare(&new.flags, &declared_note()).await {
            tracing::warn!(%error, "a new flag is not recorded yet and keeps everybody on legacy");
        }
        let table = Table::build(&new, &self.flags.cells());
        self.flags.declare_routes(new.declared_routes()).await;
        self.config.store(Arc::new(new));
        self.table.store(Arc::new(table));
        self.reloads.applied(now());
        tracing::info!("the new configuration is in force");
    }

    /// Applies what was edited in the file's flags, field by field. What cannot be recorded now is
    /// tried again with the next call.
    pub async fn apply_flag_edits(&self) {
        let config = self.config.load_full();
        for (id, settings) in &config.flags {
            let known = self.file_settings.load_full();
            let patch = known.get(id).map(|known| Patch::between(known, settings));
            let Some(patch) = patch.filter(|patch| !patch.is_empty()) else {
                continue;
            };
            let note = Note::new(FILE_ACTOR, "edited in the configuration file", now());
            match self.flags.change(id.as_str(), &patch, &note, None).await {
                Ok(_) => {
                    self.file_settings.rcu(|known| {
                        let mut known = (**known).clone();
                        known.insert(id.clone(), settings.clone());
                        known
                    });
                }
                Err(error) => {
                    tracing::warn!(flag = %id, %error, "the file's edit of a flag waits");
                }
            }
        }
    }
}

/// The settings that are only read at the start.
fn keep_until_restart(new: &mut Config, old: &Config) {
    let keep = |setting: &str, is_same: bool| {
        if !is_same {
            tracing::warn!(setting, "a change of this setting needs a restart");
        }
    };
    keep("listen", new.listen == old.listen);
    keep("admin_listen", new.admin_listen == old.admin_listen);
    keep("log", new.log == old.log);
    keep("state_file", new.state_file == old.state_file);
    keep("cookie_key", new.cookie_key == old.cookie_key);
    keep("tls", new.tls == old.tls);
    new.tls.clone_from(&old.tls);
    new.listen = old.listen;
    new.admin_listen = old.admin_listen;
    new.log.clone_from(&old.log);
    new.state_file.clone_from(&old.state_file);
    new.cookie_key.clone_from(&old.cookie_key);
    // The file may do without tokens because it moves the admin API to loopback; until the restart
    // it still listens where others can reach it.
    if new.admin_tokens.is_empty() && !new.admin_listen.ip().is_loopback() {
        new.admin_tokens.clone_from(&old.admin_tokens);
    }
}

fn declared_note() -> Note {
    Note::new(FILE_ACTOR, "declared in the configuration file", now())
}

/// In whole microseconds, which is what databases keep: a time that was read back is the same.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    let whole = now.microsecond() * 1_000;
    now.replace_nanosecond(whole).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Language;

    fn config(more: &str) -> Config {
        let text = format!(
            "{more}\nupstreams.legacy.endpoints = [\"http://127.0.0.1:9000\"]\n\
             routes = [{{ id = \"all\", prefix = \"/\", legacy = \"legacy\" }}]"
        );
        Config::from_text(&text, Language::Toml).unwrap()
    }

    #[test]
    fn an_edit_never_leaves_a_reachable_admin_api_without_tokens() {
        let old = config(
            "admin_listen = \"0.0.0.0:8081\"\n\
             admin_tokens = [{ name = \"ops\", token = \"0123456789abcdef\" }]",
        );
        let mut new = config("admin_listen = \"127.0.0.1:8081\"");
        keep_until_restart(&mut new, &old);
        assert_eq!(
            (new.admin_listen, &new.admin_tokens),
            (old.admin_listen, &old.admin_tokens)
        );
    }

    #[test]
    fn tokens_can_be_changed_and_added_without_a_restart() {
        let old = config("");
        let new = config("admin_tokens = [{ name = \"ops\", token = \"0123456789abcdef\" }]");
        let mut edited = new.clone();
        keep_until_restart(&mut edited, &old);
        assert_eq!(edited, new);
    }
}
