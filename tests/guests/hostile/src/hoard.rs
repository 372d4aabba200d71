//! Keeps bytes on the host.

wit_bindgen::generate!({
    inline: r#"
        package example:hoard@1.0.0;
        world hoard { import teleport:host/kv@1.0.0; }
    "#,
    path: ["../../../wit/host"],
    world: "example:hoard/hoard",
    generate_all,
});

use teleport::host::kv;
use teleport_plugin_sdk::label_provider::Failure;

/// Keeps a value of so many bytes, beside one that fits.
pub fn keep(bytes: usize) -> Result<String, Failure> {
    kv::set("small", b"1").map_err(|error| Failure::Unavailable(format!("{error:?}")))?;
    match kv::set("large", &vec![0; bytes]) {
        Ok(()) => Ok("kept".to_owned()),
        Err(kv::Failure::Denied(text)) => Err(Failure::Denied(text)),
        Err(error) => Ok(format!("{error:?}, keys: {}", kv::keys("").unwrap_or_default().join(" "))),
    }
}
