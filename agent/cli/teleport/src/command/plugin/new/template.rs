//! What projects are made of: files carried in the program, and the words that differ from one to the other.

use domain::plugin::PluginName;

use super::super::world::World;

/// The SDK and the contracts, as this repository has them.
mod carried {
    include!(concat!(env!("OUT_DIR"), "/carried.rs"));
}

/// A language plugins can be started in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// Cargo, with the SDK.
    Rust,
    /// JavaScript on QuickJS, by npm.
    Js,
    /// CPython, by pip.
    Python,
}

macro_rules! carry {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $path))
    };
}

type Files = &'static [(&'static str, &'static str)];

const RUST: Files =
    &[("Cargo.toml", carry!("rust/Cargo.toml.in")), ("vendor/sdk/Cargo.toml", carry!("rust/sdk.toml.in"))];
const RUST_LABEL: Files = &[("src/lib.rs", carry!("rust/label-provider/lib.rs.in"))];
const RUST_STORAGE: Files = &[
    ("src/lib.rs", carry!("rust/storage-backend/lib.rs.in")),
    ("src/kept.rs", carry!("rust/storage-backend/kept.rs.in")),
    ("src/records.rs", carry!("rust/storage-backend/records.rs.in")),
];

const JS: Files =
    &[("package.json", carry!("js/package.json.in")), ("build-fetch.mjs", carry!("js/build-fetch.mjs"))];
const JS_LABEL: Files = &[
    ("src/plugin.js", carry!("js/label-provider/plugin.js")),
    ("src/release.js", carry!("js/label-provider/release.js")),
    ("tests/release.test.js", carry!("js/label-provider/release.test.js")),
];
const JS_STORAGE: Files = &[
    ("src/plugin.js", carry!("js/storage-backend/plugin.js")),
    ("src/kept.js", carry!("js/storage-backend/kept.js")),
    ("src/bytes.js", carry!("js/storage-backend/bytes.js")),
    ("src/records.js", carry!("js/storage-backend/records.js")),
    ("tests/records.test.js", carry!("js/storage-backend/records.test.js")),
    ("wit/deps/wasi-clocks/clocks.wit", carry!("wasi/waiting.wit")),
    ("wit/deps/wasi-io/io.wit", carry!("wasi/io.wit")),
];

const PYTHON: Files = &[("requirements.txt", carry!("python/requirements.txt"))];
const PYTHON_LABEL: Files = &[
    ("src/app.py", carry!("python/label-provider/app.py")),
    ("src/release.py", carry!("python/label-provider/release.py")),
    ("tests/test_release.py", carry!("python/label-provider/test_release.py")),
];
const PYTHON_STORAGE: Files = &[
    ("src/app.py", carry!("python/storage-backend/app.py")),
    ("src/kept.py", carry!("python/storage-backend/kept.py")),
    ("src/records.py", carry!("python/storage-backend/records.py")),
    ("tests/test_records.py", carry!("python/storage-backend/test_records.py")),
];

/// The files of a project: paths, and texts whose words are still to be filled in.
pub(super) fn files(world: World, language: Language) -> Vec<(String, &'static str)> {
    let (of_language, own) = match (language, world) {
        (Language::Rust, World::LabelProvider) => (RUST, RUST_LABEL),
        (Language::Rust, World::StorageBackend) => (RUST, RUST_STORAGE),
        (Language::Js, World::LabelProvider) => (JS, JS_LABEL),
        (Language::Js, World::StorageBackend) => (JS, JS_STORAGE),
        (Language::Python, World::LabelProvider) => (PYTHON, PYTHON_LABEL),
        (Language::Python, World::StorageBackend) => (PYTHON, PYTHON_STORAGE),
    };
    let mut files: Vec<_> =
        of_language.iter().chain(own).map(|(path, text)| ((*path).to_owned(), *text)).collect();
    let mut add = |path: &str, text| files.push((path.to_owned(), text));
    add("README.md", carry!("README.md.in"));
    add(".gitignore", "target/\nnode_modules/\n.venv/\n__pycache__/\nplugin.wasm\n");
    match world {
        World::LabelProvider => {
            add("plugin.toml", carry!("manifest/label-provider.toml"));
            add("tests/cases.toml", carry!("manifest/cases.toml"));
        }
        World::StorageBackend => {
            add("plugin.toml", carry!("manifest/storage-backend.toml"));
            add("tests/suite.toml", carry!("manifest/suite.toml"));
        }
    }
    match language {
        // Where the SDK looks for the contracts it is made of.
        Language::Rust => {
            files.extend(carried::SDK.iter().map(|(path, text)| (format!("vendor/sdk/{path}"), *text)));
            files.extend(carried::WIT.iter().map(|(path, text)| (format!("wit/{path}"), *text)));
        }
        // Where the tools of these languages look for what a world refers to.
        Language::Js | Language::Python => {
            add("wit/plugin.wit", carry!("world.wit.in"));
            if language == Language::Python {
                add("src/fetch.py", carry!("python/fetch.py.in"));
                add("wit/deps/wasi-clocks/clocks.wit", carry!("wasi/clocks.wit"));
                add("wit/deps/wasi-http/http.wit", carry!("wasi/http.wit"));
                add("wit/deps/wasi-io/io.wit", carry!("wasi/io.wit"));
            }
            let needed =
                |path: &str| ["host", key(world)].contains(&path.split('/').next().unwrap_or_default());
            let needed = carried::WIT.iter().filter(|(path, _)| needed(path));
            files.extend(needed.map(|(path, text)| (format!("wit/deps/{path}"), *text)));
        }
    }
    files
}

fn key(world: World) -> &'static str {
    match world {
        World::LabelProvider => "label-provider",
        World::StorageBackend => "storage-backend",
    }
}

/// What differs from project to project.
pub(super) struct Words {
    name: PluginName,
    world: World,
    language: Language,
}

impl Words {
    pub(super) fn new(name: &PluginName, world: World, language: Language) -> Self {
        Self { name: name.clone(), world, language }
    }

    /// The kind of plugin, for people.
    pub(super) fn world(&self) -> &'static str {
        key(self.world)
    }

    /// The language, for people.
    pub(super) fn language(&self) -> &'static str {
        match self.language {
            Language::Rust => "Rust",
            Language::Js => "JavaScript",
            Language::Python => "Python",
        }
    }

    /// Build, test, run.
    pub(super) fn commands(&self) -> [String; 3] {
        let build = match self.language {
            Language::Rust => "cargo build --release --target wasm32-wasip2",
            Language::Js => "npm install && npm run build",
            Language::Python => {
                "python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt && \
                 .venv/bin/componentize-py -d wit -w plugin componentize -p src app -o plugin.wasm"
            }
        };
        let own = match (self.language, self.world) {
            (Language::Rust, _) => "cargo test --quiet",
            (Language::Js, _) => "npm test",
            (Language::Python, _) => "python3 -m unittest discover -s tests",
        };
        let tested = format!("{own} && teleport plugin test");
        let run = match self.world {
            World::LabelProvider => "teleport plugin run --grant=process .",
            World::StorageBackend => "teleport plugin run --grant-all .",
        };
        [build.to_owned(), tested, run.to_owned()]
    }

    /// What a Rust project is made of beside the SDK.
    fn dependencies(&self) -> &'static str {
        match self.world {
            World::LabelProvider => "",
            World::StorageBackend => {
                "postcard = { version = \"1\", default-features = false, features = [\"alloc\"] }\n\
                 serde = { version = \"1\", features = [\"derive\"] }\n"
            }
        }
    }

    fn needs(&self) -> &'static str {
        match self.language {
            Language::Rust => {
                "Needs Rust with the target plugins are built for: `rustup target add wasm32-wasip2`."
            }
            Language::Js => "Needs Node.js 20 or later.",
            Language::Python => "Needs Python 3.10 or later.",
        }
    }

    fn about(&self) -> &'static str {
        match self.world {
            World::LabelProvider => {
                "`teleport plugin test` runs `tests/*.toml` in the daemon's own host, with recorded answers in place of other\n\
                 machines and programs; `--record` makes recordings of requests. `teleport plugin run` calls the plugin once, for\n\
                 real, and tells what it took."
            }
            World::StorageBackend => {
                "`teleport plugin test` holds the component against the suite every store must pass, in the daemon's own host, with\n\
                 the settings of `tests/suite.toml`; `--only=watch` runs the cases whose names hold that. `teleport plugin run`\n\
                 opens the backend as the daemon does when it starts. The project passes the whole suite as it is: its records\n\
                 are one value of the host's `kv`, written whole with every change and for one host; with the changes that watchers\n\
                 may still ask for they take at most the 16 MiB that `plugin.toml` wants. To keep them in a server, ask for `http`\n\
                 there, and put the server in the place of the file `kept` in `src`."
            }
        }
    }

    fn more(&self) -> &'static str {
        match self.language {
            Language::Rust => {
                "\n`vendor/sdk` is the SDK, in the version of the `teleport` that made this project: `cargo doc --open` shows it.\n\
                 It is no crate of a registry, so a copy makes the project build anywhere. The component is\n\
                 `target/wasm32-wasip2/release/…wasm`; install it as `plugin.wasm`."
            }
            Language::Js => {
                "\nThe component holds QuickJS: about 1.6 MB, and everything of the language, but neither Node's modules nor what browsers\n\
                 add (`fetch`, `TextDecoder`, `setTimeout`). `kv` and `secrets` of the host it can use: import them in `wit/plugin.wit`,\n\
                 and ask for them in `plugin.toml`.\n\n\
                 To send requests, ask for `http` there, use `fetch`, and build with StarlingMonkey (12 MB, a minute to compile):\n\n\
                 ```sh\n\
                 npm install --no-save @bytecodealliance/componentize-js@0.23.0 @bytecodealliance/preview2-shim@0.17.9\n\
                 node build-fetch.mjs\n\
                 ```"
            }
            Language::Python => {
                "\nThe component holds CPython with its standard library, about 18 MB, which a host compiles once in half a minute.\n\
                 Imports must be at the top of a module: what is not imported while the component is built is not there when it\n\
                 runs. `print` goes to the daemon\'s log; no file is open and sockets are refused. Requests are sent by\n\
                 `src/fetch.py`: import `wasi:http/outgoing-handler@0.2.0` in `wit/plugin.wit`, and ask for `http` in `plugin.toml`."
            }
        }
    }

    fn grants(&self) -> String {
        let of_world = match self.world {
            World::LabelProvider => "        grants:\n          process: [[uname, -r]]",
            World::StorageBackend => "        grants:\n          kv: yes\n        limits: {kv_bytes: 16MiB}",
        };
        of_world.to_owned()
    }

    /// Who uses the plugin.
    fn used(&self) -> String {
        let name = &self.name;
        match self.world {
            World::LabelProvider => {
                format!("ssh_service:\n  commands:\n  - name: release\n    plugin: {name}\n    period: 1h")
            }
            World::StorageBackend => format!("  storage:\n    type: {name}"),
        }
    }

    /// What a world is imported with beside its own.
    fn imports(&self) -> &'static str {
        match (self.world, self.language) {
            (World::LabelProvider, _) | (_, Language::Rust) => "",
            (World::StorageBackend, Language::Js) => {
                "\n    import teleport:host/kv@1.0.0;\n    import wasi:clocks/monotonic-clock@0.2.0;"
            }
            (World::StorageBackend, Language::Python) => "\n    import teleport:host/kv@1.0.0;",
        }
    }

    /// Puts the words into a text.
    pub(super) fn fill(&self, text: &str) -> String {
        // The SDK and the contracts are full of braces and of no words.
        if !text.contains("{{") {
            return text.to_owned();
        }
        let [build, test, run] = self.commands();
        // Where another interface of this name is in reach, the package is put before it.
        let http_types = if self.world == World::LabelProvider { "types" } else { "wasi_http_types" };
        let topic = if self.world == World::LabelProvider { "release" } else { "records" };
        let words = [
            ("{{name}}", self.name.as_str()),
            ("{{world}}", self.world()),
            ("{{language}}", self.language()),
            ("{{topic}}", topic),
            ("{{build}}", &build),
            ("{{test}}", &test),
            ("{{run}}", &run),
            ("{{needs}}", self.needs()),
            ("{{about}}", self.about()),
            ("{{more}}", self.more()),
            ("{{grants}}", &self.grants()),
            ("{{used}}", &self.used()),
            ("{{imports}}", self.imports()),
            ("{{http-types}}", http_types),
            ("{{dependencies}}", self.dependencies()),
            ("{{sdk-version}}", env!("CARGO_PKG_VERSION")),
            ("{{sdk-dependencies}}", carried::SDK_DEPENDENCIES),
        ];
        words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_project_has_its_parts_and_no_word_is_left_open() {
        for world in [World::LabelProvider, World::StorageBackend] {
            for language in Language::value_variants() {
                let words = Words::new(&PluginName::new("my-plugin").unwrap(), world, *language);
                let files = files(world, *language);
                for part in ["README.md", "plugin.toml", ".gitignore"] {
                    assert!(files.iter().any(|(path, _)| path == part), "{world:?} {language:?} {part}");
                }
                for (path, text) in files.iter().filter(|(path, _)| !path.starts_with("vendor/sdk/src")) {
                    let filled = words.fill(text);
                    assert!(!filled.contains("{{"), "{path}: {filled}");
                }
            }
        }
    }
}
