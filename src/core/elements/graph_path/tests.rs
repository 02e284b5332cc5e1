//! What a resource's `url` may be: where it leads, and above all where it does not.

use super::*;

const BASE: &str = "https://graph.microsoft.com/v1.0";

fn feed(url: &str) -> Result<String, String> {
    resolve(url, Some(Mode::Delta), Some(BASE)).map(|place| place.url)
}

#[track_caller]
fn check(url: &str, expect: &str) {
    assert_eq!(feed(url), Ok(expect.to_owned()));
    assert_eq!(feed(expect), Ok(expect.to_owned()), "resolving is stable");
}

#[track_caller]
fn check_refused(url: &str, expect: &str) {
    let message = feed(url).expect_err(url);
    assert!(message.contains(expect), "{url}: {message}");
}

#[test]
fn an_empty_query_is_none() {
    let path = "/drives/1/root/delta";
    assert_eq!(feed(&format!("{path}?")), Ok(path.to_owned()));
}

#[test]
fn aliases_are_the_drives_feed() {
    check("/hubs/documents/events", "/me/drive/root/delta");
    check("/hubs/documents/changes", "/me/drive/root/delta");
    check("/hubs/documents/events?where=x='${date}'", "/me/drive/root/delta");
}

#[test]
fn paths_stay_and_absolute_urls_below_the_base_become_paths() {
    check("/drives/b!a-1/root/delta", "/drives/b!a-1/root/delta");
    check(
        "/me/drive/root:/Finance Ü/2026:/delta",
        "/me/drive/root:/Finance%20%C3%9C/2026:/delta",
    );
    check(
        "/sites/s/lists/l/items/delta?$expand=fields",
        "/sites/s/lists/l/items/delta?$expand=fields",
    );
    check(
        "https://graph.microsoft.com/v1.0/users/u/drive/root/delta",
        "/users/u/drive/root/delta",
    );
    check(
        "HTTPS://Graph.Microsoft.com:443/v1.0/me/drive/root/delta",
        "/me/drive/root/delta",
    );
}

#[test]
fn the_token_goes_nowhere_but_below_the_base() {
    for url in [
        "https://graph.microsoft.com/v1.0.evil/root/delta",
        "https://graph.microsoft.com/beta/me/drive/root/delta",
        "https://graph.microsoft.com.evil.example/v1.0/root/delta",
        "https://graph.microsoft.com./v1.0/root/delta",
        "https://graph.microsoft.com:8443/v1.0/root/delta",
        "http://graph.microsoft.com/v1.0/root/delta",
        "https://evil.example/v1.0/root/delta",
        "https://evil.example?https://graph.microsoft.com/v1.0/root/delta",
        "ftp://graph.microsoft.com/v1.0/root/delta",
    ] {
        check_refused(url, "is not below the Graph base");
    }
    check_refused(
        "https://graph.microsoft.com@evil.example/v1.0/root/delta",
        "user name",
    );
    check_refused("https://@graph.microsoft.com/v1.0/root/delta", "user name");
    check_refused(
        "https:\\\\evil.example/v1.0/root/delta",
        "holds a control character",
    );
    check_refused("//evil.example/root/delta", "empty segment");
}

#[test]
fn no_path_climbs_out_of_the_base() {
    for url in [
        "/../beta/me/drive/root/delta",
        "/me/%2e%2e/%2E%2E/beta/delta",
        "/me/.%2e/delta",
        "/me/./delta",
        "/me/drive/root:/a/..:/delta",
        "https://graph.microsoft.com/v1.0/../beta/delta",
        "https://graph.microsoft.com/v1.0/%2e%2e/beta/delta",
    ] {
        check_refused(url, "segment");
    }
    check_refused("/me/a%2fb/delta", "encoded slash");
    check_refused("/me/a%5Cb/delta", "encoded slash");
    check_refused("/me/a%00/delta", "encoded slash or control");
    check_refused("/me/a%2/delta", "two hexadecimal digits");
    check_refused("/me//delta", "empty segment");
    check_refused("/me/drive/root/delta/", "empty segment");
    check_refused("/me\n/delta", "control character");
    check_refused("me/drive/root/delta", "begins with `/`");
}

#[test]
fn what_is_no_feed_is_refused_with_what_can_be_used() {
    check_refused("/me/messages", "use a path that ends in `/delta`");
    check_refused("/me/messages", "or poll it by dates");
    check_refused("/hubs/documents/files", "`/hubs/documents/events`");
    check_refused("/me/${date}/delta", "polled by dates, not to a feed");
    check_refused(
        "/drives/{id}/root/delta",
        "the placeholder `{id}/root/delta` is still there",
    );
    check_refused("<SEE_BELOW>", "placeholder");
    check_refused("/me/drive/root/delta?token=latest", "`token` is not supported");
    check_refused("/me/drive/root/delta?%24top=5", "`%24top` is not supported");
    check_refused(
        "/me/drive/root/delta?$select=id,name,file,folder,deleted",
        "leaves out `parentReference`",
    );
}

#[track_caller]
fn check_collection(url: &str, expect: Result<&str, &str>) {
    match (resolve(url, None, Some(BASE)), expect) {
        (Ok(place), Ok(expect)) => assert_eq!((place.url.as_str(), place.mode), (expect, Mode::Window)),
        (Err(message), Err(expect)) => assert!(message.contains(expect), "{message}"),
        (place, _) => panic!("{url}: {place:?}"),
    }
}

#[test]
fn a_collection_keeps_its_dates_and_leads_nowhere_else() {
    let url =
        "/me/messages?$filter=lastModifiedDateTime ge ${gmtDate:yyyy-MM-dd'T'HH:mm:ss'Z'}&$orderby=subject";
    check_collection(url, Ok(url));
    check_collection(&format!("{BASE}{url}"), Ok(url));
    check_collection("/me/events/${epoch:ms}", Ok("/me/events/${epoch:ms}"));
    check_collection("/me/messages?$top=5", Err("`$top` is the agent's own"));
    check_collection("/me/messages?%24skipToken=x", Err("is the agent's own"));
    check_collection("/me/${date}/../messages", Err("`..` segment"));
    check_collection(
        "/me/{id}/messages",
        Err("the placeholder `{id}/messages` is still there"),
    );
    check_collection(
        "https://evil.example/v1.0/me/messages?x=${date}",
        Err("is not below the Graph base"),
    );
    check_collection("/hubs/crm/contacts?where=x", Err("`/me/contacts/delta`"));
}

#[test]
fn a_date_s_text_leads_nowhere_either() {
    for (text, expect) in [
        ("/../../me/messages", "`..` segment"),
        ("}/../../me/messages", "`..` segment"),
        ("/./x", "`.` or `..` segment"),
        ("//x", "empty segment"),
        ("/", "empty segment"),
    ] {
        check_collection(&format!("/custom/${{gmtDate:yyyy'{text}'}}"), Err(expect));
    }
    let folders = "/archive/${gmtDate:yyyy/MM/dd}?at=${gmtDate:'{}?&'yyyy}";
    check_collection(folders, Ok(folders));
}

#[test]
fn cloud_elements_own_paths_are_known_in_capitals() {
    check("/Hubs/Documents/EVENTS", "/me/drive/root/delta");
    check_collection("/HUBS/crm/Contacts?where=x", Err("`/me/contacts/delta`"));
}

#[test]
fn a_feed_is_not_polled_by_dates() {
    for url in [
        "/me/drive/root/delta",
        "/hubs/documents/events",
        "/users/delta?$select=id",
    ] {
        let message = resolve(url, Some(Mode::Window), Some(BASE)).unwrap_err();
        assert!(message.contains("leave `mode` out"), "{message}");
    }
}

#[test]
fn a_refusal_repeats_no_token() {
    let message = feed("https://evil.example/a/delta?token=hunter2").unwrap_err();
    assert!(!message.contains("hunter2"), "{message}");
}

proptest::proptest! {
    #[test]
    fn whatever_is_accepted_is_a_plain_path(url in "(https://graph.microsoft.com/v1.0)?[/.:%2eE5cCé a?&=$#@\\\\]{0,30}(/delta)?") {
        if let Ok(path) = feed(&url) {
            let whole = Url::parse(&format!("{BASE}{path}")).unwrap();
            proptest::prop_assert_eq!(whole.as_str(), format!("{}{}", BASE, path));
            proptest::prop_assert!(path.starts_with('/') && !path.starts_with("//"));
        }
    }

    #[test]
    fn resolving_is_stable(url in "/[a-zé% :!.]{1,12}/delta") {
        if let Ok(path) = feed(&url) {
            proptest::prop_assert_eq!(feed(&path), Ok(path.clone()));
        }
    }
}
