//! What tests need that is written in Python: SSH clients that are not OpenSSH, and a server with
//! DynamoDB's settings of tables. They live in a virtual environment below the target folder, so this user's
//! own Python stays as it is.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{During, Failure};
use crate::run::Runner;
use crate::say;

/// The packages; exact, so that a test does not fail one morning because somebody released something.
const REQUIREMENTS: &str =
    "asyncssh==2.24.1\nflask==3.1.2\nflask-cors==6.0.1\nmoto[dynamodb]==5.2.5\nparamiko==5.1.0\n";
/// The folder of the environment below the target folder; tests look for `bin/python` in it.
const FOLDER: &str = "venv";
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Makes sure that the packages are there.
pub(crate) fn packages(runner: &Runner<'_>, may_install: bool) -> Result<(), Failure> {
    let folder = runner.place.target.join(FOLDER);
    // Written last: an installation that was cut short is done anew.
    let done = folder.join("requirements.txt");
    let import = ["-c", "import asyncssh, moto.server, paramiko"];
    let python = folder.join("bin/python");
    let same = std::fs::read_to_string(&done).is_ok_and(|text| text == REQUIREMENTS);
    if same && runner.succeeds(Command::new(&python).args(import)) {
        return Ok(());
    }
    if !may_install {
        return Err(
            Failure::new("the Python packages of the tests are missing").next("run: cargo xtask test")
        );
    }
    say::step("installing asyncssh, moto and paramiko into a virtual environment");
    let shown = runner.place.shown(&folder);
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder).stdout(Stdio::from(std::io::stderr()));
    runner.visibly(&mut make, LIMIT)?;
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(REQUIREMENTS.lines());
    install.stdout(Stdio::from(std::io::stderr()));
    runner.visibly(&mut install, LIMIT).map_err(|failure| {
        failure
            .next(format!("PyPI must be reachable, or configure pip with a mirror; it installs into {shown}"))
    })?;
    std::fs::write(&done, REQUIREMENTS).during(format!("cannot write {}", done.display()))
}
