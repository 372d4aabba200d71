//! The plugin's heap: it begins beside the plugin's other data and grows in small steps.
//!
//! Each page of memory an instance touches is one the host holds for it as long as it lives, and clears after it. The
//! C library's heap begins in a page of its own and marks the end of all it might use, far from what it does use; this
//! one begins among the plugin's variables and marks an end that is near. It is the global allocator of every plugin
//! that is built with this crate's feature `heap`.

#![allow(unsafe_code, reason = "an allocator; it says of each piece of memory why nobody else has it")]

use std::alloc::Layout;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

/// What is taken at a time, in bytes.
const STEP: usize = 1 << 10;

/// What the allocator adds to each piece, in bytes.
const OVERHEAD: usize = 64;

/// A page of WebAssembly, in bytes.
const PAGE: usize = 64 << 10;

/// More memory.
trait Pages {
    /// Where so many pages begin that nobody has had before.
    fn grow(pages: usize) -> Option<NonNull<u8>>;
}

/// Gives the allocator memory step by step.
struct Steps<P> {
    /// Where what nobody has been given yet begins.
    next: NonNull<u8>,
    /// How much there is of it, in bytes.
    left: usize,
    /// Where the allocator's last piece ends.
    end: Option<NonNull<u8>>,
    pages: PhantomData<P>,
}

impl<P> fmt::Debug for Steps<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<P: Pages> Steps<P> {
    /// Memory that is there from the beginning comes first.
    ///
    /// # Safety
    /// Nobody else may use it.
    const unsafe fn starting(first: NonNull<u8>, size: usize) -> Self {
        Self { next: first, left: size, end: None, pages: PhantomData }
    }

    /// The next so many bytes.
    fn take(&mut self, size: usize) -> Option<NonNull<u8>> {
        if self.left < size {
            let pages = size.div_ceil(PAGE);
            let base = P::grow(pages)?;
            let follows = self.next.addr().checked_add(self.left) == Some(base.addr());
            // What is too small for this is given up where the new pages are elsewhere.
            (self.next, self.left) =
                if follows { (self.next, self.left + pages * PAGE) } else { (base, pages * PAGE) };
        }
        let taken = self.next;
        self.left -= size;
        // SAFETY: so much was left there.
        self.next = unsafe { taken.add(size) };
        Some(taken)
    }
}

// SAFETY: it allocates nothing.
unsafe impl<P: Pages> Source for Steps<P> {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // Its lists are in the first piece.
        let lists = if talc.is_metadata_established() { 0 } else { talc::min_first_heap_size::<B>() };
        let wanted = layout.size().checked_add(layout.align());
        let wanted = wanted.and_then(|size| size.checked_add(OVERHEAD + lists));
        let size = wanted.and_then(|size| size.checked_next_multiple_of(STEP)).ok_or(())?;
        let base = talc.source.take(size).ok_or(())?;
        let end = talc.source.end.filter(|end| *end == base);
        // SAFETY: `take` gives each byte once, and it is the allocator's from here on.
        talc.source.end = unsafe {
            match end {
                Some(end) => Some(talc.extend(end, base.as_ptr().add(size))),
                None => talc.claim(base.as_ptr(), size),
            }
        };
        talc.source.end.map(drop).ok_or(())
    }
}

#[cfg(target_arch = "wasm32")]
mod global {
    //! The heap of the plugin this is built into.

    use talc::cell::TalcSyncCell;
    use talc::wasm::WasmBinning;

    use super::*;

    /// What many a plugin gets by with from call to call. Other data lies around it: with more, that would be in
    /// pages of its own.
    const FIRST: usize = 3 << 10;

    #[repr(align(16))]
    struct First(#[allow(dead_code, reason = "memory for others")] [u8; FIRST]);

    static mut MEMORY: First = First([0; FIRST]);

    #[global_allocator]
    static HEAP: TalcSyncCell<Steps<Linear>, WasmBinning> = {
        // SAFETY: a static has an address, and nothing else names this one.
        TalcSyncCell::new_wasm(unsafe {
            Steps::starting(NonNull::new_unchecked((&raw mut MEMORY).cast()), FIRST)
        })
    };

    /// The plugin's own memory.
    struct Linear;

    impl Pages for Linear {
        fn grow(pages: usize) -> Option<NonNull<u8>> {
            let before = core::arch::wasm32::memory_grow::<0>(pages);
            // All ones is no.
            let address = before.checked_mul(PAGE)?;
            NonNull::new(std::ptr::with_exposed_provenance_mut(address))
        }
    }
}

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "tests use the allocator as its trait asks for")]
mod tests {
    use std::alloc::GlobalAlloc as _;
    use std::cell::Cell;

    use proptest::prelude::*;
    use talc::base::binning::DefaultBinning;
    use talc::cell::TalcCell;

    use super::*;

    thread_local! {
        /// Memory for one test, and how much of it is used.
        static MEMORY: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
        /// Whether somebody else takes a page after each.
        static IS_SHARED: Cell<bool> = const { Cell::new(false) };
    }

    const PAGES_MAX: usize = 64;

    struct Fake;

    impl Pages for Fake {
        fn grow(pages: usize) -> Option<NonNull<u8>> {
            let (base, used) = MEMORY.get();
            let more = used + pages * PAGE;
            if more > PAGES_MAX * PAGE {
                return None;
            }
            MEMORY.set((base, more + if IS_SHARED.get() { PAGE } else { 0 }));
            NonNull::new(std::ptr::with_exposed_provenance_mut(base + used))
        }
    }

    fn heap(first: usize, is_shared: bool) -> (Vec<u128>, TalcCell<Steps<Fake>, DefaultBinning>) {
        let mut memory = vec![0_u128; PAGES_MAX * PAGE / 16];
        let start = NonNull::from(memory.as_mut_slice()).cast();
        MEMORY.set((memory.as_mut_ptr().expose_provenance(), first.next_multiple_of(PAGE)));
        IS_SHARED.set(is_shared);
        // SAFETY: the fake gives out what follows it.
        (memory, TalcCell::new(unsafe { Steps::starting(start, first) }))
    }

    #[test]
    fn little_is_touched_by_whoever_needs_little() {
        let (memory, heap) = heap(8 * STEP, false);
        let layout = Layout::from_size_align(600, 8).unwrap();
        let piece = unsafe { heap.alloc(layout) };
        assert!(!piece.is_null());
        unsafe { heap.dealloc(piece, layout) };
        let touched = memory.iter().rposition(|word| *word != 0).unwrap() * 16;
        assert!(touched < 4 * STEP, "{touched}");
    }

    #[test]
    fn what_there_is_no_room_for_is_refused_and_the_rest_stays() {
        let (_memory, heap) = heap(STEP, false);
        let small = Layout::from_size_align(100, 8).unwrap();
        for size in [PAGES_MAX * PAGE, isize::MAX as usize - 100] {
            let large = Layout::from_size_align(size, 8).unwrap();
            assert!(unsafe { heap.alloc(large) }.is_null(), "{size}");
        }
        assert!(!unsafe { heap.alloc(small) }.is_null());
    }

    proptest! {
        #[test]
        fn nothing_lies_over_anything_else(
            is_shared: bool,
            first in prop_oneof![Just(STEP), Just(8 * STEP)],
            deeds in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..200_000, 0_u32..8, any::<u8>()), 1..80),
        ) {
            let (_memory, heap) = heap(first, is_shared);
            let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
            for (which, size, align, mark) in deeds {
                if mark % 3 == 0 && !held.is_empty() {
                    let (piece, layout, mark) = held.swap_remove(which.index(held.len()));
                    let bytes = unsafe { std::slice::from_raw_parts(piece, layout.size()) };
                    prop_assert!(bytes.iter().all(|byte| *byte == mark));
                    unsafe { heap.dealloc(piece, layout) };
                    continue;
                }
                let layout = Layout::from_size_align(size, 1 << align).unwrap();
                let piece = unsafe { heap.alloc(layout) };
                if piece.is_null() {
                    continue;
                }
                prop_assert_eq!(piece.addr() % layout.align(), 0);
                unsafe { piece.write_bytes(mark, size) };
                held.push((piece, layout, mark));
            }
            for (piece, layout, mark) in held {
                let bytes = unsafe { std::slice::from_raw_parts(piece, layout.size()) };
                prop_assert!(bytes.iter().all(|byte| *byte == mark));
            }
        }
    }
}
