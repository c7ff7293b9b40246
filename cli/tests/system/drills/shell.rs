//! The shell that an operator types a runbook in: what one block sets is there in the next, and
//! programs see only what was exported, as in a shell that somebody sits at.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Output,
};

/// Where the variables are kept between two blocks.
const KEPT: &str = ".shell";

/// Around each block. Variables that a shell does not let anybody set are not kept.
const SHELL: &str = "exec 2>&1\n. ./.shell\n\
     trap '{ set | grep -Ev \"^(BASH[A-Z_]*|EUID|PPID|SHELLOPTS|UID)=\"; export -p; } > ./.shell' EXIT\n\
     set -eu\n";

/// A folder to stand in, and what is set there.
pub(super) struct Shell {
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Shell {
    /// A new one, with these variables exported.
    pub(super) fn new(folder: &Path, environment: Vec<(&'static str, String)>) -> Self {
        std::fs::write(folder.join(KEPT), "").expect("a writable folder");
        Self {
            folder: folder.to_owned(),
            environment,
        }
    }

    /// The operator sets a variable, and does not export it.
    pub(super) fn set(&self, name: &str, value: &str) {
        let file = self.folder.join(KEPT);
        let mut kept = std::fs::read_to_string(&file).expect("it was written");
        let value = value.replace('\'', r"'\''");
        writeln!(kept, "{name}='{value}'").expect("text takes text");
        std::fs::write(&file, kept).expect("a writable folder");
    }

    /// Runs one block; what it says as an error is in its output.
    pub(super) async fn run(&self, script: &str) -> Output {
        let environment = self.environment.iter();
        tokio::process::Command::new("sh")
            .args(["-c", &format!("{SHELL}{script}\n")])
            .envs(environment.map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .kill_on_drop(true)
            .output()
            .await
            .expect("sh starts")
    }
}

#[tokio::test]
async fn what_a_block_sets_stays_and_only_what_it_exports_reaches_programs() {
    let folder = testkit::temp_dir();
    let shell = Shell::new(folder.path(), vec![("GIVEN", "to all".to_owned())]);
    shell.set("TYPED", "it's mine");
    let printed = async |script: &str| {
        let output = shell.run(script).await;
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    printed("MADE=here\nexport TOLD='to programs'").await;
    let programs = r#"sh -c 'echo "${GIVEN-}, ${TYPED-}, ${MADE-}, ${TOLD-}"'"#;
    assert_eq!(printed(programs).await, "to all, , , to programs\n");
    let itself = r#"echo "$GIVEN, $TYPED, $MADE, $TOLD""#;
    assert_eq!(
        printed(itself).await,
        "to all, it's mine, here, to programs\n"
    );
    let failed = shell.run("AFTER=all\nfalse\necho never").await;
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert_eq!(printed("echo $AFTER").await, "all\n");
    let unset = shell.run("echo $NEVER_SET").await;
    assert!(!unset.status.success(), "{unset:?}");
}
