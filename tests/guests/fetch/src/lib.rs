//! A label plugin that sends the HTTP requests its command describes, the impossible ones among them:
//! `METHOD URL [OPTION…]`. It answers with status and body, or with the code of the error.
//!
//! Options: `h:NAME=VALUE` a header (`\r\n` and `_` for a space in it), `text:…` and `bytes:N` a body,
//! `secret:LABEL` and `basic:LABEL` a secret as authorization, `times:N` one after the other, `parallel:N`
//! at one time, `follow` one redirect, `first` only the first piece and `pause:MS` then, `size` only the size of the body,
//! `connect:MS`, `head:MS` and `between:MS` times, `claim:N` a content-length, `hide` an answer in spite of
//! an error. `reveal LABEL` shows a secret.

mod exchange;

wit_bindgen::generate!({
    inline: r#"
        package example:fetch@1.0.0;

        world fetch {
            import teleport:host/secrets@1.0.0;
            import teleport:host/secret-reveal@1.0.0;
            export teleport:label-provider/evaluate@1.0.0;
        }
    "#,
    path: ["../../../wit/host", "../../../wit/label-provider"],
    world: "example:fetch/fetch",
    generate_all,
});

use exports::teleport::label_provider::evaluate::{Failure, Guest, Request};
use teleport::host::{secret_reveal, secrets};

struct Fetch;

impl Guest for Fetch {
    fn evaluate(request: Request) -> Result<String, Failure> {
        let words: Vec<&str> = request.command.iter().map(String::as_str).collect();
        let (hide, words): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| *word == "hide");
        let answer = match words.as_slice() {
            ["reveal", label] => reveal(label),
            [method, url, options @ ..] => exchange::run(method, url, options),
            _ => Err("no request".to_owned()),
        };
        match answer {
            Err(error) if hide.is_empty() => Err(Failure::Unavailable(error)),
            Err(error) => Ok(error),
            Ok(answer) => Ok(answer),
        }
    }
}

fn reveal(label: &str) -> Result<String, String> {
    let secret = secrets::open(label).map_err(|error| format!("{error:?}"))?;
    let bytes = secret_reveal::reveal(&secret).map_err(|error| format!("{error:?}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

export!(Fetch);
