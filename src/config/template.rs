//! The configuration that others begin with: what `spec` writes, and what a shell's is made of.

use super::Spec;

/// As `runc spec` writes it, word for word but for the hostname: tools edit it by its paths.
const TEXT: &str = include_str!("template.json");

/// Its text, indented with tabs; the hostname is the program's name.
pub fn text(program: &str) -> String {
    TEXT.replace("@PROGRAM@", program)
}

/// What it says.
pub fn spec() -> Spec {
    serde_json::from_str(TEXT).expect("the template is a configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_says_what_its_text_says() {
        let spec = spec();
        assert_eq!(spec.hostname.as_deref(), Some("@PROGRAM@"));
        assert!(text("x").contains("\"hostname\": \"x\""));
        assert_eq!(spec.mounts.len(), 7);
    }
}
