//! Components made by hand: what no compiler makes of a program. Each is a label plugin as the tools make
//! one of a core module, so it gets as far as its code does.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");

/// A core module whose functions do as told: the lines of `evaluate`, and what else is in it. `$answer`
/// is where it may put its answer.
pub(crate) fn module(evaluate: &str, more: &str) -> String {
    let realloc = "(local $at i32) (local.set $at (global.get $free))
        (global.set $free (i32.and (i32.add (i32.add (local.get $at) (local.get 3)) (i32.const 7)) (i32.const -8)))
        (local.get $at)";
    module_with(evaluate, realloc, more)
}

/// The same with another function that gives room for what the host passes.
pub(crate) fn module_with(evaluate: &str, realloc: &str, more: &str) -> String {
    format!(
        r#"(module
            {more}
            (global $free (mut i32) (i32.const 4096))
            (global $answer i32 (i32.const 1024))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
            (func (export "teleport:label-provider/evaluate@1.0.0#evaluate")
                (param i32 i32 i32 i32) (result i32) {evaluate}))"#
    )
}

/// One page of memory, without which there is no text.
pub(crate) const MEMORY: &str = r#"(memory (export "memory") 1)"#;

/// Lines that grow the table `$held` until it may not any more, and die of it.
pub(crate) const TABLE_BOMB: &str = "(loop $again
    (br_if $again (i32.ne (table.grow $held (ref.null func) (i32.const 1000)) (i32.const -1))))
    unreachable";

/// Lines that answer with text of this place and length.
pub(crate) fn answer(place: u32, length: u32) -> String {
    format!(
        "(i32.store8 (global.get $answer) (i32.const 0))
         (i32.store offset=4 (global.get $answer) (i32.const {place}))
         (i32.store offset=8 (global.get $answer) (i32.const {length}))
         (global.get $answer)"
    )
}

/// The component of a core module.
pub(crate) fn component(module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_dir(format!("{CONTRACT}/host")).unwrap();
    let (package, _) = resolve.push_dir(format!("{CONTRACT}/label-provider")).unwrap();
    let world = resolve.select_world(&[package], Some("label-provider")).unwrap();
    let mut wasm = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&wasm).unwrap().validate(true).encode().unwrap()
}

/// The component with so many core instances more, which do nothing: two more sections of the binary format
/// (component model, Binary.md), a core module with nothing in it and what is instantiated from it.
pub(crate) fn in_parts(component: &[u8], parts: u8) -> Vec<u8> {
    let module = b"\x01\x08\0asm\x01\0\0\0".as_slice();
    let number = modules(component);
    assert!(number < 0x80, "a number of one byte");
    let instances: Vec<u8> = std::iter::once(parts)
        .chain(std::iter::repeat_n([0, number, 0], usize::from(parts)).flatten())
        .collect();
    let size =
        [u8::try_from(instances.len() & 0x7f).unwrap() | 0x80, u8::try_from(instances.len() >> 7).unwrap()];
    [component, module, &[2], &size, &instances].concat()
}

/// How many core modules are in a component's outermost layer.
fn modules(component: &[u8]) -> u8 {
    let (mut rest, mut modules) = (&component[8..], 0);
    while let [kind, after @ ..] = rest {
        let length = after.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let size = after[..length].iter().rev().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        modules += u8::from(*kind == 1);
        rest = &after[length + size..];
    }
    modules
}
