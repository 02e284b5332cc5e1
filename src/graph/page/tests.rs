//! What `page::parse` promises, on pages as the documentation shows them, and on whatever else may come.

use proptest::prelude::*;

use super::*;
use crate::core::model::{FeedItem, ItemKind};

const BASE: &str = "https://graph.example/v1.0";
const DELTA: &str = r#""@odata.deltaLink":"https://graph.example/v1.0/me/drive/root/delta?token=SECRET""#;

/// The page read to its end, its pieces put together.
fn parse<'page>(bytes: &'page [u8], base: &str, feed: &'page Feed) -> Result<Page<'page>, PageError> {
    let body = super::parse(bytes, base, feed)?;
    let mut items = Vec::new();
    for piece in body.pieces() {
        items.extend(piece?.items);
    }
    let end = body.end.clone();
    Ok(Page { items, end })
}

/// A page with `objects`, whose set is complete.
fn page(objects: &str) -> String {
    format!(r#"{{"@odata.context":"…","value":[{objects}],{DELTA}}}"#)
}

#[track_caller]
fn item(object: &str) -> FeedItem<'static> {
    let text: &'static str = page(object).leak();
    let mut page = parse(text.as_bytes(), BASE, &Feed::Drive).unwrap();
    assert_eq!(page.items.len(), 1);
    page.items.remove(0)
}

#[track_caller]
fn refused(page: &str, expect: PageError) {
    let error = parse(page.as_bytes(), BASE, &Feed::Drive).unwrap_err();
    assert_eq!(error, expect);
    assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    assert!(!error.hint().is_empty());
}

const FILE: &str = r##"{
  "@odata.type": "#microsoft.graph.driveItem", "createdDateTime": "2026-02-11T08:15:30Z",
  "cTag": "adDpGMkU", "eTag": "\"{01ABC},2\"", "id": "01ABC", "lastModifiedDateTime": "2026-03-01T09:30:00.5Z",
  "name": "report \u00fc\ud83d\ude00.xlsx", "size": 12345678901234567890, "webUrl": "https://contoso.example/r.xlsx",
  "parentReference": {"driveType": "business", "driveId": "b!x", "id": "01PARENT", "path": "/drive/root:"},
  "file": {"mimeType": "application/x", "hashes": {"sha1Hash": "AA", "quickXorHash": "q1+/="}},
  "fileSystemInfo": {"createdDateTime": null}, "shared": {"scope": "users"}}"##;

#[test]
fn a_file_s_facts_are_read_as_documented() {
    let expect = FeedItem {
        raw: FILE,
        announced_id: None,
        id: "01ABC".into(),
        name: Some("report ü😀.xlsx".into()),
        parent_id: Some("01PARENT".into()),
        drive_id: Some("b!x".into()),
        kind: ItemKind::File,
        deleted: false,
        size: Some("12345678901234567890".into()),
        hash: Some("quickXorHash:q1+/=".into()),
        etag: Some("\"{01ABC},2\"".into()),
        created: Some("2026-02-11T08:15:30Z".parse().unwrap()),
        modified: Some("2026-03-01T09:30:00.5Z".parse().unwrap()),
    };
    assert_eq!(item(FILE), expect);
}

#[test]
fn the_kind_is_the_first_facet_in_order() {
    for (object, kind) in [
        (r#"{"id":"1","folder":{},"root":{},"file":{}}"#, ItemKind::Root),
        (
            r#"{"id":"1","file":{},"folder":{},"remoteItem":{"folder":{}}}"#,
            ItemKind::RemoteItem,
        ),
        (
            r#"{"id":"1","folder":{},"package":{"type":"oneNote"}}"#,
            ItemKind::Package,
        ),
        (r#"{"id":"1","file":{},"folder":{}}"#, ItemKind::Folder),
        (r#"{"id":"1","file":{},"folder":null}"#, ItemKind::File),
        (r#"{"id":"1","subject":"a mail"}"#, ItemKind::Object),
    ] {
        assert_eq!(item(object).kind, kind, "{object}");
    }
}

#[test]
fn a_deletion_is_the_facet_or_the_removed_mark_and_not_null() {
    for (object, deleted) in [
        (r#"{"id":"1","deleted":{"state":"deleted"}}"#, true),
        (r#"{"id":"1","deleted":{}}"#, true),
        (r#"{"id":"1","@removed":{"reason":"changed"}}"#, true),
        (r#"{"id":"1","deleted":null,"@removed":null}"#, false),
        (r#"{"id":"1","deleted":{},"deleted":null}"#, false),
        (r#"{"id":"1"}"#, false),
    ] {
        assert_eq!(item(object).deleted, deleted, "{object}");
    }
}

#[test]
fn the_hash_is_the_first_that_is_there_with_its_name() {
    for (hashes, expect) in [
        (r#"{"crc32Hash":"C","sha1Hash":"S"}"#, Some("sha1Hash:S")),
        (r#"{"crc32Hash":"C","sha256Hash":"T"}"#, Some("sha256Hash:T")),
        (r#"{"crc32Hash":"C","quickXorHash":null}"#, Some("crc32Hash:C")),
        ("{}", None),
        ("null", None),
    ] {
        let object = format!(r#"{{"id":"1","file":{{"hashes":{hashes}}}}}"#);
        assert_eq!(item(&object).hash.as_deref(), expect, "{hashes}");
    }
}

#[test]
fn raw_is_the_provider_s_text_byte_for_byte() {
    for object in [
        r#"{ "z":1,"id" : "1",  "a":[ ] }"#,
        r#"{"id":"0","id":"1","name":"a","name":"b"}"#,
        r#"{"id":"1","size":98765432109876543210,"x":1.50e+400}"#,
        r#"{"id":"1","name":"\u00e4\/\t\ud83d\ude00\ud800 \udc00"}"#,
        r#"{"\ud800":1,"id":"1"}"#,
        "{\"id\":\"1\",\n\t\"ü\":\"😀\"}",
    ] {
        let item = item(object);
        assert_eq!(item.raw, object);
        assert_eq!(item.id, "1");
    }
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    let item = item(r#"{"id":"1","name":"a","size":1,"name":"b","size":2}"#);
    assert_eq!(
        (item.name.as_deref(), item.size.as_deref()),
        (Some("b"), Some("2"))
    );
}

#[test]
fn half_a_surrogate_pair_in_a_name_stops_no_feed() {
    let name = item(r#"{"id":"1","name":"a\ud800b"}"#).name.unwrap();
    assert!(name.starts_with("a\u{fffd}") && name.ends_with('b'), "{name:?}");
}

#[test]
fn a_date_that_is_none_is_absent() {
    let item = item(r#"{"id":"1","createdDateTime":null,"lastModifiedDateTime":"yesterday"}"#);
    assert_eq!((item.created, item.modified), (None, None));
}

#[test]
fn unknown_fields_of_any_type_and_depth_do_no_harm() {
    let deep = format!("{}1{}", "[{\"a\":".repeat(5_000), "}]".repeat(5_000));
    let object = format!(r#"{{"x":{deep},"id":"1","folder":{deep},"y":5,"z":"\udfff","fileX":[null]}}"#);
    let item = item(&object);
    assert_eq!((item.kind, item.raw), (ItemKind::Folder, object.as_str()));
    let around = format!(r#"{{"x":{deep},"value":[],{DELTA}}}"#);
    assert!(
        parse(around.as_bytes(), BASE, &Feed::Drive)
            .unwrap()
            .items
            .is_empty()
    );
}

#[test]
fn a_page_says_where_to_go_on() {
    let next = r#"{"value":[],"@odata.nextLink":"https://graph.example/v1.0/x?a","@odata.deltaLink":null}"#;
    let link = Secret::new("https://graph.example/v1.0/x?a");
    assert_eq!(
        parse(next.as_bytes(), BASE, &Feed::Drive).unwrap().end,
        PageEnd::Next(link)
    );
    let with_mark = format!("\u{feff}{}", page(""));
    assert!(matches!(
        parse(with_mark.as_bytes(), BASE, &Feed::Drive).unwrap().end,
        PageEnd::Delta(_)
    ));
}

#[test]
fn what_is_no_page_is_refused_with_its_reason() {
    refused(&page("{}"), PageError::NoId { index: 0 });
    refused(
        &page(r#"{"id":"1"},{"id":null,"name":"x"}"#),
        PageError::NoId { index: 1 },
    );
    refused(&page(r#"{"id":"1"},{"id":""}"#), PageError::NoId { index: 1 });
    refused(&page(r#"{"id":"1"},5"#), PageError::NotAnObject { index: 1 });
    refused(&page("null"), PageError::NotAnObject { index: 0 });
    refused(
        " \n<!DOCTYPE html><html><body>Sign in</body></html>",
        PageError::Html,
    );
    refused(&format!("{{{DELTA}}}"), PageError::NoValue);
    refused(r#"{"value":[]}"#, PageError::NoLink);
    refused(
        r#"{"value":[],"@odata.nextLink":"https://graph.example/v1.0/a?SECRET","@odata.deltaLink":"https://graph.example/v1.0/b"}"#,
        PageError::BothLinks,
    );
    let whole = page(FILE);
    let half = &whole[..whole.len() / 2];
    refused(half, PageError::Truncated { bytes: half.len() });
    refused("", PageError::Truncated { bytes: 0 });
    assert_eq!(
        parse(b"{\"value\":[\"\xff\"", BASE, &Feed::Drive),
        Err(PageError::NotUtf8 { at: 11 })
    );
    for malformed in ["[]", "{\"value\":{}}", "5", "{]", r#"{"value":[],"value":[]}"#] {
        let error = parse(malformed.as_bytes(), BASE, &Feed::Drive).unwrap_err();
        assert!(
            matches!(error, PageError::Malformed { .. }),
            "{malformed}: {error:?}"
        );
    }
    let problem = "its `value` is not a list".to_owned();
    refused(r#"{"value":"SECRET"}"#, PageError::Malformed { problem });
    let problem = "expected `,` or `}` at line 1 column 14".to_owned();
    refused(r#"{"value": [] ?SECRET}"#, PageError::Malformed { problem });
}

#[test]
fn a_link_to_another_place_is_an_error_that_keeps_the_query() {
    for (link, origin) in [
        ("https://evil.example/v1.0/x?token=SECRET", "https://evil.example"),
        (
            "https://graph.example/beta/x?token=SECRET",
            "https://graph.example",
        ),
        ("SECRET", "what is no web address"),
    ] {
        let page = format!(r#"{{"value":[],"@odata.nextLink":"{link}"}}"#);
        let origin = origin.to_owned();
        let link = "@odata.nextLink";
        refused(&page, PageError::ForeignLink { link, origin });
    }
}

#[test]
fn a_known_field_of_the_wrong_type_names_item_and_field() {
    for (object, field, expected) in [
        (r#"{"id":5}"#, "id", "a string"),
        (r#"{"id":"1","name":5}"#, "name", "a string"),
        (r#"{"id":"1","name":["a"]}"#, "name", "a string"),
        (r#"{"id":"1","eTag":{}}"#, "eTag", "a string"),
        (r#"{"id":"1","size":"5"}"#, "size", "a number"),
        (r#"{"id":"1","size":true}"#, "size", "a number"),
        (
            r#"{"id":"1","parentReference":"x"}"#,
            "parentReference",
            "an object",
        ),
        (
            r#"{"id":"1","parentReference":{"id":1}}"#,
            "parentReference.id",
            "a string",
        ),
        (r#"{"id":"1","file":5}"#, "file", "an object"),
        (r#"{"id":"1","file":{"hashes":[]}}"#, "file.hashes", "an object"),
        (
            r#"{"id":"1","file":{"hashes":{"quickXorHash":1}}}"#,
            "file.hashes.quickXorHash",
            "a string",
        ),
        (r#"{"id":"1","createdDateTime":5}"#, "createdDateTime", "a string"),
    ] {
        let index = 1;
        let page = page(&format!(r#"{{"id":"0"}},{object}"#));
        refused(
            &page,
            PageError::WrongType {
                index,
                field,
                expected,
            },
        );
    }
    let error = PageError::WrongType {
        index: 3,
        field: "name",
        expected: "a string",
    };
    assert_eq!(
        error.to_string(),
        "could not read the page of changes: `name` of `value[3]` is not a string"
    );
}

fn real_page() -> String {
    let folder =
        r#"{"id":"2","name":"Finance","folder":{"childCount":3},"size":7,"parentReference":{"id":"0"}}"#;
    page(&format!(
        r#"{FILE},{folder},{{"id":"3","deleted":{{"state":"deleted"}}}}"#
    ))
}

#[test]
fn a_page_comes_in_pieces_that_together_are_the_page() {
    let mut objects: Vec<String> = (0..2_500).map(|n| format!(r#"{{"id":"{n}"}}"#)).collect();
    objects[7] = r#"{"id":"2400","name":"superseded"}"#.to_owned();
    objects.push(format!(r#"{{"id":"large","x":"{}"}}"#, "x".repeat(3 << 20)));
    objects.push(r#"{"id":"last"}"#.to_owned());
    let text = page(&objects.join(" ,\n"));
    let body = super::parse(text.as_bytes(), BASE, &Feed::Drive).unwrap();
    let pieces: Vec<Page<'_>> = body.pieces().map(Result::unwrap).collect();
    let sizes: Vec<usize> = pieces.iter().map(|piece| piece.items.len()).collect();
    assert_eq!((sizes, body.len()), (vec![999, 1_000, 500, 1, 1], 2_502));
    let (last, others) = pieces.split_last().unwrap();
    assert!(others.iter().all(|piece| piece.end == PageEnd::More));
    assert_eq!(last.end, body.end);
    objects.remove(7);
    let raws = pieces.iter().flat_map(|piece| &piece.items).map(|item| item.raw);
    assert!(raws.eq(objects.iter()));
}

#[test]
fn a_text_without_end_is_cut_off_or_refused() {
    let long = |last: &str| format!("{}{last}", "ü".repeat(5_000));
    let named = |last: &str| {
        item(&format!(r#"{{"id":"1","name":"{}"}}"#, long(last)))
            .name
            .unwrap()
    };
    assert!(
        named("a").len() <= 4_096 && named("a").starts_with("üüü"),
        "{}",
        named("a")
    );
    assert_eq!(named("a"), named("a"));
    assert_ne!(named("a"), named("b"), "a rename is seen");
    for (object, field) in [
        (format!(r#"{{"id":"{}"}}"#, long("")), "id"),
        (
            format!(r#"{{"id":"1","parentReference":{{"id":"{}"}}}}"#, long("")),
            "parentReference.id",
        ),
    ] {
        let expected = "an id of at most 4 KiB";
        let index = 0;
        refused(
            &page(&object),
            PageError::WrongType {
                index,
                field,
                expected,
            },
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let outcome = parse(&bytes, BASE, &Feed::Drive);
        prop_assert!(outcome.is_ok() || outcome.is_err());
    }

    #[test]
    fn a_real_page_with_bytes_changed_makes_no_panic_and_no_leak(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = real_page().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Err(error) = parse(&bytes, BASE, &Feed::Drive) {
            prop_assert!(!error.to_string().contains("token="));
        }
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(parse(&bytes, BASE, &Feed::Drive).is_err());
    }

    #[test]
    fn raw_is_a_slice_of_the_input(objects in prop::collection::vec(object(), 0..6)) {
        let numbered = |(n, object): (usize, &String)| object.replace("\"id\":\"1\"", &format!("\"id\":\"{n}\""));
        let objects: Vec<String> = objects.iter().enumerate().map(numbered).collect();
        let text = page(&objects.join(" , "));
        let page = parse(text.as_bytes(), BASE, &Feed::Drive).unwrap();
        let raws: Vec<&str> = page.items.iter().map(|item| item.raw).collect();
        prop_assert_eq!(&raws, &objects.iter().map(String::as_str).collect::<Vec<_>>());
        let input = text.as_bytes().as_ptr_range();
        prop_assert!(raws.iter().all(|raw| input.contains(&raw.as_ptr())));
    }
}

/// Any object with an id, spaced and escaped in any way.
fn object() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        "-?[1-9][0-9]{0,25}(\\.[0-9]{1,3})?(e[+-]?[0-9]{1,3})?",
        "\"([a-zé😀 ]|\\\\u[0-9a-f]{4}|\\\\[nrt/\"])*\"",
    ];
    let value = scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[ {} ]", v.join(" ,"))),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..4).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(k, v)| format!("\"{k}\" :{v}")).collect();
                format!("{{{}}}", fields.join(",\n"))
            }),
        ]
    });
    (value.clone(), value).prop_map(|(a, b)| format!("{{\"x1\":{a}, \"id\":\"1\" ,\"x2\": {b} }}"))
}
