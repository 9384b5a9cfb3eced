//! Passes the `Warning` headers of responses to the handler of the configuration.

use http::{HeaderMap, Request, Response, header};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower::{Layer, Service};

use crate::config::{Warning, WarningHandler};

/// The code of warnings for users (RFC 7234, section 5.5.7).
const MISCELLANEOUS_PERSISTENT_WARNING: &str = "299";

/// Builds [`Warnings`].
#[derive(Clone, Debug)]
pub(crate) struct WarningLayer(pub(crate) WarningHandler);

impl<S> Layer<S> for WarningLayer {
    type Service = Warnings<S>;

    fn layer(&self, inner: S) -> Warnings<S> {
        Warnings { inner, handler: self.0.clone() }
    }
}

/// Passes the warnings of each response to a handler.
#[derive(Clone, Debug)]
pub(crate) struct Warnings<S> {
    inner: S,
    handler: WarningHandler,
}

impl<S, A, B> Service<Request<A>> for Warnings<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Unpin,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = WarningsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        WarningsFuture { inner: self.inner.call(request), handler: self.handler.clone() }
    }
}

pub(crate) struct WarningsFuture<F> {
    inner: F,
    handler: WarningHandler,
}

impl<F, B, E> Future for WarningsFuture<F>
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let response = ready!(Pin::new(&mut self.inner).poll(cx));
        if let Ok(response) = &response {
            for warning in parse_warnings(response.headers()) {
                self.handler.handle(&warning);
            }
        }
        Poll::Ready(response)
    }
}

/// The warnings with the code 299 and a text that is not empty. In a malformed header, only the warnings before the first
/// malformed one are read.
fn parse_warnings(headers: &HeaderMap) -> impl Iterator<Item = Warning> + '_ {
    headers.get_all(header::WARNING).iter().flat_map(|value| {
        // A header that is not UTF-8 cannot be shown to users.
        let mut rest = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
        std::iter::from_fn(move || {
            let (code, warning, after) = parse_next_warning(rest)?;
            rest = after;
            Some((code == MISCELLANEOUS_PERSISTENT_WARNING && !warning.text.is_empty()).then_some(warning))
        })
        .flatten()
    })
}

/// Parses the first warning of a header: `code agent "text" ["date"], ...`. Returns the code, the warning, and
/// the unparsed rest of the header. Returns `None` if the header is empty, or if its first warning is malformed.
fn parse_next_warning(header: &str) -> Option<(&str, Warning, &str)> {
    let header = header.trim_start_matches([' ', '\t', ',']);
    let (code, rest) = header.split_once(' ')?;
    let (agent, rest) = rest.trim_start().split_once(' ')?;
    let (text, rest) = parse_quoted_string(rest.trim_start())?;
    let rest = rest.trim_start();
    let rest = if rest.starts_with('"') { parse_quoted_string(rest)?.1 } else { rest };
    let ends = rest.trim_start().is_empty() || rest.trim_start().starts_with(',');
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    (ends && is_code).then(|| (code, Warning::new(agent.to_owned(), text), rest))
}

/// The content of the quoted string at the start of `text`, and the text after it (RFC 7230, section 3.2.6).
fn parse_quoted_string(text: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((content, text.get(at + 2..)?)),
            '\\' => content.push(replace_control_character(characters.next()?.1)),
            other => content.push(replace_control_character(other)),
        }
    }
    None
}

/// Replaces a control character by a space: terminals interpret control characters.
fn replace_control_character(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[track_caller]
    fn assert_warnings(headers: &[&[u8]], expected: &[&str]) {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(header::WARNING, HeaderValue::from_bytes(value).unwrap());
        }
        let texts: Vec<_> = parse_warnings(&map).map(|warning| warning.text).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn all_warnings_of_all_headers_are_read() {
        assert_warnings(
            &[
                br#"299 - "one""#,
                br#"299 kube "two, \"quoted\" \\", 299 - "three" "Sat, 01 Jan 2000 00:00:00 GMT""#,
            ],
            &["one", "two, \"quoted\" \\", "three"],
        );
    }

    #[test]
    fn warnings_with_an_empty_text_or_a_code_other_than_299_are_skipped() {
        assert_warnings(&[br#"199 - "other", 299 - "", 299 - "one""#], &["one"]);
    }

    #[test]
    fn only_the_warnings_before_the_first_malformed_warning_of_a_header_are_read() {
        for malformed in [
            "",
            "299",
            "299 -",
            "299 - ",
            "299 - \"",
            "299 - one",
            "2999 - \"x\"",
            "299 - \"x\" y",
            "299 - \"x\\",
        ] {
            assert_warnings(
                &[malformed.as_bytes(), format!("299 - \"one\", {malformed}").as_bytes()],
                &["one"],
            );
        }
        assert_warnings(&[b"299 - \"\xff\""], &[]);
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_warnings(&[b"299 - \"a\tb\xc2\x9bc\""], &["a b c"]);
        assert_warnings(&[b"299 - \"a\\\tb\\\xc2\x9bc\""], &["a b c"]);
    }
}
