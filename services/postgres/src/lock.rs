//! Mutexes that stay usable after a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whether or not a thread has panicked while it held the lock.
///
/// For data that is whole between any two statements of the code that holds the lock, such as a map of plain values: a
/// panic then leaves it as it was before or after a statement, and to refuse every later lock would turn one failed
/// request into a server that answers none.
pub trait LockExt<T> {
    /// The lock. Waits while another thread has it.
    fn lock_unpoisoned(&self) -> MutexGuard<'_, T>;
}

impl<T> LockExt<T> for Mutex<T> {
    fn lock_unpoisoned(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_under_the_lock_leaves_the_data_to_others() {
        let mutex = Mutex::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut number = mutex.lock_unpoisoned();
            *number = 2;
            panic!("under the lock");
        }));
        assert!(panicked.is_err() && mutex.is_poisoned());
        assert_eq!(*mutex.lock_unpoisoned(), 2);
    }
}
