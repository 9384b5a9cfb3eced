//! The commands of the default exec handler, and a small subset of a shell.

use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, copy};

use super::{ContainerError, Streams};

/// The maximum time of `sleep`.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// The exit code of a shell for a command that does not exist.
const NOT_FOUND_EXIT_CODE: i32 = 127;

/// Runs a command, and returns its exit code.
///
/// # Errors
/// When the command does not exist, or when the client has closed the connection.
pub(super) async fn run(command: &[String], mut streams: Streams) -> Result<i32, ContainerError> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let name = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or_default());
    if let ("sh" | "bash", ["-c", script, ..]) = (name, words.get(1..).unwrap_or_default()) {
        return run_script(script, &mut streams).await;
    }
    let code = run_builtin(name, words.get(1..).unwrap_or_default(), false, &mut streams).await?;
    code.ok_or_else(|| {
        let name = words.first().unwrap_or(&"");
        format!("failed to start the command: exec: {name:?}: executable file not found in $PATH").into()
    })
}

/// Runs one of the built-in commands, and returns its exit code. Returns `None` if there is no built-in
/// command with this name, or if the command does not accept these arguments. If `to_stderr` is set, the
/// output of the command goes to the standard error.
async fn run_builtin(
    name: &str,
    arguments: &[&str],
    to_stderr: bool,
    streams: &mut Streams,
) -> Result<Option<i32>, ContainerError> {
    let Streams { stdin, stdout, stderr, .. } = streams;
    let out = if to_stderr { stderr } else { stdout };
    Ok(Some(match (name, arguments) {
        ("echo", words) => {
            out.write_all(format!("{}\n", words.join(" ")).as_bytes()).await?;
            0
        }
        ("cat", [] | ["-"]) => {
            copy(stdin, out).await?;
            0
        }
        ("true", _) => 0,
        ("false", _) => 1,
        ("sleep", [seconds]) => match seconds.parse::<f64>().map(Duration::try_from_secs_f64) {
            Ok(Ok(time)) => {
                tokio::time::sleep(time.min(MAX_SLEEP)).await;
                0
            }
            _ => 1,
        },
        _ => return Ok(None),
    }))
}

/// Runs the commands of a script. Returns the exit code of the last command that runs, or the code of `exit`.
async fn run_script(script: &str, streams: &mut Streams) -> Result<i32, ContainerError> {
    let mut code = 0;
    for command in parse(script) {
        if command.after_success && code != 0 {
            continue;
        }
        let mut words: Vec<&str> = command.words.iter().map(String::as_str).collect();
        let to_stderr = matches!(words.last(), Some(&(">&2" | "1>&2")));
        if to_stderr {
            words.pop();
        }
        code = match words.as_slice() {
            ["exit", rest @ ..] => {
                return Ok(rest.first().and_then(|n| n.parse().ok()).unwrap_or(code) & 0xff);
            }
            ["exec", name, rest @ ..] | [name, rest @ ..] => {
                if let Some(code) = run_builtin(name, rest, to_stderr, streams).await? {
                    code
                } else {
                    streams.stderr.write_all(format!("sh: {name}: not found\n").as_bytes()).await?;
                    NOT_FOUND_EXIT_CODE
                }
            }
            [] => code,
        };
    }
    Ok(code)
}

/// A command of a script.
#[derive(Debug, Default, PartialEq, Eq)]
struct Command {
    words: Vec<String>,
    /// Whether the command runs only if the previous command succeeded (`&&`).
    after_success: bool,
}

/// Splits a script into commands at `;`, newlines and `&&`. Splits each command into words. An `&&` directly
/// after a word is part of this word. Within quotes, no character has a special meaning.
fn parse(script: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut command = Command::default();
    let mut word: Option<String> = None;
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                word.extend(chars.by_ref().take_while(|next| *next != c));
            }
            ' ' | '\t' => command.words.extend(word.take()),
            ';' | '\n' => {
                command.words.extend(word.take());
                commands.push(std::mem::take(&mut command));
            }
            '&' if word.is_none() && chars.peek() == Some(&'&') => {
                chars.next();
                commands.push(std::mem::take(&mut command));
                command.after_success = true;
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    command.words.extend(word);
    commands.push(command);
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_into_commands_and_words() {
        let words = |command: &Command| command.words.join("|");
        let commands = parse("echo 'a; b' \"c\"d; false && echo x >&2\nexit 3");
        assert_eq!(
            commands.iter().map(words).collect::<Vec<_>>(),
            ["echo|a; b|cd", "false", "echo|x|>&2", "exit|3"]
        );
        assert_eq!(commands.iter().map(|c| c.after_success).collect::<Vec<_>>(), [false, false, true, false]);
    }
}
