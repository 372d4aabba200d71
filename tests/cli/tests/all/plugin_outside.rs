//! What a plugin meets outside when its author tries it: what a case says, what was recorded, or the real thing.

use crate::desk::Desk;

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
    desk.shell(name, &desk.commands(name)[0]).good_with_notes();
    let said = desk.shell(name, "teleport plugin test").good_with_notes();
    assert!(said.ends_with("7 cases, 7 passed, 0 failed\n"), "{said}");

    // What no case answers is not asked for in secret, but told; and then recorded.
    write("tests/cases.toml", &case("live", &asked, "expect = \"200 hello [secret token]\""));
    let said = desk.shell(name, "teleport plugin test").failed();
    assert!(
        said.contains(&format!("it asks GET http://127.0.0.1:{port}/x?y=1, for which the case has no")),
        "{said}"
    );
    let record = "TOKEN=s3cret-token teleport plugin test --record --private --secret=token=env:TOKEN";
    let said = desk.shell(name, record).failed();
    // This time the answer was the real one, secret and all.
    assert!(said.contains("got the value \"200 hello s3cret-token\""), "{said}");
    let recording = std::fs::read_to_string(desk.path(name).join("tests/recorded/cases.toml")).unwrap();
    assert!(recording.contains("hello [secret token]") && !recording.contains("s3cret"), "{recording}");
    let said = desk.shell(name, "teleport plugin test").good_with_notes();
    assert!(said.ends_with("1 cases, 1 passed, 0 failed\n"), "{said}");

    // The same for real, with what it logs; private addresses and secrets are given one by one.
    let run = format!("teleport plugin run --grant=http --grant=kv {{}} . -- http http://127.0.0.1:{port}/");
    let said = desk.shell(name, &run.replace("{}", "")).failed();
    assert!(said.contains("hint: if it may, add --secret=token=env:NAME"), "{said}");
    let said = desk.shell(name, &run.replace("{}", "--secret=token=env:HOME")).failed();
    assert!(said.contains("127.0.0.1"), "{said}");
    let said = desk.shell(name, &run.replace("{}", "--secret=token=env:HOME --private")).good_with_notes();
    assert!(said.contains("value    200 hello s3cret-token\n"), "{said}");
    assert!(said.contains(&format!("log      info: looks at http http://127.0.0.1:{port}/\n")), "{said}");

    // Where the manifest leaves the places to the operator, a case names them, or has an answer of them; and so does
    // whoever runs it.
    let anywhere = needs.replace(&format!("hosts = [\"http://127.0.0.1:{port}\"]\n"), "");
    write("plugin.toml", &format!("{head}description = \"Looks.\"\n{anywhere}"));
    std::fs::remove_dir_all(desk.path(name).join("tests/recorded")).unwrap();
    write("tests/cases.toml", &cases.concat());
    desk.shell(name, &desk.commands(name)[0]).good_with_notes();
    let said = desk.shell(name, "teleport plugin test").good_with_notes();
    assert!(said.ends_with("7 cases, 7 passed, 0 failed\n"), "{said}");
    write("tests/cases.toml", &case("nowhere", &asked, "expect = \"\""));
    let said = desk.shell(name, "teleport plugin test").failed();
    assert!(said.contains("the case grants them: by `hosts = [\"https://HOST\"]`"), "{said}");
    let hosts = format!("hosts = [\"http://127.0.0.1:{port}\"]\nexpect = \"200 hello s3cret-token\"");
    write("tests/cases.toml", &case("live", &asked, &hosts));
    let said = desk.shell(name, record).good_with_notes();
    assert!(said.contains("1 cases, 1 passed, 0 failed\n"), "{said}");
    let run = run.replace("{}", "--secret=token=env:HOME --private {}");
    let said = desk.shell(name, &run.replace("{}", "")).failed();
    assert!(said.contains("hint: if it may, add --host=https://HOST"), "{said}");
    let elsewhere = desk.shell(name, &run.replace("{}", "--host=https://elsewhere.example")).failed();
    assert!(elsewhere.contains("hint: here that is --host=URL"), "{elsewhere}");
    let host = format!("--host=http://127.0.0.1:{port}");
    let said = desk.shell(name, &run.replace("{}", &host)).good_with_notes();
    assert!(said.contains("value    200 hello s3cret-token\n"), "{said}");
}
