//! How a manifest gets into a component: as a custom section at its end.
//!
//! The build script writes the plugins that are carried in the same form; it cannot use this crate, so
//! a test compares the two. Reading is done where components are inspected.

use domain::plugin::manifest;

/// The component with one more custom section, the manifest, at its end (WebAssembly core
/// specification 5.5.3). Whether there is one already is for the caller to know.
pub(crate) fn with_manifest(wasm: &[u8], text: &str) -> Vec<u8> {
    let mut body = leb128(manifest::SECTION.len());
    body.extend_from_slice(manifest::SECTION.as_bytes());
    body.extend_from_slice(text.as_bytes());
    let size = leb128(body.len());
    [wasm, &[0], &size, &body].concat()
}

/// An unsigned number, seven bits to a byte, the lowest first.
fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carried;
    use crate::compile::manifest_of;

    /// The eight bytes of a component without anything in it.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 100, 127, 128, 300, manifest::BYTES_MAX] {
            let text = "x".repeat(length);
            let wasm = with_manifest(EMPTY, &text);
            assert_eq!(manifest_of(&wasm).unwrap().as_deref(), Some(text.as_str()), "{length}");
        }
        assert_eq!(manifest_of(EMPTY).unwrap(), None);
    }

    #[test]
    fn the_build_script_writes_the_same() {
        let text = include_str!("../../../plugins/label-command/plugin.toml");
        let section = with_manifest(b"", text);
        assert!(carried::find("label-command").unwrap().wasm.ends_with(&section));
    }
}
