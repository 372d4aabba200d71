use proptest::prelude::*;

use super::*;

#[test]
fn dialled_addresses_read_with_and_without_a_port() {
    for (text, shown) in [
        ("proxy.example.com:443", "proxy.example.com:443"),
        ("proxy.example.com", "proxy.example.com:3025"),
        ("10.0.0.1", "10.0.0.1:3025"),
        ("tcp://auth:3025", "auth:3025"),
        ("[::1]:80", "[::1]:80"),
        ("[::1]", "[::1]:3025"),
        ("::1", "[::1]:3025"),
        ("my_host:1", "my_host:1"),
    ] {
        assert_eq!(HostPort::parse(text, 3025).unwrap().to_string(), shown, "{text}");
    }
}

#[test]
fn every_slip_has_its_own_error() {
    let fails = |text: &str| HostPort::parse(text, 1).unwrap_err();
    assert_eq!(fails(" "), AddressError::Empty);
    assert!(matches!(fails("https://a:1"), AddressError::Url(_)));
    assert!(matches!(fails("a:1/path"), AddressError::Url(_)));
    for port in ["a:", "a:x", "a:0", "a:65536", "a:+1", "[::1]x"] {
        assert!(matches!(fails(port), AddressError::Port(_)), "{port}");
    }
    for host in ["-a:1", "a b:1", ":1", "1.2.3:1", "256.1.1.1:1", "a..b:1", "[host]:1"] {
        assert!(matches!(fails(host), AddressError::Host(_)), "{host}");
    }
    for text in ["[::1:80", "fe80::1::2:3025"] {
        assert!(matches!(fails(text), AddressError::Brackets(_)), "{text}");
    }
    assert!("a".parse::<HostPort>().is_err(), "no port and no default");
}

#[test]
fn listeners_fill_in_what_is_left_out() {
    let default = everywhere(3022);
    for (text, address) in [
        ("127.0.0.1:22", "127.0.0.1:22"),
        ("127.0.0.1", "127.0.0.1:3022"),
        (":443", "0.0.0.0:443"),
        ("[::]:443", "[::]:443"),
        ("::", "[::]:3022"),
        ("localhost:0", "127.0.0.1:0"),
        ("tcp://0.0.0.0:1", "0.0.0.0:1"),
    ] {
        assert_eq!(listen(text, default).unwrap().to_string(), address, "{text}");
    }
    assert!(matches!(listen("auth.example.com:3025", default), Err(AddressError::ListenName(_))));
    assert!(matches!(listen("", default), Err(AddressError::Empty)));
    assert!(matches!(listen(":http", default), Err(AddressError::Port(_))));
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(text in "[a-z0-9.:\\[\\]-]{0,24}") {
        if let Ok(address) = HostPort::parse(&text, 1) {
            prop_assert_eq!(address.to_string().parse::<HostPort>(), Ok(address));
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let _ = (HostPort::parse(&text, 1), listen(&text, everywhere(1)));
    }
}
