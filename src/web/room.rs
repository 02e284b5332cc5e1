//! What may be under way at the same time, so that neither memory nor connections run out: one large answer, from its making
//! to its last byte, and a limited number of requests that take long. Whoever comes too late is told to ask again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::reply::Refusal;
use crate::httpd::Held;

/// Bytes up to which an answer is not large: all connections together may have one.
const SMALL_BYTES: usize = 256 * 1024;

/// Requests for a large answer that wait, at most: the other connections are left to everybody else.
const MOST_WAITING: usize = 8;

/// How long one waits: as long as `httpd` gives a client to read the answer before it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The one place for a large answer: it can hold a body of 16 MiB, and the database as much while it is read.
#[derive(Debug)]
pub(super) struct Room {
    place: Arc<Place>,
    waiting: Seats,
}

#[derive(Debug, Default)]
struct Place {
    taken: Mutex<bool>,
    freed: Condvar,
}

/// Frees the place when it is dropped.
struct Taken(Arc<Place>);

impl Default for Room {
    fn default() -> Room {
        Room {
            place: Arc::default(),
            waiting: Seats::new(MOST_WAITING, LARGE_ANSWERS),
        }
    }
}

const LARGE_ANSWERS: &str = "large answers";

impl Room {
    /// Takes the place for an answer of `bytes`, and waits for it; a small answer needs none. It is free again when what
    /// this returns is dropped.
    ///
    /// # Errors
    /// 503 where too many wait already, or it does not come free.
    pub(super) fn enter(&self, bytes: usize) -> Result<Option<Held>, Refusal> {
        self.enter_within(bytes, PATIENCE)
    }

    fn enter_within(&self, bytes: usize, patience: Duration) -> Result<Option<Held>, Refusal> {
        if bytes <= SMALL_BYTES {
            return Ok(None);
        }
        let _waiting = self.waiting.take()?;
        let taken = self.place.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut taken, waited) = self
            .place
            .freed
            .wait_timeout_while(taken, patience, |taken| *taken)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(too_many(LARGE_ANSWERS));
        }
        *taken = true;
        Ok(Some(Arc::new(Taken(Arc::clone(&self.place)))))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

/// A limited number of requests of one kind at the same time.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    of: &'static str,
    taken: AtomicUsize,
}

/// One of them, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat<'s>(&'s Seats);

impl Seats {
    /// At most `most` requests; `of` says what they are.
    pub(super) fn new(most: usize, of: &'static str) -> Seats {
        Seats {
            most,
            of,
            taken: AtomicUsize::new(0),
        }
    }

    /// Takes a seat, without waiting.
    ///
    /// # Errors
    /// 503 where all are taken.
    pub(super) fn take(&self) -> Result<Seat<'_>, Refusal> {
        let seat = Seat(self);
        match self.taken.fetch_add(1, Ordering::Relaxed) < self.most {
            true => Ok(seat),
            false => Err(too_many(self.of)),
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

fn too_many(of: &str) -> Refusal {
    Refusal::new(503, format!("too many {of} are under way: ask again")).with("Retry-After", "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_answer_needs_no_place() {
        let room = Room::default();
        let large = room.enter(SMALL_BYTES + 1).unwrap();
        assert!(large.is_some());
        assert!(room.enter(SMALL_BYTES).unwrap().is_none());
    }

    #[test]
    fn a_place_is_free_again_when_its_answer_is_gone() {
        let room = Room::default();
        let large = || room.enter_within(usize::MAX, Duration::ZERO).map(|_| ());
        let first = room.enter(usize::MAX).unwrap();
        assert_eq!(large().map_err(|refusal| refusal.status), Err(503));
        drop(first);
        assert_eq!(large(), Ok(()));
        assert_eq!(large(), Ok(()), "the one before is gone");
    }

    #[test]
    fn a_seat_is_refused_when_all_are_taken_and_free_again_after() {
        let seats = Seats::new(2, "polls");
        let taken = [seats.take().unwrap(), seats.take().unwrap()];
        for _ in 0..3 {
            assert_eq!(seats.take().unwrap_err().status, 503);
        }
        drop(taken);
        assert!(seats.take().is_ok());
    }
}
