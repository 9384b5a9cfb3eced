//! `Template`: a JSON file of `data/` with `@name@` placeholders. The fields are in the same order as in the API
//! server's JSON.

/// A JSON text with placeholders.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

/// A part of a template: literal text, or the name of a placeholder.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Placeholder(String),
}

impl Template {
    /// Parses a file of `data/` and removes the white space between tokens.
    pub(crate) fn parse(text: &str) -> Self {
        let compact = without_whitespace(text);
        let pieces = compact.split('@').enumerate().map(|(index, part)| match index % 2 {
            0 => Piece::Text(part.to_owned()),
            _ => Piece::Placeholder(part.to_owned()),
        });
        Self { pieces: pieces.collect() }
    }

    /// Returns a copy of this template. In the copy, values replace the placeholders that `values` names, and all other
    /// placeholders remain.
    pub(crate) fn bind(&self, values: &[(&str, String)]) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in &self.pieces {
            let text = match piece {
                Piece::Text(text) => Some(text),
                Piece::Placeholder(name) => {
                    values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
                }
            };
            let Some(text) = text else {
                pieces.push(piece.clone());
                continue;
            };
            match pieces.last_mut() {
                Some(Piece::Text(before)) => before.push_str(text),
                _ => pieces.push(Piece::Text(text.clone())),
            }
        }
        Self { pieces }
    }

    /// Replaces all remaining placeholders and appends the text to `out`.
    ///
    /// # Panics
    /// If a placeholder has no value.
    pub(crate) fn render(&self, values: &[(&str, &str)], out: &mut Vec<u8>) {
        for piece in &self.pieces {
            let text = match piece {
                Piece::Text(text) => text,
                Piece::Placeholder(name) => match values.iter().find(|(known, _)| known == name) {
                    Some((_, value)) => *value,
                    #[expect(
                        clippy::panic,
                        reason = "as documented: a placeholder without a value is a defect of this crate"
                    )]
                    None => panic!("no value for the placeholder @{name}@"),
                },
            };
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Removes the white space between the tokens of a JSON text.
fn without_whitespace(text: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    text.chars()
        .filter(|c| {
            if quoted {
                quoted = escaped || *c != '"';
                escaped = !escaped && *c == '\\';
                return true;
            }
            quoted = *c == '"';
            !c.is_whitespace()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_replaces_placeholders_and_keeps_whitespace_in_strings() {
        let template = Template::parse("{\n \"a b\": \"x \\\" @one@\", \"c\": @two@\n}");
        let template = template.bind(&[("one", "1 2".to_owned())]);
        let mut out = Vec::new();
        template.render(&[("two", "[]")], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a b":"x \" 1 2","c":[]}"#);
    }
}
