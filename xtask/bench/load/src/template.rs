//! JSON with gaps: a file of `data/`, of which `@name@` is filled in. Keeps the order of fields, as servers send them.

/// A text with gaps.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Gap(String),
}

impl Template {
    /// Reads a file of `data/`; its white space is for people.
    pub(crate) fn parse(text: &str) -> Self {
        let compact = without_space(text);
        let pieces = compact.split('@').enumerate().map(|(index, part)| match index % 2 {
            0 => Piece::Text(part.to_owned()),
            _ => Piece::Gap(part.to_owned()),
        });
        Self { pieces: pieces.collect() }
    }

    /// Fills some of the gaps for good.
    pub(crate) fn bind(&self, values: &[(&str, String)]) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for piece in &self.pieces {
            let text = match piece {
                Piece::Text(text) => Some(text),
                Piece::Gap(name) => values.iter().find(|(known, _)| known == name).map(|(_, value)| value),
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

    /// Fills all gaps that are left and appends the text to `out`.
    ///
    /// # Panics
    /// If a gap has no value: the files and the code that fills them belong together.
    pub(crate) fn render(&self, values: &[(&str, &str)], out: &mut Vec<u8>) {
        for piece in &self.pieces {
            let text = match piece {
                Piece::Text(text) => text,
                Piece::Gap(name) => match values.iter().find(|(known, _)| known == name) {
                    Some((_, value)) => *value,
                    #[expect(
                        clippy::panic,
                        reason = "as documented: the files and what fills them belong together"
                    )]
                    None => panic!("nothing fills @{name}@"),
                },
            };
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// JSON without white space between tokens.
fn without_space(text: &str) -> String {
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
    fn fills_gaps_and_keeps_strings() {
        let template = Template::parse("{\n \"a b\": \"x \\\" @one@\", \"c\": @two@\n}");
        let template = template.bind(&[("one", "1 2".to_owned())]);
        let mut out = Vec::new();
        template.render(&[("two", "[]")], &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a b":"x \" 1 2","c":[]}"#);
    }
}
