//! Names as the system itself looks them up, at a name server that gives each another name: where a plugin may not
//! go it does not come by the other name either.

use std::net::{Ipv4Addr, UdpSocket};

use teleport_tests_interop::{Daemon, World, can_mount, program, seeing};

use super::{digest, guest};
use crate::bed::until;

/// An address of this machine where no name server is.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 53);

/// Names below `example.test`, and the address that the name they stand for has.
const NAMES: [(&str, Ipv4Addr, &str); 3] = [
    ("metadata", Ipv4Addr::new(169, 254, 169, 254), "which metadata.example.test stands for; no name may"),
    ("private", Ipv4Addr::new(10, 0, 0, 1), "may not connect to 10.0.0.1 (private)"),
    ("loopback", Ipv4Addr::LOCALHOST, "may not connect to 127.0.0.1 (loopback)"),
];

/// RFC 1035, section 3.2.2.
const A: u16 = 1;
const CNAME: u16 = 5;

/// A record of class IN that may be kept for a minute.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let head = [kind.to_be_bytes(), 1_u16.to_be_bytes(), [0, 0], 60_u16.to_be_bytes(), length.to_be_bytes()];
    [owner, head.as_flattened(), data].concat()
}

/// The answer to a question for a name (RFC 1035, section 4.1): the name is another name for the same one below
/// `inner`, which has an address of version 4.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let length = question[12..].iter().position(|byte| *byte == 0)? + 1;
    let name = &question[12..12 + length];
    let kind = u16::from_be_bytes([question[12 + length], question[13 + length]]);
    let label = std::str::from_utf8(name.get(1..=usize::from(name[0]))?).ok()?;
    let (_, address, _) = NAMES.iter().find(|(known, _, _)| *known == label)?;
    let inner = [b"\x05inner", name].concat();
    let mut records = vec![record(name, CNAME, &inner)];
    if kind == A {
        records.push(record(&inner, A, &address.octets()));
    }
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let head = [&question[..2], &[0x81, 0x80, 0, 1], &count, &[0, 0, 0, 0]].concat();
    Some([&head, &question[12..16 + length], &records.concat()].concat())
}

fn serve() {
    let socket = UdpSocket::bind((SERVER, 53)).unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            if let Some(answer) = answer(&question[..length]) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_for_a_place_leads_no_further_than_the_place_itself() {
    // Only root may listen there, and give one process another name server; containers may not let it.
    if !can_mount().await {
        return;
    }
    serve();
    let world = World::start().await;
    let (folder, resolv) = (world.folder().join("plugins/fetch"), world.folder().join("resolv.conf"));
    std::fs::write(&resolv, format!("nameserver {SERVER}\n")).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    let wasm = guest("fetch");
    std::fs::write(folder.join("plugin.wasm"), &wasm).unwrap();
    let manifest = "name = \"fetch\"\nversion = \"0.0.1\"\ncontract = \"teleport:label-provider@1.0.0\"\n\
                    description = \"for tests\"\n[[needs]]\ncapability = \"http\"\nreason = \"asks\"\n";
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    let digest = digest(&wasm);
    let url = |name: &str| format!("http://{name}.example.test");
    let granted: Vec<_> = NAMES.iter().map(|(name, _, _)| url(name)).collect();
    let says = format!("{{digest: '{digest}', grants: {{http: {granted:?}}}}}");
    let labels: String = NAMES
        .iter()
        .map(|(name, _, _)| {
            let place = url(name);
            format!(
                "  - name: {name}\n    plugin: fetch\n    command: [GET, '{place}/latest']\n    period: 1s\n"
            )
        })
        .collect();
    let head = format!("teleport:\n  plugins: {{load: {{fetch: {says}}}}}\n");
    let yaml = world.node_yaml("web-1", &format!("  commands:\n{labels}")).replacen("teleport:\n", &head, 1);
    let config = world.folder().join("web-1.yaml");
    std::fs::write(&config, yaml).unwrap();
    let mut command = seeing(&resolv, "/etc/resolv.conf");
    command.arg(program("teleport")).args(["start", "-c"]).arg(&config);
    command.arg("--plugin-dir").arg(world.folder().join("plugins"));
    let mut node = Daemon::spawn_command(world.folder(), "web-1", command);
    node.ready().await;
    let spec = until(&world, "each was asked", |spec| {
        NAMES.iter().all(|(name, _, _)| spec["cmd_label_errors"][*name].is_string())
    })
    .await;
    for (name, _, text) in NAMES {
        let error = spec["cmd_label_errors"][name].as_str().unwrap();
        assert!(error.contains(text), "{name}: {error}");
    }
    assert_eq!(node.stop().await.code(), Some(0));
}
