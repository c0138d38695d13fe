//! Names of the parts of a run or checkpoint, which readers may use as paths of files.

/// The longest name in bytes.
const MAX_LENGTH: usize = 200;

/// The reason why `name` is not valid, or `None` if it is.
///
/// A name consists of one or more components between slashes. A component consists of letters,
/// digits, `.`, `_` and `-` and does not begin with a dot. A path made from an untrusted name
/// therefore stays below the folder of the reader, on every system.
pub(crate) fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > MAX_LENGTH {
        return Some("a part's name has 1 to 200 bytes");
    }
    // ASCII only: systems differ in how they normalise other characters in file names.
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)) {
        return Some("a part's name consists of letters, digits, `.`, `_`, `-` and `/`");
    }
    // Without empty components there is no absolute path, without leading dots no `..`.
    if name.split('/').any(|component| component.is_empty() || component.starts_with('.')) {
        return Some("no component of a part's name is empty or begins with a dot");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_name_stays_below_its_folder() {
        for valid in ["config", "tokenizer/tokenizer.json", "data/0", "a-b_c/d.e"] {
            assert_eq!(problem(valid), None, "{valid}");
        }
        for invalid in [
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
            assert!(problem(invalid).is_some(), "{invalid}");
        }
    }
}
