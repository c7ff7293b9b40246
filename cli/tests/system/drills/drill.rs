//! One drill: a system with a player, a runbook, and an operator's shell.

use std::{collections::BTreeSet, ops::Range, sync::Arc, time::Instant};

use reqwest::StatusCode;
use serde_json::Value;
use testkit::eventually;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    output::missing,
    part::Parts,
    record::Record,
    runbook::{Block, Runbook},
    shell::Shell,
};
use crate::{
    BANYAN, PATIENCE,
    distributed::System,
    player::{Player, expect},
};

/// A runbook on the system that its fault is made in.
pub(crate) struct Drill {
    name: &'static str,
    runbook: Runbook,
    system: Arc<Mutex<System>>,
    shell: Shell,
    player: Player,
    /// Who answers its requests.
    side: &'static str,
    answers: u32,
    record: Record,
    acting: Option<Instant>,
    /// The blocks of Act that were typed.
    acted: BTreeSet<usize>,
    /// What finds the fault.
    doctor: &'static str,
    _parts: Parts,
}

impl Drill {
    /// Everything moved to the new services, a player who has answered, and all well.
    pub(crate) async fn on(name: &'static str, starting: impl Future<Output = System>) -> Self {
        let record = Record::new(name);
        let system = starting.await;
        system.move_everything().await;
        Self::begin(name, system, "quiz", record).await
    }

    /// As [`Drill::on`], with everybody on the monolith still.
    pub(crate) async fn on_legacy(
        name: &'static str,
        starting: impl Future<Output = System>,
    ) -> Self {
        let record = Record::new(name);
        Self::begin(name, starting.await, "legacy", record).await
    }

    async fn begin(name: &'static str, system: System, side: &'static str, record: Record) -> Self {
        let gateway = system.url("gateway");
        let player = Player::register(&gateway, "Grace").await;
        let folder = system.folder().to_owned();
        let bin = folder.join("bin");
        std::fs::create_dir(&bin).expect("a writable folder");
        std::os::unix::fs::symlink(BANYAN, bin.join("banyan")).expect("a link");
        let path = std::env::var("PATH").unwrap_or_default();
        let file = |part: &str| system.file(part).display().to_string();
        let exported = vec![
            ("PATH", format!("{}:{path}", bin.display())),
            ("BANYAN_CONFIG", file("operator")),
            ("BANYAN_ACTOR", "night shift".to_owned()),
        ];
        let shell = Shell::new(&folder, exported);
        shell.set("GATEWAY", &gateway);
        shell.set("ADMIN", &system.url("operators"));
        shell.set("GATEWAY_CONFIG", &file("gateway"));
        for part in system.with_databases() {
            let name = format!("{}_DATABASE", part.to_uppercase());
            shell.set(&name, &system.own_database(&part));
        }
        let system = Arc::new(Mutex::new(system));
        let parts = Parts::serve(&bin, Arc::clone(&system)).await;
        let mut drill = Self {
            name,
            runbook: Runbook::read(name),
            system,
            shell,
            player,
            side,
            answers: 0,
            record,
            acting: None,
            acted: BTreeSet::new(),
            doctor: "banyan --json doctor",
            _parts: parts,
        };
        drill.plays().await;
        drill.is_well().await;
        drill
    }

    /// The system, to make the fault in, and to look at.
    pub(crate) async fn system(&self) -> MutexGuard<'_, System> {
        self.system.lock().await
    }

    /// The player.
    pub(crate) fn player(&self) -> &Player {
        &self.player
    }

    /// The player logs in again.
    pub(crate) async fn player_logs_in(&mut self) {
        self.player.login().await;
    }

    /// A variable that the runbook leaves to its reader.
    pub(crate) fn variable(&self, name: &str, value: &str) {
        self.shell.set(name, value);
    }

    /// Runs statements in a part's database, as the one who breaks it would.
    pub(crate) async fn sql(&self, part: &str, statements: &str) {
        let done = self.tries_sql(part, statements).await;
        done.unwrap_or_else(|said| panic!("{statements}: {said}"));
    }

    /// As [`Drill::sql`]; what `psql` says where it fails.
    pub(crate) async fn tries_sql(&self, part: &str, statements: &str) -> Result<(), String> {
        let url = self.system().await.database(part).to_owned();
        let psql = tokio::process::Command::new("psql")
            .args([
                "--quiet",
                "--set",
                "ON_ERROR_STOP=1",
                "--command",
                statements,
                &url,
            ])
            .output()
            .await
            .expect("psql is installed with PostgreSQL");
        if psql.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&psql.stderr).into_owned())
        }
    }

    /// Only `banyan doctor --deep` finds this fault.
    pub(crate) fn is_hidden(&mut self) {
        self.doctor = "banyan --json doctor --deep";
    }

    /// Says what was just broken, and waits until the doctor finds it and names this runbook.
    pub(crate) async fn found(&mut self, fault: &str) {
        let since = Instant::now();
        self.record.fault(fault);
        eventually(PATIENCE, || self.is_named()).await;
        self.record.found(since);
    }

    /// Without an act the fault stays.
    pub(crate) async fn is_there_still(&self) {
        self.is_named().await.expect("nobody has done anything");
    }

    /// Signal and Look, while the fault is there.
    pub(crate) async fn look(&mut self) {
        self.room("Signal").await;
        self.room("Look").await;
    }

    /// From now on the new services answer.
    pub(crate) fn moved(&mut self) {
        self.side = "quiz";
    }

    /// What the runbook says to do.
    pub(crate) async fn act(&mut self) {
        self.act_from(0).await;
    }

    /// The block of this number of Act, from 0; to look at the system before the next one.
    pub(crate) async fn act_block(&mut self, number: usize) {
        self.acting.get_or_insert_with(Instant::now);
        self.blocks("Act", number..number + 1).await;
    }

    /// The blocks of Act from this number on.
    pub(crate) async fn act_from(&mut self, number: usize) {
        self.acting.get_or_insert_with(Instant::now);
        self.blocks("Act", number..usize::MAX).await;
    }

    /// Verify; and what Look shows now is what it calls good.
    pub(crate) async fn verify(&mut self) {
        self.room("Verify").await;
        if let Some(since) = self.acting.take() {
            self.record.mended(since);
        }
        for block in self.runbook.room("Look") {
            let Some(shown) = &block.prints_when_well else {
                continue;
            };
            let printed = self.run(&block.script, 0).await;
            self.shows(&block.script, shown, &printed);
        }
    }

    /// Undo.
    pub(crate) async fn undo(&mut self) {
        self.room("Undo").await;
    }

    /// All rooms from Look on, for a fault that has been made.
    pub(crate) async fn follow(mut self) {
        self.look().await;
        self.is_there_still().await;
        self.act().await;
        self.verify().await;
        self.undo().await;
        self.end().await;
    }

    /// What one takes along to escalate; then all must be well, and an answer play. No block of Act
    /// may have been left out.
    pub(crate) async fn end(mut self) {
        let blocks = self.runbook.room("Act").len();
        let left: Vec<_> = (0..blocks).filter(|n| !self.acted.contains(n)).collect();
        assert!(left.is_empty(), "{}: blocks {left:?} of Act", self.name);
        self.room("Escalate").await;
        self.plays().await;
        self.is_well().await;
        self.record.passed();
    }

    /// An answer is given and judged, by the side that serves.
    pub(crate) async fn plays(&mut self) {
        self.answers += 1;
        let question = &self.player.questions().await[0];
        let key = format!("drill {}", self.answers);
        let answer = self.player.answer(question, &key).await.expect("an answer");
        assert_eq!(answer.headers()["x-banyan-upstream"], self.side);
        let answer: Value = expect(answer, StatusCode::OK).await;
        assert_eq!(answer["status"], "completed");
    }

    /// The log and the services agree, and the doctor finds nothing.
    pub(crate) async fn is_well(&self) {
        self.run("banyan audit", 0).await;
        self.run("banyan doctor --wait 60", 0).await;
    }

    /// Whether the doctor names this runbook, and ends with 1.
    async fn is_named(&self) -> Result<(), String> {
        let output = self.shell.run(self.doctor).await;
        let text = String::from_utf8_lossy(&output.stdout);
        let runbook = format!("runbooks/{}", self.name);
        let answer = text.lines().find_map(|line| {
            let answer: Value = serde_json::from_str(line).ok()?;
            answer["items"].as_array().cloned()
        });
        let findings = answer.unwrap_or_default();
        let is_named = findings.iter().any(|one| one["runbook"] == runbook);
        if output.status.code() == Some(1) && is_named {
            Ok(())
        } else {
            Err(format!("the doctor does not name {runbook}: {text}"))
        }
    }

    async fn room(&mut self, name: &str) {
        self.blocks(name, 0..usize::MAX).await;
    }

    async fn blocks(&mut self, name: &str, which: Range<usize>) {
        let mut done = Vec::new();
        let blocks = self.runbook.room(name).iter().enumerate();
        for (number, block) in blocks.filter(|(number, _)| which.contains(number)) {
            if name == "Act" {
                self.acted.insert(number);
            }
            let since = Instant::now();
            let Block { script, exit, .. } = block;
            let printed = self.run(script, *exit).await;
            if let Some(shown) = &block.prints {
                self.shows(script, shown, &printed);
            }
            done.push((script.clone(), since.elapsed(), *exit));
        }
        for (script, took, exit) in done {
            self.record.step(name, &script, took, exit);
        }
    }

    async fn run(&self, script: &str, exit: i32) -> String {
        let output = self.shell.run(script).await;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let name = self.name;
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{name}:\n{script}\n-- printed:\n{printed}"
        );
        printed
    }

    fn shows(&self, script: &str, shown: &str, printed: &str) {
        if let Some(line) = missing(shown, printed) {
            let name = self.name;
            panic!("{name}: no line {line:?}:\n{script}\n-- printed:\n{printed}");
        }
    }
}
