//! `teleport plugin new`, `run` and `test`: the way of an author, with the commands of the project's own
//! README, run word by word.
//!
//! Cargo, npm and pip fetch what the templates pin, and keep it below the target folder: the first run
//! takes minutes, later ones seconds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How a command ended, with everything it said.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.out
    }

    fn bad(self) -> String {
        assert_eq!(self.code, Some(1), "{}\n{}", self.out, self.err);
        format!("{}{}", self.out, self.err)
    }
}

/// An author's desk: a folder for projects, and `teleport` in the path.
pub(crate) struct Desk {
    folder: TempDir,
    programs: PathBuf,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let test = std::env::current_exe().unwrap();
        // target/<profile>/deps/<test>
        let programs = test.ancestors().nth(2).unwrap().to_owned();
        assert!(programs.join("teleport").exists(), "teleport is missing; run: cargo xtask test");
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
        command.args(["-e", "-c", line]).current_dir(self.path(folder)).stdin(Stdio::null());
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
        let output = command.output().expect("sh starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn make(&self, world: &str, lang: &str, name: &str) {
        let said =
            self.shell(".", &format!("teleport plugin new --world={world} --lang={lang} {name}")).good();
        // What it says to do next is what the README says.
        for command in self.commands(name) {
            assert!(said.contains(&command), "{said} should say {command}");
        }
    }

    /// Build, test and run, as the project's README has them.
    fn commands(&self, name: &str) -> Vec<String> {
        let readme = std::fs::read_to_string(self.path(name).join("README.md")).unwrap();
        let (_, rest) = readme.split_once("```sh\n").unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        let commands: Vec<_> = block.lines().map(str::to_owned).collect();
        assert_eq!(commands.len(), 3, "{readme}");
        commands
    }

    /// From nothing to a label, with commands that the repository's own page has as well.
    fn label(&self, lang: &str) {
        let name = format!("label-{lang}");
        self.make("label-provider", lang, &name);
        let page = include_str!("../../../../README.md");
        let (_, page) = page.split_once("### Writing a plugin\n").unwrap();
        for command in self.commands(&name) {
            assert!(page.lines().any(|line| line == command), "README.md should have {command}");
        }
        let [build, test, run] = self.commands(&name).try_into().unwrap();
        self.shell(&name, &build).good();
        let said = self.shell(&name, &test).good();
        assert!(said.ends_with("3 cases, 3 passed, 0 failed\n"), "{said}");
        let said = self.shell(&name, &run).good();
        let release = self.shell(".", "uname -r").good();
        assert!(said.contains(&format!("value    {}\n", release.trim())), "{said}");
        for told in ["on the clock", "of processor time", "at its highest"] {
            assert!(said.contains(told), "{said}");
        }
        // Fuel is the plugin's own: it does not depend on what else the machine does.
        let fuel = |said: &str| said.lines().find(|line| line.starts_with("fuel ")).map(str::to_owned);
        let first = fuel(&said).expect("fuel is told");
        if lang == "rust" {
            assert_eq!(fuel(&self.shell(&name, &run).good()), Some(first));
        }
        // Nothing is granted by itself, and the flag is named.
        let said = self.shell(&name, "teleport plugin run .").bad();
        assert!(said.contains("asks for what is not granted here: process (asks uname"), "{said}");
        assert!(said.contains("hint: if it may, add --grant=process"), "{said}");
    }

    /// From nothing to a backend that opens.
    fn storage(&self, lang: &str) {
        let name = format!("storage-{lang}");
        self.make("storage-backend", lang, &name);
        let [build, test, run] = self.commands(&name).try_into().unwrap();
        self.shell(&name, &build).good();
        self.shell(&name, &test).good();
        let said = self.shell(&name, &run).good();
        assert!(said.contains("records at https://db.example.com; values of at most 1MiB"), "{said}");
        let said = self.shell(&name, "teleport plugin run --grant-all --config endpoint=db .").bad();
        assert!(said.contains("endpoint must begin with https://"), "{said}");
        let said = self.shell(&name, "teleport plugin test").bad();
        assert!(said.contains("has no suite to run") && said.contains("tests/suite.toml"), "{said}");
    }

    /// From nothing to a backend that keeps every promise of a store.
    fn keeps(&self, name: &str) {
        self.make("storage-backend", "rust", name);
        let [build, test, run] = self.commands(name).try_into().unwrap();
        self.shell(name, &build).good();
        let said = self.shell(name, &test).good();
        assert!(said.ends_with(" passed, 0 failed\n") && !said.contains("left "), "{said}");
        let said = self.shell(name, &run).good();
        assert!(said.contains("records kept by the host, at revision 0; values of at most 1MiB"), "{said}");
    }
}

#[test]
fn a_backend_that_acknowledges_and_forgets_is_caught() {
    let desk = Desk::new();
    let name = "storage-forgets";
    desk.make("storage-backend", "rust", name);
    let source = desk.path(name).join("src/lib.rs");
    let honest = std::fs::read_to_string(&source).unwrap();
    let forgetful = honest.replace("&operations, now", "&operations[..0], now");
    assert_ne!(honest, forgetful, "the template has that line");
    std::fs::write(&source, forgetful).unwrap();
    desk.shell(name, &desk.commands(name)[0]).good();
    let said = desk.shell(name, "teleport plugin test --only=a_write_is_seen").bad();
    assert!(said.contains("FAILED a_write_is_seen_by_the_next_read"), "{said}");
    assert!(said.contains("1 cases, 0 passed, 1 failed"), "{said}");

    // What is left out is told with its reason; what is misspelt is no way to leave anything out.
    let suite = desk.path(name).join("tests/suite.toml");
    let write = |text: &str| std::fs::write(&suite, format!("[[suite]]\nname = \"s\"\n{text}")).unwrap();
    write("[suite.leave_out]\na_write_is_seen_by_the_next_read = \"it forgets\"\n");
    let said = desk.shell(name, "teleport plugin test --only=is_seen").bad();
    assert!(said.contains("left   a_write_is_seen_by_the_next_read: it forgets"), "{said}");
    assert!(said.contains("no case of storage-forgets was run"), "nothing that passed is no pass: {said}");
    write("[suite.leave_out]\na_write = \"it forgets\"\n");
    let said = desk.shell(name, "teleport plugin test").bad();
    assert!(said.contains("leaves out \"a_write\", which is no case"), "{said}");
    // One that does not open fails once, and not forty times.
    write("[suite.config]\nnever = \"1\"\n");
    let said = desk.shell(name, "teleport plugin test").bad();
    assert!(said.contains("the storage backend does not open in suite \"s\""), "{said}");
    let ended = desk.shell(name, "teleport plugin test --record");
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("a storage backend is not recorded"), "{}", ended.err);
}

#[test]
fn rust_goes_from_nothing_to_a_plugin() {
    let desk = Desk::new();
    desk.label("rust");
    desk.keeps("storage-rust");

    // What a case says is held against what the plugin does.
    let cases = desk.path("label-rust/tests/cases.toml");
    let write = |text: &str| std::fs::write(&cases, text).unwrap();
    write(
        "[[case]]\nname = \"wrong\"\nexpect = \"1\"\n[[case.process]]\nargv = [\"uname\", \"-r\"]\nstdout = \"2\"\n",
    );
    let said = desk.shell("label-rust", "teleport plugin test").bad();
    assert!(said.contains("expected the value \"1\", got the value \"2\""), "{said}");
    assert!(said.contains("1 cases, 0 passed, 1 failed"), "{said}");
    write("[[case]]\nname = \"unforeseen\"\nexpect_failure = \"uname\"\n");
    let said = desk.shell("label-rust", "teleport plugin test").bad();
    assert!(
        said.contains("it runs [\"uname\", \"-r\"], of which the case does not say how it ends"),
        "{said}"
    );
    write("[[case]]\nname = \"unasked\"\nsecrets = { token = \"x\" }\nexpect = \"1\"\n");
    let said = desk.shell("label-rust", "teleport plugin test").bad();
    assert!(
        said.contains("\"unasked\" cannot be run: the plugin does not ask for the secret token"),
        "{said}"
    );
    std::fs::remove_file(&cases).unwrap();
    let said = desk.shell("label-rust", "teleport plugin test").bad();
    assert!(said.contains("has no cases to run") && said.contains("tests/cases.toml"), "{said}");

    // Another kind than is expected, and numbers for programs.
    let said = desk.shell("label-rust", "teleport plugin run --world=storage-backend .").bad();
    assert!(said.contains("is made for teleport:label-provider@1.0.0"), "{said}");
    let said = desk.shell("label-rust", "teleport plugin run --grant-all --format=json .").good();
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(told["memory_bytes"].as_u64().unwrap() > 0 && told["cpu_us"].as_u64().unwrap() > 0, "{said}");
}

#[test]
fn javascript_goes_from_nothing_to_a_plugin() {
    let desk = Desk::new();
    desk.label("js");
    desk.storage("js");

    // With the engine that has `fetch`.
    let write = |file: &str, text: &str| std::fs::write(desk.path("label-js").join(file), text).unwrap();
    write("src/plugin.js", ASKING_IN_JAVASCRIPT);
    let world = std::fs::read_to_string(desk.path("label-js/wit/plugin.wit")).unwrap();
    let imports = "    import teleport:host/kv@1.0.0;\n    import teleport:host/secrets@1.0.0;\n}";
    write("wit/plugin.wit", &world.replace('}', imports));
    write("plugin.toml", &ASKING.replace("label-python", "label-js"));
    let (cases, _) = ASKED.split_once("[[case]]\nname = \"no socket\"").unwrap();
    write("tests/cases.toml", &cases.replace("ConnectionRefused", "no answer"));
    let readme = std::fs::read_to_string(desk.path("label-js/README.md")).unwrap();
    let (_, rest) = readme.split_once("StarlingMonkey (").unwrap();
    let build = rest.split("```sh\n").nth(1).and_then(|block| block.split("```").next()).unwrap();
    assert!(build.contains("node build-fetch.mjs"), "{readme}");
    desk.shell("label-js", build).good();
    let said = desk.shell("label-js", "teleport plugin test").good();
    assert!(said.ends_with("3 cases, 3 passed, 0 failed\n"), "{said}");
}

const ASKING_IN_JAVASCRIPT: &str = r#"import { get, swap } from 'teleport:host/kv@1.0.0';
import { open } from 'teleport:host/secrets@1.0.0';

export const evaluate = {
  async evaluate(_request) {
    let answer;
    try {
      const headers = { authorization: `Bearer ${open('token').standIn()}` };
      const url = 'https://api.example.com/v1/weather?city=Oslo';
      answer = await fetch(url, { method: 'POST', headers, body: 'now' });
    } catch (error) {
      throw { tag: 'unavailable', val: `no answer: ${error.message}` };
    }
    if (answer.status !== 200) throw { tag: 'unavailable', val: `the weather answers ${answer.status}` };
    const before = get('count');
    const count = Number(before ? new TextDecoder().decode(before) : '0') + 1;
    swap('count', before, new TextEncoder().encode(String(count)));
    return `${await answer.text()} ${count}`;
  },
};
"#;

#[test]
fn python_goes_from_nothing_to_a_plugin() {
    let desk = Desk::new();
    desk.label("python");
    desk.storage("python");

    // Requests, what is kept, secrets that are not seen, and what its library says of the machine.
    let write = |file: &str, text: &str| std::fs::write(desk.path("label-python").join(file), text).unwrap();
    write("src/app.py", ASKING_IN_PYTHON);
    let world = std::fs::read_to_string(desk.path("label-python/wit/plugin.wit")).unwrap();
    let imports = "    import teleport:host/kv@1.0.0;\n    import teleport:host/secrets@1.0.0;\n    import wasi:http/outgoing-handler@0.2.0;\n}";
    write("wit/plugin.wit", &world.replace('}', imports));
    write("plugin.toml", ASKING);
    write("tests/cases.toml", ASKED);
    desk.shell("label-python", &desk.commands("label-python")[0]).good();
    let said = desk.shell("label-python", "teleport plugin test").good();
    assert!(said.ends_with("4 cases, 4 passed, 0 failed\n"), "{said}");
}

/// What a plugin asks for that asks somebody else.
const ASKING: &str = r#"name = "label-python"
version = "0.1.0"
contract = "teleport:label-provider@1.0.0"
description = "The weather as a label."
[[needs]]
capability = "http"
hosts = ["https://api.example.com"]
reason = "asks for the weather"
[[needs]]
capability = "secret"
label = "token"
reason = "signs in with it"
[[needs]]
capability = "kv"
reason = "counts"
"#;

const ASKING_IN_PYTHON: &str = r#"import socket
import time

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.evaluate import Failure_Unavailable, Request
from wit_world.imports import kv, secrets

from fetch import NoAnswer, send


class Evaluate(exports.Evaluate):
    def evaluate(self, request: Request) -> str:
        print("asks")
        if request.command:
            try:
                return f"a socket: {socket.socket()}"
            except PermissionError as error:
                raise Err(Failure_Unavailable(f"at {int(time.time())}: {error.strerror}"))
        token = secrets.open("token").stand_in()
        url = "https://api.example.com/v1/weather?city=Oslo"
        try:
            answer = send("POST", url, [("authorization", f"Bearer {token}")], b"now")
        except NoAnswer as error:
            raise Err(Failure_Unavailable(str(error)))
        if answer.status != 200:
            raise Err(Failure_Unavailable(f"the weather answers {answer.status}"))
        before = kv.get("count")
        count = int(before or b"0") + 1
        kv.swap("count", before, str(count).encode())
        return f"{answer.body.decode()} {count}"
"#;

const ASKED: &str = r#"[[case]]
name = "rain"
secrets = { token = "made up" }
kv = { count = "4" }
expect = "rain 5"
[[case.http]]
method = "POST"
url = "https://api.example.com/v1/weather?city=Oslo"
body = "rain"

[[case]]
name = "refused"
expect_failure = "ConnectionRefused"
[[case.http]]
method = "POST"
url = "https://api.example.com/v1/weather?city=Oslo"
fault = "refused"

[[case]]
name = "not there"
expect_failure = "the weather answers 404"
[[case.http]]
method = "POST"
url = "https://api.example.com/v1/weather?city=Oslo"
status = 404

[[case]]
name = "no socket"
request = { command = ["socket"] }
time = "1970-01-01T00:00:07Z"
expect_failure = "at 7: Permission denied"
"#;

#[test]
fn nothing_is_written_over_and_names_are_checked() {
    let desk = Desk::new();
    desk.make("label-provider", "js", "mine");
    let before = listing(&desk.path("mine"));
    std::fs::write(desk.path("mine/README.md"), "mine").unwrap();
    let said = desk.shell(".", "teleport plugin new --world=label-provider --lang=python mine").bad();
    assert!(said.contains("./mine exists and is not written over"), "{said}");
    assert_eq!(listing(&desk.path("mine")), before);
    assert_eq!(std::fs::read_to_string(desk.path("mine/README.md")).unwrap(), "mine");
    for wrong in ["../mine", "Mine", "a/b", "-x", "''"] {
        let ended =
            desk.shell(".", &format!("teleport plugin new --world=label-provider --lang=js -- {wrong}"));
        assert_eq!(ended.code, Some(2), "{wrong}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains("cannot name a plugin"), "{}", ended.err);
    }
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A plugin that is told by its command what to look at.
const LOOKING: &str = r#"//! For a test.

use teleport_plugin_sdk::label_provider::{Failure, LabelProvider, Request};
use teleport_plugin_sdk::{clock, config, http, kv, log};

struct Plugin;

impl LabelProvider for Plugin {
    fn evaluate(request: Request) -> Result<String, Failure> {
        log::info(&format!("looks at {}", request.command.join(" ")));
        let failed = |error: &dyn std::fmt::Display| Failure::Unavailable(error.to_string());
        match request.command.first().map(String::as_str) {
            Some("time") => Ok(clock::now().to_string()),
            Some("config") => Ok(config::get("city").unwrap_or_default()),
            Some("kv") => {
                let before = kv::get("count").map_err(|error| failed(&error))?;
                let swapped = kv::swap("count", before.as_deref(), b"9").map_err(|error| failed(&error))?;
                Ok(format!("{} {swapped}", String::from_utf8_lossy(&before.unwrap_or_default())))
            }
            Some("http") => {
                let second = std::time::Duration::from_secs(5);
                let request = http::Request {
                    method: http::Method::Get,
                    url: &request.command[1],
                    headers: &[],
                    body: b"",
                    connect: second,
                    timeout: second,
                    answer_max: 1000,
                };
                let answer = http::send(&request).map_err(|error| failed(&error))?;
                Ok(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)))
            }
            _ => Err(Failure::Invalid("nothing to look at".to_owned())),
        }
    }
}

teleport_plugin_sdk::export_label_provider!(Plugin);
"#;

/// A server that answers every request with the same body.
fn server(body: &'static str) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if std::io::Read::read(&mut stream, &mut byte).unwrap_or(0) == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            let (length, cookie) = (body.len(), "set-cookie: id=s3cret-id");
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{cookie}\r\nconnection: close\r\n\r\n"
            );
            std::io::Write::write_all(&mut stream, format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    port
}

#[test]
fn what_is_outside_is_what_a_case_or_a_recording_says() {
    let desk = Desk::new();
    let name = "label-looking";
    desk.make("label-provider", "rust", name);
    let port = server("hello s3cret-token");
    let write = |file: &str, text: &str| std::fs::write(desk.path(name).join(file), text).unwrap();
    write("src/lib.rs", LOOKING);
    let needs = format!(
        "[[needs]]\ncapability = \"kv\"\nreason = \"counts\"\n\
         [[needs]]\ncapability = \"secret\"\nlabel = \"token\"\nreason = \"signs in\"\n\
         [[needs]]\ncapability = \"http\"\nhosts = [\"http://127.0.0.1:{port}\"]\nreason = \"asks\"\n\
         [config.city]\ntype = \"text\"\ndefault = \"Bergen\"\ndescription = \"Where.\"\n"
    );
    let head =
        format!("name = \"{name}\"\nversion = \"1.0.0\"\ncontract = \"teleport:label-provider@1.0.0\"\n");
    write("plugin.toml", &format!("{head}description = \"Looks.\"\n{needs}"));
    let case = |name: &str, command: &str, more: &str| {
        format!("[[case]]\nname = \"{name}\"\nrequest = {{ command = [{command}] }}\n{more}\n")
    };
    let asked = format!("\"http\", \"http://127.0.0.1:{port}/x?y=1\"");
    let answer = |rest: &str| format!("[[case.http]]\nurl = \"http://127.0.0.1:{port}/x?y=1\"\n{rest}");
    let cases = [
        case("time", "\"time\"", "time = \"1970-01-01T00:00:07Z\"\nexpect = \"7000000\""),
        case("kv", "\"kv\"", "kv = { count = \"5\" }\nexpect = \"5 true\""),
        case("kv anew", "\"kv\"", "expect = \" true\""),
        case("config", "\"config\"", "config = { city = \"Oslo\" }\nexpect = \"Oslo\""),
        case("default", "\"config\"", "expect = \"Bergen\""),
        case("answer", &asked, &format!("expect = \"404 no\"\n{}", answer("status = 404\nbody = \"no\""))),
        case("refused", &asked, &format!("expect_failure = \"\"\n{}", answer("fault = \"refused\""))),
    ];
    write("tests/cases.toml", &cases.concat());
    desk.shell(name, &desk.commands(name)[0]).good();
    let said = desk.shell(name, "teleport plugin test").good();
    assert!(said.ends_with("7 cases, 7 passed, 0 failed\n"), "{said}");

    // What no case answers is not asked for in secret, but told; and then recorded.
    write("tests/cases.toml", &case("live", &asked, "expect = \"200 hello [secret token]\""));
    let said = desk.shell(name, "teleport plugin test").bad();
    assert!(
        said.contains(&format!("it asks GET http://127.0.0.1:{port}/x?y=1, for which the case has no")),
        "{said}"
    );
    let record = "TOKEN=s3cret-token teleport plugin test --record --private --secret=token=env:TOKEN";
    let said = desk.shell(name, record).bad();
    // This time the answer was the real one, secret and all.
    assert!(said.contains("got the value \"200 hello s3cret-token\""), "{said}");
    let recording = std::fs::read_to_string(desk.path(name).join("tests/recorded/cases.toml")).unwrap();
    assert!(recording.contains("hello [secret token]") && !recording.contains("s3cret"), "{recording}");
    let said = desk.shell(name, "teleport plugin test").good();
    assert!(said.ends_with("1 cases, 1 passed, 0 failed\n"), "{said}");

    // The same for real, with what it logs; private addresses and secrets are given one by one.
    let run = format!("teleport plugin run --grant=http --grant=kv {{}} . -- http http://127.0.0.1:{port}/");
    let said = desk.shell(name, &run.replace("{}", "")).bad();
    assert!(said.contains("hint: if it may, add --secret=token=env:NAME"), "{said}");
    let said = desk.shell(name, &run.replace("{}", "--secret=token=env:HOME")).bad();
    assert!(said.contains("127.0.0.1"), "{said}");
    let said = desk.shell(name, &run.replace("{}", "--secret=token=env:HOME --private")).good();
    assert!(said.contains("value    200 hello s3cret-token\n"), "{said}");
    assert!(said.contains(&format!("log      info: looks at http http://127.0.0.1:{port}/\n")), "{said}");
}
