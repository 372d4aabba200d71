//! Dynamic labels from the output of a command: the plugin behind `ssh_service.commands` and
//! `--labels uptime=[1m:"uptime -p"]`.
//!
//! It asks the host to run the argument list written beside the label and makes a value of what
//! comes back. It keeps nothing and decides nothing: the host runs only what the operator
//! configured.

pub mod value;

use teleport_plugin_sdk::label_provider::{Failure, LabelProvider, Request};
use teleport_plugin_sdk::process;

struct LabelCommand;

impl LabelProvider for LabelCommand {
    fn evaluate(request: Request) -> Result<String, Failure> {
        value::check(&request.command)?;
        let outcome = process::run(&request.command)?;
        value::of(&request.command, &outcome)
    }
}

teleport_plugin_sdk::export_label_provider!(LabelCommand);
