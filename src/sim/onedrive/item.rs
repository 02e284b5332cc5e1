//! Items as JSON, written by hand: a drive of 100,000 must cost the simulator next to nothing.
//! The shapes are those of the two services, with what each of them leaves out.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::account::Kind;
use super::state::{Facts, Node, ROOT, State};
use crate::core::model::ItemKind;
use crate::sim::dice::mix;

/// The `quickXorHash` of the content that the `at`th item has in these facts; empty for what is not a file.
pub(super) fn content_hash(kind: ItemKind, at: usize, facts: &Facts) -> String {
    if kind != ItemKind::File {
        return String::new();
    }
    let seed = (at as u64) << 32 | u64::from(facts.content);
    let mut hash = [0; 20];
    for (n, part) in hash.chunks_mut(8).enumerate() {
        part.copy_from_slice(&mix(seed ^ mix(n as u64 + 1)).to_le_bytes()[..part.len()]);
    }
    STANDARD.encode(hash)
}

/// Appends the object of `state.nodes[at]` as it is, or was, with `facts`. `anonymous` leaves its id out, which no
/// documentation allows.
pub(super) fn write(out: &mut Vec<u8>, state: &State, at: usize, facts: &Facts, anonymous: bool) {
    let node = &state.nodes[at];
    match &node.raw {
        Some(raw) if facts.deleted_by.is_none() => out.extend_from_slice(raw.as_bytes()),
        _ => {
            let mut object = Object {
                out,
                business: state.kind == Kind::Business,
                deleted: facts.deleted_by.is_some(),
            };
            object.write(state, node, at, facts, anonymous);
        }
    }
}

struct Object<'o> {
    out: &'o mut Vec<u8>,
    business: bool,
    deleted: bool,
}

impl Object<'_> {
    fn write(&mut self, state: &State, node: &Node, at: usize, facts: &Facts, anonymous: bool) {
        let (created, modified) = (time(node.created), time(facts.modified));
        self.text("{");
        if !anonymous {
            self.text("\"id\":\"");
            self.text(&node.id);
            self.text("\",");
        }
        if !self.business && !self.deleted {
            self.print(format_args!(
                "\"cTag\":\"ac{:016x}.{}\",",
                mix(at as u64),
                facts.ctag
            ));
        }
        let tag = (mix(at as u64), mix(!(at as u64)) >> 16);
        match self.business {
            true => self.print(format_args!(
                "\"eTag\":\"\\\"{{{:016X}{:012X}}},{}\\\"\",",
                tag.0, tag.1, facts.etag
            )),
            false => self.print(format_args!("\"eTag\":\"a{:016x}.{}\",", tag.0, facts.etag)),
        }
        self.print(format_args!(
            "\"createdDateTime\":\"{created}\",\"lastModifiedDateTime\":\"{modified}\","
        ));
        if !(self.business && self.deleted) {
            self.text("\"name\":");
            // A string always becomes JSON, and a vector takes every write.
            serde_json::to_writer(&mut *self.out, &facts.name).expect("a name is written into memory");
            self.text(",");
        }
        if self.business || !self.deleted {
            self.print(format_args!("\"size\":{},", facts.size));
        }
        if !self.deleted {
            self.text("\"lastModifiedBy\":{\"user\":{\"displayName\":\"Megan Bowen\",\"email\":\"megan@example.com\"}},");
            self.print(format_args!(
                "\"fileSystemInfo\":{{\"createdDateTime\":\"{created}\",\"lastModifiedDateTime\":\"{modified}\"}},"
            ));
        }
        self.parent_reference(state, facts);
        self.facets(state, node, at, facts);
        self.text("}");
    }

    /// Without a path: the feed never has one.
    fn parent_reference(&mut self, state: &State, facts: &Facts) {
        let drive_id = state.kind.drive_id_in_items(&state.drive_id);
        let drive_type = state.kind.drive_type();
        self.print(format_args!(
            "\"parentReference\":{{\"driveType\":\"{drive_type}\",\"driveId\":\"{drive_id}\""
        ));
        if let Some(parent) = facts.parent {
            self.print(format_args!(",\"id\":\"{}\"", state.nodes[parent].id));
        }
        self.text("}");
    }

    fn facets(&mut self, state: &State, node: &Node, at: usize, facts: &Facts) {
        if self.deleted {
            self.text(if self.business {
                ",\"deleted\":{\"state\":\"deleted\"}"
            } else {
                ",\"deleted\":{}"
            });
        }
        match node.kind {
            ItemKind::Folder | ItemKind::Root if self.deleted => self.text(",\"folder\":{}"),
            ItemKind::Folder | ItemKind::Root => {
                self.print(format_args!(",\"folder\":{{\"childCount\":{}}}", state.children(at).count()));
                if at == ROOT {
                    self.text(",\"root\":{}");
                }
            }
            ItemKind::Package => self.text(",\"package\":{\"type\":\"oneNote\"}"),
            ItemKind::RemoteItem => self.print(format_args!(
                ",\"remoteItem\":{{\"id\":\"FEED{at:X}!7\",\"folder\":{{\"childCount\":3}},\"parentReference\":{{\"driveId\":\"feed{at:x}\"}}}}"
            )),
            ItemKind::File if self.deleted => self.text(",\"file\":{}"),
            ItemKind::File | ItemKind::Object => {
                let hash = content_hash(node.kind, at, facts);
                self.text(",\"file\":{\"mimeType\":\"application/octet-stream\",\"hashes\":{");
                if !self.business {
                    self.print(format_args!("\"sha1Hash\":\"{:040X}\",", mix((at as u64) << 32 | u64::from(facts.content))));
                }
                self.print(format_args!("\"quickXorHash\":\"{hash}\"}}}}"));
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn print(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.out.write_fmt(arguments).expect("a vector takes every write");
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
