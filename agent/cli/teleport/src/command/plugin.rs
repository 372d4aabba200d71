//! `teleport plugin`: what authors and operators do with a plugin's file, without a daemon.

use std::io::Write;

use terminal::Failure;

mod keygen;
mod limits;
mod misfit;
mod new;
mod password;
mod project;
mod push;
mod run;
mod sign;
mod test;
mod trial;
mod verify;
mod world;

pub(crate) use misfit::misfits;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a publisher's key: a secret half that signs, a public half for operators.
    Keygen(keygen::Arguments),
    /// Sign a plugin, with its manifest put into the component.
    Sign(sign::Arguments),
    /// Check a plugin's signature and digest as the daemon would.
    Verify(verify::Arguments),
    /// Put a plugin into an OCI registry.
    Push(push::Arguments),
    /// Make a project for a new plugin.
    New(new::Arguments),
    /// Call a plugin once and tell what it took.
    Run(Box<run::Arguments>),
    /// Show what a plugin may use of the host, by default and at most.
    Limits(limits::Arguments),
    /// Run the cases of a plugin's project, with recorded answers in place of other machines.
    Test(test::Arguments),
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    match arguments.command {
        Command::Keygen(arguments) => keygen::run(&arguments, out),
        Command::Sign(arguments) => sign::run(&arguments, out),
        Command::Verify(arguments) => verify::run(&arguments, out),
        Command::Push(arguments) => push::run(&arguments, out),
        Command::New(arguments) => new::run(&arguments, out),
        Command::Run(arguments) => run::run(*arguments, out),
        Command::Limits(arguments) => limits::run(&arguments, out),
        Command::Test(arguments) => test::run(&arguments, out),
    }
}
