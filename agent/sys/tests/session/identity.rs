//! Who a session is: ids, groups, folder, variables, limits, and nothing of the daemon.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test]
async fn a_user_is_that_user_and_cannot_become_root_again() {
    if !is_root("a_user_is_that_user_and_cannot_become_root_again") {
        return;
    }
    let (user, home) = nobody();
    let script = "id -u; id -g; id -G; id -ru; id -rg; pwd; umask; cat /proc/self/status";
    let output = run(command(&user, script)).await.unwrap();
    assert_eq!(output.stderr, "");
    let lines: Vec<&str> = output.stdout.lines().collect();
    let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
    assert_eq!(&lines[..5], &[uid.as_str(), &gid, &gid, &uid, &gid]);
    assert_eq!(&lines[5..7], &[home.path().to_str().unwrap(), "0022"]);
    let field = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(name)).unwrap();
        line.split_once(':').unwrap().1.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid"), vec![uid; 4], "real, effective, saved and file system");
    assert_eq!(field("Gid"), vec![gid; 4]);
    for capabilities in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(capabilities), ["0000000000000000"], "{capabilities}");
    }
    for signals in ["SigBlk", "SigIgn"] {
        assert_eq!(field(signals), ["0000000000000000"], "{signals}");
    }
}

#[tokio::test]
async fn all_groups_come_with_the_user() {
    if !is_root("all_groups_come_with_the_user") {
        return;
    }
    // Any user of this host whom a group lists as a member; on most there is one.
    let groups = std::fs::read_to_string("/etc/group").unwrap();
    let member =
        groups.lines().find_map(|line| line.rsplit(':').next()?.split(',').find(|name| !name.is_empty()));
    let login = member.unwrap_or("root");
    let user = HostUser { shell: "/bin/sh".into(), home: "/".into(), ..SystemUsers.find(login).unwrap() };
    let output = run(command(&user, "id -G")).await.unwrap();
    let mut held: Vec<u32> = output.stdout.split_whitespace().map(|id| id.parse().unwrap()).collect();
    let mut known = user.groups.clone();
    held.sort_unstable();
    known.sort_unstable();
    known.dedup();
    assert_eq!(held, known, "{login}");
}

#[tokio::test]
async fn the_environment_is_built_from_nothing() {
    let user = me();
    let mut request = command(&user, "env");
    request.env = vec![("LC_TEST".into(), "ä b".into()), ("HOME".into(), "/elsewhere".into())];
    let launcher = Launcher::new(Settings {
        inherited: vec![("LANG".into(), "C.UTF-8".into()), ("SECRET".into(), "daemon's own".into())],
        ..settings()
    });
    let session = launcher.spawn(request).await.unwrap();
    let Streams::Pipes { mut stdout, .. } = session.streams else { panic!() };
    let mut out = String::new();
    stdout.read_to_string(&mut out).await.unwrap();
    // The shell adds these itself.
    let added = ["PWD=", "SHLVL=", "OLDPWD=", "_="];
    let mut found: Vec<&str> =
        out.lines().filter(|line| !added.iter().any(|own| line.starts_with(own))).collect();
    found.sort_unstable();
    let home = user.home.display();
    let mut expected = vec![
        "LANG=C.UTF-8".to_owned(),
        "LC_TEST=ä b".into(),
        format!("HOME={home}"),
        format!("USER={}", user.name),
        format!("LOGNAME={}", user.name),
        "SHELL=/bin/sh".into(),
        format!("MAIL=/var/mail/{}", user.name),
    ];
    let path = found.iter().position(|line| line.starts_with("PATH=/usr/local/")).unwrap();
    found.remove(path);
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_users_own_variables_count_only_when_the_operator_says_so() {
    let home = tempfile::tempdir().unwrap();
    let user = HostUser { home: home.path().into(), ..me() };
    std::fs::create_dir(home.path().join(".tsh")).unwrap();
    std::fs::write(home.path().join(".tsh/environment"), "PATH=/mine:/bin\nOWN=yes\n").unwrap();
    let mut request = command(&user, "echo $OWN; echo $PATH");
    let output = run(request.clone()).await.unwrap();
    assert!(!output.stdout.contains("mine") && !output.stdout.contains("yes"), "{}", output.stdout);
    request.read_user_env = true;
    assert_eq!(run(request).await.unwrap().stdout, "yes\n/mine:/bin\n");
}

#[tokio::test]
async fn the_users_file_is_read_with_the_users_rights() {
    if !is_root("the_users_file_is_read_with_the_users_rights") {
        return;
    }
    let (user, home) = nobody();
    std::fs::create_dir(home.path().join(".tsh")).unwrap();
    let file = home.path().join(".tsh/environment");
    std::fs::write(&file, "OWN=root's\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let mut request = command(&user, "echo [$OWN]");
    request.read_user_env = true;
    assert_eq!(run(request).await.unwrap().stdout, "[]\n");
}

#[tokio::test]
async fn nothing_is_inherited_but_the_three_streams() {
    // A descriptor that stays open over exec, as a careless library would leave one.
    let leaked =
        rustix::fs::open("/etc/passwd", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    let output = run(command(&me(), "ls /proc/self/fd | tr '\\n' ' '")).await.unwrap();
    // The fourth is the folder `ls` itself reads.
    assert_eq!(output.stdout, "0 1 2 3 ");
    drop(leaked);
}

/// Until another program has taken its place, the process holds the daemon's end of what it reports.
#[tokio::test]
async fn a_part_of_ours_that_runs_as_a_user_cannot_be_looked_into_by_that_user() {
    if !is_root("a_part_of_ours_that_runs_as_a_user_cannot_be_looked_into_by_that_user") {
        return;
    }
    let (user, _home) = nobody();
    let request = SpawnRequest { program: Program::Builtin("echo"), ..command(&user, "") };
    let session = launcher().spawn(request).await.unwrap();
    let pid = session.process.id();
    let look = format!(
        "kill -0 {pid} && echo mine; cat /proc/{pid}/maps && echo seen; ls /proc/{pid}/fd && echo seen"
    );
    let output = run(command(&user, &look)).await.unwrap();
    assert_eq!(output.stdout, "mine\n", "{}", output.stderr);
}

#[tokio::test]
async fn a_missing_home_is_said_and_is_no_reason_to_keep_anyone_out() {
    let user = HostUser { home: "/nonexistent".into(), ..me() };
    let output = run(command(&user, "pwd")).await.unwrap();
    assert_eq!(output.stdout, "/\n");
    assert!(
        output.stderr.starts_with("Could not chdir to home directory /nonexistent: "),
        "{}",
        output.stderr
    );
}

#[tokio::test]
async fn a_login_shell_is_told_so_and_a_command_is_not() {
    let shell = |program| SpawnRequest { program, ..command(&me(), "") };
    let output = run_with(shell(Program::Shell), b"echo $0\n").await.unwrap();
    assert_eq!(output.stdout, "-sh\n");
    let output = run(shell(Program::Command("echo $0".into()))).await.unwrap();
    assert_eq!(output.stdout, "sh\n");
}

#[tokio::test]
async fn the_daemon_is_the_parent_and_the_session_is_its_own() {
    // pid, parent, group, session
    let output = run(command(&me(), "echo $$; cut -d' ' -f4-6 /proc/$$/stat")).await.unwrap();
    let (pid, rest) = output.stdout.trim().split_once('\n').unwrap();
    assert_eq!(rest, format!("{} {pid} {pid}", std::process::id()));
}
