use std::time::Instant;

use super::*;

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn with<T>(test: impl FnOnce(&Runner<'_>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { root: folder.path().into(), target: folder.path().into() };
    let interrupts = Interrupts::default();
    test(&Runner::new(&interrupts, &place).unwrap())
}

#[test]
fn what_a_program_prints_is_kept_apart_and_its_failure_is_an_answer() {
    with(|runner| {
        let output = runner.quietly(&mut sh("echo out; echo err >&2; exit 3"), END).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(std::fs::read_dir(&runner.scratch).unwrap().count(), 0, "nothing is left behind");
    });
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_what_it_started() {
    with(|runner| {
        let started = Instant::now();
        // The inner shell keeps the group busy after the outer one has gone.
        let mut command = sh("echo before; sh -c 'sleep 600' & echo $! > inner; wait");
        command.current_dir(&runner.place.root);
        let failure = runner.quietly(&mut command, Duration::from_millis(500)).unwrap_err().to_string();
        assert!(failure.contains("it took longer than 500 ms") && failure.contains("before"), "{failure}");
        assert!(started.elapsed() < Duration::from_secs(300));
        let inner = std::fs::read_to_string(runner.place.root.join("inner")).unwrap();
        let inner = format!("/proc/{}/cmdline", inner.trim());
        let gone = runner.interrupts.wait_for(Duration::from_secs(60), || {
            // A zombie whose new parent has not looked yet has no command line.
            Ok(std::fs::read(&inner).map_or(true, |text| text.is_empty()).then_some(()))
        });
        assert!(gone.unwrap().is_some(), "{inner} is still there");
    });
}

#[test]
fn a_program_that_is_not_there_is_a_failure_that_names_it() {
    with(|runner| {
        let mut missing = Command::new("no-such-program");
        let failure = runner.visibly(&mut missing, END).unwrap_err().to_string();
        assert!(failure.starts_with("error: `no-such-program` failed: "), "{failure}");
        assert!(!runner.succeeds(&mut missing));
    });
}

#[test]
fn a_shown_command_can_be_typed() {
    let mut command = Command::new("target/debug/teleport");
    command.args(["start", r#"--labels=env=demo,up=[1m:"uptime -p"]"#, "", "it's"]);
    let typed = r#"target/debug/teleport start '--labels=env=demo,up=[1m:"uptime -p"]' '' 'it'\''s'"#;
    assert_eq!(shown(&command), typed);
    let output = sh(&format!("printf '%s\\n' {}", typed)).output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        words.lines().collect::<Vec<_>>(),
        ["target/debug/teleport", "start", r#"--labels=env=demo,up=[1m:"uptime -p"]"#, "", "it's"]
    );
}
