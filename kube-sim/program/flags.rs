//! The flags of a binary that this program stands in for: parsing, `--help`, and the refusal of unknown flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;

use crate::Error;

/// The effect of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The flag has the same effect as in the real binary.
    Honoured,
    /// The flag has no effect, and the log says so.
    Inert,
    /// The flag is refused with an error, because a test that sets the flag depends on the effect of the flag.
    Refused,
}

/// A flag: its name, its effect, and a note. The note describes the effect, or says why the flag has no effect.
pub(crate) type Flag = (&'static str, Effect, &'static str);

/// The parsed flags: the values of each flag, in the order of the arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(BTreeMap<&'static str, Vec<String>>);

impl Flags {
    /// The last value of a flag; `None` if the flag is absent or this value is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.last().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The items in all values of a flag. Commas separate the items of a value.
    pub(crate) fn items(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.get(name).into_iter().flatten();
        values.flat_map(|value| value.split(',')).filter(|item| !item.is_empty())
    }

    /// Parses arguments in the syntax of Go: `--name=value`, `--name value`, or `--name` for a boolean. Returns `None`
    /// for `--help`. Logs the inert flags.
    ///
    /// # Errors
    /// If a flag is refused or unknown. Also if an argument that must be a flag does not begin with `-`, or
    /// is not UTF-8.
    pub(crate) fn parse(table: &[Flag], arguments: Vec<OsString>) -> Result<Option<Self>, Error> {
        let mut flags = Self::default();
        let mut arguments = arguments.into_iter().peekable();
        while let Some(argument) = arguments.next() {
            let argument = argument.into_string().map_err(|_| "an argument is not UTF-8")?;
            let text = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let text = text.ok_or_else(|| format!("unexpected argument {argument:?}: expected a flag"))?;
            let (name, value) = if let Some((name, value)) = text.split_once('=') {
                (name, value.to_owned())
            } else {
                let is_value = |next: &OsString| !next.to_string_lossy().starts_with('-');
                let next = arguments.next_if(is_value).map(|next| next.to_string_lossy().into_owned());
                (text, next.unwrap_or_else(|| "true".into()))
            };
            if matches!(name, "help" | "h") {
                return Ok(None);
            }
            let Some((name, effect, note)) = table.iter().find(|(known, ..)| *known == name) else {
                return Err(
                    format!("unknown flag --{name}: kube-sim refuses flags that it does not know").into()
                );
            };
            match effect {
                Effect::Honoured => {}
                Effect::Inert => eprintln!("flag --{name}={value} has no effect on kube-sim: {note}"),
                Effect::Refused => return Err(format!("flag --{name} is refused by kube-sim: {note}").into()),
            }
            flags.0.entry(name).or_default().push(value);
        }
        Ok(Some(flags))
    }
}

/// The text of `--help`. envtest searches the text for names of flags, so the text omits the flags that are refused.
pub(crate) fn help(binary: &str, table: &[Flag]) -> String {
    let mut text = format!("{binary}: a stand-in by kube-sim for tests. Unknown flags are refused.\n");
    // Writing to a string is infallible.
    for (effect, title) in [
        (Effect::Honoured, "Flags with the effect of the real binary"),
        (Effect::Inert, "Flags without effect, which are logged"),
    ] {
        let _ = write!(text, "\n{title}:\n\n");
        for (name, _, note) in table.iter().filter(|flag| flag.1 == effect) {
            let _ = writeln!(text, "      --{name:<36} {note}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [Flag; 4] = [
        ("port", Effect::Honoured, "the port"),
        ("dir", Effect::Honoured, "the folder"),
        ("fsync", Effect::Inert, "nothing is stored"),
        ("encryption", Effect::Refused, "nothing is encrypted"),
    ];

    fn parse(arguments: &[&str]) -> Result<Option<Flags>, String> {
        Flags::parse(&TABLE, arguments.iter().map(OsString::from).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_have_the_syntax_of_go() {
        let flags = parse(&["--port=1", "-dir", "/x", "--fsync", "--port", "2"]).unwrap().unwrap();
        assert_eq!(
            (flags.get("port"), flags.get("dir"), flags.get("fsync")),
            (Some("2"), Some("/x"), Some("true"))
        );
        assert_eq!(flags.items("port").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(flags.items("none").count(), 0);
        let lists = parse(&["--dir=a,b", "--dir="]).unwrap().unwrap();
        assert_eq!((lists.get("dir"), lists.items("dir").collect::<Vec<_>>()), (None, vec!["a", "b"]));
        assert_eq!(parse(&["--port=1", "--help"]), Ok(None));
    }

    #[test]
    fn refused_and_unknown_flags_are_errors() {
        for (argument, reason) in [
            ("--ports=1", "unknown flag --ports"),
            ("--encryption=x", "flag --encryption is refused by kube-sim: nothing is encrypted"),
            ("port", "unexpected argument \"port\""),
        ] {
            let error = parse(&[argument]).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn the_help_lists_each_usable_flag_at_the_start_of_a_line() {
        let help = help("etcd", &TABLE);
        let has = |name: &str| help.lines().any(|line| line.trim_start().starts_with(&format!("--{name} ")));
        assert!(has("port") && has("fsync") && !has("encryption"), "{help}");
    }
}
