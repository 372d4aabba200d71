//! Where things are: the repository, the folder of build results, the programs in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{During, Failure};

/// What `cargo run` tells the program it runs about that program. A build started from here must not
/// see it: build scripts would run again only because another program asks.
const OF_THIS_RUN: [&str; 6] = [
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PRIMARY_PACKAGE",
    "LD_LIBRARY_PATH",
];

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The repository. Commands run here.
    pub(crate) root: PathBuf,
    /// Build results, and everything else that is made here.
    pub(crate) target: PathBuf,
}

impl Place {
    /// Finds them.
    pub(crate) fn find() -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().during("cannot find the repository this program was built from")?;
        // This program is <target>/<profile>/teleport-xtask, also where CARGO_TARGET_DIR names the folder.
        let program = std::env::current_exe().during("cannot tell where this program is")?;
        let target = program.ancestors().nth(2).map_or_else(|| root.join("target"), Path::to_owned);
        Ok(Self { root, target })
    }

    /// A program of the product.
    pub(crate) fn program(&self, name: &str, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" }).join(name)
    }

    /// A path as commands that run in the repository would write it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// `cargo`, in the repository.
    pub(crate) fn cargo<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.args(words).current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if OF_THIS_RUN.contains(&&*text) || text.starts_with("CARGO_PKG_") {
                command.env_remove(&name);
            }
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_found_from_a_program_in_it() {
        let place = Place::find().unwrap();
        assert!(place.root.join("tests/xtask/Cargo.toml").is_file());
    }

    #[test]
    fn paths_in_the_repository_are_shown_as_seen_from_there() {
        let place = Place { root: "/repo".into(), target: "/elsewhere".into() };
        assert_eq!(place.shown(Path::new("/repo/target/up")), "target/up");
        assert_eq!(place.shown(Path::new("/elsewhere/up")), "/elsewhere/up");
        assert_eq!(place.program("tctl", true), Path::new("/elsewhere/release/tctl"));
    }

    #[test]
    fn a_build_does_not_see_whose_program_asked_for_it() {
        let command = Place { root: "/".into(), target: "/".into() }.cargo(["build"]);
        let removed: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name.to_owned())
            .collect();
        // Cargo sets this one for tests as it does for programs.
        assert!(removed.contains(&"CARGO_MANIFEST_DIR".into()) && removed.contains(&"CARGO_PKG_NAME".into()));
    }
}
