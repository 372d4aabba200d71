//! Bytes in and out, ends, codes and signals, without a terminal; built-in programs.

use teleport_sys::session::Signal;

use super::*;

#[tokio::test]
async fn output_and_errors_come_apart_and_the_code_is_told() {
    let output = run(command(&me(), "echo out; echo err >&2; exit 42")).await.unwrap();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(output.status, ExitStatus::Code(42));
}

#[tokio::test]
async fn sixteen_megabytes_go_through_whole_both_ways() {
    let input: Vec<u8> = (0..16 * 1024 * 1024u32).map(|index| b'a' + (index % 23) as u8).collect();
    let output = run_with(command(&me(), "cat"), &input).await.unwrap();
    assert!(output.stdout.as_bytes() == input, "{} of {} bytes", output.stdout.len(), input.len());
    assert!(output.status.success());
}

#[tokio::test]
async fn the_end_of_input_reaches_the_program() {
    let output = run_with(command(&me(), "wc -l; echo done"), b"1\n2\n3").await.unwrap();
    assert_eq!(output.stdout, "2\ndone\n");
}

#[tokio::test]
async fn a_program_that_kills_itself_is_told_by_the_signals_name() {
    let output = run(command(&me(), "kill -KILL $$")).await.unwrap();
    assert_eq!(output.status, ExitStatus::Signal { name: "KILL", number: 9, core_dumped: false });
}

#[tokio::test]
async fn a_signal_from_the_client_reaches_the_group() {
    let session = launcher()
        .spawn(command(&me(), "trap 'echo caught; exit 5' USR1; sh -c 'echo ready; exec sleep 1000' & wait"))
        .await;
    let Session { streams, process, .. } = session.unwrap();
    let Streams::Pipes { mut stdout, .. } = streams else { panic!() };
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready).await.unwrap();
    process.signal(Signal::from_name("USR1").unwrap()).unwrap();
    // The sleeping program is in the group too, so the pipe ends.
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, stdout.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, "caught\n");
    assert_eq!(ended(&process).await, ExitStatus::Code(5));
}

#[tokio::test]
async fn a_dropped_session_is_hung_up_with_all_of_its_group_and_leaves_no_zombie() {
    let mut session = launcher().spawn(command(&me(), "sleep 1000 & echo $!; wait")).await.unwrap();
    let Streams::Pipes { stdout, .. } = &mut session.streams else { panic!() };
    let mut line = vec![0; 16];
    let length = stdout.read(&mut line).await.unwrap();
    let background: u32 = String::from_utf8_lossy(&line[..length]).trim().parse().unwrap();
    let shell = session.process.id();
    assert!(is_alive(shell) && is_alive(background));
    drop(session);
    until("the end of both", || !is_alive(shell) && !is_alive(background)).await;
}

#[tokio::test]
async fn a_built_in_program_runs_as_the_user_without_another_program() {
    let request = SpawnRequest { program: Program::Builtin("echo"), ..command(&me(), "") };
    let output = run_with(request, b"through").await.unwrap();
    assert_eq!(output.stdout, "through");
    assert!(output.status.success());
}

#[tokio::test]
async fn a_built_in_program_reports_beside_its_output() {
    let request = SpawnRequest { program: Program::Builtin("report"), ..command(&me(), "") };
    let mut session = launcher().spawn(request).await.unwrap();
    let Streams::Pipes { mut stdin, .. } = session.streams else { panic!() };
    stdin.write_all(b"{\"a\":1}\n").await.unwrap();
    drop(stdin);
    let mut report = String::new();
    session.report.take().unwrap().read_to_string(&mut report).await.unwrap();
    assert_eq!(report, "{\"a\":1}\n");
    assert_eq!(ended(&session.process).await, ExitStatus::Code(3));
}

#[tokio::test]
async fn only_built_in_programs_have_a_report() {
    assert!(launcher().spawn(command(&me(), "true")).await.unwrap().report.is_none());
}
