//! A label plugin of another major version of its contract.

wit_bindgen::generate!({
    inline: r#"
        package teleport:label-provider@2.0.0;
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
