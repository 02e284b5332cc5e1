//! The simulator over HTTP, as an agent sees it: what it promises is what the agent's own tests stand on.

use serde_json::Value;

use super::*;
use crate::core::model::ItemKind;
use crate::sim::dice::Dice;

const LONG: Duration = Duration::from_secs(30);

/// What came back for one request.
struct Got {
    status: u16,
    location: Option<String>,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn link(&self, name: &str) -> Option<String> {
        self.json()[format!("@odata.{name}")].as_str().map(str::to_owned)
    }

    fn items(&self) -> Vec<Value> {
        self.json()["value"].as_array().unwrap().clone()
    }

    fn ids(&self) -> Vec<String> {
        self.items()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into()
}

struct Client {
    agent: ureq::Agent,
    cloud: OneDrive,
    token: String,
}

impl Client {
    fn of(account: Account) -> Client {
        let cloud = OneDrive::start(account).unwrap();
        let token = cloud.issue_access_token();
        Client {
            agent: agent(),
            cloud,
            token,
        }
    }

    fn feed(&self) -> String {
        format!("{}/me/drive/root/delta", self.cloud.graph_base())
    }

    fn try_get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Got, ureq::Error> {
        let request = self
            .agent
            .get(url)
            .header("Authorization", format!("Bearer {}", self.token));
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let mut response = request.call()?;
        Ok(Got {
            status: response.status().as_u16(),
            location: response
                .headers()
                .get("location")
                .map(|value| value.to_str().unwrap().to_owned()),
            text: response
                .body_mut()
                .with_config()
                .limit(64 << 20)
                .read_to_string()?,
        })
    }

    fn get(&self, url: &str) -> Got {
        self.try_get(url, &[]).unwrap()
    }

    /// The pages of one set, from `url` to its deltaLink.
    fn set(&self, url: &str, headers: &[(&str, &str)]) -> (Vec<Got>, String) {
        let mut pages = vec![self.try_get(url, headers).unwrap()];
        loop {
            let page = pages.last().unwrap();
            assert_eq!(page.status, 200, "{}", page.text);
            match (page.link("nextLink"), page.link("deltaLink")) {
                (Some(next), None) => pages.push(self.try_get(&next, headers).unwrap()),
                (None, Some(delta)) => return (pages, delta),
                both => panic!("exactly one link: {both:?}"),
            }
        }
    }

    /// Applies one set to `known` as the documentation tells clients to; returns the deltaLink.
    fn follow(&self, url: &str, known: &mut Tree) -> String {
        let (pages, delta) = self.set(url, &[]);
        let items: Vec<Value> = pages.iter().flat_map(Got::items).collect();
        let last: BTreeMap<&str, &Value> = items
            .iter()
            .map(|item| (item["id"].as_str().unwrap(), item))
            .collect();
        for (id, item) in last {
            if item["deleted"].is_object() {
                known.remove(id);
            } else if !item["root"].is_object() {
                known.insert(id.to_owned(), entry(item));
            }
        }
        let root = self.cloud.drive().root_id();
        loop {
            let orphans: Vec<String> = known
                .iter()
                .filter(|(_, entry)| entry.parent != root && !known.contains_key(&entry.parent))
                .map(|(id, _)| id.clone())
                .collect();
            if orphans.is_empty() {
                return delta;
            }
            orphans.iter().for_each(|id| drop(known.remove(id)));
        }
    }

    fn token_request(&self, fields: &[(&str, &str)]) -> Got {
        let url = format!("{}/oauth2/v2.0/token", self.cloud.authority());
        let mut response = self.agent.post(url).send_form(fields.iter().copied()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        Got {
            status: response.status().as_u16(),
            location: None,
            text,
        }
    }
}

fn entry(item: &Value) -> Entry {
    let kind = ["remoteItem", "package", "folder", "file"]
        .into_iter()
        .find(|facet| item[facet].is_object());
    Entry {
        name: item["name"].as_str().unwrap().to_owned(),
        parent: item["parentReference"]["id"].as_str().unwrap().to_owned(),
        kind: ItemKind::from_text(kind.unwrap()).unwrap(),
        content: item["file"]["hashes"]["quickXorHash"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// `count` operations at random, all kinds of them.
fn stir(drive: &Drive, dice: &mut Dice, count: usize, graves: &mut Vec<String>) {
    for n in 0..count {
        let tree = drive.tree();
        let all: Vec<&String> = tree.keys().collect();
        let root = drive.root_id();
        let mut folders: Vec<&String> = tree
            .iter()
            .filter(|(_, entry)| entry.kind == ItemKind::Folder)
            .map(|(id, _)| id)
            .collect();
        folders.push(&root);
        let folder = (*dice.pick(&folders)).clone();
        if all.len() < 4 || dice.one_in(3) {
            match dice.below(4) {
                0 => drive.create_folder(&folder, &format!("Folder {n}")),
                1 => drive.create_special(&folder, &format!("Notes {n}"), ItemKind::Package),
                _ => drive.create_file(&folder, &format!("File {n}"), 10),
            };
            continue;
        }
        let item = (*dice.pick(&all)).clone();
        match dice.below(6) {
            0 => drive.edit(&item),
            1 => drive.rename(&item, &format!("Renamed \"{n}\" ü")),
            2 if !drive.path_of(&folder).starts_with(&drive.path_of(&item)) => drive.move_to(&item, &folder),
            3 => drive.touch(&item),
            4 => {
                drive.delete(&item);
                graves.push(item);
            }
            _ => {
                let grave = graves.pop().filter(|grave| !tree.contains_key(grave));
                grave.iter().for_each(|grave| drive.restore(grave));
            }
        }
    }
}

#[test]
fn a_client_that_follows_the_feed_ends_with_the_drive_whatever_the_feed_does() {
    for seed in 0..24 {
        let kind = if seed % 2 == 0 {
            Account::business()
        } else {
            Account::consumer()
        };
        let repeats = if seed % 3 == 0 {
            Repeats::OlderFirst
        } else {
            Repeats::Same
        };
        let habits = Habits {
            repeats,
            ..Habits::AWKWARD
        };
        let client = Client::of(Account {
            seed,
            page_size: 5,
            habits,
            ..kind
        });
        let drive = client.cloud.drive();
        let (mut dice, mut graves, mut known) = (Dice::new(seed), Vec::new(), Tree::new());
        let mut url = client.feed();
        for _ in 0..8 {
            stir(&drive, &mut dice, 12, &mut graves);
            url = client.follow(&url, &mut known);
            assert_eq!(known, drive.tree(), "seed {seed}");
        }
    }
}

#[test]
fn an_enumeration_is_paged_to_a_delta_link_with_the_root_first() {
    let client = Client::of(Account {
        page_size: 10,
        ..Account::business()
    });
    client.cloud.drive().bulk_create(3, 24);
    let (pages, delta) = client.set(&client.feed(), &[]);
    assert_eq!(
        pages.iter().map(|page| page.items().len()).collect::<Vec<_>>(),
        [10, 10, 8]
    );
    assert!(pages[0].items()[0]["root"].is_object());
    let (pages, again) = client.set(&delta, &[]);
    assert_eq!((pages.len(), pages[0].items().len()), (1, 0));
    assert_eq!(
        delta, again,
        "nothing happened, and the same place is named the same"
    );
    let (pages, _) = client.set(&format!("{}?$top=4", client.feed()), &[]);
    assert_eq!(pages.len(), 7, "$top holds for the pages that follow, too");
    let (pages, _) = client.set(&format!("{}?token=latest", client.feed()), &[]);
    assert_eq!((pages.len(), pages[0].items().len()), (1, 0));
}

#[test]
fn a_link_answers_the_same_members_in_the_same_order_with_their_latest_state() {
    let client = Client::of(
        Account {
            page_size: 6,
            ..Account::consumer()
        }
        .awkward(3),
    );
    let drive = client.cloud.drive();
    let (_, files) = drive.bulk_create(4, 30);
    let (pages, _) = client.set(&client.feed(), &[]);
    let links: Vec<String> = pages.iter().filter_map(|page| page.link("nextLink")).collect();
    assert!(
        pages.iter().any(|page| page.items().is_empty()),
        "an empty page is among them"
    );
    files.iter().for_each(|file| drive.rename(file, "Other"));
    drive.create_file(&drive.root_id(), "Later", 1);
    for (link, page) in links.iter().zip(&pages[1..]) {
        let again = client.get(link);
        assert_eq!(again.ids(), page.ids());
        assert_eq!(again.link("nextLink"), page.link("nextLink"));
        let stale = |item: &Value| item["name"].as_str().unwrap().starts_with("Document");
        assert!(!again.items().iter().any(stale), "{}", again.text);
    }
}

#[test]
fn each_kind_of_account_leaves_out_what_it_leaves_out() {
    for (account, absent_always, absent_deleted, id_length) in [
        (Account::business(), vec!["cTag"], vec!["name", "cTag"], Some(34)),
        (Account::consumer(), vec![], vec!["size", "cTag"], None),
    ] {
        let client = Client::of(account);
        let drive = client.cloud.drive();
        let file = drive.create_file(&drive.root_id(), "a", 1);
        let delta = client.set(&client.feed(), &[]).1;
        drive.delete(&file);
        let item = |url: &str| {
            let (pages, delta) = client.set(url, &[]);
            let items: Vec<Value> = pages.iter().flat_map(Got::items).collect();
            (
                items
                    .into_iter()
                    .find(|item| item["id"] == file.as_str())
                    .unwrap(),
                delta,
            )
        };
        let (gone, delta) = item(&delta);
        drive.restore(&file);
        let (live, _) = item(&delta);
        assert!(gone["deleted"].is_object() && gone["parentReference"]["driveId"].is_string());
        absent_deleted
            .iter()
            .for_each(|field| assert!(gone[field].is_null(), "{gone}"));
        absent_always
            .iter()
            .for_each(|field| assert!(live[field].is_null(), "{live}"));
        ["name", "size", "eTag"]
            .iter()
            .for_each(|field| assert!(!live[field].is_null(), "{live}"));
        assert!(live["parentReference"]["path"].is_null() && live["deleted"].is_null());
        assert!(id_length.is_none_or(|length| file.len() == length));
    }
}

#[test]
fn folders_above_a_change_reappear_unless_they_are_excluded() {
    let client = Client::of(Account::consumer());
    let drive = client.cloud.drive();
    let folder = drive.create_folder(&drive.root_id(), "a");
    let file = drive.create_file(&folder, "b", 1);
    let (pages, delta) = client.set(&client.feed(), &[]);
    let before = pages[0]
        .items()
        .into_iter()
        .find(|item| item["id"] == folder.as_str())
        .unwrap();
    drive.edit(&file);
    let page = client.get(&delta);
    assert_eq!(page.ids().len(), 3);
    let after = page
        .items()
        .into_iter()
        .find(|item| item["id"] == folder.as_str())
        .unwrap();
    assert_eq!(before["eTag"], after["eTag"]);
    ["cTag", "size", "lastModifiedDateTime"]
        .iter()
        .for_each(|field| assert_ne!(before[field], after[field]));
    assert_eq!(
        client
            .try_get(&delta, &[("deltaExcludeParent", "true")])
            .unwrap()
            .ids(),
        [file]
    );
}

#[test]
fn stale_tokens_are_gone_and_the_location_begins_again() {
    let client = Client::of(Account {
        page_size: 2,
        ..Account::business()
    });
    client.cloud.drive().bulk_create(0, 5);
    let next = client.get(&client.feed()).link("nextLink").unwrap();
    let delta = client.set(&next, &[]).1;
    client.cloud.drive().expire_delta_tokens(Gone::default());
    for stale in [&next, &delta] {
        let gone = client.get(stale);
        assert_eq!(gone.status, 410);
        assert_eq!(gone.json()["error"]["code"], "resyncRequired");
        assert_eq!(
            gone.json()["error"]["innerError"]["code"],
            "resyncChangesApplyDifferences"
        );
        let (pages, fresh) = client.set(&gone.location.unwrap(), &[]);
        assert_eq!(pages.iter().flat_map(Got::ids).count(), 6);
        assert_eq!(client.get(&fresh).status, 200);
    }
    client.cloud.fail_after(
        Endpoint::Delta,
        1,
        Fault::Gone(Gone {
            code: "resyncUploadDifferences",
            location: false,
        }),
    );
    let next = client.get(&client.feed()).link("nextLink").unwrap();
    let gone = client.get(&next);
    assert_eq!(
        (gone.status, gone.location.is_none()),
        (410, true),
        "in the middle of an enumeration, too"
    );
    assert_eq!(client.get(&next).status, 200);
}

#[test]
fn a_link_that_is_not_sent_back_unchanged_is_refused() {
    let client = Client::of(Account::business());
    let delta = client.set(&client.feed(), &[]).1;
    assert_eq!(client.get(&delta).status, 200);
    for changed in [
        delta.replace("%3d", "%3D"),
        delta.replace("%3d", "="),
        format!("{delta}x"),
    ] {
        assert_eq!(client.get(&changed).status, 400, "{changed}");
    }
}

#[test]
fn a_timestamp_is_a_token_on_business_only() {
    for (account, expect) in [(Account::business(), Some(1)), (Account::consumer(), None)] {
        let client = Client::of(account);
        let drive = client.cloud.drive();
        drive.create_file(&drive.root_id(), "early", 1);
        let time = drive.now().to_string().replace(':', "%3A");
        drive.create_file(&drive.root_id(), "late", 1);
        let got = client
            .try_get(
                &format!("{}?token={time}", client.feed()),
                &[("deltaExcludeParent", "true")],
            )
            .unwrap();
        assert_eq!(
            (got.status == 200).then(|| got.items().len()),
            expect,
            "{}",
            got.text
        );
    }
}

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
    }
}

#[test]
fn a_raw_object_is_served_byte_for_byte() {
    let client = Client::of(Account::business());
    let drive = client.cloud.drive();
    let file = drive.create_file(&drive.root_id(), "a", 1);
    let raw = format!(
        r#"{{ "b":1e400,"id":"{file}","b":12345678901234567890, "a":"\ud83d\ude00\/" , "file":{{}} }}"#
    );
    drive.set_raw(&file, &raw);
    assert!(client.get(&client.feed()).text.contains(&raw));
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
