//! An author's desk: a folder for projects, and a shell that finds `teleport`.
//!
//! Cargo, npm and pip fetch what the templates pin, and keep it below the target folder: the first run
//! takes minutes, later ones seconds.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::program::{Ended, program};

/// An author's desk: a folder for projects, and `teleport` in the path.
pub(crate) struct Desk {
    folder: TempDir,
    programs: PathBuf,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let programs = program("teleport").parent().unwrap().to_owned();
        Self { folder: tempfile::tempdir().unwrap(), programs }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is kept from run to run.
    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        self.programs.parent().unwrap().join("authors").join(name)
    }

    /// A line for a shell, in a folder of the desk.
    pub(crate) fn shell(&self, folder: &str, line: &str) -> Ended {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", line]).current_dir(self.path(folder));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.programs.clone()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(paths).unwrap());
        for (name, folder) in [
            ("XDG_CACHE_HOME", "cache"),
            ("CARGO_TARGET_DIR", "cargo"),
            ("npm_config_cache", "npm"),
            ("PIP_CACHE_DIR", "pip"),
        ] {
            command.env(name, self.kept(folder));
        }
        for foreign in ["CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"] {
            command.env_remove(foreign);
        }
        Ended::of(&mut command)
    }

    /// A new project.
    pub(crate) fn make(&self, world: &str, lang: &str, name: &str) {
        let said = self
            .shell(".", &format!("teleport plugin new --world={world} --lang={lang} {name}"))
            .good_with_notes();
        // What it says to do next is what the README says.
        for command in self.commands(name) {
            assert!(said.contains(&command), "{said} should say {command}");
        }
    }

    /// Build, test and run, as the project's README has them.
    pub(crate) fn commands(&self, name: &str) -> Vec<String> {
        let readme = std::fs::read_to_string(self.path(name).join("README.md")).unwrap();
        let (_, rest) = readme.split_once("```sh\n").unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        let commands: Vec<_> = block.lines().map(str::to_owned).collect();
        assert_eq!(commands.len(), 3, "{readme}");
        commands
    }
}
