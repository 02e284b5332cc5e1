//! Notices a chain of links that leads back into itself, remembering one link however long the chain (Brent's method):
//! the remembered link moves on each time the number of steps since has doubled.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The links of one set, as far as they have been followed.
#[derive(Clone, Debug, Default)]
pub struct Cycle {
    remembered: Option<u64>,
    steps: u64,
    limit: u64,
}

impl Cycle {
    /// Takes the chain one link further. Returns whether it has led back to a link that it had before; a loop of n
    /// links is noticed after at most a few times n, plus the links before it.
    pub fn closes_with(&mut self, link: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        link.hash(&mut hasher);
        let link = hasher.finish();
        if self.remembered == Some(link) {
            return true;
        }
        if self.steps == self.limit {
            self.remembered = Some(link);
            self.limit = (self.limit * 2).max(1);
            self.steps = 0;
        }
        self.steps += 1;
        false
    }
}

/// How many pages without an item may follow each other.
pub const EMPTY_PAGES: u64 = 1_000;

/// How many pages may follow each other on which all is known already: two million items of a drive of which only the
/// permissions changed, or of a collection that is listed whole each time.
const KNOWN_PAGES: u64 = 10_000;

/// Notices a chain of pages that leads on and on, by other links each time, and brings nothing.
#[derive(Clone, Debug, Default)]
pub struct Quiet {
    empty: u64,
    known: u64,
}

impl Quiet {
    /// Takes the chain one page of so many `items` further, which is not the last; `has_news`: not all of them were known as
    /// they are. Returns whether that is too far.
    pub fn goes_too_far(&mut self, items: usize, has_news: bool) -> bool {
        self.empty = if items == 0 { self.empty + 1 } else { 0 };
        self.known = if has_news { 0 } else { self.known + 1 };
        self.empty >= EMPTY_PAGES || self.known >= KNOWN_PAGES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pages_that_bring_nothing_go_too_far_and_those_with_news_never_do() {
        let after = |items: usize, news_each: u64| {
            let mut quiet = Quiet::default();
            (1..=50_000u64).find(|page| quiet.goes_too_far(items, page.is_multiple_of(news_each)))
        };
        assert_eq!(after(0, u64::MAX), Some(1_000));
        assert_eq!(after(200, u64::MAX), Some(10_000));
        assert_eq!(after(200, 9_999), None);
        assert_eq!(after(200, 1), None);
    }

    proptest! {
        #[test]
        fn a_loop_is_noticed_and_nothing_else(lead in 0usize..200, length in 1usize..200) {
            let mut cycle = Cycle::default();
            let mut links = (0..lead).chain((lead..lead + length).cycle());
            let steps = (0..10_000).find(|_| cycle.closes_with(&links.next().unwrap().to_string()));
            let steps = steps.expect("the loop is noticed");
            prop_assert!(steps >= lead + length - 1, "not before it closes");
            prop_assert!(steps <= 4 * (lead + length));
        }

        #[test]
        fn a_chain_without_a_loop_is_never_stopped(length in 0usize..5_000) {
            let mut cycle = Cycle::default();
            prop_assert!((0..length).all(|link| !cycle.closes_with(&link.to_string())));
        }
    }
}
