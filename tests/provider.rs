//! The provider at its worst: stale tokens, throttling, lost grants, hostile answers, broken networks. The simulated
//! service fails as the documentation says; what must hold is that no change is lost and none invented, that a provider
//! that wants to be left alone is, and that a person is asked only where nobody else can help.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails should fail the test at once"
)]

mod support;

#[path = "provider/bench.rs"]
mod bench;
#[path = "provider/clock.rs"]
mod clock;
#[path = "provider/drives.rs"]
mod drives;
#[path = "provider/grants.rs"]
mod grants;
#[path = "provider/hostile.rs"]
mod hostile;
#[path = "provider/login.rs"]
mod login;
#[path = "provider/network.rs"]
mod network;
#[path = "provider/proxy.rs"]
mod proxy;
#[path = "provider/resync.rs"]
mod resync;
#[path = "provider/throttling.rs"]
mod throttling;
#[path = "provider/turns.rs"]
mod turns;
