//! What a component says of itself, read without running any of it: its imports and exports, and
//! the manifest it carries. Runs in the child; authors' own components are also looked into where they
//! are signed.

use domain::plugin::manifest;
use serde::{Deserialize, Serialize};
use wit_parser::decoding::DecodedWasm;
use wit_parser::{Resolve, WorldItem, WorldKey};

/// A component from the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inspection {
    /// What it imports: interfaces with their version, like `teleport:host/process@1.0.0`, and
    /// plain names.
    pub(crate) imports: Vec<String>,
    /// What it exports, the same way.
    pub(crate) exports: Vec<String>,
    /// The manifest in its custom section, if it has one.
    pub(crate) manifest: Option<String>,
}

impl Inspection {
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|error| error.to_string())
    }

    pub(crate) fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

/// The eight bytes every component begins with, and every core module (component model binary
/// format, preamble).
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Looks into a component.
///
/// # Errors
/// One line that says what the bytes are instead.
pub(super) fn inspect(wasm: &[u8]) -> Result<Inspection, String> {
    if wasm.starts_with(MODULE) {
        return Err("it is a core WebAssembly module and not a component; build it for wasm32-wasip2, or make a component of it with `wasm-tools component new`".to_owned());
    }
    if !wasm.starts_with(COMPONENT) {
        return Err("it is not a WebAssembly component; the file does not begin like one".to_owned());
    }
    let manifest = manifest_of(wasm)?;
    let decoded = wit_component::decode(wasm)
        .map_err(|error| format!("it is not a whole WebAssembly component: {error:#}"))?;
    match decoded {
        DecodedWasm::Component(resolve, world) => {
            let world = resolve.worlds.get(world).ok_or("the component has no world")?;
            let names = |items: &wit_parser::IndexMap<WorldKey, WorldItem>| {
                items.keys().map(|key| name(&resolve, key)).collect()
            };
            Ok(Inspection { imports: names(&world.imports), exports: names(&world.exports), manifest })
        }
        DecodedWasm::WitPackage(..) => {
            Err("it is an interface description and not a component that runs".to_owned())
        }
    }
}

fn name(resolve: &Resolve, key: &WorldKey) -> String {
    match key {
        WorldKey::Name(name) => name.clone(),
        WorldKey::Interface(id) => resolve.id_of(*id).unwrap_or_else(|| "an unnamed interface".to_owned()),
    }
}

/// The manifest among the custom sections of the component's outermost layer.
///
/// # Errors
/// One line that says what is wrong with it or with the component around it.
pub(crate) fn manifest_of(wasm: &[u8]) -> Result<Option<String>, String> {
    let mut rest = wasm.get(COMPONENT.len()..).unwrap_or_default();
    let mut found = None;
    while let Some((id, body, after)) = section(rest)? {
        if id == 0
            && let Some((name, content)) = custom(body)
            && name == manifest::SECTION.as_bytes()
        {
            if found.is_some() {
                return Err("it carries two manifests".to_owned());
            }
            if content.len() > manifest::BYTES_MAX {
                return Err(format!("its manifest is larger than {} bytes", manifest::BYTES_MAX));
            }
            let text = std::str::from_utf8(content).map_err(|_| "its manifest is not text".to_owned())?;
            found = Some(text.to_owned());
        }
        rest = after;
    }
    Ok(found)
}

/// One section off the front: id, body, what follows.
#[allow(clippy::type_complexity, reason = "three slices of one, named by the line that takes them apart")]
fn section(bytes: &[u8]) -> Result<Option<(u8, &[u8], &[u8])>, String> {
    let Some((id, rest)) = bytes.split_first() else { return Ok(None) };
    let cut = || "it is cut off in the middle of a section".to_owned();
    let (size, rest) = leb128(rest).ok_or_else(cut)?;
    let (body, after) = rest.split_at_checked(size).ok_or_else(cut)?;
    Ok(Some((*id, body, after)))
}

/// Name and content of a custom section.
fn custom(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = leb128(body)?;
    rest.split_at_checked(size)
}

/// An unsigned LEB128 number of at most 32 bits (WebAssembly core specification 5.2.2).
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let rest = bytes.get(index + 1..)?;
            return (value <= u64::from(u32::MAX)).then_some((usize::try_from(value).ok()?, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn component(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = COMPONENT.to_vec();
        for (name, content) in sections {
            let size = 1 + name.len() + content.len();
            assert!(size < 128, "one byte of length is enough for these tests");
            bytes.extend([0, size as u8, name.len() as u8]);
            bytes.extend(name.as_bytes());
            bytes.extend(*content);
        }
        bytes
    }

    #[test]
    fn an_empty_component_has_nothing_but_its_manifest() {
        let found = inspect(&component(&[("other", b"x"), (manifest::SECTION, b"name = 1")])).unwrap();
        assert_eq!(
            found,
            Inspection { imports: vec![], exports: vec![], manifest: Some("name = 1".to_owned()) }
        );
    }

    #[test]
    fn what_is_no_component_is_named() {
        let two = component(&[(manifest::SECTION, b"a"), (manifest::SECTION, b"b")]);
        let cases: [(&[u8], &str); 7] = [
            (b"", "does not begin like one"),
            (b"#!/bin/sh\n", "does not begin like one"),
            (b"\0asm\x01\0\0\0", "core WebAssembly module"),
            (&[COMPONENT, b"\0"].concat(), "cut off"),
            (&[COMPONENT, b"\x01\x7f\0"].concat(), "cut off"),
            (&[COMPONENT, b"\x01\x01\0"].concat(), "not a whole WebAssembly component"),
            (&two, "two manifests"),
        ];
        for (bytes, expected) in cases {
            let error = inspect(bytes).unwrap_err();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }

    #[test]
    fn numbers_end_where_the_format_says() {
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26, 9]), Some((624_485, &[9][..])));
        assert_eq!(leb128(&[0xff; 5]), None);
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x7f]), None, "more than 32 bits");
        assert_eq!(leb128(&[0x80]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = inspect(&[COMPONENT, &tail[..]].concat());
        }

        #[test]
        fn a_damaged_component_is_refused_or_read_and_never_panics(
            cut in 0.0..1.0f64,
            damage in proptest::collection::vec((0.0..1.0f64, any::<u8>()), 0..8),
        ) {
            let whole = crate::carried::find("label-command").unwrap().wasm;
            let at = |part: f64, length: usize| (part * length as f64) as usize;
            let mut bytes = whole.to_vec();
            for (place, byte) in damage {
                let place = at(place, bytes.len());
                bytes[place] = byte;
            }
            bytes.truncate(at(cut, bytes.len()) + 1);
            let _ = inspect(&bytes);
        }
    }
}
