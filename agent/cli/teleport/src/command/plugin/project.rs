//! An author's plugin on the disk: where its component and its manifest are, and a folder laid out as the
//! daemon wants it, for this command alone.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use domain::plugin::manifest::{self, Manifest};
use domain::plugin::{ContractKind, Digest};
use plugin_host::publish::Package;
use tempfile::TempDir;
use terminal::{Explain as _, Failure};

/// Folders above a component in which its manifest is looked for: enough for what cargo makes.
const ABOVE_MAX: usize = 5;

/// The component's file, where the author or the operator puts it.
const COMPONENT: &str = "plugin.wasm";

/// Where cargo puts components, below its target folder.
const CARGO: &str = "wasm32-wasip2/release";

/// Where a plugin's parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Project {
    /// The component.
    pub(super) wasm: PathBuf,
    /// `plugin.toml`, unless the component carries it.
    pub(super) manifest: Option<PathBuf>,
    /// The author's folder.
    pub(super) folder: PathBuf,
}

/// A plugin in a plugin directory of its own, which is removed with this.
pub(super) struct Staged {
    directory: TempDir,
    pub(super) manifest: Manifest,
    pub(super) digest: Digest,
    pub(super) kind: ContractKind,
}

impl Project {
    /// The plugin of a component, or of a project's folder.
    ///
    /// # Errors
    /// When there is no component, with how to make one.
    pub(super) fn find(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let found = std::fs::metadata(path).while_doing(format!("there is no plugin at {shown}"))?;
        if found.is_dir() {
            return Self::in_folder(path);
        }
        let whole = path.canonicalize().while_doing(format!("{shown} cannot be found"))?;
        let above = || whole.ancestors().skip(1).take(ABOVE_MAX);
        let manifest = above().map(|folder| folder.join(manifest::FILE)).find(|file| file.is_file());
        let folder = manifest.as_deref().and_then(Path::parent).or_else(|| above().next());
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        Ok(Self { wasm: path.to_owned(), manifest, folder })
    }

    fn in_folder(folder: &Path) -> Result<Self, Failure> {
        let manifest = folder.join(manifest::FILE);
        let missing = || Failure::new(format!("{} has no {}", folder.display(), manifest::FILE));
        let text = std::fs::read_to_string(&manifest).map_err(|_| {
            missing().hint("name a project's folder, made by `teleport plugin new`, or a component")
        })?;
        let built = components(folder, &text).into_iter().filter_map(|path| {
            let changed = path.metadata().and_then(|found| found.modified()).ok()?;
            Some((changed, path))
        });
        let newest = built.max_by_key(|(changed, _): &(SystemTime, PathBuf)| *changed);
        let Some((_, wasm)) = newest else {
            return Err(Failure::new(format!("{} holds no component yet", folder.display()))
                .hint("build it first: the project's README.md has the command"));
        };
        Ok(Self { wasm, manifest: Some(manifest), folder: folder.to_owned() })
    }

    /// Lays the plugin out as in a plugin directory.
    ///
    /// # Errors
    /// When it has no manifest, or one that is none.
    pub(super) fn stage(&self) -> Result<Staged, Failure> {
        let directory = tempfile::tempdir().while_doing("cannot make a folder for the plugin")?;
        // Whatever the user's umask: the host takes nothing that others could write.
        let folder = directory.path().join("new");
        DirBuilder::new().mode(0o700).create(&folder).while_doing("cannot make a folder for the plugin")?;
        let copy = |from: &Path, name: &str| {
            let to = folder.join(name);
            std::fs::copy(from, &to)
                .and_then(|_| std::fs::set_permissions(&to, Permissions::from_mode(0o600)))
                .while_doing(format!("cannot copy {}", from.display()))
        };
        copy(&self.wasm, COMPONENT)?;
        if let Some(manifest) = &self.manifest {
            copy(manifest, manifest::FILE)?;
        }
        // What is wrong is wrong with the author's own files.
        let beside = self.manifest.clone().unwrap_or_else(|| self.wasm.with_file_name(manifest::FILE));
        let package = Package::read_with(&self.wasm, &beside)
            .while_doing(format!("{} is no plugin yet", self.wasm.display()))?;
        let (manifest, digest) = (package.manifest().clone(), package.digest());
        let kind = ContractKind::serving(&manifest.contract)?;
        std::fs::rename(&folder, directory.path().join(manifest.name.as_str()))
            .while_doing("cannot name the plugin's folder")?;
        Ok(Staged { directory, manifest, digest, kind })
    }
}

/// Where a project's component may be.
fn components(folder: &Path, manifest: &str) -> Vec<PathBuf> {
    let mut places = vec![folder.join(COMPONENT)];
    // The one key of interest; whether the manifest is in order is said later, by those who know.
    let name = manifest.lines().find_map(|line| {
        let value = line.trim().strip_prefix("name")?.trim_start().strip_prefix('=')?;
        Some(value.trim().trim_matches('"').replace('-', "_"))
    });
    if let Some(name) = name {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder.join("target"), PathBuf::from);
        places.push(target.join(CARGO).join(format!("{name}.wasm")));
    }
    places
}

impl Staged {
    /// The plugin directory.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plugin.toml"), "name = \"label-x\"\n").unwrap();
        folder
    }

    #[test]
    fn a_component_is_found_where_its_language_puts_it() {
        let project = project();
        let missing = Project::find(project.path()).unwrap_err().render();
        assert!(missing.contains("holds no component yet") && missing.contains("README.md"), "{missing}");
        let built = project.path().join("target/wasm32-wasip2/release");
        std::fs::create_dir_all(&built).unwrap();
        let built = built.join("label_x.wasm");
        std::fs::write(&built, "").unwrap();
        let found = Project::find(project.path()).unwrap();
        assert_eq!((found.wasm, found.folder.as_path()), (built.clone(), project.path()));
        // By the component alone, the manifest is found above it.
        let found = Project::find(&built).unwrap();
        assert_eq!(found.manifest, Some(project.path().canonicalize().unwrap().join("plugin.toml")));
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_said_of_the_authors_own_file() {
        let project = project();
        // A component with nothing in it.
        std::fs::write(project.path().join("plugin.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
        let error = Project::find(project.path()).unwrap().stage().err().unwrap().render();
        let file = project.path().join("plugin.toml").display().to_string();
        assert!(error.contains(&file) && error.contains("version"), "{error}");
    }

    /// The page authors read has a manifest with all that there is in it.
    #[test]
    fn the_manifest_on_the_page_of_the_sdk_is_read_and_has_everything() {
        let page = include_str!("../../../../../../host-api/sdk/README.md");
        let (_, reference) = page.split_once("## The manifest").unwrap();
        let (_, rest) = reference.split_once("```toml\n").unwrap();
        let (block, tables) = rest.split_once("```").unwrap();
        let manifest: Manifest = toml::from_str(block).unwrap();
        let asked: Vec<_> = manifest.needs.iter().map(|need| need.capability.as_str()).collect();
        for capability in domain::plugin::Capability::ALL {
            assert!(asked.contains(&capability.key()), "{capability} is in the example");
            assert!(tables.contains(&format!("| `{capability}` |")), "{capability} is in the table");
        }
        for kind in ContractKind::ALL {
            let version = format!("@{}`", kind.served().version);
            assert!(tables.contains(kind.package()) && tables.contains(&version), "{kind:?}");
        }
        for kind in ["text", "number", "flag", "duration", "size", "list"] {
            let key = format!("{block}\n[config.more]\ntype = \"{kind}\"\ndescription = \"x\"\n");
            assert!(toml::from_str::<Manifest>(&key).is_ok(), "{kind}");
            assert!(tables.contains(&format!("| `{kind}` |")), "{kind}");
        }
        assert!(manifest.homepage.is_some() && !manifest.limits.is_empty());
        assert!(manifest.config.0.values().any(|key| key.required));
        assert!(manifest.config.0.values().any(|key| key.default.is_some()));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let project = tempfile::tempdir().unwrap();
        let text = Project::find(project.path()).unwrap_err().render();
        assert!(text.contains("has no plugin.toml") && text.contains("teleport plugin new"), "{text}");
        let text = Project::find(&project.path().join("x.wasm")).unwrap_err().render();
        assert!(text.contains("there is no plugin at"), "{text}");
    }
}
