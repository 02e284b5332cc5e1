//! The settings that hold now. They can be replaced while everything runs; what was begun with the ones before goes on with
//! them.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::config::Config;

/// The settings in use.
#[derive(Debug)]
pub(super) struct Live(Mutex<Arc<Config>>);

impl Live {
    pub(super) fn new(config: &Config) -> Live {
        Live(Mutex::new(Arc::new(config.clone())))
    }

    /// Those that hold now.
    pub(super) fn current(&self) -> Arc<Config> {
        Arc::clone(&self.lock())
    }

    /// Whether `config` is what holds now.
    pub(super) fn holds(&self, config: &Arc<Config>) -> bool {
        Arc::ptr_eq(&self.lock(), config)
    }

    pub(super) fn replace(&self, config: Config) {
        *self.lock() = Arc::new(config);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Config>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
