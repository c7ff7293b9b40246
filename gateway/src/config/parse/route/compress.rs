//! `compress`: a list of codings, or a table with the list and its bounds.

use super::super::{
    super::{Coding, Compress, ContentType, reader::Node},
    scalar::{media_type, one_of},
};

const CODINGS: &[(&str, Coding)] = &[
    ("br", Coding::Brotli),
    ("zstd", Coding::Zstd),
    ("gzip", Coding::Gzip),
];

pub(super) fn compress(node: Node<'_>) -> Option<Compress> {
    let types = Compress::TYPES
        .map(|it| ContentType(it.to_owned()))
        .to_vec();
    if node.is_list() {
        return Some(Compress {
            codings: codings(&node),
            min_size: Compress::MIN_SIZE,
            types,
        });
    }
    let mut section = node.section()?;
    let listed = section.required("codings", |node| Ok(codings(node)));
    let min_size = section.read("min_size", Node::count);
    let named = section.node("types").map(|node| {
        let types = node.items();
        if types.is_empty() {
            node.fault("at least one is needed");
        }
        let read = |node: Node<'_>| {
            content_type(&node)
                .map_err(|message| node.fault(message))
                .ok()
        };
        types.into_iter().filter_map(read).collect()
    });
    section.finish();
    Some(Compress {
        codings: listed?,
        min_size: min_size.unwrap_or(Compress::MIN_SIZE),
        types: named.unwrap_or(types),
    })
}

fn codings(node: &Node<'_>) -> Vec<Coding> {
    let items = node.items();
    if items.is_empty() {
        node.fault("at least one is needed: br, zstd or gzip");
    }
    let mut codings = Vec::new();
    for item in items {
        match one_of(&item, CODINGS) {
            Ok(coding) if codings.contains(&coding) => item.fault("stands here twice"),
            Ok(coding) => codings.push(coding),
            Err(message) => item.fault(message),
        }
    }
    codings
}

fn content_type(node: &Node<'_>) -> Result<ContentType, String> {
    let text = node.text()?;
    let is_kind = text
        .strip_suffix("/*")
        .is_some_and(|kind| !kind.is_empty() && kind.bytes().all(|it| it.is_ascii_alphanumeric()));
    let is_suffix = text
        .strip_prefix("*+")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|it| it.is_ascii_alphanumeric()));
    if is_kind || is_suffix {
        return Ok(ContentType(text.to_ascii_lowercase()));
    }
    media_type(node)
        .map(ContentType)
        .map_err(|message| format!("{message}; so are `text/*` and `*+json`"))
}
