//! The guard process: a shell that reads lines from a pipe and, at the pipe's end, stops the
//! processes and deletes the folders it was told about.
//!
//! The pipe ends when this process ends, however it ends. The guard leads a process group of its
//! own, so that whoever kills the test's group (a test runner after a timeout, Ctrl-C) does not
//! kill the guard before it has done its work.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

use rustix::process::Signal;

/// Words: `watch PID SIGNAL`, `forget PID`, `remove FOLDER`. What a test has frozen hears its signal
/// only when it goes on. The last wait is bounded: what does not stop keeps its folder no longer than
/// that.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
lives() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
pids=
folders=
while read -r verb what signal; do
  case $verb in
    watch) pids="$pids $what:$signal" ;;
    forget) kept=; for p in $pids; do case $p in "$what":*) ;; *) kept="$kept $p" ;; esac; done; pids=$kept ;;
    remove) folders="$folders
$what" ;;
  esac
done
for p in $pids; do kill -s "${p#*:}" "${p%%:*}" 2>/dev/null; kill -s CONT "${p%%:*}" 2>/dev/null; done
for p in $pids; do
  turns=0
  while lives "${p%%:*}" && [ $turns -lt 20 ]; do sleep 0.1; turns=$((turns+1)); done
done
IFS='
'
for folder in $folders; do rm -rf -- "$folder"; done
"#;

static GUARD: LazyLock<Mutex<Guard>> = LazyLock::new(|| Mutex::new(Guard::start()));

struct Guard {
    /// Kept so that the process is not reaped and its id not used again while we live.
    _shell: Child,
    words: ChildStdin,
}

impl Guard {
    fn start() -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "banyan-test-guard"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("a POSIX shell starts");
        let words = shell.stdin.take().expect("the guard's stdin is a pipe");
        Self {
            _shell: shell,
            words,
        }
    }
}

fn tell(line: &str) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(guard.words, "{line}").expect("the guard process listens");
}

/// Starts the guard if it does not run yet: called before a child is spawned, so that the time in
/// which a child is unguarded is one write long.
pub(crate) fn ready() {
    LazyLock::force(&GUARD);
}

/// Should this process die, `pid` gets `signal`.
pub(crate) fn kill_at_death(pid: u32, signal: Signal) {
    tell(&format!("watch {pid} {}", signal.as_raw()));
}

/// `pid` is about to be reaped by ourselves: its number may soon belong to somebody else.
pub(crate) fn forget(pid: u32) {
    tell(&format!("forget {pid}"));
}

/// Should this process die, `folder` is deleted after the watched processes have ended.
pub(crate) fn remove_at_death(folder: &Path) {
    tell(&format!("remove {}", folder.display()));
}
