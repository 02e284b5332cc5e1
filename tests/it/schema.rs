//! `schema/README.md` is true: each column is in it, and each query in it runs in the machine's own `sqlite3`.

use std::collections::BTreeSet;
use std::process::Command;

use rusqlite::Connection;

const README: &str = include_str!("../../schema/README.md");
const SCHEMA: &str = concat!(
    include_str!("../../schema/0001_initial.sql"),
    include_str!("../../schema/0002_windows.sql"),
    include_str!("../../schema/0003_instance_token.sql"),
    include_str!("../../schema/0004_promises.sql"),
);

/// The README's queries, in order.
fn queries() -> Vec<&'static str> {
    README
        .split("```sql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a block ends"))
        .collect()
}

/// The text of the section on a table, or the README as a whole for the agent's own tables and the views.
fn section(table: &str) -> &'static str {
    match README.split_once(&format!("\n### {table}\n")) {
        Some((_, rest)) => rest.split("\n### ").next().expect("split gives one at least"),
        None => README,
    }
}

#[test]
fn every_column_of_every_table_and_view_is_told() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'")
        .unwrap();
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(names.len() >= 16, "{names:?}");
    for name in names {
        assert!(
            README.contains(&format!("`{name}`")) || README.contains(&format!("### {name}\n")),
            "`{name}`"
        );
        let columns = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        for column in columns.column_names() {
            assert!(
                section(&name).contains(&format!("`{column}`")),
                "column `{column}` of `{name}`"
            );
        }
    }
}

#[test]
fn there_are_ten_queries_and_none_is_there_twice() {
    let queries = queries();
    assert_eq!(queries.len(), 10);
    assert_eq!(queries.iter().collect::<BTreeSet<_>>().len(), 10);
}

#[test]
fn each_query_runs_in_the_sqlite3_of_this_machine() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        eprintln!("sqlite3 is not installed here: only the bundled SQLite was asked");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deltapost.db");
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    connection
        .execute_batch(
            "INSERT INTO endpoint (id, url, url_mac, state_since) VALUES (1, 'https://example.com/', x'00', '');
             INSERT INTO instance (id, name, element_key, configuration, endpoint_id, created_at, updated_at)
                    VALUES (1, 'Docs', 'onedrivev2', '{}', 1, '', '');
             INSERT INTO outbox (id, event_id, instance_id, resource, created_at, event_count, next_attempt_at, body)
                    VALUES (1, 'x', 1, 'events', '2026-03-01T00:00:00.000Z', 1, '2026-03-01T00:00:00.000Z',
                            CAST('{\"ä\":[{\"id\":\"Ö\"}]}' AS BLOB));
             INSERT INTO event (outbox_id, position, event_type, object_id, object_type, raw_start, raw_length)
                    VALUES (1, 0, 'CREATED', 'A', 'file', 7, 11);",
        )
        .unwrap();
    let raw: String = connection
        .query_row("SELECT raw FROM recent_events", [], |row| row.get(0))
        .unwrap();
    assert_eq!(raw, "{\"id\":\"Ö\"}", "offsets count bytes");
    for query in queries() {
        connection
            .prepare(query)
            .unwrap_or_else(|error| panic!("{error}: {query}"));
        let Ok(output) = Command::new("sqlite3")
            .arg("-readonly")
            .arg(&file)
            .arg(query)
            .output()
        else {
            continue;
        };
        assert!(
            output.status.success(),
            "{}: {query}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn whoever_writes_the_end_of_a_wait_writes_its_begin() {
    let mut found = 0;
    for file in std::fs::read_dir("src/store").unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let ends = ["next_attempt_at = ?", "next_probe_at = ?"];
        for statement in text
            .split('"')
            .filter(|part| ends.iter().any(|end| part.contains(end)))
        {
            assert!(statement.contains("waits_since = "), "{statement}");
            found += 1;
        }
    }
    assert!(found >= 5, "{found} statements");
}
