//! A label plugin built for a later minor version of the host's package, of which it uses a
//! function this host does not have.

wit_bindgen::generate!({
    inline: r#"
        package example:newer@1.0.0;

        package teleport:host@1.9.0 {
            interface log { trace: func(message: string); }
        }

        package teleport:label-provider@1.0.0 {
            interface evaluate {
                record request { name: string, command: list<string> }
                variant failure { denied(string), invalid(string), unavailable(string) }
                evaluate: func(request: request) -> result<string, failure>;
            }
        }

        world newer {
            import teleport:host/log@1.9.0;
            export teleport:label-provider/evaluate@1.0.0;
        }
    "#,
    world: "example:newer/newer",
    generate_all,
});

use exports::teleport::label_provider::evaluate::{Failure, Guest, Request};

struct Newer;

impl Guest for Newer {
    fn evaluate(request: Request) -> Result<String, Failure> {
        teleport::host::log::trace(&request.name);
        Ok("traced".to_owned())
    }
}

export!(Newer);
