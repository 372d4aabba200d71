//! `plugin.toml`, from text to a checked manifest.

use domain::plugin::{Manifest, PluginName};
use domain::printable;

use crate::error::LoadError;

/// Reads the manifest of a plugin.
///
/// # Errors
/// [`LoadError::NoManifest`], or [`LoadError::Manifest`] with line and reason.
pub(crate) fn read(name: &PluginName, text: Option<&str>) -> Result<Manifest, LoadError> {
    let text = text.ok_or_else(|| LoadError::NoManifest { name: name.clone() })?;
    parse(text).map_err(|reason| LoadError::Manifest { name: name.clone(), reason })
}

/// Reads a manifest whose plugin's name is not known otherwise.
///
/// # Errors
/// Line and reason.
pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
    toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(0, |span| text.get(..span.start).unwrap_or_default().matches('\n').count());
        // The message alone: the long form repeats the plugin's own lines.
        format!("line {}: {}", line + 1, printable::escape(error.message()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_named_with_its_line() {
        let name = PluginName::new("label-x").unwrap();
        let read = |text| read(&name, text).unwrap_err().to_string();
        assert_eq!(
            read(Some("name = \"label-x\"\nversion = 1\n")),
            "the manifest of plugin label-x cannot be used: line 2: invalid type: integer `1`, expected a string"
        );
        let text = read(Some("name = \"label-x\"\nworld = \"x\"\n"));
        assert!(text.contains("line 2: unknown field `world`"), "{text}");
        assert!(read(None).contains("has no manifest; put plugin.toml beside its plugin.wasm"));
    }
}
