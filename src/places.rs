//! Places that are taken in turn: who came first is let in first, and nobody is passed over. They bound how much is done at a
//! time, whoever does it and however many wait.

use std::sync::{Condvar, Mutex, MutexGuard};

/// So many places.
#[derive(Debug)]
pub struct Places {
    queue: Mutex<Queue>,
    bell: Condvar,
}

/// Whoever comes draws a number; those below `admitted` are in, or have been.
#[derive(Debug)]
struct Queue {
    drawn: u64,
    admitted: u64,
}

/// A place that is taken; it is free again when this is dropped, also by a panic.
#[derive(Debug)]
pub struct Place<'a> {
    places: &'a Places,
}

impl Places {
    /// So many free ones, at least one.
    pub fn new(count: usize) -> Places {
        Places {
            queue: Mutex::new(Queue {
                drawn: 0,
                admitted: count.max(1) as u64,
            }),
            bell: Condvar::new(),
        }
    }

    /// Waits for a place, behind all who wait already.
    pub fn take(&self) -> Place<'_> {
        let mut queue = self.lock();
        let number = queue.drawn;
        queue.drawn += 1;
        let waited = self.bell.wait_while(queue, |queue| number >= queue.admitted);
        drop(waited);
        Place { places: self }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.lock().admitted += 1;
        self.places.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn who_came_first_is_let_in_first_and_only_when_there_is_room() {
        let places = Places::new(2);
        let (first, second) = (places.take(), places.take());
        let (told, heard) = channel();
        thread::scope(|scope| {
            for number in 0..8 {
                let (told, places) = (told.clone(), &places);
                scope.spawn(move || {
                    let place = places.take();
                    told.send(number).unwrap();
                    drop(place);
                });
                while places.lock().drawn < number + 3 {
                    thread::yield_now();
                }
            }
            assert!(heard.try_recv().is_err(), "there was no room");
            drop(first);
            // One place is left, so that one goes in after the other.
            assert_eq!(
                heard.iter().take(8).collect::<Vec<_>>(),
                (0..8).collect::<Vec<_>>()
            );
            drop(second);
        });
    }
}
