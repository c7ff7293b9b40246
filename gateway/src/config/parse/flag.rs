//! `[flags.NAME]`.

use super::{
    super::reader::Node,
    scalar::{one_of, parsed_list},
};
use crate::flag::{Percent, Rule, Settings, Side};

const SIDES: &[(&str, Side)] = &[("legacy", Side::Legacy), ("candidate", Side::Candidate)];

pub(super) fn settings(node: Node<'_>) -> Option<Settings> {
    let name = node.name().to_owned();
    let mut section = node.section()?;
    let mut settings = Settings::new(&name);
    if let Some(percent) = section.read("percent", |node| {
        Percent::from_number(node.number()?).map_err(|error| error.to_string())
    }) {
        settings.percent = percent;
    }
    if let Some(salt) = section.read("salt", Node::text) {
        settings.salt = salt;
    }
    if let Some(node) = section.node("subject") {
        settings.subject = parsed_list(&node);
        if node.items().is_empty() {
            node.fault("at least one source is needed");
        }
    }
    for (key, set) in [("allow", &mut settings.allow), ("deny", &mut settings.deny)] {
        if let Some(node) = section.node(key) {
            set.extend(node.texts());
        }
    }
    if let Some(node) = section.node("rules") {
        settings.rules = node.items().into_iter().filter_map(rule).collect();
    }
    settings.drain = section.read("drain", Node::boolean).unwrap_or(false);
    if let Err(fault) = settings.validate() {
        section.fault(fault.field, fault.message);
    }
    section.finish();
    Some(settings)
}

fn rule(node: Node<'_>) -> Option<Rule> {
    let mut section = node.section()?;
    let header = section.required("header", |node| {
        node.text()?
            .parse()
            .map_err(|_| "must be a header's name".to_owned())
    });
    let equals = section.required("equals", Node::text);
    let side = section
        .read("side", |node| one_of(node, SIDES))
        .unwrap_or(Side::Candidate);
    section.finish();
    Some(Rule {
        header: header?,
        equals: equals?,
        side,
    })
}
