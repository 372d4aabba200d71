//! What a plugin may ask for beyond computing.
//!
//! A capability is a name in the manifest, a key in `teleport.yaml` and an interface in `wit/host` (HTTP's
//! is WASI's own). The log and the plugin's own configuration are not among them: everyone has those.

use std::fmt;

/// A program and its arguments, word by word. No shell reads it.
pub type Argv = Vec<String>;

/// The longest argument list, in words.
pub const ARGV_WORDS_MAX: usize = 256;

/// The longest argument list, in bytes over all words.
pub const ARGV_BYTES_MAX: usize = 32 * 1024;

/// A kind of thing the host does for a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// Run programs of the host's machine (`teleport:host/process`).
    Process,
    /// Send HTTP requests (`wasi:http/outgoing-handler`).
    Http,
    /// Use a secret without seeing it (`teleport:host/secrets`).
    Secret,
    /// See a secret (`teleport:host/secret-reveal`).
    SecretReveal,
    /// Keep a few bytes from call to call (`teleport:host/kv`).
    Kv,
}

impl Capability {
    /// Every capability there is.
    pub const ALL: &[Self] = &[Self::Process, Self::Http, Self::Secret, Self::SecretReveal, Self::Kv];

    /// Its name in manifests and in `teleport.yaml`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Http => "http",
            Self::Secret => "secret",
            Self::SecretReveal => "secret_reveal",
            Self::Kv => "kv",
        }
    }

    /// The capability of that name.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|capability| capability.key() == key)
    }

    /// The names of all, for errors.
    pub fn keys() -> String {
        Self::ALL.iter().map(|capability| capability.key()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// Why an argument list cannot be run, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgvError {
    /// Nothing to run.
    #[error("the command is empty; it needs at least the name of a program")]
    Empty,
    /// A NUL would end the word early.
    #[error("the command has a NUL character in it")]
    Nul,
    /// More than the machine should be asked to take.
    #[error("the command is too long: at most {ARGV_WORDS_MAX} words and {ARGV_BYTES_MAX} bytes")]
    TooLong,
}

/// Checks that an argument list can be handed to the operating system as it is.
///
/// # Errors
/// [`ArgvError`] with the rule.
pub fn check_argv(argv: &[String]) -> Result<(), ArgvError> {
    if argv.first().is_none_or(String::is_empty) {
        return Err(ArgvError::Empty);
    }
    if argv.len() > ARGV_WORDS_MAX || argv.iter().map(String::len).sum::<usize>() > ARGV_BYTES_MAX {
        return Err(ArgvError::TooLong);
    }
    if argv.iter().any(|word| word.contains('\0')) { Err(ArgvError::Nul) } else { Ok(()) }
}

/// Writes an argument list as YAML and JSON both read it: `["df", "-h"]`.
pub fn argv_text(argv: &[String]) -> String {
    let words: Vec<String> =
        argv.iter().map(|word| serde_json::Value::from(word.as_str()).to_string()).collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Argv {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn every_capability_is_found_by_its_key() {
        for capability in Capability::ALL {
            assert_eq!(Capability::parse(capability.key()), Some(*capability));
        }
        assert_eq!(Capability::parse("Process"), None);
    }

    #[test]
    fn an_argument_list_must_fit_the_operating_system() {
        assert_eq!(check_argv(&argv(&["uptime", ""])), Ok(()));
        assert_eq!(check_argv(&[]), Err(ArgvError::Empty));
        assert_eq!(check_argv(&argv(&[""])), Err(ArgvError::Empty));
        assert_eq!(check_argv(&argv(&["a", "b\0c"])), Err(ArgvError::Nul));
        assert_eq!(check_argv(&vec!["a".to_owned(); ARGV_WORDS_MAX + 1]), Err(ArgvError::TooLong));
        assert_eq!(check_argv(&["a".repeat(ARGV_BYTES_MAX + 1)]), Err(ArgvError::TooLong));
    }

    #[test]
    fn written_argument_lists_cannot_be_misread() {
        let list = argv(&["sh", "-c", "echo \"hi\"\n# x"]);
        let text = argv_text(&list);
        assert_eq!(text, r##"["sh", "-c", "echo \"hi\"\n# x"]"##);
        assert_eq!(serde_json::from_str::<Argv>(&text).unwrap(), list);
    }
}
