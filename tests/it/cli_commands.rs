//! The binary as people use it: arguments in; standard output, standard error and the exit code out. What is polled and
//! delivered on the way is other tests' matter.

mod bad_input;
mod beside_an_agent;
mod demo;
mod house;
mod init;
mod instances;
mod pages;
mod run;
mod world;
