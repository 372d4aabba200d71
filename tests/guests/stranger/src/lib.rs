//! A label plugin that imports something no contract offers.

use teleport_plugin_sdk::label_provider::{Failure, LabelProvider, Request};

wit_bindgen::generate!({
    inline: r#"
        package example:unknown@1.0.0;
        interface thing { ask: func() -> string; }
        world stranger { import thing; }
    "#,
});

struct Stranger;

impl LabelProvider for Stranger {
    fn evaluate(_request: Request) -> Result<String, Failure> {
        Ok(example::unknown::thing::ask())
    }
}

teleport_plugin_sdk::export_label_provider!(Stranger);
