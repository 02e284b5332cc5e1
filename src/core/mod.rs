//! The domain: values in, values out. Nothing here opens a file or a socket, starts a thread, reads a clock or rolls
//! a die; whatever decides takes `now` and the dice as arguments.

pub mod model;
pub mod shown;
