//! One large answer at a time, from its making to its last byte: clients that ask for many and read none must not take the
//! memory that the agent promises not to use. An answer whose size is not known before it is read enters, too, and leaves
//! when it turns out to be small.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::reply::Refusal;
use crate::httpd::Reply;

/// Large answers at the same time. One can hold a body of 16 MiB, and the database as much while it is read.
const PLACES: usize = 1;

/// Bytes of bodies up to which an answer is not large: all connections together may have one.
const SMALL_BYTES: usize = 256 * 1024;

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

    /// `reply`, which has `bytes` of bodies, with its place for as long as it needs one.
    pub(super) fn hold(place: Arc<Place>, bytes: usize, reply: Reply) -> Reply {
        match bytes > SMALL_BYTES {
            true => reply.holding(place),
            false => reply,
        }
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
    fn a_small_answer_needs_no_place() {
        let room = Room::default();
        let small = Room::hold(room.enter().unwrap(), SMALL_BYTES, Reply::empty(200));
        let large = Room::hold(room.enter().unwrap(), SMALL_BYTES + 1, Reply::empty(200));
        drop(small);
        assert!(room.enter_within(Duration::ZERO).is_err());
        drop(large);
        assert!(room.enter_within(Duration::ZERO).is_ok());
    }

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
