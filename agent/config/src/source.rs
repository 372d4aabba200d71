//! Where the text of the configuration comes from: a file that is named, the variable, the default
//! file, or nothing at all.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::environment::{self, Environment};
use crate::error::ConfigError;
use crate::flags::Flags;
use crate::secret_source::ReadFile;
use crate::settings::{self, Inputs, Settings};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/teleport.yaml";

/// The largest file read, in bytes.
pub const FILE_MAX: usize = 1 << 20;

/// Finds the configuration, reads it and checks it together with flags and environment.
///
/// `hostname` is the machine's name, for a host that is given none. `read` reads a file:
/// [`read_file`], or a table in tests.
///
/// # Errors
/// [`ConfigError`] with every problem found.
pub fn load(
    flags: &Flags,
    environment: &Environment,
    hostname: &str,
    read: ReadFile<'_>,
) -> Result<Settings, ConfigError> {
    let inputs = Inputs { flags, environment, hostname };
    let variable = environment.value(environment::CONFIG);
    let (file, text) = match (&flags.config, variable) {
        (Some(path), _) => (path.display().to_string(), named(path, read)?),
        (None, Some(text)) => (environment::CONFIG.to_owned(), decoded(text)?),
        (None, None) => unnamed(read)?,
    };
    let mut settings = bounded(&text, &file, inputs)?;
    if flags.config.is_some() && variable.is_some() {
        settings
            .warnings
            .push(format!("{}: is not used, because --config names a file", environment::CONFIG));
    }
    Ok(settings)
}

/// Checks a text as the configuration of a host that has neither flags nor environment.
///
/// # Errors
/// [`ConfigError`] with every problem found.
pub fn check(text: &str, file_name: &str) -> Result<Settings, ConfigError> {
    let (flags, environment) = (Flags::default(), Environment::default());
    bounded(text, file_name, Inputs { flags: &flags, environment: &environment, hostname: "localhost" })
}

/// Reads a text file of at most [`FILE_MAX`] bytes.
///
/// # Errors
/// Those of the system; `InvalidData` when it is larger or not UTF-8.
pub fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = u64::try_from(FILE_MAX).unwrap_or(u64::MAX);
    std::fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() > FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("larger than {FILE_MAX} bytes")));
    }
    Ok(text)
}

fn named(path: &Path, read: ReadFile<'_>) -> Result<String, ConfigError> {
    read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// The default file may be absent, which is a configuration too; one that is there must be readable.
fn unnamed(read: ReadFile<'_>) -> Result<(String, String), ConfigError> {
    match read(Path::new(DEFAULT_FILE)) {
        Ok(text) => Ok((DEFAULT_FILE.to_owned(), text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(("defaults".to_owned(), String::new())),
        Err(source) => Err(ConfigError::Read { path: PathBuf::from(DEFAULT_FILE), source }),
    }
}

fn decoded(text: &str) -> Result<String, ConfigError> {
    let text: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|_| ConfigError::ConfigString)?;
    String::from_utf8(bytes).map_err(|_| ConfigError::ConfigString)
}

fn bounded(text: &str, file: &str, inputs: Inputs<'_>) -> Result<Settings, ConfigError> {
    if text.len() > FILE_MAX {
        return Err(ConfigError::TooLarge { file: file.to_owned(), limit: FILE_MAX });
    }
    settings::read(text, file, inputs)
}
