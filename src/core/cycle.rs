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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
