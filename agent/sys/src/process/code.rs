//! The program's own code in memory.

/// Lets go of the program's code and constants. What runs again is mapped again from the cache of the
/// program's file, a few pages at a time and within microseconds; what only the start needed stays out.
///
/// Linux maps sixteen pages around each that is touched (`fault_around_bytes`), and the linker's tables once, so that
/// a program that has started holds much more than it goes on to use. Takes less than a millisecond.
pub fn free_code() {
    #[cfg(target_os = "linux")]
    linux::free();
}

#[cfg(target_os = "linux")]
mod linux {
    #![allow(
        unsafe_code,
        reason = "where the program lies is known to the C library, and what is let go to the kernel"
    )]

    use std::ffi::{c_int, c_void};

    pub(super) fn free() {
        // SAFETY: the callback is called before this returns, and keeps nothing of what it is shown.
        unsafe { libc::dl_iterate_phdr(Some(of_program), std::ptr::null_mut()) };
    }

    /// Lets go of all that nobody can have written to. The first object is the program itself; it returns non-zero, so
    /// that there is no other.
    unsafe extern "C" fn of_program(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        _data: *mut c_void,
    ) -> c_int {
        // SAFETY: the C library gives a whole record, whose headers are those of a loaded object.
        let (base, headers) = unsafe {
            let info = &*info;
            (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
        };
        let page = rustix::param::page_size() as u64;
        for header in headers {
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
                continue;
            }
            let (begin, end) = (base + header.p_vaddr, base + header.p_vaddr + header.p_memsz);
            let begin = begin - begin % page;
            // SAFETY: a segment the program is loaded from and never writes to; what is let go of is read again from
            // its file, which no one can write to while it runs. Where that fails everything stays as it was.
            unsafe {
                libc::madvise(begin as *mut c_void, (end - begin) as usize, libc::MADV_DONTNEED);
            }
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::usage;

    #[test]
    fn code_that_is_let_go_of_is_there_when_it_is_needed() {
        let before = usage().unwrap().resident_bytes;
        free_code();
        let after = usage().unwrap().resident_bytes;
        assert!(after + 512 * 1024 < before, "{after} after {before}");
        let text = format!("{:?}", std::collections::BTreeMap::from([(1, "runs on")]));
        assert_eq!(text, "{1: \"runs on\"}");
    }
}
