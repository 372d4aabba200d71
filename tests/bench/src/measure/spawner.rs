//! What the start of the login's shell costs, which is no server's doing: a process of its own starts
//! one whenever it is told to, as cold as the servers beside it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use terminal::{Explain, Failure};

/// The argument with which the program is that process.
pub(crate) const ARGUMENT: &str = "--spawner";

/// That process; it ends when this is dropped.
pub(crate) struct Spawner {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Spawner {
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .while_doing("cannot start the spawner")?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("the spawner has no pipes"));
        };
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it run `true` in a shell.
    pub(crate) fn spawn(&mut self) -> Result<(), Failure> {
        self.orders.write_all(b"\n")?;
        self.answers.read_line(&mut String::new())?;
        Ok(())
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other process.
pub(crate) fn serve() -> Result<(), Failure> {
    let mut answers = std::io::stdout();
    for order in std::io::stdin().lines() {
        order?;
        Command::new("/bin/sh").args(["-c", "true"]).status().while_doing("cannot run sh")?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}
