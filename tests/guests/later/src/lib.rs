//! A label plugin built for a later minor version of its contract, of which it uses nothing new.

wit_bindgen::generate!({
    inline: r#"
        package teleport:label-provider@1.7.0;
        interface evaluate {
            record request { name: string, command: list<string> }
            variant failure { denied(string), invalid(string), unavailable(string) }
            evaluate: func(request: request) -> result<string, failure>;
        }
        world label-provider { export evaluate; }
    "#,
});

use exports::teleport::label_provider::evaluate::{Failure, Guest, Request};

struct Provider;

impl Guest for Provider {
    fn evaluate(request: Request) -> Result<String, Failure> {
        Ok(request.name)
    }
}

export!(Provider);
