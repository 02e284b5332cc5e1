//! The settings that hold now. They can be replaced while everything runs; what was begun with the ones before goes on with
//! them.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Config;

/// The settings in use.
#[derive(Debug)]
pub struct Live(Mutex<Arc<Config>>);

impl Live {
    /// With `config` to begin with.
    pub fn new(config: &Config) -> Live {
        Live(Mutex::new(Arc::new(config.clone())))
    }

    /// Those that hold now.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.lock())
    }

    /// Whether `config` is what holds now.
    pub fn holds(&self, config: &Arc<Config>) -> bool {
        Arc::ptr_eq(&self.lock(), config)
    }

    /// Makes `config` what holds from now on.
    pub fn replace(&self, config: Config) {
        *self.lock() = Arc::new(config);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Config>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
