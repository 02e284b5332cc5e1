//! How many large answers there are at a time, from their making to their last byte: a client that asks for many and reads
//! none must not take the memory that the agent promises not to use. What counts as large is said by who answers.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::reply::Refusal;

/// Large answers at the same time.
const PLACES: usize = 4;

/// How long a request waits for one to be written: as long as `httpd` gives a client to read it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The places of large answers.
#[derive(Debug, Default)]
pub(super) struct Room(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// One place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Shared>);

impl Room {
    /// Takes a place, and waits where there is none.
    ///
    /// # Errors
    /// 503 when none comes free.
    pub(super) fn enter(&self) -> Result<Arc<Place>, Refusal> {
        self.enter_within(PATIENCE)
    }

    fn enter_within(&self, patience: Duration) -> Result<Arc<Place>, Refusal> {
        let taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, waited) = self
            .0
            .freed
            .wait_timeout_while(taken, patience, |taken| *taken >= PLACES)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            let message = "too many large answers are under way: read them, or ask again";
            return Err(Refusal::new(503, message).with("Retry-After", "1"));
        }
        *taken += 1;
        Ok(Arc::new(Place(Arc::clone(&self.0))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_answer_is_gone() {
        let room = Room::default();
        let mut places: Vec<_> = (0..PLACES).map(|_| room.enter().unwrap()).collect();
        let refused = room.enter_within(Duration::ZERO).map(|_| ());
        assert_eq!(refused.map_err(|refusal| refusal.status), Err(503));
        places.pop();
        assert!(room.enter_within(Duration::ZERO).is_ok());
        assert!(
            room.enter_within(Duration::ZERO).is_ok(),
            "the one before is gone"
        );
    }
}
