//! A problem's `type`: an identifier, or a link to the page about its code.

use std::{env, sync::LazyLock};

use http::{Uri, uri::Scheme};

/// The variable that says where the pages are: an absolute address with [`CODE`] in it. One for all
/// parts of a process, and read by all of them, so it is no key of any configuration.
pub const PAGES: &str = "BANYAN_ERROR_PAGES";

/// Stands for the code in the address.
const CODE: &str = "{code}";

static TEMPLATE: LazyLock<Option<String>> = LazyLock::new(|| given().ok().flatten());

/// The `type` of problems with this code.
pub(super) fn type_of(code: &str) -> String {
    filled(TEMPLATE.as_deref(), code)
}

/// Whether the variable, where it is set, can be used.
///
/// # Errors
/// What is wrong with it.
pub fn check_pages() -> Result<(), String> {
    given().map(|_| ())
}

fn given() -> Result<Option<String>, String> {
    match env::var(PAGES) {
        Ok(text) => parsed(text).map(Some),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{PAGES}: is no text")),
    }
}

fn parsed(text: String) -> Result<String, String> {
    let address = text.replace(CODE, "code").parse::<Uri>();
    let is_web = address.is_ok_and(|address| {
        address.host().is_some()
            && [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&address.scheme())
    });
    if is_web && text.contains(CODE) {
        Ok(text)
    } else {
        Err(format!(
            "{PAGES}: must be an http or https address with {CODE} where the code stands"
        ))
    }
}

fn filled(template: Option<&str>, code: &str) -> String {
    match template {
        Some(template) => template.replace(CODE, code),
        None => format!("urn:banyan:problem:{code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_leads_to_the_page_where_the_pages_have_an_address() {
        assert_eq!(filled(None, "busy"), "urn:banyan:problem:busy");
        let template = parsed("https://docs.example.org/errors/{code}.md".to_owned()).unwrap();
        let link = filled(Some(&template), "busy");
        assert_eq!(link, "https://docs.example.org/errors/busy.md");
    }

    #[test]
    fn an_address_that_leads_to_no_page_is_refused() {
        for wrong in [
            "",
            "/errors/{code}",
            "https://docs.example.org/errors/",
            "ftp://a/{code}",
        ] {
            let fault = parsed(wrong.to_owned()).unwrap_err();
            assert!(fault.contains(PAGES), "{fault}");
        }
    }
}
