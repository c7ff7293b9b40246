//! `prefix`, `path` and `path_form`: which paths, and how they are forwarded.
//!
//! `path` has two meanings that no value has both of: one that begins with `/` is a template,
//! another one is a form. With a template the form is said by `path_form`, which always works.

use super::super::{
    super::{
        MAX_SEGMENTS, PathForm, Pattern,
        pattern::without_names,
        reader::{Node, Section},
    },
    scalar::{absolute_path, one_of, plain_path},
};

const PATH_FORMS: &[(&str, PathForm)] = &[
    ("normalized", PathForm::Normalized),
    ("keep", PathForm::Keep),
];

/// What a route says of paths.
pub(super) struct Paths {
    /// Absent where a fault was noted.
    pub(super) pattern: Option<Pattern>,
    pub(super) form: PathForm,
}

pub(super) fn paths(section: &mut Section<'_>) -> Paths {
    let has_prefix = section.has("prefix");
    let prefix = section.read("prefix", prefix);
    let path = section.node("path");
    let is_template = path
        .as_ref()
        .is_some_and(|node| node.text().is_ok_and(|text| text.starts_with('/')));
    let said = section.read("path_form", |node| one_of(node, PATH_FORMS));
    let (template, form) = match path {
        Some(node) if is_template => (read(&node, template), None),
        Some(node) => (None, read(&node, form)),
        None => (None, None),
    };
    match (has_prefix, is_template) {
        (true, true) => {
            let message = "is a template, and there is a prefix: a route has one of them \
                           (how a path is forwarded is said by path_form)";
            section.fault("path", message);
        }
        (false, false) => section.fault("prefix", "is missing (or a template in path)"),
        _ => {}
    }
    if let (Some(form), Some(said)) = (form, said)
        && form != said
    {
        section.fault("path_form", "contradicts path");
    }
    Paths {
        pattern: prefix.or(template),
        form: said.or(form).unwrap_or(PathForm::Normalized),
    }
}

fn read<T>(node: &Node<'_>, read: fn(&Node<'_>) -> Result<T, String>) -> Option<T> {
    read(node).map_err(|message| node.fault(message)).ok()
}

fn form(node: &Node<'_>) -> Result<PathForm, String> {
    one_of(node, PATH_FORMS)
        .map_err(|message| format!("{message}, and no template, which begins with /"))
}

fn prefix(node: &Node<'_>) -> Result<Pattern, String> {
    let text = absolute_path(node)?;
    if text.contains(['{', '}']) {
        return Err(format!(
            "`{text}` holds a brace; names in the place of segments stand in path, not in prefix"
        ));
    }
    bounded(Pattern::Prefix(plain_path(text)?))
}

fn template(node: &Node<'_>) -> Result<Pattern, String> {
    let text = absolute_path(node)?;
    // What is left is judged as a prefix is.
    plain_path(without_names(&text)?)?;
    let text = match text.strip_suffix('/') {
        Some("") | None => text,
        Some(stripped) => stripped.to_owned(),
    };
    bounded(Pattern::Template(text))
}

fn bounded(pattern: Pattern) -> Result<Pattern, String> {
    let segments = pattern.segments().count();
    if segments > MAX_SEGMENTS {
        return Err(format!(
            "has {segments} segments; {MAX_SEGMENTS} are the most"
        ));
    }
    Ok(pattern)
}
