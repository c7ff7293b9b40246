use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    ops::ControlFlow,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::{eventually, guard};

/// The last lines of a program's output that a failed test shows. A whole system's whole output would
/// hide what failed.
const SHOWN_WHEN_FAILED: usize = 80;

/// A program under test: its output is captured line by line, and it is killed when the value is
/// dropped or when the test dies.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
}

/// Lines of stdout and stderr in the order in which they arrived.
#[derive(Default)]
struct Output {
    lines: Mutex<Vec<String>>,
}

impl Process {
    /// Starts `program` with `arguments` in this process's environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program.as_ref());
        command.args(arguments);
        Self::spawn_command(command)
    }

    /// Starts a command that the caller has given a folder or an environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_command(mut command: Command) -> anyhow::Result<Self> {
        guard::ready();
        let program = Path::new(command.get_program());
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        guard::kill_at_death(child.id(), Signal::KILL);
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            Output::collect(&output, stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            Output::collect(&output, stderr);
        }
        Ok(Self {
            name,
            child,
            output,
        })
    }

    /// Runs a command to its end with our own input and output; it is asked to stop (SIGTERM)
    /// when we die. Blocks.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(mut command: Command) -> anyhow::Result<ExitStatus> {
        guard::ready();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        guard::kill_at_death(child.id(), Signal::TERM);
        let status = child.wait()?;
        guard::forget(child.id());
        Ok(status)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote so far.
    pub fn output(&self) -> Vec<String> {
        self.output
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The first line that contains `part`, also one that came before the call.
    ///
    /// # Panics
    /// When none comes `within` the time; the message holds all output.
    pub async fn line(&self, part: &str, within: Duration) -> String {
        eventually(within, || async {
            let output = self.output();
            match output.iter().find(|line| line.contains(part)) {
                Some(line) => ControlFlow::Break(line.clone()),
                None => ControlFlow::Continue(format!(
                    "{} wrote no line with {part:?}:\n{}",
                    self.name,
                    output.join("\n")
                )),
            }
        })
        .await
    }

    /// Whether it has not ended.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Asks it to stop (SIGTERM).
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn terminate(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends SIGINT, as Ctrl-C does.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn interrupt(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::INT)
    }

    /// Stops it where it is (SIGSTOP), until [`Process::thaw`] or its end.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn thaw(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        guard::forget(self.child.id());
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end `within` the time; the message holds all output.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        eventually(within, || {
            let ended = match self.ended() {
                Some(status) => ControlFlow::Break(status),
                None => ControlFlow::Continue(format!(
                    "{} still runs:\n{}",
                    self.name,
                    self.output().join("\n")
                )),
            };
            async move { ended }
        })
        .await
    }

    fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// How it ended, when it has.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.ended()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a child of ours can be asked");
        if status.is_some() {
            guard::forget(self.child.id());
        }
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("testkit: {error:#}");
        }
        if std::thread::panicking() {
            let output = self.output();
            let left_out = output.len().saturating_sub(SHOWN_WHEN_FAILED);
            eprintln!(
                "--- output of {}, without its first {left_out} lines ---\n{}",
                self.name,
                output[left_out..].join("\n")
            );
        }
    }
}

impl Output {
    fn collect(output: &Arc<Self>, from: impl Read + Send + 'static) {
        let output = Arc::clone(output);
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut bytes = Vec::new();
            while from
                .read_until(b'\n', &mut bytes)
                .is_ok_and(|count| count > 0)
            {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                output
                    .lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Process {
        Process::spawn("sh", ["-c", script]).expect("a shell")
    }

    #[tokio::test]
    async fn lines_and_the_exit_code_are_captured() {
        let mut process = shell("echo out; echo err >&2; exit 7");
        assert_eq!(process.line("ou", SOON).await, "out");
        assert_eq!(process.line("err", SOON).await, "err");
        assert_eq!(process.exit(SOON).await.code(), Some(7));
    }

    #[tokio::test]
    async fn sigterm_reaches_the_program_and_lets_it_finish() {
        let mut process =
            shell("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done");
        process.line("up", SOON).await;
        process.terminate().expect("a running program");
        assert_eq!(process.exit(SOON).await.code(), Some(3));
        process.line("bye", SOON).await;
    }

    #[tokio::test]
    async fn a_frozen_program_goes_on_when_it_is_thawed() {
        let mut process = shell("echo up; while read -r line; do :; done; exec sleep 1000");
        process.line("up", SOON).await;
        let state = |process: &Process| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
            let status = status.expect("it is there");
            let line = status.lines().find(|line| line.starts_with("State:"));
            line.is_some_and(|line| line.contains("stopped"))
        };
        process.freeze().expect("a running program");
        eventually(SOON, || async { state(&process) }).await;
        process.thaw().expect("a frozen program");
        eventually(SOON, || async { !state(&process) }).await;
        assert!(process.is_running());
    }

    #[tokio::test]
    async fn dropping_kills_it_frozen_or_not() {
        let mut process = shell("echo up; exec sleep 1000");
        process.line("up", SOON).await;
        process.freeze().expect("a running program");
        let pid = Pid::from_child(&process.child);
        drop(process);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[tokio::test]
    #[should_panic(expected = "wrote no line with \"missing\":\nup")]
    async fn a_line_that_never_comes_fails_with_the_output() {
        let process = shell("echo up; exec sleep 1000");
        process.line("up", SOON).await;
        process.line("missing", Duration::from_millis(30)).await;
    }
}
