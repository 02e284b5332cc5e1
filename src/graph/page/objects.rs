//! The objects of a page's list one after another, and in pieces. Nothing is kept of them but where they lie.

use std::iter::Peekable;

use serde_json::value::RawValue;

/// The most objects of a piece, above `pageSize`, so that a page as it is asked for is one piece.
const PIECE_OBJECTS: usize = 1_000;
/// The most bytes of a piece; a larger object is a piece by itself.
const PIECE_BYTES: usize = 2 << 20;

/// What is left of a JSON list that has been checked to be one.
#[derive(Clone, Debug)]
pub(super) struct Objects<'page>(&'page str);

impl<'page> Objects<'page> {
    /// The elements of `list`, valid JSON; `None` when it is no list.
    pub(super) fn new(list: &'page str) -> Option<Objects<'page>> {
        list.strip_prefix('[').map(Objects)
    }
}

impl<'page> Iterator for Objects<'page> {
    type Item = &'page str;

    fn next(&mut self) -> Option<&'page str> {
        let rest = self.0.trim_start_matches([' ', '\n', '\r', '\t', ',']);
        if rest.starts_with(']') {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let value = values.next()?.ok()?.get();
        self.0 = &rest[values.byte_offset()..];
        Some(value)
    }
}

/// Takes the next piece from `objects`, which have so many `bytes` each.
pub(super) fn piece<T>(
    objects: &mut Peekable<impl Iterator<Item = T>>,
    bytes: impl Fn(&T) -> usize,
) -> Vec<T> {
    let (mut piece, mut size) = (Vec::new(), 0);
    while let Some(object) = objects.next_if(|next| {
        let fits = piece.len() < PIECE_OBJECTS && size + bytes(next) <= PIECE_BYTES;
        piece.is_empty() || fits
    }) {
        size += bytes(&object);
        piece.push(object);
    }
    piece
}
