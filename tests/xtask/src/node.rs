//! A server from npm that keeps DynamoDB's rules, for the tests of the storage plugin. It lives below the
//! target folder; nothing is installed for this user or the machine.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{During, Failure};
use crate::run::Runner;
use crate::say;

/// The package; exact, so that a test does not fail one morning because somebody released something.
const PACKAGE: &str = "dynalite@4.0.0";
/// The folder below the target folder; tests look for `node_modules/dynalite/cli.js` in it.
const FOLDER: &str = "node";
/// How long it may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Makes sure that the package is there.
pub(crate) fn packages(runner: &Runner<'_>, may_install: bool) -> Result<(), Failure> {
    let folder = runner.place.target.join(FOLDER);
    // Written last: an installation that was cut short is done anew.
    let done = folder.join("installed.txt");
    if std::fs::read_to_string(&done).is_ok_and(|text| text == PACKAGE) {
        return Ok(());
    }
    if !may_install {
        return Err(Failure::new("dynalite, which the tests of DynamoDB need, is missing")
            .next("run: cargo xtask test"));
    }
    say::step("installing dynalite below the target folder");
    std::fs::create_dir_all(&folder).during(format!("cannot make {}", folder.display()))?;
    let shown = runner.place.shown(&folder);
    let mut install = Command::new("npm");
    // What it needs comes built; scripts of packages are not run.
    install.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--no-save",
        "--prefix",
    ]);
    install.arg(&folder).arg(PACKAGE).stdout(Stdio::from(std::io::stderr()));
    runner.visibly(&mut install, LIMIT).map_err(|failure| {
        failure.next(format!(
            "npm's registry must be reachable, or npm be configured with a mirror; it installs into {shown}"
        ))
    })?;
    std::fs::write(&done, PACKAGE).during(format!("cannot write {}", done.display()))
}
