use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use cargo_metadata::{Metadata, MetadataCommand};

/// This repository.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) metadata: Metadata,
}

/// A text file of the repository.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .no_deps()
            .exec()
            .context("cannot read the workspace")?;
        Ok(Self {
            root: metadata.workspace_root.clone().into(),
            metadata,
        })
    }

    /// Where tools are kept that only this workspace needs.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("target/tools")
    }

    /// Where a program of this workspace is built.
    pub(crate) fn built(&self, program: &str) -> PathBuf {
        self.metadata
            .target_directory
            .join("debug")
            .join(program)
            .into()
    }

    /// All text files that are tracked, or new and not ignored.
    pub(crate) fn files(&self) -> anyhow::Result<Vec<File>> {
        // The clone may belong to somebody else, as in a container.
        let output = Command::new("git")
            .args([
                "-c",
                "safe.directory=*",
                "ls-files",
                "-z",
                "--cached",
                "--others",
            ])
            .arg("--exclude-standard")
            .current_dir(&self.root)
            .output()
            .context("cannot run git")?;
        if !output.status.success() {
            bail!(
                "git cannot list the files: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let mut files = Vec::new();
        for path in String::from_utf8(output.stdout)?.split_terminator('\0') {
            // What is deleted but still in the index, and what is no text, has no lines to judge.
            if let Ok(text) = std::fs::read_to_string(self.root.join(path)) {
                files.push(File {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        Ok(files)
    }
}
