//! What a line sends and tells, over a transport that only keeps a record.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use ureq::unversioned::transport::LazyBuffers;

use super::*;

const BUFFER: usize = 1000;

/// What was sent, each time with its time-out.
type Record = Arc<Mutex<Vec<(Vec<u8>, Limit)>>>;

/// Takes whatever is sent, and has nothing to be read.
#[derive(Debug)]
struct Recorder(LazyBuffers, Record);

impl Transport for Recorder {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.0
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let sent = self.0.output()[..amount].to_vec();
        self.1.lock().unwrap().push((sent, timeout.after));
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        Ok(false)
    }

    fn is_open(&mut self) -> bool {
        true
    }
}

fn within(seconds: u64) -> NextTimeout {
    NextTimeout {
        after: Limit::Exact(Duration::from_secs(seconds)),
        ..NextTimeout::default()
    }
}

/// Sends pieces of these sizes within 5 s, then awaits an answer within `seconds`. Returns what went out, and what
/// should have.
fn send(pieces: &[usize], seconds: u64) -> (Vec<(Vec<u8>, Limit)>, Vec<u8>) {
    let record = Record::default();
    let recorder = Recorder(LazyBuffers::new(BUFFER, BUFFER), record.clone());
    let mut line = Line::new(Box::new(recorder));
    let mut letters = (b'a'..=b'z').cycle();
    let mut all = Vec::new();
    for &size in pieces {
        let piece: Vec<u8> = letters.by_ref().take(size).collect();
        line.buffers().output()[..size].copy_from_slice(&piece);
        line.transmit_output(size, within(5)).unwrap();
        all.extend(piece);
    }
    assert!(!line.await_input(within(seconds)).unwrap());
    let sent = std::mem::take(&mut *record.lock().unwrap());
    (sent, all)
}

#[track_caller]
fn check_sizes(pieces: &[usize], expect: &[usize]) {
    let (sent, _) = send(pieces, 5);
    let sizes: Vec<usize> = sent.iter().map(|(bytes, _)| bytes.len()).collect();
    assert_eq!(sizes, expect);
}

#[test]
fn a_head_goes_out_with_its_body() {
    check_sizes(&[300], &[300]);
    check_sizes(&[300, 600], &[900]);
    check_sizes(&[300, 700], &[1000]);
    check_sizes(&[300, 701], &[300, 701]);
    check_sizes(&[300, 1000, 1000, 5], &[300, 1000, 1000, 5]);
    check_sizes(&[0], &[]);
}

#[test]
fn what_was_held_has_the_shorter_of_both_times() {
    for (seconds, expect) in [(60, 5), (2, 2)] {
        let (sent, _) = send(&[300], seconds);
        assert_eq!(sent[0].1, Limit::Exact(Duration::from_secs(expect)));
    }
}

#[test]
fn a_time_out_is_rounded_up_to_ten_milliseconds_and_none_stays_none() {
    for (micros, expect) in [(0, 0), (1, 10), (9_999, 10), (10_000, 20), (29_999_990, 30_000)] {
        let after = Limit::Exact(Duration::from_micros(micros));
        let timeout = NextTimeout {
            after,
            ..NextTimeout::default()
        };
        assert_eq!(rounded(timeout).after, Limit::from_millis(expect));
    }
    assert_eq!(rounded(NextTimeout::default()).after, Limit::NotHappening);
}

proptest! {
    #[test]
    fn every_byte_goes_out_once_and_in_order(pieces in proptest::collection::vec(0..=BUFFER, 0..12)) {
        let (sent, all) = send(&pieces, 5);
        let sent: Vec<u8> = sent.into_iter().flat_map(|(bytes, _)| bytes).collect();
        prop_assert_eq!(sent, all);
    }
}
