//! `teleport plugin new`, `run` and `test`: the way of an author, with the commands of the project's own
//! README, run word by word.

use std::path::Path;

use crate::desk::Desk;

impl Desk {
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
        self.shell(&name, &build).good_with_notes();
        let said = self.shell(&name, &test).good_with_notes();
        assert!(said.ends_with("3 cases, 3 passed, 0 failed\n"), "{said}");
        let said = self.shell(&name, &run).good_with_notes();
        let release = self.shell(".", "uname -r").good_with_notes();
        assert!(said.contains(&format!("value    {}\n", release.trim())), "{said}");
        for told in ["on the clock", "of processor time", "at its highest"] {
            assert!(said.contains(told), "{said}");
        }
        // Fuel is the plugin's own: it does not depend on what else the machine does.
        let fuel = |said: &str| said.lines().find(|line| line.starts_with("fuel ")).map(str::to_owned);
        let first = fuel(&said).expect("fuel is told");
        if lang == "rust" {
            assert_eq!(fuel(&self.shell(&name, &run).good_with_notes()), Some(first));
        }
        // Nothing is granted by itself, and the flag is named.
        let said = self.shell(&name, "teleport plugin run .").failed();
        assert!(said.contains("asks for what is not granted here: process (asks uname"), "{said}");
        assert!(said.contains("hint: if it may, add --grant=process"), "{said}");
    }

    /// From nothing to a backend that keeps every promise of a store.
    fn keeps(&self, lang: &str) {
        let name = &format!("storage-{lang}");
        self.make("storage-backend", lang, name);
        let [build, test, run] = self.commands(name).try_into().unwrap();
        self.shell(name, &build).good_with_notes();
        let said = self.shell(name, &test).good_with_notes();
        assert!(said.ends_with(" passed, 0 failed\n") && !said.contains("left "), "{said}");
        let said = self.shell(name, &run).good_with_notes();
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
    desk.shell(name, &desk.commands(name)[0]).good_with_notes();
    let said = desk.shell(name, "teleport plugin test --only=a_write_is_seen").failed();
    assert!(said.contains("FAILED a_write_is_seen_by_the_next_read"), "{said}");
    assert!(said.contains("1 cases, 0 passed, 1 failed"), "{said}");

    // What is left out is told with its reason; what is misspelt is no way to leave anything out.
    let suite = desk.path(name).join("tests/suite.toml");
    let write = |text: &str| std::fs::write(&suite, format!("[[suite]]\nname = \"s\"\n{text}")).unwrap();
    write("[suite.leave_out]\na_write_is_seen_by_the_next_read = \"it forgets\"\n");
    let said = desk.shell(name, "teleport plugin test --only=is_seen").failed();
    assert!(said.contains("left   a_write_is_seen_by_the_next_read: it forgets"), "{said}");
    assert!(said.contains("no case of storage-forgets was run"), "nothing that passed is no pass: {said}");
    write("[suite.leave_out]\na_write = \"it forgets\"\n");
    let said = desk.shell(name, "teleport plugin test").failed();
    assert!(said.contains("leaves out \"a_write\", which is no case"), "{said}");
    // One that does not open fails once, and not forty times.
    write("[suite.config]\nnever = \"1\"\n");
    let said = desk.shell(name, "teleport plugin test").failed();
    assert!(said.contains("the storage backend does not open in suite \"s\""), "{said}");
    let ended = desk.shell(name, "teleport plugin test --record");
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("a storage backend is not recorded"), "{}", ended.err);
}

#[test]
fn javascript_goes_from_nothing_to_a_backend() {
    Desk::new().keeps("js");
}

#[test]
fn python_goes_from_nothing_to_a_backend() {
    Desk::new().keeps("python");
}

#[test]
fn rust_goes_from_nothing_to_a_plugin() {
    let desk = Desk::new();
    desk.label("rust");
    desk.keeps("rust");

    // What a case says is held against what the plugin does.
    let cases = desk.path("label-rust/tests/cases.toml");
    let write = |text: &str| std::fs::write(&cases, text).unwrap();
    write(
        "[[case]]\nname = \"wrong\"\nexpect = \"1\"\n[[case.process]]\nargv = [\"uname\", \"-r\"]\nstdout = \"2\"\n",
    );
    let said = desk.shell("label-rust", "teleport plugin test").failed();
    assert!(said.contains("expected the value \"1\", got the value \"2\""), "{said}");
    assert!(said.contains("1 cases, 0 passed, 1 failed"), "{said}");
    write("[[case]]\nname = \"unforeseen\"\nexpect_failure = \"uname\"\n");
    let said = desk.shell("label-rust", "teleport plugin test").failed();
    assert!(
        said.contains("it runs [\"uname\", \"-r\"], of which the case does not say how it ends"),
        "{said}"
    );
    write("[[case]]\nname = \"unasked\"\nsecrets = { token = \"x\" }\nexpect = \"1\"\n");
    let said = desk.shell("label-rust", "teleport plugin test").failed();
    assert!(
        said.contains("\"unasked\" cannot be run: the plugin does not ask for the secret token"),
        "{said}"
    );
    std::fs::remove_file(&cases).unwrap();
    let said = desk.shell("label-rust", "teleport plugin test").failed();
    assert!(said.contains("has no cases to run") && said.contains("tests/cases.toml"), "{said}");

    // A flag that is wrong is named as a flag, and not as a line of teleport.yaml.
    for (flag, code, told) in [
        ("--config=x=y", 2, "reads no config key \"x\"; it reads none"),
        ("--limit=memory=999GiB", 2, "--limit sets the limit memory to 999GiB; this host allows at most"),
        ("--grant=kv", 2, "--grant=kv is of no use: plugin.toml does not ask for it"),
        ("--secret=token=env:HOME", 2, "--secret=token is of no use: plugin.toml asks for no secret"),
    ] {
        let ended = desk.shell("label-rust", &format!("teleport plugin run --grant=process {flag} ."));
        assert_eq!(ended.code, Some(code), "{flag}: {}", ended.err);
        assert!(ended.err.contains(told) && !ended.err.contains("teleport."), "{}", ended.err);
    }

    // Another kind than is expected, and numbers for programs.
    let said = desk.shell("label-rust", "teleport plugin run --world=storage-backend .").failed();
    assert!(said.contains("is made for teleport:label-provider@1.0.0"), "{said}");
    let said = desk.shell("label-rust", "teleport plugin run --grant-all --format=json .").good_with_notes();
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(told["memory_bytes"].as_u64().unwrap() > 0 && told["cpu_us"].as_u64().unwrap() > 0, "{said}");
}

#[test]
fn javascript_goes_from_nothing_to_a_plugin() {
    let desk = Desk::new();
    desk.label("js");

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
    desk.shell("label-js", build).good_with_notes();
    let said = desk.shell("label-js", "teleport plugin test").good_with_notes();
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

    // Requests, what is kept, secrets that are not seen, and what its library says of the machine.
    let write = |file: &str, text: &str| std::fs::write(desk.path("label-python").join(file), text).unwrap();
    write("src/app.py", ASKING_IN_PYTHON);
    let world = std::fs::read_to_string(desk.path("label-python/wit/plugin.wit")).unwrap();
    let imports = "    import teleport:host/kv@1.0.0;\n    import teleport:host/secrets@1.0.0;\n    import wasi:http/outgoing-handler@0.2.0;\n}";
    write("wit/plugin.wit", &world.replace('}', imports));
    write("plugin.toml", ASKING);
    write("tests/cases.toml", ASKED);
    desk.shell("label-python", &desk.commands("label-python")[0]).good_with_notes();
    let said = desk.shell("label-python", "teleport plugin test").good_with_notes();
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
    let said = desk.shell(".", "teleport plugin new --world=label-provider --lang=python mine").failed();
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
