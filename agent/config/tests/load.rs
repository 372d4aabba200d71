//! File, flags and environment together: which one wins, and what is read when.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use domain::identity::SystemRole;
use domain::secret::Secret;
use teleport_config::*;

/// A file system of a few files that remembers what was read.
#[derive(Default)]
struct Files {
    files: BTreeMap<PathBuf, String>,
    read: RefCell<Vec<String>>,
}

impl Files {
    fn with(pairs: &[(&str, &str)]) -> Self {
        let files = pairs.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        Self { files, ..Self::default() }
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.read.borrow_mut().push(path.display().to_string());
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn load(&self, flags: &Flags, environment: &Environment) -> Result<Settings, ConfigError> {
        load(flags, environment, "myhost", &|path| self.read(path))
    }
}

fn with_flags(flags: &Flags) -> Result<Settings, ConfigError> {
    Files::default().load(flags, &Environment::default())
}

fn started(flags: &Flags) -> Settings {
    with_flags(flags).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(flags: &Flags) -> String {
    with_flags(flags).unwrap_err().to_string()
}

#[test]
fn without_anything_it_is_a_cluster_of_one_host() {
    let settings = started(&Flags::default());
    assert_eq!((settings.source.as_str(), settings.nodename.as_str()), ("defaults", "myhost"));
    assert_eq!(settings.roles(), [SystemRole::Auth, SystemRole::Proxy, SystemRole::Node]);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let flags = Flags { config: Some("/srv/t.yaml".into()), ..Flags::default() };
    let error = with_flags(&flags).unwrap_err();
    assert!(matches!(&error, ConfigError::Read { path, .. } if path == Path::new("/srv/t.yaml")));
    assert!(error.to_string().contains("/srv/t.yaml") && error.to_string().contains("--config"));
}

#[test]
fn a_default_file_that_cannot_be_read_is_not_passed_over() {
    let denied = |_: &Path| Err(io::ErrorKind::PermissionDenied.into());
    let error = load(&Flags::default(), &Environment::default(), "h", &denied).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
}

#[test]
fn the_variable_stands_in_for_the_default_file_but_not_for_a_named_one() {
    // `teleport: {nodename: from-variable}`
    let variable =
        Environment::new([("TELEPORT_CONFIG", "dGVsZXBvcnQ6IHtub2RlbmFt\nZTogZnJvbS12YXJpYWJsZX0=")]);
    let files = Files::with(&[
        ("/etc/teleport.yaml", "teleport: {nodename: from-default}"),
        ("/c", "teleport: {nodename: from-file}"),
    ]);
    assert_eq!(files.load(&Flags::default(), &Environment::default()).unwrap().nodename, "from-default");
    assert_eq!(files.load(&Flags::default(), &variable).unwrap().nodename, "from-variable");
    let named = files.load(&Flags { config: Some("/c".into()), ..Flags::default() }, &variable).unwrap();
    assert_eq!(named.nodename, "from-file");
    assert_eq!(named.warnings, ["TELEPORT_CONFIG: is not used, because --config names a file"]);
    for broken in ["teleport: {}", "/////w==", "%"] {
        let variable = Environment::new([("TELEPORT_CONFIG", broken)]);
        assert!(
            matches!(files.load(&Flags::default(), &variable), Err(ConfigError::ConfigString)),
            "{broken}"
        );
    }
}

#[test]
fn every_flag_wins_over_the_file() {
    let file = "
teleport: {nodename: file, data_dir: /file, auth_token: file-token, pid_file: /file.pid,
  diag_addr: '127.0.0.1:1', advertise_ip: file.example.com, auth_servers: ['file:1'],
  ca_pin: sha256:1111111111111111111111111111111111111111111111111111111111111111,
  log: {output: stdout, severity: error}, plugins: {directory: /file/plugins}}
auth_service: {enabled: no}
ssh_service: {listen_addr: '10.0.0.1:4022', labels: {a: file, b: file}, commands: [{name: c, command: [x], period: 1h}]}
proxy_service: {enabled: no}";
    let pin = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
    let flags = Flags {
        debug: true,
        insecure: true,
        insecure_no_tls: true,
        roles: Some("node, proxy".into()),
        pid_file: Some("/flag.pid".into()),
        advertise_ip: Some("10.9.9.9:99".into()),
        listen_ip: Some("127.0.0.1".into()),
        auth_server: vec!["a:1,b:2".into(), "[::1]".into()],
        token: Some(Secret::from("flag-token")),
        nodename: Some("flag".into()),
        config: Some("/c".into()),
        labels: Some(r#"a=flag,c=flag,d=[1m:"uptime -p"]"#.into()),
        permit_user_env: true,
        ca_pin: vec![pin.into()],
        diag_addr: Some("127.0.0.1:2".into()),
        data_dir: Some("relative/flag".into()),
        plugin_dir: Some("/flag/plugins".into()),
    };
    let settings = Files::with(&[("/c", file)]).load(&flags, &Environment::default()).unwrap();
    assert_eq!(settings.nodename, "flag");
    assert_eq!(settings.data_dir, Path::new("relative/flag"));
    assert_eq!(settings.storage, Storage::Sqlite { path: "relative/flag/backend".into() });
    assert_eq!(settings.pid_file.as_deref(), Some(Path::new("/flag.pid")));
    assert_eq!(settings.plugins.directory.as_deref(), Some(Path::new("/flag/plugins")));
    assert_eq!(settings.diag_addr.unwrap().port(), 2);
    assert_eq!(settings.advertise.as_ref().unwrap().host, "10.9.9.9");
    assert!(settings.insecure && settings.insecure_no_tls);
    assert_eq!((&settings.log.output, settings.log.severity), (&LogOutput::Stderr, Severity::Debug));
    assert_eq!(settings.roles(), [SystemRole::Proxy, SystemRole::Node]);
    let secrets = settings.resolve_secrets(false, &|_| panic!("no file is named")).unwrap();
    assert_eq!(secrets.join_token, Some(Secret::from("flag-token")));
    assert_eq!(secrets.ca_pins.first().unwrap().to_string(), pin);
    let join = settings.join.unwrap();
    let servers: Vec<_> = join.servers.iter().map(ToString::to_string).collect();
    assert_eq!((servers.join(" "), join.kind), ("a:1 b:2 [::1]:3025".to_owned(), ServerKind::Unknown));
    let node = settings.node.unwrap();
    assert_eq!(node.listen.to_string(), "127.0.0.1:4022");
    assert!(node.permit_user_env);
    assert_eq!(node.labels.to_string(), "a=flag,b=file,c=flag");
    assert_eq!(node.dynamic_labels.iter().map(|label| label.name.as_str()).collect::<Vec<_>>(), ["d"]);
    let proxy = settings.proxy.unwrap();
    assert_eq!(proxy.web_listen.to_string(), "127.0.0.1:3080");
    assert_eq!(proxy.ssh_listen.unwrap().to_string(), "127.0.0.1:3023");
}

#[test]
fn listen_ip_opens_no_port_that_is_shut() {
    let files = Files::with(&[("/c", "version: v2")]);
    let flags = Flags { config: Some("/c".into()), listen_ip: Some("[::1]".into()), ..Flags::default() };
    let proxy = files.load(&flags, &Environment::default()).unwrap().proxy.unwrap();
    assert_eq!((proxy.ssh_listen, proxy.web_listen.to_string()), (None, "[::1]:3080".to_owned()));
}

#[test]
fn an_auth_server_elsewhere_turns_the_local_one_off() {
    let auth_server = vec!["auth.example.com".to_owned()];
    let settings = started(&Flags { auth_server: auth_server.clone(), ..Flags::default() });
    assert_eq!(settings.roles(), [SystemRole::Proxy, SystemRole::Node]);
    assert_eq!(settings.warnings, Vec::<String>::new());
    let stated = started(&Flags { auth_server, roles: Some("auth,node".into()), ..Flags::default() });
    assert_eq!(stated.roles(), [SystemRole::Node]);
    assert!(stated.warnings.concat().contains("the local auth service is not started"));
}

#[test]
fn an_agent_of_v1_without_servers_asks_its_own_machine() {
    let join = started(&Flags { roles: Some("node".into()), ..Flags::default() }).join.unwrap();
    assert_eq!(join.servers.first().unwrap().to_string(), "127.0.0.1:3025");
    assert_eq!(join.kind, ServerKind::Auth);
}

#[test]
fn every_flag_has_its_error() {
    let flag = |change: fn(&mut Flags)| {
        let mut flags = Flags::default();
        change(&mut flags);
        refused(&flags)
    };
    let roles = |text: &str| refused(&Flags { roles: Some(text.into()), ..Flags::default() });
    assert_eq!(roles("noed"), "--roles: \"noed\" is not one of auth, node, proxy; did you mean `node`?");
    assert!(roles("app").contains("not served by this version"));
    assert!(roles("trusted_cluster").starts_with("--roles: "));
    assert!(roles(",").contains("is empty"));
    assert!(
        flag(|f| f.listen_ip = Some("eth0".into())).starts_with("--listen-ip: \"eth0\" is not an IP address")
    );
    assert!(flag(|f| f.advertise_ip = Some("0.0.0.0".into())).starts_with("--advertise-ip: "));
    assert!(flag(|f| f.auth_server = vec!["a:b".into()]).starts_with("--auth-server: "));
    assert!(flag(|f| f.auth_server = vec![String::new()]).starts_with("--auth-server: "));
    assert!(flag(|f| f.ca_pin = vec!["abc".into()]).starts_with("--ca-pin: is not a CA pin"));
    assert!(flag(|f| f.diag_addr = Some("127.0.0.1".into())).starts_with("--diag-addr: "));
    assert!(flag(|f| f.labels = Some("a b=c".into())).starts_with("--labels: "));
    assert!(flag(|f| f.token = Some(Secret::from(" "))).starts_with("--token: is empty"));
    assert!(flag(|f| f.nodename = Some(String::new())).starts_with("--nodename: "));
}

#[test]
fn labels_of_the_flag_pass_the_checks_of_the_file() {
    let labels = |text: &str| Flags { labels: Some(text.into()), ..Flags::default() };
    assert_eq!(
        refused(&labels("motd=a\u{1b}b")),
        "--labels: label \"motd\" must be one line of at most 4096 printable bytes"
    );
    assert!(refused(&labels(&format!("a={}", "x".repeat(4097)))).starts_with("--labels: label \"a\" must"));
    assert!(refused(&labels("a=[1m:\"x \0\"]")).starts_with("--labels: label \"a\": "));
    let settings = started(&labels("slow=[1m:date],quick=[10ms:date]"));
    let raised = "--labels: the period of label \"quick\" is raised to 1s, the shortest there is";
    assert_eq!(settings.warnings, [raised]);
}

#[test]
fn labels_are_counted_with_those_of_the_file() {
    let list = |name: &str, count: usize, between: &str| {
        (0..count).map(|n| format!("{name}{n}{between}x")).collect::<Vec<_>>().join(",")
    };
    let load = |file: usize, flag: usize| {
        let yaml = format!("ssh_service: {{labels: {{{}}}}}", list("a", file, ": "));
        let files = Files::with(&[("/etc/teleport.yaml", &yaml)]);
        let labels = format!("{},a0=y,command=[1m:date]", list("b", flag, "="));
        files.load(&Flags { labels: Some(labels), ..Flags::default() }, &Environment::default())
    };
    let node = load(200, 55).unwrap().node.unwrap();
    assert_eq!((node.labels.0.len(), node.dynamic_labels.len()), (255, 1), "as many as there may be");
    let error = load(200, 56).unwrap_err().to_string();
    assert_eq!(
        error,
        "--labels: with those of the file, the node has 257 labels, more than 256; remove some"
    );
    let error = load(257, 1).unwrap_err().to_string();
    assert!(error.contains("ssh_service.labels: more than 256") && !error.contains("--labels"), "{error}");
}

#[test]
fn flags_environment_and_file_are_reported_together() {
    let files = Files::with(&[("/etc/teleport.yaml", "teleport: {nodname: x}")]);
    let flags = Flags { roles: Some("nod".into()), ..Flags::default() };
    let environment = Environment::new([("HTTPS_PROXY", "https://p")]);
    let error = files.load(&flags, &environment).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().map(|line| line.trim().split(": ").next().unwrap()).collect();
    assert_eq!(
        lines,
        ["the configuration has 3 problems:", "/etc/teleport.yaml:1:12", "HTTPS_PROXY", "--roles"]
    );
}

#[test]
fn an_unfit_host_name_is_a_warning() {
    let settings = started(&Flags { nodename: Some("web_1".into()), ..Flags::default() });
    assert!(settings.warnings.concat().starts_with("--nodename: is not a valid host name"));
}

const WITH_FILES: &str = "
teleport: {auth_token: /token, auth_servers: [a], ca_pin: [/pins]}
auth_service: {tokens: ['node:/static', 'proxy:value-of-it']}
";

#[test]
fn nothing_but_the_configuration_is_read_before_it_is_known_to_be_good() {
    let files = Files::with(&[("/etc/teleport.yaml", WITH_FILES)]);
    let agent = Flags { roles: Some("node".into()), ..Flags::default() };
    let settings = files.load(&agent, &Environment::default()).unwrap();
    assert_eq!(*files.read.borrow(), ["/etc/teleport.yaml"]);
    let read = |path: &Path| files.read(path);
    let error = settings.resolve_secrets(false, &read).unwrap_err().to_string();
    assert!(
        error.starts_with("/etc/teleport.yaml:2:24: teleport.auth_token: file /token cannot be read"),
        "{error}"
    );
    // A host that has joined does not need the files any more.
    let secrets = settings.resolve_secrets(true, &read).unwrap();
    assert_eq!((secrets.join_token, secrets.ca_pins.len()), (None, 0));
}

#[test]
fn static_tokens_are_read_from_their_files() {
    let files = Files::with(&[("/etc/teleport.yaml", WITH_FILES), ("/static", "hunter2\n")]);
    let settings = files.load(&Flags::default(), &Environment::default()).unwrap();
    let secrets = settings.resolve_secrets(false, &|path| files.read(path)).unwrap();
    let values: Vec<_> = secrets.static_tokens.iter().map(|token| token.value.clone()).collect();
    assert_eq!(values, [Secret::from("hunter2"), Secret::from("value-of-it")]);
    let missing = Files::default();
    let error = settings.resolve_secrets(false, &|path| missing.read(path)).unwrap_err().to_string();
    assert!(error.contains("auth_service.tokens[0]") && error.contains("/static"), "{error}");
}

#[test]
fn files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("teleport.yaml");
    std::fs::write(&path, "a".repeat(FILE_MAX)).unwrap();
    assert_eq!(read_file(&path).unwrap().len(), FILE_MAX);
    std::fs::write(&path, "a".repeat(FILE_MAX + 1)).unwrap();
    assert_eq!(read_file(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    let error = check(&"a".repeat(FILE_MAX + 1), "t.yaml").unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }));
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert_eq!(read_file(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
}
