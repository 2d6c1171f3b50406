//! How long freed memory is kept.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_long};

/// Freed memory is given back to the system after so many milliseconds. After mimalloc's own second, batches of images would
/// find their memory gone time and again, and its huge pages with it: a tenth of their rate.
const GIVE_BACK_AFTER: c_long = 30_000;
/// The option `mi_option_purge_delay` of mimalloc.h, which the crate doesn't name.
const PURGE_DELAY: c_int = 15;

/// Keeps freed memory for half a minute. Without mimalloc as allocator it does nothing.
pub fn keep_freed() {
    // SAFETY: it sets a number that mimalloc reads when it frees; nothing is referred to.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, GIVE_BACK_AFTER) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_delays_giving_back() {
        // SAFETY: it reads a number.
        let option = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(option(), 1_000, "mimalloc's own default");
        keep_freed();
        assert_eq!(option(), GIVE_BACK_AFTER);
    }
}
