//! A panic is a bug, and nothing runs on after it: the process aborts. The one exception are calls into sled, which panics on
//! some damaged files instead of saying so.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
};

thread_local! {
    /// Whether a panic of this thread is somebody's answer.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// From now on a panic ends the process with SIGABRT, after its message, unless it is [`caught`]. Programs call this first.
pub fn abort_unless_caught() {
    let message = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !CAUGHT.get() {
            message(panic);
            process::abort();
        }
    }));
}

/// Calls what may panic though it should not, and answers what the panic said.
///
/// Whatever `act` has changed is in an unknown state after an error and must not be used again.
pub fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    let before = CAUGHT.replace(true);
    let done = catch_unwind(AssertUnwindSafe(act));
    CAUGHT.set(before);
    done.map_err(|said| {
        let text = said.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| said.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_panic_said_is_the_answer() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(|| -> u8 { panic!("page 7") }), Err("page 7".into()));
        assert_eq!(caught(|| -> u8 { panic!("page {}", 8) }), Err("page 8".into()));
        assert_eq!(caught(|| -> u8 { std::panic::panic_any(9_u8) }), Err("no words".into()));
    }

    #[test]
    fn it_is_caught_inside_only_and_calls_nest() {
        assert!(!CAUGHT.get());
        let inner = caught(|| {
            let inner = caught(|| panic!("inner"));
            (CAUGHT.get(), inner)
        });
        assert_eq!(inner, Ok((true, Err("inner".into()))));
        assert!(!CAUGHT.get());
    }
}
