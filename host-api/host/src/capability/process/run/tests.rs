//! Real programs, ended in every way. Limits in seconds are far above what the machine needs; none
//! is raced.

use std::path::Path;

use super::*;

fn environment() -> BTreeMap<String, String> {
    crate::capability::process::environment(&BTreeMap::new())
}

async fn sh(script: &str, output_max: usize, time: Duration) -> Result<Outcome, Failure> {
    let argv = ["sh", "-c", script].map(str::to_owned);
    run(&argv, &environment(), Bounds { output_max, time }).await
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn exit_code_and_both_streams_come_back() {
    let outcome = sh("echo out; echo err >&2; exit 3", 100, LONG).await.unwrap();
    let expected = Outcome {
        ending: Ending::Exited(3),
        stdout: b"out\n".to_vec(),
        stderr: b"err\n".to_vec(),
        stdout_truncated: false,
        stderr_truncated: false,
    };
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn a_signal_is_told_apart_from_a_code() {
    assert_eq!(sh("kill -TERM $$", 100, LONG).await.unwrap().ending, Ending::Signalled(15));
}

#[tokio::test]
async fn output_that_just_fits_is_whole_and_one_byte_more_is_a_flood() {
    let fits = sh("printf 12345", 5, LONG).await.unwrap();
    assert_eq!(
        (fits.ending, fits.stdout.as_slice(), fits.stdout_truncated),
        (Ending::Exited(0), &b"12345"[..], false)
    );
    let flood = sh("printf 123456; sleep 1000", 5, LONG).await.unwrap();
    assert_eq!(
        (flood.ending, flood.stdout.as_slice(), flood.stdout_truncated),
        (Ending::Flooded, &b"12345"[..], true)
    );
}

#[tokio::test]
async fn an_endless_flood_on_either_stream_is_cut() {
    let flood = sh("yes", 65_536, LONG).await.unwrap();
    assert_eq!((flood.ending, flood.stdout.len()), (Ending::Flooded, 65_536));
    let flood = sh("yes >&2", 65_536, LONG).await.unwrap();
    assert_eq!((flood.ending, flood.stderr.len(), flood.stderr_truncated), (Ending::Flooded, 65_536, true));
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
    let call = tokio::spawn(async move { sh(&script, 100, LONG).await });
    while !file.exists() {
        assert!(!call.is_finished(), "the program does not get that far");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Its time is up now, however long it took to start.
    tokio::time::pause();
    tokio::time::advance(LONG).await;
    tokio::time::resume();
    assert_eq!(call.await.unwrap(), Err(Failure::TimedOut(60_000)));
    gone(&file).await;
}

#[tokio::test]
async fn what_a_program_leaves_running_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // The sleeper holds the pipe open: without care the call would last as long as it does.
    let script = format!("sleep 1000 & echo $! > {}; echo done", file.display());
    let outcome = sh(&script, 100, LONG).await.unwrap();
    assert_eq!((outcome.ending, outcome.stdout.as_slice()), (Ending::Exited(0), &b"done\n"[..]));
    gone(&file).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_the_program_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 1000", file.display());
    let call = sh(&script, 100, LONG);
    let started = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = call => panic!("the program runs until it is killed"),
        () = started => {}
    }
    gone(&file).await;
}

#[tokio::test]
async fn a_program_that_closes_its_output_and_works_on_is_waited_for() {
    let outcome = sh("exec >&- 2>&-; sleep 0.2; exit 4", 100, LONG).await.unwrap();
    assert_eq!(outcome.ending, Ending::Exited(4));
}

#[tokio::test]
async fn there_is_no_input_no_shell_and_nothing_in_the_environment() {
    assert_eq!(sh("read line || echo none", 100, LONG).await.unwrap().stdout, b"none\n");
    let run_plain = |words: &[&str]| {
        let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        async move { run(&argv, &environment(), Bounds { output_max: 4096, time: LONG }).await }
    };
    assert_eq!(run_plain(&["echo", "$HOME; id"]).await.unwrap().stdout, b"$HOME; id\n");
    let outcome = run_plain(&["env"]).await.unwrap();
    let variables = String::from_utf8(outcome.stdout).unwrap();
    assert!(variables.lines().all(|line| line.starts_with("PATH=")), "{variables}");
    assert_eq!(run_plain(&["pwd"]).await.unwrap().stdout, b"/\n");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let argv = ["no-such-program-here".to_owned()];
    let outcome = run(&argv, &environment(), Bounds { output_max: 1, time: LONG }).await;
    assert!(
        matches!(&outcome, Err(Failure::NotFound(text)) if text.contains("no-such-program-here")),
        "{outcome:?}"
    );
    let argv = ["/etc/passwd".to_owned()];
    let outcome = run(&argv, &environment(), Bounds { output_max: 1, time: LONG }).await;
    assert!(matches!(&outcome, Err(Failure::NotFound(_))), "{outcome:?}");
}

/// Waits until the process whose number is in the file has ended.
async fn gone(file: &Path) {
    let pid = std::fs::read_to_string(file).unwrap().trim().to_owned();
    let ended = async {
        // A zombie has no command line any more.
        while std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, ended).await.expect("the process is killed");
}
