//! Reads a tree of values key by key and collects every fault on the way, where a deserializer
//! would stop at the first.

use std::cell::RefCell;

use figment::{
    Figment,
    value::{Num, Value},
};

use super::{Fault, UNSUPPORTED};

/// What all sections of one file share.
pub(super) struct Reader<'a> {
    figment: &'a Figment,
    faults: RefCell<Vec<Fault>>,
}

/// A value with its key's path.
#[derive(Clone)]
pub(super) struct Node<'a> {
    reader: &'a Reader<'a>,
    path: Vec<String>,
    value: &'a Value,
}

/// A table whose keys are taken one by one; [`Section::finish`] reports those that are left.
pub(super) struct Section<'a> {
    node: Node<'a>,
    left: Vec<(&'a str, &'a Value)>,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(figment: &'a Figment) -> Self {
        Self {
            figment,
            faults: RefCell::default(),
        }
    }

    pub(super) fn root(&'a self, value: &'a Value) -> Node<'a> {
        Node {
            reader: self,
            path: Vec::new(),
            value,
        }
    }

    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        let fault = Fault {
            key: key.to_owned(),
            message: message.into(),
        };
        self.faults.borrow_mut().push(fault);
    }

    pub(super) fn has_fault_under(&self, key: &str) -> bool {
        self.faults
            .borrow()
            .iter()
            .any(|fault| fault.key.starts_with(key))
    }

    /// The faults so far, in the order of their keys, none twice.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort();
        faults.dedup();
        faults
    }
}

impl<'a> Node<'a> {
    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        for name in &self.path {
            if !key.is_empty() && !name.starts_with('[') {
                key.push('.');
            }
            key.push_str(name);
        }
        key
    }

    pub(super) fn fault(&self, message: impl Into<String>) {
        self.reader.fault(&self.key(), message);
    }

    pub(super) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// Gives the node another last name: an array's element is called by its id.
    pub(super) fn called(mut self, name: &str) -> Self {
        if let Some(last) = self.path.last_mut() {
            name.clone_into(last);
        }
        self
    }

    pub(super) fn section(self) -> Option<Section<'a>> {
        let Value::Dict(_, dict) = self.value else {
            self.fault("must be a table");
            return None;
        };
        let left = dict
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        Some(Section {
            node: self,
            left,
            known: Vec::new(),
        })
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, Value::Array(..))
    }

    pub(super) fn items(&self) -> Vec<Node<'a>> {
        let Value::Array(_, values) = self.value else {
            self.fault("must be a list");
            return Vec::new();
        };
        let item = |(index, value)| self.child(&format!("[{index}]"), value);
        values.iter().enumerate().map(item).collect()
    }

    /// The entries of a table whose keys are names that the user chose.
    pub(super) fn entries(&self) -> Vec<(String, Node<'a>)> {
        let Value::Dict(_, dict) = self.value else {
            self.fault("must be a table");
            return Vec::new();
        };
        dict.iter()
            .map(|(name, value)| (name.clone(), self.child(name, value)))
            .collect()
    }

    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        self.value.as_dict()?.get(key)?.as_str()
    }

    pub(super) fn text(&self) -> Result<String, String> {
        match self.value {
            Value::String(_, text) => Ok(text.clone()),
            Value::Char(_, character) => Ok(character.to_string()),
            // The environment has no types: a token of digits only looks like a number there.
            Value::Num(..) | Value::Bool(..) if self.is_from_environment() => {
                self.scalar().ok_or_else(|| "must be a text".to_owned())
            }
            _ => Err("must be a text".to_owned()),
        }
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self) -> Result<T, String>
    where
        T::Err: std::fmt::Display,
    {
        self.text()?
            .parse()
            .map_err(|error: T::Err| error.to_string())
    }

    pub(super) fn boolean(&self) -> Result<bool, String> {
        self.value
            .to_bool()
            .ok_or_else(|| "must be true or false".to_owned())
    }

    pub(super) fn number(&self) -> Result<f64, String> {
        let whole = || self.whole().and_then(|whole| i32::try_from(whole).ok());
        let number = self.value.to_f64().or_else(|| whole().map(f64::from));
        number.ok_or_else(|| "must be a number".to_owned())
    }

    pub(super) fn count(&self) -> Result<u32, String> {
        let count = self.whole().and_then(|whole| u32::try_from(whole).ok());
        count
            .filter(|count| *count > 0)
            .ok_or_else(|| "must be a whole number above 0".to_owned())
    }

    pub(super) fn texts(&self) -> Vec<String> {
        let text = |item: Node<'a>| item.text().map_err(|message| item.fault(message)).ok();
        self.items().into_iter().filter_map(text).collect()
    }

    /// TOML's numbers are signed, the environment's are not.
    fn whole(&self) -> Option<i128> {
        let unsigned = || {
            self.value
                .to_u128()
                .and_then(|whole| i128::try_from(whole).ok())
        };
        self.value.to_i128().or_else(unsigned)
    }

    fn scalar(&self) -> Option<String> {
        match self.value {
            Value::String(_, text) => Some(text.clone()),
            Value::Bool(_, value) => Some(value.to_string()),
            Value::Num(_, Num::F32(number)) => Some(number.to_string()),
            Value::Num(_, Num::F64(number)) => Some(number.to_string()),
            Value::Num(..) => self.whole().map(|whole| whole.to_string()),
            _ => None,
        }
    }

    fn is_from_environment(&self) -> bool {
        let metadata = self.reader.figment.get_metadata(self.value.tag());
        metadata.is_some_and(|metadata| metadata.name.contains("environment"))
    }

    fn child(&self, name: &str, value: &'a Value) -> Node<'a> {
        Node {
            reader: self.reader,
            path: self.path_of(name),
            value,
        }
    }

    fn path_of(&self, name: &str) -> Vec<String> {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        path
    }
}

impl<'a> Section<'a> {
    /// Takes a key, if it is there and this version acts on it.
    pub(super) fn node(&mut self, key: &'static str) -> Option<Node<'a>> {
        let path = self.node.path_of(key);
        if !UNSUPPORTED
            .iter()
            .any(|entry| entry.accepted.is_empty() && entry.refuses(&path, None))
        {
            self.known.push(key);
        }
        let index = self.left.iter().position(|(name, _)| *name == key)?;
        let (_, value) = self.left.swap_remove(index);
        let node = self.node.child(key, value);
        let scalar = node.scalar();
        let refused = UNSUPPORTED
            .iter()
            .find(|entry| entry.refuses(&node.path, scalar.as_deref()));
        if let Some(refused) = refused {
            let rest = match refused.accepted {
                [] => "remove it".to_owned(),
                accepted => format!("remove it or say {}", accepted.join(" or ")),
            };
            node.fault(format!(
                "{} is not part of this version; {rest}",
                refused.what
            ));
            return None;
        }
        Some(node)
    }

    /// Takes and reads a key; what is wrong with it becomes a fault.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.node(key)?;
        read(&node).map_err(|message| node.fault(message)).ok()
    }

    /// Like [`Section::read`]; an absent key is a fault too.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node<'a>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.fault(key, "is missing");
            return None;
        }
        self.read(key, read)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.left.iter().any(|(name, _)| *name == key)
    }

    /// Reports a fault of one of the section's keys, or of the section (an empty key).
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        let section = self.node.key();
        let path = match (section.as_str(), key) {
            ("", key) => key.to_owned(),
            (section, "") => section.to_owned(),
            (section, key) => format!("{section}.{key}"),
        };
        self.node.reader.fault(&path, message);
    }

    /// Reports the keys that nobody took.
    pub(super) fn finish(self) {
        for (name, _) in &self.left {
            let known = self.known.join(", ");
            self.fault(name, format!("is unknown; known here: {known}"));
        }
    }
}
