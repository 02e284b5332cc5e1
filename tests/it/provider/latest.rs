//! Resources that start at now: a stale token leaves a gap that is noted, and what was known before it is announced.

use deltapost::sim::onedrive::{Account, Endpoint, Fault, Gone};
use serde_json::json;

use crate::provider::bench::Bench;
use crate::support::ledger::check_replay;

fn stale() -> Fault {
    Fault::Gone(Gone::default())
}

#[test]
fn a_resource_that_starts_at_now_records_the_gap() {
    let bench = Bench::new(Account::business());
    let drive = bench.drive();
    let resources = json!({"events": {"url": "/hubs/documents/events", "baseline": "latest"}});
    bench.create("Docs", json!({"event.poller.configuration": resources}));
    bench.poll(1).unwrap();
    drive.create_file(&drive.root_id(), "missed", 1);
    drive.expire_delta_tokens(Gone::default());
    let record = bench.poll(1).unwrap();
    assert!(record.note.unwrap().contains("are not known"));
    assert!(
        bench
            .cell("SELECT note FROM poll ORDER BY id DESC LIMIT 1")
            .contains("changes from")
    );
    drive.create_file(&drive.root_id(), "seen", 1);
    bench.poll(1).unwrap();
    assert_eq!(bench.events().len(), 1);
}

#[test]
fn deletions_that_wait_for_the_next_set_are_told_when_none_comes() {
    for polls in [1, 2] {
        let bench = Bench::new(Account::business());
        let drive = bench.drive();
        let resources = json!({"events": {"url": "/hubs/documents/events", "baseline": "latest"}});
        bench.create("Docs", json!({"event.poller.configuration": resources}));
        let start = drive.tree();
        let folder = drive.create_folder(&drive.root_id(), "Finance");
        drive.create_file(&folder, "report.xlsx", 1);
        bench.poll(1).unwrap();
        drive.delete(&folder);
        if polls == 2 {
            bench.cloud.fail_after(Endpoint::Delta, 1, Fault::status(500));
            assert!(bench.poll(1).is_err());
            drive.expire_delta_tokens(Gone::default());
        } else {
            bench.cloud.fail_after(Endpoint::Delta, 1, stale());
            bench.cloud.fail_after(Endpoint::Delta, 0, stale());
        }
        let record = bench.poll(1).unwrap();
        assert!(record.note.unwrap().contains("are not known"));
        check_replay(&start, &bench.events(), &drive.tree());
        assert_eq!(bench.cell("SELECT count(*) FROM staged_deletion"), "0");
        assert_eq!(bench.cell("SELECT phase FROM resource"), "following");
    }
}
