//! A label plugin that sends the HTTP requests its command describes, the impossible ones among them:
//! `METHOD URL [OPTION…]`. It answers with status and body, or with the code of the error.
//!
//! Options: `h:NAME=VALUE` a header (`\r\n` and `_` for a space in it), `text:…` and `bytes:N` a body,
//! `secret:LABEL` and `basic:LABEL` a secret as authorization, `times:N` one after the other, `parallel:N`
//! at one time, `follow` one redirect, `first` only the first piece and `pause:MS` then, `size` only the size of the body,
//! `connect:MS`, `head:MS` and `between:MS` times, `claim:N` a content-length, `hide` an answer in spite of
//! an error. `reveal LABEL` shows a secret; `hmac LABEL WORD…` and `jwt LABEL ALGORITHM CLAIMS` sign with it.

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
            ["hmac", label, words @ ..] => hmac(label, &words.join(" ")),
            ["jwt", label, algorithm, claims] => jwt(label, algorithm, claims),
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

fn open(label: &str) -> Result<secrets::Secret, String> {
    secrets::open(label).map_err(|error| format!("{error:?}"))
}

fn reveal(label: &str) -> Result<String, String> {
    let secret = open(label)?;
    let bytes = secret_reveal::reveal(&secret).map_err(|error| format!("{error:?}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn hmac(label: &str, text: &str) -> Result<String, String> {
    let secret = open(label)?;
    Ok(secret.hmac_sha256(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn jwt(label: &str, algorithm: &str, claims: &str) -> Result<String, String> {
    let secret = open(label)?;
    let algorithm = match algorithm {
        "HS256" => secrets::Algorithm::Hs256,
        "ES256" => secrets::Algorithm::Es256,
        _ => secrets::Algorithm::Rs256,
    };
    secret.sign_jwt(algorithm, Some("k1"), claims).map_err(|error| format!("{error:?}"))
}

export!(Fetch);
