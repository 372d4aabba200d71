//! Open files and folders, by the names the client was given for them.
//!
//! A name is a place and how often the place was used, so one that was closed does not come to mean
//! another file.

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::folder::Folder;
use super::status::Failure;
use super::wire::{Input, Output};

/// The most that are open at once. A client that wants more closes some first.
pub(super) const HANDLES_MAX: usize = 1000;

/// Something open.
pub(super) enum Opened {
    File(OwnedFd),
    Folder(Folder),
}

struct Place {
    used: u32,
    opened: Option<(Opened, Box<[u8]>)>,
}

/// All that is open.
#[derive(Default)]
pub(super) struct Handles {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl Handles {
    /// Whether another fits.
    pub(super) fn check_room(&self) -> Result<(), Failure> {
        if self.places.len() - self.free.len() >= HANDLES_MAX { Err(Errno::MFILE.into()) } else { Ok(()) }
    }

    /// Keeps what was opened at this path and returns its name.
    pub(super) fn insert(&mut self, opened: Opened, path: &[u8]) -> Vec<u8> {
        let opened = Some((opened, path.into()));
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.places.push(Place { used: 0, opened: None });
                u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let mut name = Vec::with_capacity(8);
        name.put_u32(index);
        if let Some(place) = self.places.get_mut(index as usize) {
            place.used = place.used.wrapping_add(1);
            place.opened = opened;
            name.put_u32(place.used);
        }
        name
    }

    fn place(&mut self, name: &[u8]) -> Result<(u32, &mut Place), Failure> {
        let mut input = Input::new(name);
        let (Ok(index), Ok(used), true) = (input.u32(), input.u32(), input.is_empty()) else {
            return Err(Errno::BADF.into());
        };
        match self.places.get_mut(index as usize) {
            Some(place) if place.used == used && place.opened.is_some() => Ok((index, place)),
            _ => Err(Errno::BADF.into()),
        }
    }

    /// An open file.
    pub(super) fn file(&mut self, name: &[u8]) -> Result<&OwnedFd, Failure> {
        match &self.place(name)?.1.opened {
            Some((Opened::File(file), _)) => Ok(file),
            _ => Err(Errno::BADF.into()),
        }
    }

    /// An open folder.
    pub(super) fn folder(&mut self, name: &[u8]) -> Result<&mut Folder, Failure> {
        match &mut self.place(name)?.1.opened {
            Some((Opened::Folder(folder), _)) => Ok(folder),
            _ => Err(Errno::BADF.into()),
        }
    }

    /// The path something was opened at; none when it is not open.
    pub(super) fn path(&mut self, name: &[u8]) -> Option<&[u8]> {
        self.place(name).ok()?.1.opened.as_ref().map(|(_, path)| &**path)
    }

    /// Closes it.
    pub(super) fn close(&mut self, name: &[u8]) -> Result<(), Failure> {
        let (index, place) = self.place(name)?;
        place.opened = None;
        self.free.push(index);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Opened {
        Opened::File(std::fs::File::open("/dev/null").unwrap().into())
    }

    #[test]
    fn a_name_that_was_closed_never_means_another_file() {
        let mut handles = Handles::default();
        let first = handles.insert(file(), b"/first");
        assert_eq!(handles.path(&first), Some(&b"/first"[..]));
        handles.close(&first).unwrap();
        let second = handles.insert(file(), b"/second");
        assert_eq!(first[..4], second[..4], "the place is used again");
        assert!(handles.file(&first).is_err() && handles.close(&first).is_err());
        assert!(handles.file(&second).is_ok() && handles.folder(&second).is_err());
    }

    #[test]
    fn names_nobody_was_given_mean_nothing() {
        let mut handles = Handles::default();
        let name = handles.insert(file(), b"/");
        for strange in [&b""[..], b"1", &[0; 8], &[0xff; 8], &[name.as_slice(), b"x"].concat()] {
            assert!(handles.file(strange).is_err(), "{strange:?}");
        }
    }

    #[test]
    fn there_is_an_end_to_open_files() {
        let mut handles = Handles::default();
        // The same file again and again would do, but for the descriptors it takes.
        let names: Vec<_> = (0..HANDLES_MAX.min(500)).map(|_| handles.insert(file(), b"/")).collect();
        assert!(handles.check_room().is_ok());
        for _ in names.len()..HANDLES_MAX {
            handles.places.push(Place { used: 1, opened: None });
        }
        assert!(handles.check_room().is_err());
        handles.close(&names[0]).unwrap();
        assert!(handles.check_room().is_ok());
    }
}
