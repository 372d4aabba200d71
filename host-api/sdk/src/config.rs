//! What the operator wrote for this plugin, checked by the host against the keys its manifest lists and
//! with that list's defaults filled in. Nothing secret is here.

use std::time::Duration;

use crate::bindings::teleport::host::config as wire;

/// A value as text: a flag as `true` or `false`, a list as its items joined by line feeds. None for a
/// key that was left out and has no default.
///
/// ```no_run
/// use teleport_plugin_sdk::config;
///
/// // With `[config.cities]`, `type = "list"` in the manifest.
/// let cities = config::get("cities").unwrap_or_default();
/// for city in config::items(&cities) {
///     println!("{city}");
/// }
/// ```
pub fn get(key: &str) -> Option<String> {
    wire::get(key)
}

/// The items of a list, as [`get`] gave it.
pub fn items(text: &str) -> Vec<&str> {
    text.split('\n').filter(|item| !item.is_empty()).collect()
}

/// Reads a duration as operators write it: `90s`, `1h30m`, `500ms`, `7d`. The host has checked those of
/// the manifest's keys; none for what is no duration.
///
/// ```
/// use std::time::Duration;
/// use teleport_plugin_sdk::config::duration;
///
/// assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
/// assert_eq!(duration("soon"), None);
/// ```
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = (!rest.is_empty()).then_some(Duration::ZERO)?;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        let seconds = number.parse::<f64>().ok()? * seconds(unit)?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    Some(total)
}

/// Reads where a service answers: `https://host[:port]` or `http://host[:port]` and nothing more. None for
/// what has a path, a question or a user; a slash at the end is left out.
///
/// ```
/// use teleport_plugin_sdk::config::origin;
///
/// assert_eq!(origin("https://a.example:2379/"), Some("https://a.example:2379"));
/// assert_eq!(origin("https://joe@a.example"), None);
/// ```
pub fn origin(text: &str) -> Option<&str> {
    let text = text.trim().trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let is_host = |byte: u8| byte.is_ascii_graphic() && !b"/?#@\\\"".contains(&byte);
    (!rest.is_empty() && rest.bytes().all(is_host)).then_some(text)
}

fn seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_operators_write_them() {
        let read = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(read("90s"), Some(90_000));
        assert_eq!(read(" 1h30m "), Some(5_400_000));
        assert_eq!(read("1.5s500ms"), Some(2_000));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("2w"), Some(14 * 86_400_000));
        for wrong in ["", "5", "s", "-1s", "5 s", "5x", "1..5s", "5s5", "99999999999999999999w"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_origin_is_scheme_and_host_alone() {
        assert_eq!(origin(" http://[::1]:1// "), Some("http://[::1]:1"));
        for wrong in
            ["", "a:1", "https://", "ftp://a", "https://a/b", "https://a?b", "https://a#b", "https://a b"]
        {
            assert_eq!(origin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_is_its_lines() {
        assert_eq!(items("a\nb"), ["a", "b"]);
        assert!(items("").is_empty(), "an empty list has no item, not an empty one");
    }
}
