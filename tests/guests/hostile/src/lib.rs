//! A label plugin that does what the first word of its command says, most of it harmful.

mod harm;
mod hoard;

use teleport_plugin_sdk::label_provider::{Failure, LabelProvider, Request};
use teleport_plugin_sdk::process;

struct Hostile;

impl LabelProvider for Hostile {
    fn evaluate(request: Request) -> Result<String, Failure> {
        let (deed, rest) = request.command.split_first().expect("a deed");
        let number = || rest.first().map_or(0, |word| word.parse().expect("a number"));
        match deed.as_str() {
            "echo" => Ok(rest.join(" ")),
            "count" => Ok(harm::count()),
            "loop" => harm::spin(),
            "allocate" => harm::allocate(),
            "try-to-allocate" => Ok(harm::try_to_allocate(number())),
            "panic" => panic!("on purpose"),
            "recurse" => Ok(harm::recurse(1).to_string()),
            "exit" => std::process::exit(3),
            "sleep" => Ok(harm::sleep()),
            "log" => Ok(harm::log(number())),
            "log-for-ever" => harm::log_for_ever(),
            "print" => Ok(harm::print(number())),
            "tell-much" => Ok(harm::tell_much(number())),
            "answer-much" => Ok("x".repeat(number())),
            "answer-no-text" => Ok(harm::no_text()),
            "hold-handles" => Ok(harm::hold_handles(number())),
            "keep-much" => hoard::keep(number()),
            "look-around" => Ok(harm::look_around()),
            "fail" => Err(Failure::Unavailable(rest.join(" "))),
            "claim-denied" => Err(Failure::Denied("by my own account".to_owned())),
            "run" => Ok(String::from_utf8_lossy(&process::run(rest)?.stdout).trim().to_owned()),
            "run-and-hide" => Err(Failure::Unavailable(format!("hidden: {}", process::run(rest).is_err()))),
            other => Err(Failure::Invalid(format!("no such deed: {other}"))),
        }
    }
}

teleport_plugin_sdk::export_label_provider!(Hostile);
