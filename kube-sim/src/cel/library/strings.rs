//! Functions for strings, including regular expressions.

use super::format_text;
use crate::cel::value::{Failure, List, Outcome, Val};
use crate::schema::{compile_regex, quote};

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    if name == "join" {
        return match arguments {
            [Val::List(list)] => Some(join(list, "")),
            [Val::List(list), Val::String(separator)] => Some(join(list, separator)),
            _ => None,
        };
    }
    let (Val::String(text), rest) = arguments.split_first()? else { return None };
    let text = &**text;
    Some(match (name, rest) {
        ("contains", [Val::String(part)]) => Ok(Val::Bool(text.contains(&**part))),
        ("startsWith", [Val::String(part)]) => Ok(Val::Bool(text.starts_with(&**part))),
        ("endsWith", [Val::String(part)]) => Ok(Val::Bool(text.ends_with(&**part))),
        ("matches", [Val::String(pattern)]) => {
            compile_regex(pattern).map(|regex| Val::Bool(regex.is_match(text))).map_err(Failure::new)
        }
        ("find", [Val::String(pattern)]) => compile_find_pattern(pattern)
            .map(|regex| Val::text(regex.find(text).map_or("", |found| found.as_str()))),
        ("findAll", [Val::String(pattern)]) => find_all(text, pattern, -1),
        ("findAll", [Val::String(pattern), Val::Int(limit)]) => find_all(text, pattern, *limit),
        ("charAt", [Val::Int(index)]) => char_at(text, *index),
        ("indexOf", [Val::String(part)]) => index_of(text, part, 0),
        ("indexOf", [Val::String(part), Val::Int(offset)]) => index_of(text, part, *offset),
        ("lastIndexOf", [Val::String(part)]) => last_index_of(text, part, None),
        ("lastIndexOf", [Val::String(part), Val::Int(offset)]) => last_index_of(text, part, Some(*offset)),
        ("lowerAscii", []) => Ok(Val::text(text.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Val::text(text.to_ascii_uppercase())),
        ("trim", []) => Ok(Val::text(text.trim())),
        ("replace", [Val::String(old), Val::String(new)]) => Ok(Val::text(text.replace(&**old, new))),
        ("replace", [Val::String(old), Val::String(new), Val::Int(limit)]) => Ok(Val::text(match limit {
            limit if *limit < 0 => text.replace(&**old, new),
            limit => text.replacen(&**old, new, usize::try_from(*limit).unwrap_or(usize::MAX)),
        })),
        ("split", [Val::String(separator)]) => Ok(split(text, separator, -1)),
        ("split", [Val::String(separator), Val::Int(limit)]) => Ok(split(text, separator, *limit)),
        ("substring", [Val::Int(start)]) => substring(text, *start, None),
        ("substring", [Val::Int(start), Val::Int(end)]) => substring(text, *start, Some(*end)),
        ("format", [Val::List(values)]) => format_text::format(text, values).map(Val::text),
        ("jsonpatch.escapeKey", []) => Ok(Val::text(text.replace('~', "~0").replace('/', "~1"))),
        ("strings.quote", []) => Ok(Val::text(quote(text))),
        _ => return None,
    })
}

/// Compiles the regular expression of `find` or `findAll`.
fn compile_find_pattern(pattern: &str) -> Result<regex::Regex, Failure> {
    compile_regex(pattern).map_err(|error| Failure::new(format!("Illegal regex: {error}")))
}

fn find_all<'a>(text: &str, pattern: &str, limit: i64) -> Outcome<'a> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let regex = compile_find_pattern(pattern)?;
    Ok(Val::list(regex.find_iter(text).take(limit).map(|found| Val::text(found.as_str())).collect()))
}

fn join<'a>(list: &List<'a>, separator: &str) -> Outcome<'a> {
    let mut out = String::new();
    for (index, item) in list.items()?.into_iter().enumerate() {
        let Val::String(text) = item else { return Err(Failure::no_such_overload()) };
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(&text);
    }
    Ok(Val::text(out))
}

fn index_error<'a>(index: i64) -> Outcome<'a> {
    Err(Failure::new(format!("index out of range: {index}")))
}

fn char_at<'a>(text: &str, index: i64) -> Outcome<'a> {
    let characters: Vec<char> = text.chars().collect();
    match usize::try_from(index) {
        Ok(at) if at == characters.len() => Ok(Val::text("")),
        Ok(at) if at < characters.len() => Ok(Val::text(characters[at].to_string())),
        _ => index_error(index),
    }
}

/// Converts a length or an index to a value.
fn int_value(value: usize) -> Val<'static> {
    Val::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn index_of<'a>(text: &str, part: &str, offset: i64) -> Outcome<'a> {
    let Ok(from) = usize::try_from(offset) else { return index_error(offset) };
    let (text, part): (Vec<char>, Vec<char>) = (text.chars().collect(), part.chars().collect());
    if part.is_empty() {
        return Ok(int_value(from.min(text.len())));
    }
    let found = text.windows(part.len()).enumerate().skip(from).find(|(_, window)| *window == part);
    Ok(found.map_or(Val::Int(-1), |(at, _)| int_value(at)))
}

fn last_index_of<'a>(text: &str, part: &str, offset: Option<i64>) -> Outcome<'a> {
    let (text, part): (Vec<char>, Vec<char>) = (text.chars().collect(), part.chars().collect());
    let last = match offset {
        None => text.len(),
        Some(offset) => match usize::try_from(offset) {
            Err(_) => return index_error(offset),
            Ok(offset) if part.is_empty() => return Ok(int_value(offset.min(text.len()))),
            Ok(offset) if offset >= text.len() => return Ok(Val::Int(-1)),
            Ok(offset) => offset,
        },
    };
    if part.is_empty() {
        return Ok(int_value(text.len()));
    }
    let mut windows = text.windows(part.len()).enumerate().take(last.saturating_add(1));
    Ok(windows.rfind(|(_, window)| *window == part).map_or(Val::Int(-1), |(at, _)| int_value(at)))
}

fn split<'a>(text: &str, separator: &str, limit: i64) -> Val<'a> {
    let limit = match limit {
        0 => return Val::list(Vec::new()),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if separator.is_empty() {
        // An empty separator splits the text into characters.
        let mut parts: Vec<Val<'a>> = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if parts.len() + 1 == limit {
                parts.push(Val::text(rest));
                break;
            }
            parts.push(Val::text(c.to_string()));
            rest = &rest[c.len_utf8()..];
        }
        return Val::list(parts);
    }
    Val::list(text.splitn(limit, separator).map(Val::text).collect())
}

fn substring<'a>(text: &str, start: i64, end: Option<i64>) -> Outcome<'a> {
    let characters: Vec<char> = text.chars().collect();
    let length = i64::try_from(characters.len()).unwrap_or(i64::MAX);
    let last = end.unwrap_or(length);
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(Failure::new(format!("invalid substring range. start: {start}, end: {end}")));
    }
    if start < 0 || start > length {
        return index_error(start);
    }
    if last < 0 || last > length {
        return index_error(last);
    }
    let at = |index: i64| usize::try_from(index).unwrap_or(0);
    Ok(Val::text(characters[at(start)..at(last)].iter().collect::<String>()))
}
