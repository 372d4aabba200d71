//! What is in the directory afterwards, also after a crash in between.

use super::*;

struct Desk {
    root: TempDir,
    name: PluginName,
}

impl Desk {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), name: PluginName::new("label-x").unwrap() }
    }

    fn put(&self, wasm: &str) -> Result<PathBuf, InstallError> {
        put(self.root.path(), &self.name, wasm.as_bytes(), None)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.path().join(path)).unwrap()
    }

    fn folders(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn what_lies_beside_a_component_stays_with_each_version() {
    let desk = Desk::new();
    desk.put("1").unwrap();
    desk.write("label-x/notes", "mine");
    desk.write("label-x/plugin.wasm.minisig", "of 1");
    assert_eq!(desk.put("2").unwrap(), desk.root.path().join("label-x/plugin.wasm"));
    assert_eq!((desk.read("label-x/plugin.wasm"), desk.read("label-x/notes")), ("2".into(), "mine".into()));
    assert!(!desk.root.path().join("label-x/plugin.wasm.minisig").exists());
    assert_eq!(desk.folders(), ["label-x"]);
}

#[test]
fn what_a_crash_left_is_finished_by_the_next_installation_or_without_one() {
    for settles in [false, true] {
        let desk = Desk::new();
        desk.put("2").unwrap();
        // Between the exchange and what follows; between two steps; before either.
        desk.write(".install.label-x.AbC123/plugin.wasm", "1");
        desk.write(".install.label-x.AbC123/notes", "mine");
        desk.write(".install.label-x.dEf456-old/more", "mine too");
        desk.write(".install.label-x.gHi789/plugin.wasm", "half a com");
        desk.write(".install.label-x-y.AbC123/notes", "another plugin's");
        if settles {
            settle(desk.root.path(), &desk.name).unwrap();
            assert_eq!(desk.read("label-x/plugin.wasm"), "2");
        } else {
            desk.put("3").unwrap();
            assert_eq!(desk.read("label-x/plugin.wasm"), "3");
        }
        assert_eq!(
            (desk.read("label-x/notes"), desk.read("label-x/more")),
            ("mine".into(), "mine too".into())
        );
        assert_eq!(desk.folders(), [".install.label-x-y.AbC123", "label-x"]);
    }
}

#[test]
fn what_cannot_be_brought_along_is_named_with_what_to_do_and_the_plugin_is_installed() {
    let desk = Desk::new();
    desk.put("1").unwrap();
    desk.write("label-x/notes", "of today");
    desk.write(".install.label-x.AbC123/notes", "of yesterday");
    let error = desk.put("2").unwrap_err();
    let InstallError::Leftover { folder, old, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*folder, desk.root.path().join("label-x"));
    assert_eq!(*old, desk.root.path().join(".install.label-x.AbC123"));
    assert!(error.to_string().contains("holds the new plugin"), "{error}");
    assert_eq!(
        (desk.read("label-x/plugin.wasm"), desk.read("label-x/notes")),
        ("2".into(), "of today".into())
    );
    assert_eq!(desk.read(".install.label-x.AbC123/notes"), "of yesterday");
}
