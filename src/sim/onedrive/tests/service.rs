//! The service around the feed: faults, gates, grants and the addresses it answers.

use super::*;

#[test]
fn faults_happen_to_the_requests_they_were_queued_for() {
    let client = Client::of(Account {
        page_size: 2,
        ..Account::business()
    });
    client.cloud.drive().bulk_create(0, 5);
    let feed = client.feed();
    let fail = |fault: Fault| {
        client.cloud.fail_next(Endpoint::Delta, fault);
        client.try_get(&feed, &[])
    };
    assert_eq!(fail(Fault::throttle(7)).unwrap().status, 429);
    assert!(fail(Fault::Html).unwrap().text.starts_with("<!doctype"));
    assert!(serde_json::from_str::<Value>(&fail(Fault::NotJson).unwrap().text).is_err());
    assert_eq!(
        fail(Fault::Body(b"{\"value\":[]}".to_vec())).unwrap().text,
        "{\"value\":[]}"
    );
    assert!(fail(Fault::TooLarge).unwrap().text.len() > 16 << 20);
    for fault in [Fault::Truncate, Fault::LostAnswer, Fault::Close] {
        assert!(fail(fault).is_err());
    }
    let links = |fault| {
        fail(fault)
            .map(|got| (got.link("nextLink"), got.link("deltaLink")))
            .unwrap()
    };
    assert_eq!(links(Fault::NoLinks), (None, None));
    assert!(matches!(links(Fault::BothLinks), (Some(_), Some(_))));
    let foreign = "https://evil.example/?token=x";
    assert_eq!(
        links(Fault::ForeignNextLink(foreign.into())),
        (Some(foreign.into()), None)
    );
    assert!(fail(Fault::ItemWithoutId).unwrap().items()[0]["id"].is_null());
    let again = fail(Fault::SamePageAgain).unwrap();
    assert_eq!(client.get(&again.link("nextLink").unwrap()).ids(), again.ids());
    assert_eq!(client.get(&feed).status, 200, "and then all is well");

    client.cloud.fail_always(Endpoint::Delta, Fault::status(503));
    client.cloud.fail_after(Endpoint::Delta, 1, Fault::status(500));
    assert_eq!([0; 4].map(|_| client.get(&feed).status), [200, 500, 503, 503]);
    client.cloud.heal(Endpoint::Delta);
    assert_eq!(client.get(&feed).status, 200);
}

#[test]
fn what_a_watch_does_to_the_drive_is_in_the_answer() {
    let client = Client::of(Account::business());
    let drive = client.cloud.drive();
    client.cloud.on_request(move |seen| {
        assert_eq!(seen.endpoint, Endpoint::Delta);
        drive.create_file(&drive.root_id(), "late.txt", 1);
    });
    assert_eq!(
        client.get(&client.feed()).items().len(),
        2,
        "the root and the file"
    );
}

#[test]
fn a_gate_holds_requests_until_it_is_released() {
    let client = Client::of(Account::business());
    let gate = client.cloud.hold(Endpoint::Delta);
    assert!(!gate.wait_arrived(Duration::from_millis(10)));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.get(&client.feed()).items().len());
        assert!(gate.wait_arrived(LONG));
        client.cloud.drive().bulk_create(0, 3);
        gate.release();
        assert_eq!(waiting.join().unwrap(), 4, "what happened meanwhile is seen");
    });
    assert_eq!(client.cloud.count(Endpoint::Delta), 1);
}

#[test]
fn stopping_lets_go_of_what_is_held_or_hangs() {
    let client = Client::of(Account::business());
    let Client { agent, cloud, token } = client;
    let url = format!("{}/me/drive/root/delta", cloud.graph_base());
    let ask = || {
        agent
            .get(&url)
            .header("Authorization", format!("Bearer {token}"))
            .call()
            .map(|_| ())
    };
    std::thread::scope(|scope| {
        cloud.fail_next(Endpoint::Delta, Fault::Hang);
        let hanging = scope.spawn(ask);
        assert!(cloud.wait_count(Endpoint::Delta, 1, LONG));
        let gate = cloud.hold(Endpoint::Delta);
        let held = scope.spawn(ask);
        assert!(gate.wait_arrived(LONG));
        cloud.stop();
        assert!(hanging.join().unwrap().is_err());
        assert!(held.join().unwrap().is_ok(), "a request in flight is answered");
    });
}

#[test]
fn codes_and_refresh_tokens_are_good_for_what_they_were_issued_for() {
    let client = Client::of(Account::business());
    let app = App {
        client_id: "app".into(),
        client_secret: Some("hush".into()),
        redirect_uri: Some("https://a.example/cb".into()),
    };
    client.cloud.set_rules(Rules {
        app: Some(app),
        old_refresh_tokens_die: true,
        expires_in: 77,
        ..Rules::default()
    });
    let code = client.cloud.issue_code();
    let ask = |grant: &str, key: &str, value: &str, secret: &str, uri: &str| {
        client.token_request(&[
            ("grant_type", grant),
            (key, value),
            ("client_id", "app"),
            ("client_secret", secret),
            ("redirect_uri", uri),
        ])
    };
    let exchange = |secret: &str, uri: &str| ask("authorization_code", "code", &code, secret, uri);
    let renew = |token: &str| ask("refresh_token", "refresh_token", token, "hush", "");

    let wrong = exchange("guess", "https://a.example/cb");
    assert_eq!(
        (wrong.status, wrong.json()["error"].as_str()),
        (401, Some("invalid_client"))
    );
    assert_eq!(wrong.json()["error_codes"][0], 7_000_215);
    assert_eq!(exchange("hush", "https://b.example/cb").status, 400);
    let granted = exchange("hush", "https://a.example/cb").json();
    assert_eq!(granted["expires_in"], 77);
    assert_eq!(
        exchange("hush", "https://a.example/cb").json()["error"],
        "invalid_grant"
    );

    let first = granted["refresh_token"].as_str().unwrap();
    let second = renew(first).json()["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(renew(first).json()["error"], "invalid_grant");
    assert_eq!(renew(&second).status, 200);
    client.cloud.revoke_grants();
    assert_eq!(renew(&second).json()["error_codes"][0], 700_082);
    assert!(client.cloud.secrets().contains(&second));
}

#[test]
fn tokens_open_the_drives_of_their_account_only() {
    let mut client = Client::of(Account::business());
    let other = client.cloud.add_account(Account {
        seed: 2,
        ..Account::consumer()
    });
    let own = client.cloud.drive();
    let base = client.cloud.graph_base();
    let paths = |drive: &Drive| {
        [
            format!("{base}/drives/{}/root/delta", drive.id()),
            format!("{base}/users/{}/drive", drive.owner_id()),
        ]
    };
    paths(&own)
        .iter()
        .for_each(|url| assert_eq!(client.get(url).status, 200));
    paths(&other)
        .iter()
        .for_each(|url| assert_eq!(client.get(url).status, 403));
    assert_eq!(client.get(&format!("{base}/drives/none")).status, 404);
    assert_eq!(
        client.get(&format!("{base}/me/drive")).json()["id"],
        own.id().as_str()
    );
    assert_eq!(
        client.get(&format!("{base}/me/drive/root")).json()["id"],
        own.root_id().as_str()
    );
    let spelled = other.id().trim_start_matches('0').to_ascii_lowercase();

    client.cloud.revoke_access_tokens();
    assert_eq!(client.get(&client.feed()).status, 401);
    let app = client.token_request(&[("grant_type", "client_credentials"), ("scope", "x/.default")]);
    client.token = app.json()["access_token"].as_str().unwrap().to_owned();
    paths(&other)
        .iter()
        .for_each(|url| assert_eq!(client.get(url).status, 200));
    assert_eq!(
        client.get(&format!("{base}/drives/{spelled}")).json()["id"],
        other.id().as_str()
    );
    assert_eq!(client.get(&client.feed()).status, 400, "an app is nobody's `/me`");
}

#[test]
fn a_person_signs_in_by_redirect_or_by_device_code() {
    let client = Client::of(Account::business());
    let authority = client.cloud.authority();
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"; // RFC 7636, appendix B
    let query =
        format!("client_id=x&redirect_uri=http://localhost/cb&state=s%26t&code_challenge={challenge}");
    let target = client
        .get(&format!("{authority}/oauth2/v2.0/authorize?{query}"))
        .location
        .unwrap();
    let target = url::Url::parse(&target).unwrap();
    let pairs: BTreeMap<_, _> = target.query_pairs().into_owned().collect();
    assert_eq!(pairs["state"], "s&t");
    let exchange = |verifier: &str| {
        let code = ("code", pairs["code"].as_str());
        client
            .token_request(&[
                ("grant_type", "authorization_code"),
                code,
                ("code_verifier", verifier),
            ])
            .status
    };
    assert_eq!(exchange("wrong"), 400);
    assert_eq!(exchange("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), 200);

    client.cloud.set_rules(Rules {
        device_interval: 0,
        ..Rules::default()
    });
    for (answer, expect) in [
        (DeviceAnswer::Approve, Value::Null),
        (DeviceAnswer::Decline, "authorization_declined".into()),
        (DeviceAnswer::Expire, "expired_token".into()),
    ] {
        let mut response = client
            .agent
            .post(format!("{authority}/oauth2/v2.0/devicecode"))
            .send_empty()
            .unwrap();
        let offer: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let code = offer["device_code"].as_str().unwrap();
        let poll = || {
            client
                .token_request(&[("grant_type", grant), ("device_code", code)])
                .json()["error"]
                .clone()
        };
        assert_eq!(poll(), "authorization_pending");
        client.cloud.answer_device_codes(answer);
        assert_eq!(poll(), expect);
        if expect == "expired_token" {
            client.cloud.set_rules(Rules::default());
            assert_eq!(poll(), "slow_down");
        }
    }
}

#[test]
fn another_feed_can_be_put_beside_the_drives() {
    let client = Client::of(Account::business());
    client.cloud.route("/v1.0/me/messages", |request| {
        Reply::json(200, format!("{{\"q\":\"{}\"}}", request.query()))
    });
    assert_eq!(
        client
            .get(&format!("{}/me/messages?a=b", client.cloud.graph_base()))
            .json()["q"],
        "a=b"
    );
    let seen = client.cloud.requests().pop().unwrap();
    assert_eq!(
        (seen.endpoint, seen.target.as_str()),
        (Endpoint::Other, "/v1.0/me/messages?a=b")
    );
}
