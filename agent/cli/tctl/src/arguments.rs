//! The command line of `tctl`.

use clap::Parser;

use crate::command::Command;
use crate::place::Place;

/// The admin tool of a Teleport cluster
///
/// Run it on the auth server's host, as the user that runs `teleport`: it is let in because it can
/// read the auth server's data folder.
#[derive(Debug, Parser)]
#[command(name = "tctl", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Where the auth server is.
    #[command(flatten)]
    pub(crate) place: Place,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_and_after_the_command() {
        for line in [
            ["tctl", "--config=a.yaml", "users", "add", "joe"],
            ["tctl", "users", "add", "joe", "--config=a.yaml"],
            ["tctl", "users", "add", "-ca.yaml", "joe"],
        ] {
            assert!(Arguments::try_parse_from(line).is_ok(), "{line:?}");
        }
    }

    #[test]
    fn every_command_and_option_is_explained() {
        fn check(command: &clap::Command, path: &str) {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{path} {}", argument.get_id());
            }
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name());
                assert!(sub.get_about().is_some(), "{path}");
                check(sub, &path);
            }
        }
        check(&Arguments::command(), "tctl");
    }
}
