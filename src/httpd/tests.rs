//! The server over real sockets: what a rude client can do to it, and what a polite one may expect.

use std::io::{Read, Write};
use std::sync::mpsc;

use super::*;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

/// Answers with the method, the target and the body; panics, hangs and closes where the path says so.
fn echo(request: &Request) -> Reply {
    match request.path() {
        "/panic" => panic!("as asked"),
        "/hang" => Reply::verbatim("HTTP/1.1 200 OK\r\n", Then::Hang),
        "/close" => Reply::verbatim("", Then::Close),
        _ => Reply::text(
            200,
            format!(
                "{} {} {}",
                request.method,
                request.target,
                String::from_utf8_lossy(request.body)
            ),
        ),
    }
}

fn start(limits: Limits, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Running {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into(), limits).unwrap();
    server.serve(Arc::new(handler)).unwrap()
}

fn patient() -> Limits {
    Limits {
        receive: LONG,
        send: LONG,
        idle: LONG,
        ..Limits::default()
    }
}

struct Client(TcpStream);

impl Client {
    fn of(server: &Running) -> Client {
        let stream = TcpStream::connect(server.local_addr()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        self.0.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// The next response: its status and body.
    fn response(&mut self) -> (u16, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(
                self.0.read(&mut byte).unwrap(),
                1,
                "closed after {:?}",
                String::from_utf8_lossy(&head)
            );
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .split("Content-Length: ")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
    }

    #[track_caller]
    fn expect(&mut self, status: u16, body: &str) -> &mut Client {
        assert_eq!(self.response(), (status, body.to_owned()));
        self
    }

    /// Asserts that the server has closed, with nothing more to read.
    #[track_caller]
    fn expect_closed(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

#[test]
fn a_connection_serves_many_requests_until_it_is_asked_to_close() {
    let server = start(patient(), echo);
    let mut client = Client::of(&server);
    client
        .send("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(200, "GET /a?b=c ");
    client
        .send("\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        .expect(200, "POST / hi");
    client
        .send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect(200, "GET / ")
        .expect_closed();
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = start(patient(), echo);
    let one = |n: usize| format!("POST /{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na{n:02}");
    let mut client = Client::of(&server);
    client.send((0..50).map(one).collect::<String>());
    for n in 0..50 {
        client.expect(200, &format!("POST /{n} a{n:02}"));
    }
}

#[test]
fn requests_arrive_whole_however_they_are_cut() {
    let server = start(patient(), echo);
    let mut client = Client::of(&server);
    for byte in b"\r\nPOST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" {
        client.send([*byte]);
    }
    client.expect(200, "POST /slow hello");
    let body = "0123456789".repeat(20_000);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.expect(200, &format!("POST / {body}"));
    client
        .send("GET /after HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(200, "GET /after ");
}

/// Told in docs/decisions/0001-own-accept-loop.md.
#[test]
fn the_request_that_aborts_tiny_https_own_loop_is_refused() {
    let server = start(patient(), echo);
    let mut client = Client::of(&server);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n");
    assert_eq!(client.response().0, 413);
    client.expect_closed();
    Client::of(&server)
        .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(200, "GET / ");
}

#[test]
fn what_comes_to_no_handler_is_refused_in_the_shape_that_is_wished() {
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into(), patient()).unwrap();
    let server = server.refusing(|status, why| Reply::text(status, format!("refused: {why}")));
    let server = server.serve(Arc::new(echo)).unwrap();
    Client::of(&server)
        .send("GET / HTTP/1.1\r\n\r\n")
        .expect(400, "refused: exactly one `Host` header is needed");
    Client::of(&server)
        .send("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(500, "refused: internal error");
}

#[test]
fn stopping_with_patience_does_not_wait_for_a_handler_for_ever() {
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = start(patient(), move |_| {
        arrived.send(()).unwrap();
        released.lock().unwrap().recv_timeout(LONG).unwrap();
        Reply::text(200, "done")
    });
    let mut busy = Client::of(&server);
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    arrivals.recv_timeout(LONG).unwrap();
    assert!(!server.stop_within(SHORT));
    release.send(()).unwrap();
    busy.expect(200, "done");
    assert!(start(patient(), echo).stop_within(LONG));
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let server = start(patient(), echo);
    for length in ["1000000000000", "262145"] {
        let mut client = Client::of(&server);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nabc"
        ));
        assert_eq!(client.response().0, 413);
        client.expect_closed();
    }
    Client::of(&server)
        .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(200, "GET / ");
}

#[test]
fn a_client_that_goes_on_sending_still_learns_why_it_is_refused() {
    let server = start(patient(), echo);
    let mut client = Client::of(&server);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n");
    for _ in 0..600 {
        client.send([b'x'; 1000]);
    }
    assert_eq!(client.response().0, 413);
}

#[test]
fn a_head_beyond_the_limit_is_refused() {
    let server = start(patient(), echo);
    for filler in ["x".repeat(17 * 1024), "x".repeat(40 * 1024)] {
        let mut client = Client::of(&server);
        client.send(format!("GET / HTTP/1.1\r\nHost: x\r\nX: {filler}\r\n\r\n"));
        assert_eq!(client.response().0, 431);
        client.expect_closed();
    }
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    let server = start(patient(), echo);
    let mut client = Client::of(&server);
    client
        .send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .expect(100, "");
    client.send("hi").expect(200, "POST / hi");
}

#[test]
fn a_request_that_takes_too_long_is_refused_even_while_it_trickles() {
    let server = start(
        Limits {
            receive: SHORT,
            ..patient()
        },
        echo,
    );
    for beginning in [
        "GET / HT",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
    ] {
        let mut client = Client::of(&server);
        client.send(beginning);
        assert_eq!(client.response().0, 408);
    }
    let mut client = Client::of(&server);
    client.0.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    // Each byte comes well within the limit; all of them together do not.
    let mut answer = [0; 12];
    let waits = (0..1000).take_while(|_| {
        let waiting = client.0.read_exact(&mut answer).is_err();
        if waiting {
            client.send("X");
        }
        waiting
    });
    assert!(waits.count() < 1000);
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[test]
fn a_silent_connection_is_closed_without_a_word() {
    let server = start(
        Limits {
            idle: SHORT,
            ..patient()
        },
        echo,
    );
    Client::of(&server).expect_closed();
    let mut client = Client::of(&server);
    client
        .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(200, "GET / ")
        .expect_closed();
    let limits = Limits {
        first_byte: SHORT,
        ..patient()
    };
    Client::of(&start(limits, echo)).expect_closed();
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let (sent, done) = mpsc::channel();
    let server = start(
        Limits {
            send: SHORT,
            ..patient()
        },
        move |_| {
            sent.send(()).unwrap();
            Reply::new(200, "text/plain", vec![b'x'; 64 * 1024 * 1024])
        },
    );
    let mut client = Client::of(&server);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    done.recv_timeout(LONG).unwrap();
    server.stop();
    let mut received = Vec::new();
    // The end may come as a reset: what counts is that stopping did not wait for this client.
    if client.0.read_to_end(&mut received).is_ok() {
        assert!(received.len() < 64 * 1024 * 1024);
    }
}

fn two_at_a_time() -> Limits {
    Limits {
        connections: 2,
        ..patient()
    }
}

#[test]
fn the_connection_that_has_been_idle_the_longest_gives_way() {
    let server = start(two_at_a_time(), echo);
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let (mut silent, mut used) = (Client::of(&server), Client::of(&server));
    used.send(get).expect(200, "GET / ");
    let mut newest = Client::of(&server);
    silent.expect_closed();
    newest.send(get).expect(200, "GET / ");
    Client::of(&server).send(get).expect(200, "GET / ");
    used.expect_closed();
    // The last one is gone or idle, so that this one stays.
    newest.send(get).expect(200, "GET / ");
}

#[test]
fn a_slow_request_that_moves_stays_and_a_silent_one_gives_way() {
    let server = start(two_at_a_time(), echo);
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let (mut moving, mut silent) = (Client::of(&server), Client::of(&server));
    // The answer shows that the server has read what was sent.
    assert_eq!(silent.send(head).response().0, 100);
    assert_eq!(moving.send(head).response().0, 100);
    let mut newest = Client::of(&server);
    silent.expect_closed();
    moving.send("hi").expect(200, "POST / hi");
    newest
        .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(200, "GET / ");
}

#[test]
fn no_request_that_is_being_answered_gives_way() {
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = start(
        Limits {
            connections: 1,
            ..patient()
        },
        move |_| {
            arrived.send(()).unwrap();
            released.lock().unwrap().recv_timeout(LONG).unwrap();
            Reply::text(200, "done")
        },
    );
    let mut busy = Client::of(&server);
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    arrivals.recv_timeout(LONG).unwrap();
    assert_eq!(Client::of(&server).response().0, 503);
    release.send(()).unwrap();
    busy.expect(200, "done");
}

#[test]
fn a_panic_in_the_handler_is_a_500_and_nothing_worse() {
    let server = start(patient(), echo);
    let mut client = Client::of(&server);
    client
        .send("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(500, "internal error\n")
        .expect_closed();
    Client::of(&server)
        .send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect(200, "GET / ");
}

#[test]
fn verbatim_replies_go_out_as_they_are() {
    let server = start(patient(), echo);
    Client::of(&server)
        .send("GET /close HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect_closed();
    let mut client = Client::of(&server);
    client.send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut line = [0; 17];
    client.0.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 200 OK\r\n");
    server.stop();
    client.expect_closed();
}

#[test]
fn stopping_answers_what_is_in_flight_and_closes_what_is_idle() {
    let (arrived, arrivals) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = start(patient(), move |_| {
        arrived.send(()).unwrap();
        released.lock().unwrap().recv_timeout(LONG).unwrap();
        Reply::text(200, "done")
    });
    let address = server.local_addr();
    let mut idle = Client::of(&server);
    let mut busy = Client::of(&server);
    busy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    arrivals.recv_timeout(LONG).unwrap();
    let stopping = thread::spawn(move || server.stop());
    idle.expect_closed();
    release.send(()).unwrap();
    busy.expect(200, "done").expect_closed();
    stopping.join().unwrap();
    assert!(TcpStream::connect(address).is_err(), "nothing listens any more");
}

#[test]
fn a_server_on_every_address_stops_too() {
    let server = Server::bind((Ipv4Addr::UNSPECIFIED, 0).into(), patient()).unwrap();
    server.serve(Arc::new(echo)).unwrap().stop();
}

#[test]
fn empty_lines_before_a_request_keep_no_place() {
    let idle = Duration::from_millis(500);
    let server = start(Limits { idle, ..patient() }, echo);
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(SHORT)).unwrap();
    let mut client = Client(stream);
    // Each comes long before the silence has lasted; were it to put off the end, all of them would be taken.
    let taken = (0..200).take_while(|_| {
        client.0.write_all(b"\r\n").is_ok()
            && client
                .0
                .read(&mut [0])
                .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    });
    assert!(taken.count() < 200);
}
