//! The world around the agent, simulated over real HTTP: a OneDrive that things happen on and that can be told to
//! fail, and a receiver that checks what is delivered. `deltapost demo` and the end-to-end tests stand on it.

mod dice;
pub mod onedrive;
pub mod receiver;
pub mod replay;
pub mod script;
