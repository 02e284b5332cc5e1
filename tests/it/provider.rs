//! The provider at its worst: stale tokens, throttling, lost grants, hostile answers, broken networks. The simulated
//! service fails as the documentation says; what must hold is that no change is lost and none invented, that a provider
//! that wants to be left alone is, and that a person is asked only where nobody else can help.

pub(crate) mod bench;
mod clock;
mod drives;
mod grants;
mod hostile;
mod latest;
mod login;
mod network;
mod panics;
mod proxy;
mod resync;
mod throttling;
mod turns;
