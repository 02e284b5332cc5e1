//! What README and docs tell people to type: each block of commands runs, from a page's first to its last, and each command
//! within a sentence is one that the binary knows. What a test cannot run is in the tables of `readme/stage.rs`.

mod page;
mod security;
mod stage;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use deltapost::config::Config;
use deltapost::sim::onedrive::Account;
use serde_json::{Value, json};

use crate::support::Site;
use crate::support::api::Api;
use page::{Block, Page};
use stage::Stage;

macro_rules! pages {
    ($($path:literal),* $(,)?) => {
        [$(Page { path: $path, text: include_str!(concat!("../../", $path)) }),*]
    };
}

const PAGES: [Page; 13] = pages![
    "README.md",
    "CHANGELOG.md",
    "benches/README.md",
    "docs/ARCHITECTURE.md",
    "docs/api.md",
    "docs/beyond-one-box.md",
    "docs/decisions/0001-own-accept-loop.md",
    "docs/internals.md",
    "docs/receivers.md",
    "docs/resources.md",
    "docs/security.md",
    "packaging/README.md",
    "schema/README.md",
];

/// Whether the programs of the pages are on this machine that have no stand-in; says so when one is not.
fn has_programs() -> bool {
    let missing = ["bash", "curl", "sqlite3"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        eprintln!("skipped: the pages' commands, since there is no `{program}`");
    }
    missing.is_none()
}

#[track_caller]
fn check_commands(path: &str) {
    if !has_programs() {
        return;
    }
    let (number, page) = PAGES
        .iter()
        .enumerate()
        .find(|(_, page)| page.path == path)
        .unwrap();
    let blocks = page.blocks();
    let commands: Vec<&Block> = blocks.iter().filter(|block| block.fence.is_none()).collect();
    assert!(!commands.is_empty(), "{path} has no commands any more");
    let number = u8::try_from(number).unwrap();
    // The README begins with nothing; the other pages are for people whose agent runs.
    let (stage, begin) = match path {
        "README.md" => (Stage::bare(number), ""),
        _ => (Stage::settled(number), "deltapost run\n"),
    };
    stage.run_page(page, begin, &commands);
}

#[test]
fn the_readme_can_be_followed_from_its_first_command_to_its_last() {
    check_commands("README.md");
}

#[test]
fn the_commands_of_the_api_page_run() {
    check_commands("docs/api.md");
}

#[test]
fn the_commands_of_beyond_one_box_run() {
    check_commands("docs/beyond-one-box.md");
}

#[test]
fn the_commands_of_the_receivers_page_run() {
    check_commands("docs/receivers.md");
}

#[test]
fn the_commands_of_the_figures_and_the_schema_run() {
    check_commands("benches/README.md");
    check_commands("schema/README.md");
}

#[test]
fn no_page_is_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = [
        "README.md",
        "benches/README.md",
        "docs/api.md",
        "docs/beyond-one-box.md",
        "docs/receivers.md",
        "schema/README.md",
    ];
    for page in &PAGES {
        let blocks = page.blocks();
        let first = blocks.iter().find(|block| block.fence.is_none());
        assert!(
            first.is_none() || run.contains(&page.path),
            "nobody runs {}: {first:?}",
            page.path
        );
    }
    let listed = Command::new("git")
        .args(["ls-files", "*.md"])
        .current_dir(root)
        .output();
    let Ok(listed) = listed.map(|output| String::from_utf8(output.stdout).unwrap()) else {
        return;
    };
    let known: BTreeSet<&str> = PAGES.iter().map(|page| page.path).collect();
    for path in listed.lines() {
        assert!(known.contains(path), "give {path} a row in PAGES");
    }
}

#[test]
fn no_row_of_the_tables_is_for_nothing() {
    let all: String = PAGES.iter().map(|page| page.text).collect();
    for row in Stage::rows() {
        assert!(all.contains(row), "no page has `{row}` any more");
    }
}

/// The README gives the address to sign in at where no agent runs that could tell it.
#[test]
fn the_address_to_sign_in_at_is_the_one_that_the_agent_gives() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let asked = "/elements/onedrivev2/oauth/url?apiKey=APPLICATION_ID&callbackUrl=http://localhost:8649/oauth2callback";
    let given = Api::of(&site, agent.address()).get(asked).status(200).json();
    let given = given["oauthUrl"].as_str().unwrap();
    let expect = given.replace(
        &site.cloud.authority(),
        "https://login.microsoftonline.com/common",
    );
    let without_state = expect.split("&state=").next().unwrap();
    assert!(
        PAGES[0].text.contains(&format!("\n{without_state}\n")),
        "the README lacks {without_state}"
    );
}

#[test]
fn the_api_page_names_each_metric_and_no_other() {
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    let agent = site.spawn_run();
    let api = Api::of(&site, agent.address());
    let authorization = format!("Authorization: Bearer {}", api.token);
    let host = format!("Host: {}", api.address);
    let metrics = api
        .raw("GET", "/metrics", &[&host, &authorization], "")
        .status(200)
        .body;
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let given: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let page = PAGES.iter().find(|page| page.path == "docs/api.md").unwrap();
    let codes = page.inline().into_iter().map(|(_, code)| code);
    let named: BTreeSet<&str> = codes.filter(|code| code.starts_with("deltapost_")).collect();
    assert_eq!(named, given);
}

/// The words of a command as a shell would see them, the placeholders of prose as a value that any option takes.
fn words(code: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in code.split(['\'', '"']).enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn each_command_within_a_sentence_is_one_that_the_binary_knows() {
    let mut tried = BTreeSet::new();
    for page in &PAGES {
        for (line, code) in page.inline() {
            let Some(at) = code
                .find("deltapost ")
                .filter(|at| *at == 0 || code.starts_with("sudo -u "))
            else {
                continue;
            };
            // What a shell does with its input or output is no argument.
            let command = code[at..]
                .trim_start_matches("deltapost ")
                .split(" < ")
                .next()
                .unwrap();
            if !tried.insert(command) {
                continue;
            }
            let mut words = words(command);
            // Help is printed where all before it is understood; what is not is an error.
            if !words.iter().any(|word| word == "help") {
                words.push("--help".to_owned());
            }
            let asked = Command::new(env!("CARGO_BIN_EXE_deltapost"))
                .args(words)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&asked.stderr);
            assert!(asked.status.success(), "{}:{line}: `{code}`: {said}", page.path);
        }
    }
    assert!(tried.len() > 20, "{tried:?}");
}

#[test]
fn each_toml_of_the_pages_is_a_configuration() {
    let mut count = 0;
    for page in &PAGES {
        for block in page.blocks().iter().filter(|block| block.fence == Some("toml")) {
            count += 1;
            if let Err(problems) = Config::parse(&block.text) {
                panic!("{}:{}: {problems:?}", page.path, block.line);
            }
        }
    }
    assert!(count > 0, "no page shows a configuration any more");
}

#[test]
fn each_json_of_the_pages_with_resources_makes_an_instance() {
    let site = Site::new(Account::business());
    let mut count = 0;
    for page in &PAGES {
        for block in page.blocks().iter().filter(|block| block.fence == Some("json")) {
            let Some(resources) = block.text.strip_prefix("\"event.poller.configuration\": ") else {
                continue;
            };
            count += 1;
            let resources: Value = serde_json::from_str(resources)
                .unwrap_or_else(|error| panic!("{}:{}: {error}", page.path, block.line));
            let name = format!("{}:{}", page.path, block.line);
            site.create_instance(&name, json!({"event.poller.configuration": resources}));
        }
    }
    assert!(count > 1, "the pages show {count}");
}

/// The words of all of `directory`'s Rust files, and the modules that stand right in it.
fn words_and_modules(directory: &Path, words: &mut BTreeSet<String>) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        modules.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        if path.is_dir() {
            words_and_modules(&path, words);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let separators = |letter: char| !letter.is_alphanumeric() && letter != '_';
            words.extend(text.split(separators).map(str::to_owned));
        }
    }
    modules
}

#[test]
fn the_map_names_each_module_of_core_and_no_code_that_is_not_there() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut words = BTreeSet::new();
    let rooms = words_and_modules(&source, &mut words);
    let core = words_and_modules(&source.join("core"), &mut BTreeSet::new());
    let maps: Vec<&Page> = PAGES
        .iter()
        .filter(|page| ["docs/ARCHITECTURE.md", "docs/internals.md"].contains(&page.path))
        .collect();
    let named: BTreeSet<&str> = maps
        .iter()
        .flat_map(|page| page.inline())
        .map(|(_, code)| code.trim_end_matches('/'))
        .collect();
    let is_code =
        |module: &&String| !module.ends_with("tests") && !["mod", "lib", "main"].contains(&module.as_str());
    for module in rooms.iter().chain(&core).filter(is_code) {
        assert!(
            named.contains(module.as_str()),
            "the map does not name `{module}`"
        );
    }
    for code in named.iter().filter(|code| code.contains("::")) {
        for word in code.split("::") {
            assert!(words.contains(word), "`{code}`: there is no `{word}` in src");
        }
    }
}

#[test]
fn each_figure_of_the_readme_was_measured() {
    let page = |path| PAGES.iter().find(|page: &&Page| page.path == path).unwrap().text;
    let (_, figures) = page("README.md").split_once("## Figures").unwrap();
    let rows: Vec<&str> = figures
        .lines()
        .filter(|line| line.starts_with("| ") && line.len() > 6)
        .collect();
    assert!(rows.len() > 4, "{rows:?}");
    for row in rows {
        let value = row.split('|').nth(2).unwrap().trim();
        let figure: Vec<&str> = value.split(' ').take(2).collect();
        let figure = figure.join(" ");
        assert!(
            page("benches/README.md").contains(&figure),
            "nobody measured `{figure}`: {row}"
        );
    }
}

#[test]
fn each_link_of_the_pages_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in &PAGES {
        let folder = root.join(page.path).parent().unwrap().to_owned();
        for rest in page.text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if target.starts_with("http") || file.is_empty() {
                continue;
            }
            assert!(
                folder.join(file).exists(),
                "{}: `{target}` leads nowhere",
                page.path
            );
        }
    }
}
