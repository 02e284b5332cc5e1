//! Tests of `link`.

use super::*;

#[track_caller]
fn check(link: &str, expect: bool) {
    assert_eq!(
        lies_below("https://graph.microsoft.com/v1.0", link),
        expect,
        "{link}"
    );
}

#[test]
fn a_token_goes_to_the_graph_base_and_nowhere_else() {
    check(
        "https://graph.microsoft.com/v1.0/me/drive/root/delta?token=x",
        true,
    );
    check("https://graph.microsoft.com:443/v1.0/me", true);
    check("HTTPS://GRAPH.microsoft.com/v1.0", true);
    check("https://graph.microsoft.com/v1.0?x", true);
    check("https://graph.microsoft.com/v1.0/root:/M%C3%BCll:/delta", true);
    check("http://graph.microsoft.com/v1.0/me", false);
    check("https://graph.microsoft.com:8443/v1.0/me", false);
    check("https://graph.microsoft.com.evil.example/v1.0/me", false);
    check("https://evil.example/https://graph.microsoft.com/v1.0/me", false);
    check("https://graph.microsoft.com/v1.0evil/me", false);
    check("https://graph.microsoft.com/beta/me", false);
    check("https://graph.microsoft.com/v1.0/../beta/me", false);
    check("https://graph.microsoft.com/v1.0/%2e%2e/beta/me", false);
    check("https://graph.microsoft.com@evil.example/v1.0/me", false);
    check("https://user@graph.microsoft.com/v1.0/me", false);
    check("https://graph.microsoft.com\\@evil.example/v1.0/me", false);
    check("https://graph.micro\tsoft.com/v1.0/me", false);
    check(" https://graph.microsoft.com/v1.0/me", false);
    check("https://%67raph.microsoft.com/v1.0/me", false);
    check("https://\u{ff47}raph.microsoft.com/v1.0/me", false);
    check("https://graph.microsoft.com/v1.0\\..\\beta", false);
    check("https://graph.microsoft.com#@evil.example/v1.0/me", false);
    check("https://graph.microsoft.com?@evil.example/v1.0/me", false);
    check("//graph.microsoft.com/v1.0/me", false);
    check("/v1.0/me", false);
    check("data:text/plain,v1.0", false);
    check("", false);
}

#[test]
fn another_feed_begins_at_now_in_its_own_way() {
    let feed = Feed::Objects { id_field: None };
    for (url, expect) in [
        ("/users/delta", "/users/delta?$deltatoken=latest"),
        (
            "/groups/delta?$select=id",
            "/groups/delta?$select=id&$deltatoken=latest",
        ),
        (
            "/sites/s/lists/l/items/delta",
            "/sites/s/lists/l/items/delta?token=latest",
        ),
    ] {
        let link = first_link("https://graph.example", url, &feed, BaselineMode::Latest, Some(5)).unwrap();
        assert_eq!(link.expose(), format!("https://graph.example{expect}"));
    }
}

#[test]
fn an_origin_tells_nothing_of_the_rest() {
    assert_eq!(
        shown_origin("https://u:p@evil.example:8443/a?token=secret#f"),
        "https://evil.example:8443"
    );
    assert_eq!(shown_origin("token=secret"), "what is no web address");
}

#[test]
fn the_first_link_asks_for_what_the_settings_say() {
    use BaselineMode::{Emit, Latest, Snapshot};
    for (url, baseline, size, expect) in [
        ("/me/drive/root/delta", Snapshot, None, "/me/drive/root/delta"),
        (
            "/me/drive/root/delta",
            Emit,
            Some(500),
            "/me/drive/root/delta?$top=500",
        ),
        (
            "/me/drive/root/delta",
            Latest,
            None,
            "/me/drive/root/delta?token=latest",
        ),
        (
            "/x?$select=id,name",
            Latest,
            Some(5),
            "/x?$select=id,name&$top=5&token=latest",
        ),
        (
            "/x?$top=7&token=2026-01-01T00:00:00Z",
            Latest,
            Some(5),
            "/x?$top=7&token=2026-01-01T00:00:00Z",
        ),
        ("/x?%24top=7", Snapshot, Some(5), "/x?%24top=7"),
        (
            "/root/delta(token='latest')",
            Latest,
            None,
            "/root/delta(token='latest')",
        ),
        ("/x?", Snapshot, None, "/x"),
        ("/x#part", Snapshot, Some(5), "/x?$top=5"),
        (
            "/root:/Größe a/b:/delta",
            Snapshot,
            None,
            "/root:/Gr%C3%B6%C3%9Fe%20a/b:/delta",
        ),
        (
            "https://graph.example/v1.0/me/delta",
            Snapshot,
            Some(5),
            "/me/delta?$top=5",
        ),
    ] {
        for base in ["https://graph.example/v1.0", "https://graph.example/v1.0/"] {
            let link = first_link(base, url, &Feed::Drive, baseline, size).unwrap();
            assert_eq!(
                link.expose(),
                format!("https://graph.example/v1.0{expect}"),
                "{url}"
            );
        }
    }
    for url in [
        "https://evil.example/v1.0/me?token=s3cret",
        "/../beta/me",
        "me/drive",
        "",
        "https://graph.example/beta",
    ] {
        let error = first_link("https://graph.example/v1.0", url, &Feed::Drive, Snapshot, None).unwrap_err();
        assert!(matches!(error, GraphError::ForeignLink { .. }), "{url}");
        assert!(!error.to_string().contains("s3cret"));
    }
}
