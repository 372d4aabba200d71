//! What does not start, and what is said about it.

use std::error::Error;

use super::*;

/// The error and what caused it, as a person reads it.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

async fn refused(request: SpawnRequest) -> (SpawnError, String) {
    let error = run(request).await.unwrap_err();
    let text = chain(&error);
    (error, text)
}

#[tokio::test]
async fn a_shell_that_is_not_there_is_named_with_the_command_that_helps() {
    let user = HostUser { shell: "/no/such/shell".into(), ..me() };
    let (error, text) = refused(command(&user, "true")).await;
    assert!(matches!(error, SpawnError::Shell { .. }), "{error:?}");
    for part in ["/no/such/shell", "usermod --shell", "No such file"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_shell_that_is_no_program_is_refused() {
    for shell in ["/etc/passwd", "/", "sh", ""] {
        let user = HostUser { shell: shell.into(), ..me() };
        let (error, _) = refused(command(&user, "true")).await;
        assert!(matches!(error, SpawnError::Shell { .. }), "{shell:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_closed_host_says_why_and_lets_root_in() {
    if !is_root("a_closed_host_says_why_and_lets_root_in") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let nologin = folder.path().join("nologin");
    std::fs::write(&nologin, "Maintenance until noon.\n").unwrap();
    let launcher =
        Launcher::new(Settings { nologin: vec!["/nonexistent".into(), nologin.clone()], ..settings() });
    let (user, _home) = nobody();
    let error = launcher.spawn(command(&user, "true")).await.unwrap_err();
    assert!(
        matches!(&error, SpawnError::NoLogin { message } if message == "Maintenance until noon."),
        "{error:?}"
    );
    assert!(ended(&launcher.spawn(command(&me(), "true")).await.unwrap().process).await.success());
    std::fs::write(&nologin, "").unwrap();
    let error = launcher.spawn(command(&user, "true")).await.unwrap_err();
    assert!(error.to_string().contains("nologin exists"), "{error}");
    std::fs::remove_file(&nologin).unwrap();
    assert!(ended(&launcher.spawn(command(&user, "true")).await.unwrap().process).await.success());
}

#[tokio::test]
async fn file_transfer_is_refused_to_a_login_whose_shell_refuses() {
    for shell in ["/usr/sbin/nologin", "/bin/false"] {
        let user = HostUser { shell: shell.into(), ..me() };
        let request = SpawnRequest { program: Program::Builtin("echo"), ..command(&user, "") };
        let (error, text) = refused(request).await;
        assert!(matches!(error, SpawnError::ShellRefuses { .. }), "{error:?}");
        assert!(text.contains(shell), "{text}");
    }
}

#[tokio::test]
async fn file_transfer_is_for_logins_whose_shell_is_listed_and_for_root() {
    if !is_root("file_transfer_is_for_logins_whose_shell_is_listed_and_for_root") {
        return;
    }
    let (user, home) = nobody();
    let shells = home.path().join("shells");
    let launcher = Launcher::new(Settings { shells: shells.clone(), ..settings() });
    let starts = async |shell: &str, user: &HostUser| {
        let user = HostUser { shell: shell.into(), ..user.clone() };
        let request = SpawnRequest { program: Program::Builtin("echo"), ..command(&user, "") };
        launcher.spawn(request).await.map(|_| ())
    };
    // Without a list the usual shells are good.
    starts("/bin/sh", &user).await.unwrap();
    starts("/bin/bash", &user).await.unwrap_err();
    std::fs::write(&shells, "# shells\n/bin/bash\n").unwrap();
    starts("/bin/bash", &user).await.unwrap();
    let error = starts("/usr/bin/git-shell", &user).await.unwrap_err();
    assert!(matches!(error, SpawnError::ShellNotListed { .. }), "{error:?}");
    for part in ["/usr/bin/git-shell", "nobody", shells.to_str().unwrap()] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    starts("/usr/bin/git-shell", &me()).await.unwrap();
}

#[tokio::test]
async fn a_part_this_program_does_not_have_is_named() {
    let request = SpawnRequest { program: Program::Builtin("teapot"), ..command(&me(), "") };
    let (_, text) = refused(request).await;
    assert!(text.contains("teapot"), "{text}");
}

#[tokio::test]
async fn a_program_that_cannot_be_the_helper_is_named() {
    let launcher = Launcher::new(Settings { program: "/no/such/teleport".into(), ..Settings::default() });
    let error = launcher.spawn(command(&me(), "true")).await.unwrap_err();
    assert!(chain(&error).contains("/no/such/teleport"), "{}", chain(&error));
    // A program that does not know what to do ends, and that is said too.
    let launcher = Launcher::new(Settings { program: "/bin/true".into(), ..Settings::default() });
    let error = launcher.spawn(command(&me(), "true")).await.unwrap_err();
    assert!(matches!(error, SpawnError::HelperGone(_)), "{error:?}");
}

#[tokio::test]
async fn texts_no_program_can_take_are_refused_before_anything_starts() {
    let nul = || "a\0b".to_owned();
    let mut variables = command(&me(), "true");
    variables.env = vec![("A".into(), nul())];
    let line = command(&me(), &nul());
    for request in [variables, line] {
        let (error, text) = refused(request).await;
        assert!(matches!(error, SpawnError::Text { .. }), "{error:?}");
        assert!(text.contains("NUL"), "{text}");
    }
}

#[tokio::test]
async fn a_command_too_long_is_refused_and_one_just_short_runs() {
    let (error, _) = refused(command(&me(), &"x".repeat(200_000))).await;
    assert!(matches!(error, SpawnError::TooLarge { .. }), "{error:?}");
    let output = run(command(&me(), &format!("echo {}", "x".repeat(120_000)))).await.unwrap();
    assert_eq!(output.stdout.len(), 120_001);
}

/// The test runs itself again as another user, so that the daemon's side has no root.
#[tokio::test]
async fn a_daemon_without_root_has_its_own_user_only() {
    if !is_root("a_daemon_without_root_has_its_own_user_only") {
        return;
    }
    let (user, _home) = nobody();
    // The fixture lies where only root may go, perhaps; a copy does not.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = folder.path().join("sys-fixture");
    std::fs::copy(env!("CARGO_BIN_EXE_sys-fixture"), &program).unwrap();
    let line = |login: &str| format!("{} run {login} 'id -u; id -g'", program.display());
    let own = run(command(&user, &line("nobody"))).await.unwrap();
    assert_eq!(own.stdout, format!("{}\n{}\n", user.uid, user.gid), "{own:?}");
    assert!(own.status.success(), "{own:?}");
    let other = run(command(&user, &line("root"))).await.unwrap();
    assert_eq!(other.status, ExitStatus::Code(2), "{other:?}");
    assert!(other.stderr.contains("only root may become someone else"), "{}", other.stderr);
}
