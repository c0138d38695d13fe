//! Names of content-addressed parts, which readers may use as paths of files.

/// The longest name in bytes.
const MAX_LENGTH: usize = 200;

/// Why `name` is no name of a part, if it is none.
///
/// A name is one or more steps between slashes; a step consists of letters, digits, `.`, `_` and `-` and does not begin
/// with a dot. So a name that comes from a stranger leads nowhere but down.
pub(crate) fn problem(name: &str) -> Option<&'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if name.is_empty() || name.len() > MAX_LENGTH {
        return Some("a part's name has 1 to 200 bytes");
    }
    if !name.bytes().all(is_allowed) {
        return Some("a part's name consists of letters, digits, `.`, `_`, `-` and `/`");
    }
    if name.split('/').any(|step| step.is_empty() || step.starts_with('.')) {
        return Some("no step of a part's name is empty or begins with a dot");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_but_down() {
        for good in ["config", "tokenizer/tokenizer.json", "data/0", "a-b_c/d.e"] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in [
            "",
            "/etc",
            "a/",
            "a//b",
            "..",
            "a/../b",
            ".ssh",
            "a\\b",
            "c:",
            "a b",
            "ü",
            &"a".repeat(201),
        ] {
            assert!(problem(bad).is_some(), "{bad}");
        }
    }
}
