//! Single rooms from inside, with real files and sockets and a clock turned by hand. What the binary promises as a whole
//! is tested from outside, in the other files.

mod bounds;
mod deliver;
mod fixture;
mod listing;
mod store;
