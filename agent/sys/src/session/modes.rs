//! Terminal modes a client encodes (RFC 4254 section 8, RFC 8160) on a terminal's own settings.
//!
//! Pure: settings in, settings out. Opcodes this system has no mode for are passed over, as the RFC
//! asks.

use rustix::termios::{ControlModes, InputModes, LocalModes, OutputModes, SpecialCodeIndex as Code, Termios};

/// What the RFC writes for a special character that is not there.
const NO_CHARACTER: u32 = 255;
/// What the system writes for it (`_POSIX_VDISABLE`).
const DISABLED: u8 = 0;

/// Changes the settings as the client asks; later modes win over earlier ones.
pub fn apply(termios: &mut Termios, modes: &[(u8, u32)]) {
    for &(opcode, value) in modes {
        match opcode {
            1..=18 => set_character(termios, opcode, value),
            30..=42 => set_flag(&mut termios.input_modes, input_mode(opcode), value),
            50..=62 => set_flag(&mut termios.local_modes, local_mode(opcode), value),
            70..=75 => set_flag(&mut termios.output_modes, output_mode(opcode), value),
            90..=93 => set_control(termios, opcode, value),
            // A speed the system does not know leaves the one there is: a pty has no wire.
            128 => _ = termios.set_input_speed(value),
            129 => _ = termios.set_output_speed(value),
            _ => {}
        }
    }
}

fn set_character(termios: &mut Termios, opcode: u8, value: u32) {
    let Some(index) = character(opcode) else { return };
    // The RFC lets 255 mean "none"; anything longer than a byte is no character.
    let byte = if value == NO_CHARACTER { DISABLED } else { u8::try_from(value).unwrap_or(DISABLED) };
    termios.special_codes[index] = byte;
}

fn character(opcode: u8) -> Option<Code> {
    Some(match opcode {
        1 => Code::VINTR,
        2 => Code::VQUIT,
        3 => Code::VERASE,
        4 => Code::VKILL,
        5 => Code::VEOF,
        6 => Code::VEOL,
        7 => Code::VEOL2,
        8 => Code::VSTART,
        9 => Code::VSTOP,
        10 => Code::VSUSP,
        12 => Code::VREPRINT,
        13 => Code::VWERASE,
        14 => Code::VLNEXT,
        16 => Code::VSWTC,
        18 => Code::VDISCARD,
        // VDSUSP, VFLUSH and VSTATUS are of other systems.
        _ => return None,
    })
}

fn input_mode(opcode: u8) -> InputModes {
    match opcode {
        30 => InputModes::IGNPAR,
        31 => InputModes::PARMRK,
        32 => InputModes::INPCK,
        33 => InputModes::ISTRIP,
        34 => InputModes::INLCR,
        35 => InputModes::IGNCR,
        36 => InputModes::ICRNL,
        37 => InputModes::IUCLC,
        38 => InputModes::IXON,
        39 => InputModes::IXANY,
        40 => InputModes::IXOFF,
        41 => InputModes::IMAXBEL,
        42 => InputModes::IUTF8,
        _ => InputModes::empty(),
    }
}

fn local_mode(opcode: u8) -> LocalModes {
    match opcode {
        50 => LocalModes::ISIG,
        51 => LocalModes::ICANON,
        52 => LocalModes::XCASE,
        53 => LocalModes::ECHO,
        54 => LocalModes::ECHOE,
        55 => LocalModes::ECHOK,
        56 => LocalModes::ECHONL,
        57 => LocalModes::NOFLSH,
        58 => LocalModes::TOSTOP,
        59 => LocalModes::IEXTEN,
        60 => LocalModes::ECHOCTL,
        61 => LocalModes::ECHOKE,
        62 => LocalModes::PENDIN,
        _ => LocalModes::empty(),
    }
}

fn output_mode(opcode: u8) -> OutputModes {
    match opcode {
        70 => OutputModes::OPOST,
        71 => OutputModes::OLCUC,
        72 => OutputModes::ONLCR,
        73 => OutputModes::OCRNL,
        74 => OutputModes::ONOCR,
        75 => OutputModes::ONLRET,
        _ => OutputModes::empty(),
    }
}

fn set_control(termios: &mut Termios, opcode: u8, value: u32) {
    let modes = &mut termios.control_modes;
    match opcode {
        // The size of a character is a field of two bits, not a flag.
        90 if value != 0 => {
            modes.remove(ControlModes::CSIZE);
            modes.insert(ControlModes::CS7);
        }
        91 if value != 0 => {
            modes.remove(ControlModes::CSIZE);
            modes.insert(ControlModes::CS8);
        }
        92 => modes.set(ControlModes::PARENB, value != 0),
        93 => modes.set(ControlModes::PARODD, value != 0),
        _ => {}
    }
}

/// One interface over the four kinds of flags.
trait Flags: Sized {
    fn put(&mut self, flag: Self, on: bool);
}

macro_rules! flags {
    ($($kind:ty),*) => {$(
        impl Flags for $kind {
            fn put(&mut self, flag: Self, on: bool) {
                self.set(flag, on);
            }
        }
    )*};
}
flags!(InputModes, LocalModes, OutputModes);

fn set_flag<F: Flags>(modes: &mut F, flag: F, value: u32) {
    modes.put(flag, value != 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustix::pty::{OpenptFlags, openpt};
    use rustix::termios::tcgetattr;

    use super::*;

    fn fresh() -> Termios {
        tcgetattr(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap()).unwrap()
    }

    #[test]
    fn what_a_client_asks_for_is_set() {
        let mut termios = fresh();
        assert!(termios.local_modes.contains(LocalModes::ECHO));
        apply(
            &mut termios,
            &[(1, 7), (5, 255), (53, 0), (42, 1), (72, 0), (90, 1), (128, 9600), (129, 115_200)],
        );
        assert_eq!(termios.special_codes[Code::VINTR], 7);
        assert_eq!(termios.special_codes[Code::VEOF], DISABLED);
        assert!(!termios.local_modes.contains(LocalModes::ECHO));
        assert!(termios.input_modes.contains(InputModes::IUTF8));
        assert!(!termios.output_modes.contains(OutputModes::ONLCR));
        assert_eq!(termios.control_modes & ControlModes::CSIZE, ControlModes::CS7);
        assert_eq!((termios.input_speed(), termios.output_speed()), (9600, 115_200));
    }

    #[test]
    fn nothing_asked_for_is_nothing_changed() {
        let mut termios = fresh();
        let before = format!("{termios:?}");
        apply(&mut termios, &[]);
        apply(&mut termios, &[(0, 1), (11, 3), (43, 1), (63, 1), (76, 1), (94, 1), (160, 1), (255, 9)]);
        assert_eq!(format!("{termios:?}"), before);
    }

    proptest! {
        #[test]
        fn every_flag_asked_for_off_then_on_is_on(opcode in prop_oneof![30u8..=42, 50u8..=62, 70u8..=75]) {
            let mut termios = fresh();
            apply(&mut termios, &[(opcode, 0)]);
            let off = format!("{termios:?}");
            apply(&mut termios, &[(opcode, 1)]);
            prop_assert_ne!(format!("{:?}", termios), off);
        }

        #[test]
        fn no_modes_panic(modes in prop::collection::vec((any::<u8>(), any::<u32>()), 0..64)) {
            apply(&mut fresh(), &modes);
        }
    }
}
