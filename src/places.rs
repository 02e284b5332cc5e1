//! Places that are taken in turn: who came first is let in first, and nobody is passed over. They bound how much is done at a
//! time, whoever does it and however many wait.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// How often a wait that may be given up looks whether it is to be.
const LOOK: Duration = Duration::from_millis(200);

/// So many places.
#[derive(Debug)]
pub struct Places {
    queue: Mutex<Queue>,
    bell: Condvar,
}

/// Whoever waits has drawn a number.
#[derive(Debug)]
struct Queue {
    free: usize,
    drawn: u64,
    waiting: VecDeque<u64>,
}

impl Queue {
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.waiting.push_back(self.drawn);
        self.drawn
    }

    fn lets_in(&self, number: u64) -> bool {
        self.free > 0 && self.waiting.front() == Some(&number)
    }
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
                free: count.max(1),
                drawn: 0,
                waiting: VecDeque::new(),
            }),
            bell: Condvar::new(),
        }
    }

    /// Waits for a place, behind all who wait already.
    pub fn take(&self) -> Place<'_> {
        let mut queue = self.lock();
        let number = queue.draw();
        let queue = self.bell.wait_while(queue, |queue| !queue.lets_in(number));
        self.enter(queue.unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Waits for a place, behind all who wait already, until `give_up` says that it is to wait no longer.
    pub fn take_unless(&self, mut give_up: impl FnMut() -> bool) -> Option<Place<'_>> {
        let mut queue = self.lock();
        let number = queue.draw();
        while !queue.lets_in(number) {
            if give_up() {
                queue.waiting.retain(|waiting| *waiting != number);
                self.bell.notify_all();
                return None;
            }
            let waited = self.bell.wait_timeout(queue, LOOK);
            queue = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        Some(self.enter(queue))
    }

    /// A place, where one is free that nobody waits for.
    pub fn take_free(&self) -> Option<Place<'_>> {
        let mut queue = self.lock();
        (queue.free > 0 && queue.waiting.is_empty()).then(|| {
            queue.free -= 1;
            Place { places: self }
        })
    }

    /// Lets the first who waits in.
    fn enter(&self, mut queue: MutexGuard<'_, Queue>) -> Place<'_> {
        queue.waiting.pop_front();
        queue.free -= 1;
        self.bell.notify_all();
        Place { places: self }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.lock().free += 1;
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

    #[test]
    fn who_gives_up_keeps_nobody_waiting() {
        let places = Places::new(1);
        let first = places.take();
        assert!(places.take_free().is_none());
        assert!(places.take_unless(|| true).is_none());
        drop(first);
        let second = places.take_free();
        assert!(second.is_some() && places.take_free().is_none());
        drop(second);
        assert!(places.take_unless(|| true).is_some(), "there was room");
    }
}
