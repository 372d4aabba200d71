//! `cargo xtask test`: every test there is, in steps, with a summary of what each said and how long it
//! took. A step that fails does not hide what the later ones have to say.

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::run::Runner;
use crate::{debian, node, python, say, tool};

/// How long one step may take. Whole builds are among them, on two cores.
const LIMIT: Duration = Duration::from_secs(3600);
/// Workspaces beside the main one.
const PLUGINS: &str = "plugins/Cargo.toml";
const GUESTS: &str = "tests/guests/Cargo.toml";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run only tests whose names hold one of these; formatting, lints and documentation are then left
    /// out.
    filter: Vec<String>,
    /// Install nothing; say what is missing and stop.
    #[arg(long)]
    no_install: bool,
}

/// One thing that can pass or fail by itself.
struct Step<'a> {
    name: &'static str,
    /// A step without which the later ones say nothing.
    needed: bool,
    work: Box<dyn Fn() -> Result<(), Failure> + 'a>,
}

/// How a step ended.
struct Done {
    name: &'static str,
    took: Duration,
    failure: Option<Failure>,
}

pub(crate) fn run(arguments: &Arguments, runner: &Runner<'_>) -> Result<(), Failure> {
    conclude(&through(&steps(arguments, runner)))
}

fn steps<'a>(arguments: &'a Arguments, runner: &'a Runner<'a>) -> Vec<Step<'a>> {
    let may_install = !arguments.no_install;
    let needed = |name, work| Step { name, needed: true, work };
    let cargo = |name, words: &'static [&'static str]| Step {
        name,
        needed: false,
        work: Box::new(move || cargo(runner, words)),
    };
    let tests = Step { name: "tests", needed: false, work: Box::new(|| tests(arguments, runner)) };
    let mut steps = vec![
        needed("tools", Box::new(|| tool::for_building(runner).and_then(|()| tool::for_checking(runner)))),
        needed("system packages", Box::new(move || debian::packages(runner, may_install))),
        needed("python packages", Box::new(move || python::packages(runner, may_install))),
        needed("node packages", Box::new(move || node::packages(runner, may_install))),
    ];
    if !arguments.filter.is_empty() {
        steps.extend([needed("programs", Box::new(|| programs(runner))), tests]);
        return steps;
    }
    steps.extend([
        cargo("format", &["fmt", "--all", "--check"]),
        cargo("format of the plugins", &["fmt", "--manifest-path", PLUGINS, "--all", "--check"]),
        cargo("format of the guests", &["fmt", "--manifest-path", GUESTS, "--all", "--check"]),
        cargo("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        cargo(
            "lints of the plugins",
            &["clippy", "--manifest-path", PLUGINS, "--all-targets", "--", "-D", "warnings"],
        ),
        needed("programs", Box::new(|| programs(runner))),
        tests,
        cargo("examples in documents", &["test", "--doc", "--workspace"]),
        cargo("tests of the plugins", &["test", "--manifest-path", PLUGINS]),
    ]);
    steps
}

fn cargo(runner: &Runner<'_>, words: &[&str]) -> Result<(), Failure> {
    runner.visibly(&mut runner.place.cargo(words.iter().copied()), LIMIT)
}

/// Some tests start programs of other crates, which testing a crate does not build.
fn programs(runner: &Runner<'_>) -> Result<(), Failure> {
    cargo(runner, &["build", "--workspace", "--bins"])
}

fn tests(arguments: &Arguments, runner: &Runner<'_>) -> Result<(), Failure> {
    let nextest = runner.succeeds(&mut runner.place.cargo(["nextest", "--version"]));
    let words: &[&str] = if nextest {
        &["nextest", "run", "--workspace"]
    } else {
        &["test", "--workspace", "--no-fail-fast", "--tests"]
    };
    let mut command = runner.place.cargo(words.iter().copied());
    if !arguments.filter.is_empty() && !nextest {
        command.arg("--");
    }
    command.args(&arguments.filter);
    runner.visibly(&mut command, LIMIT)
}

/// Goes through the steps, to the first that the others need or to the end.
fn through(steps: &[Step<'_>]) -> Vec<Done> {
    let mut done = Vec::new();
    for step in steps {
        say::step(step.name);
        let started = Instant::now();
        let failure = (step.work)().err();
        if let Some(failure) = &failure {
            say::note(failure.to_string().trim_end());
        }
        let stop = failure.as_ref().is_some_and(|failure| step.needed || failure.is_interrupted());
        done.push(Done { name: step.name, took: started.elapsed(), failure });
        if stop {
            break;
        }
    }
    done
}

/// Prints the summary and says whether all is well.
fn conclude(done: &[Done]) -> Result<(), Failure> {
    say::line("");
    for Done { name, took, failure } in done {
        let result = if failure.is_none() { "passed" } else { "FAILED" };
        say::line(format_args!("{name:<24} {result:<8} {:>14}", say::span(*took)));
    }
    if done.iter().any(|done| done.failure.as_ref().is_some_and(Failure::is_interrupted)) {
        return Err(Failure::interrupted());
    }
    let failed: Vec<_> = done.iter().filter(|done| done.failure.is_some()).map(|done| done.name).collect();
    let total = say::span(done.iter().map(|done| done.took).sum());
    if failed.is_empty() {
        say::line(format_args!("all passed in {total}"));
        return Ok(());
    }
    Err(Failure::new(format!("{} of {} steps failed", failed.len(), done.len())).because(failed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, needed: bool, passes: bool) -> Step<'static> {
        let work = move || if passes { Ok(()) } else { Err(Failure::new("broken")) };
        Step { name, needed, work: Box::new(work) }
    }

    fn names(done: &[Done]) -> Vec<&'static str> {
        done.iter().map(|done| done.name).collect()
    }

    #[test]
    fn a_failed_step_does_not_hide_the_next_but_fails_the_whole() {
        let done = through(&[step("a", true, true), step("b", false, false), step("c", false, true)]);
        assert_eq!(names(&done), ["a", "b", "c"]);
        assert_eq!(conclude(&done).unwrap_err().to_string(), "error: 1 of 3 steps failed: b\n");
    }

    #[test]
    fn nothing_comes_after_a_step_that_the_others_need() {
        let done = through(&[step("a", true, false), step("b", false, true)]);
        assert_eq!(names(&done), ["a"]);
        assert!(conclude(&done).is_err());
    }

    #[test]
    fn all_passed_is_a_success() {
        assert!(conclude(&through(&[step("a", true, true), step("b", false, true)])).is_ok());
    }
}
